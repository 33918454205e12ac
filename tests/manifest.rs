//! Manifests: what a set would hold, in the forms that other programs read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fogold::fixtures::ServerSpec;
use serde_json::Value;

use super::support::on_the_web::{OnTheWeb, as_it_is, gold};
use super::support::web::{Reply, WebServer};
use super::support::{Capture, Fogold, MadeUp, Outcome, SmallDisk, Unprivileged, skipped};

/// A manifest of a made-up server, from its dump, on standard output.
fn of_dump(made_up: &MadeUp, arguments: &[&str]) -> Fogold {
    Fogold::new(["manifest", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
        .args(arguments)
}

/// The entries of fogold's own form: all lines but the first and the last.
fn entries(outcome: &Outcome) -> Vec<Value> {
    let mut lines = outcome.lines();
    assert!(
        lines
            .first()
            .is_some_and(|line| line["fogold_manifest"] == 1)
    );
    assert!(
        lines
            .last()
            .is_some_and(|line| line["entries"] == lines.len() - 2)
    );
    lines.pop();
    lines.remove(0);
    lines
}

/// The entries that are left out, by name, with their URLs.
fn left_out(outcome: &Outcome) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    entries(outcome)
        .iter()
        .filter(|entry| entry["where"] == "urls")
        .map(|entry| {
            let urls = entry["urls"].as_array().expect("URLs");
            (text(&entry["name"]), urls.iter().map(text).collect())
        })
        .collect()
}

/// The table, as an object, of a manifest on standard output.
fn table(manifest: Fogold, directory: &Path) -> (Outcome, Value) {
    let path = directory.join("table.json");
    let outcome = manifest.arg("--report").arg(&path).run();
    let text = fs::read(&path).unwrap_or_else(|_| panic!("no table: {}", outcome.complaint()));
    (outcome, serde_json::from_slice(&text).expect("JSON"))
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    let is_there = found.is_ok_and(|output| output.status.success());
    if !is_there {
        skipped(format_args!("{program} is not installed"));
    }
    is_there
}

/// Runs a program in a directory, with something on its standard input.
fn run_in(directory: &Path, program: &str, arguments: &[&str], input: &[u8]) -> bool {
    use std::io::Write;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("the program reads");
    drop(stdin);
    child.wait().expect("the program ends").success()
}

/// Panics with what the one has and the other lacks.
fn same(found: &BTreeSet<String>, wanted: &BTreeSet<String>) {
    let lacking: Vec<&String> = wanted.difference(found).collect();
    let excess: Vec<&String> = found.difference(wanted).collect();
    assert!(
        lacking.is_empty() && excess.is_empty(),
        "lacking: {lacking:?}, in excess: {excess:?}"
    );
}

/// All files below a directory, relative to it.
fn files_below(root: &Path) -> BTreeSet<String> {
    let mut open = vec![root.to_owned()];
    let mut found = BTreeSet::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let path = path.strip_prefix(root).expect("below the root");
                found.insert(path.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    found
}

#[test]
fn a_gold_only_set_of_a_recorded_server() {
    let Some(capture) = Capture::open("A-healthy") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = Fogold::new(["manifest", "--gold-only", "-o", "-", "--sysconfdir"])
        .arg(capture.sysconfdir())
        .arg("--repository")
        .arg(capture.repository())
        .arg("--catalog")
        .arg(capture.file("dump.sql.gz"));
    let (outcome, table) = table(manifest, directory.path());
    outcome.assert_code(0);
    let of_type = |ty: &str| -> BTreeSet<String> {
        let is_of = |entry: &&Value| entry["types"] == serde_json::json!([ty]);
        let name = |entry: &Value| entry["name"].as_str().expect("a name").to_owned();
        entries(&outcome).iter().filter(is_of).map(name).collect()
    };
    let gold = files_below(&capture.repository().join("localhost/gold"));
    let names = gold
        .iter()
        .map(|path| path.rsplit('/').next().unwrap_or_default().to_owned());
    assert_eq!(of_type("gold"), names.collect());
    assert_eq!(of_type("files").len(), 9, "the nine listings");
    assert_eq!(entries(&outcome).len(), 20);
    let amounts = &table["amounts"];
    assert_eq!(amounts["gold"]["files"], 11);
    assert_eq!(amounts["listings"]["files"], 9);
    assert_eq!(amounts["left_out"]["unpacked"]["files"], 86 - 11 - 9);
    assert_eq!(amounts["left_out"]["unused"]["files"], 3);
    assert_eq!(table["complete"], true);
    assert!(
        outcome
            .complaint()
            .contains("listings, which no unpacking writes again")
    );
}

#[test]
fn urls_of_a_recorded_server() {
    let Some(capture) = Capture::open("A-healthy") else {
        return;
    };
    let manifest = |arguments: &[&str]| {
        let manifest = Fogold::new(["manifest", "--gold-only", "-o", "-", "--sysconfdir"]);
        let manifest = manifest.arg(capture.sysconfdir()).arg("--repository");
        let manifest = manifest.arg(capture.repository()).arg("--catalog");
        let outcome = manifest
            .arg(capture.file("dump.sql.gz"))
            .args(arguments)
            .run();
        outcome.assert_code(0);
        outcome
    };
    // Upload 7 is one file on this machine; upload 12 was a directory, and is a tar.
    assert_eq!(left_out(&manifest(&["--url-gold", "skip"])), []);
    let kept = manifest(&["--allow-local-urls"]);
    assert_eq!(left_out(&kept), []);
    assert!(
        kept.complaint()
            .contains("--url-gold skip would leave out 1 file more"),
        "{}",
        kept.complaint()
    );
    let skipped = left_out(&manifest(&["--url-gold", "skip", "--allow-local-urls"]));
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].1, ["http://127.0.0.1/pub/web-2.0.tar.gz"]);
}

#[test]
fn a_full_list_serves_those_who_copy() {
    let made_up = MadeUp::on_two_hosts();
    let root = made_up.repository();
    let all: BTreeSet<String> = ["gold", "files", "license"]
        .into_iter()
        .flat_map(|ty| made_up.files(ty))
        .collect();
    let list = |arguments: &[&str]| {
        let outcome = of_dump(&made_up, &["--full", "-o", "-"])
            .args(arguments)
            .run();
        outcome.assert_code(0);
        outcome.stdout
    };
    let lines = list(&["--format", "files-from"]);
    let text = String::from_utf8(lines.clone()).expect("UTF-8");
    same(&text.lines().map(str::to_owned).collect(), &all);
    assert_eq!(text.lines().count(), all.len(), "each path once");
    let zeros = list(&["--format", "files-from", "-0"]);
    assert_eq!(zeros, text.replace('\n', "\0").into_bytes());

    let place = tempfile::tempdir().expect("a directory");
    for (arguments, list) in [
        (["--create", "--file", "a.tar", "--directory"], &lines),
        (
            ["--null", "--create", "--file=a.tar", "--directory"],
            &zeros,
        ),
    ] {
        let root = root.to_str().expect("UTF-8");
        let arguments = [&arguments[..], &[root, "--files-from", "-"]].concat();
        assert!(run_in(place.path(), "tar", &arguments, list));
        let copy = place.path().join("copy");
        fs::create_dir(&copy).expect("a directory");
        assert!(run_in(
            &copy,
            "tar",
            &["--extract", "--file", "../a.tar"],
            b""
        ));
        same(&files_below(&copy), &all);
        fs::remove_dir_all(&copy).expect("it is there");
    }
    if has("rsync") {
        let root = format!("{}/", root.display());
        let arguments = ["-a", "-0", "--files-from=-", &root, "copy/"];
        assert!(run_in(place.path(), "rsync", &arguments, &zeros));
        same(&files_below(&place.path().join("copy")), &all);
    }
    let restic = Command::new("restic").arg("version").output();
    if restic.is_ok_and(|output| output.status.success()) {
        let store = place.path().join("restic");
        let store = store.to_str().expect("UTF-8");
        let with = [
            "RESTIC_PASSWORD=x",
            "restic",
            "--no-cache",
            "-q",
            "-r",
            store,
        ];
        let restic = |arguments: &[&str], input: &[u8]| {
            run_in(&root, "env", &[&with[..], arguments].concat(), input)
        };
        assert!(restic(&["init"], b""));
        for (option, list) in [
            ("--files-from-raw", &zeros),
            ("--files-from-verbatim", &lines),
        ] {
            assert!(restic(&["backup", option, "-"], list), "{option}");
        }
        assert!(restic(&["check", "--read-data"], b""));
    }
}

#[test]
fn checksums_prove_the_tree() {
    let made_up = MadeUp::on_two_hosts();
    let list = || {
        let outcome = of_dump(&made_up, &["--full", "--format", "sha1sum", "-o", "-"]).run();
        outcome.assert_code(0);
        outcome.stdout
    };
    let check = |list: &[u8]| {
        let arguments = ["--check", "--strict", "--quiet", "-"];
        run_in(&made_up.repository(), "sha1sum", &arguments, list)
    };
    assert!(check(&list()));
    let files = made_up.files("files");
    let victim = made_up.repository().join(&files[files.len() / 2]);
    let mut bytes = fs::read(&victim).expect("a file");
    bytes[0] ^= 1;
    fs::write(&victim, &bytes).expect("a file");
    assert!(!check(&list()), "damage is told");
}

#[test]
fn gold_that_can_be_fetched_again_is_left_out_when_asked() {
    let server = OnTheWeb::start("manifest_urls", as_it_is);
    let directory = server.made_up.directory();
    let both = ["--gold-only", "-o", "-"];
    let (kept, keep) = table(server.manifest(&both).arg("--allow-local-urls"), &directory);
    kept.assert_code(0);
    assert_eq!(left_out(&kept), [], "keep is the default");
    let count = server.golds.len();
    assert_eq!(keep["amounts"]["skip_would_save"]["files"], count);

    // Without leave, what this machine serves does not count.
    let (local, _) = table(
        server.manifest(&both).args(["--url-gold", "skip"]),
        &directory,
    );
    assert_eq!(left_out(&local), []);
    for entry in entries(&local) {
        assert!(entry.get("urls").is_none(), "{entry}");
    }

    let skip = ["--url-gold", "skip", "--allow-local-urls"];
    let (skipped, table) = table(server.manifest(&both).args(skip), &directory);
    skipped.assert_code(0);
    let out = left_out(&skipped);
    assert_eq!(
        out.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
        server.names()
    );
    for (name, urls) in &out {
        let (path, _) = server
            .golds
            .iter()
            .find(|(_, gold)| gold == name)
            .expect("its URL");
        assert_eq!(*urls, [server.web.url(path)]);
    }
    assert_eq!(table["amounts"]["left_out"]["fetched"]["files"], count);
    assert_eq!(
        table["amounts"]["gold"]["files"],
        server.made_up.files("gold").len() - count
    );
    assert_eq!(server.web.requests().len(), 0, "nothing was asked for");
    for format in ["files-from", "sha1sum"] {
        let list = server
            .manifest(&both)
            .args(skip)
            .args(["--format", format])
            .run();
        list.assert_code(0);
        for name in server.names() {
            assert!(!list.text().contains(&name), "{format} leaves it out");
        }
    }
}

#[test]
fn a_saved_catalog_serves_both_ways() {
    let server = OnTheWeb::start("manifest_saved", as_it_is);
    let saved = server.made_up.directory().join("saved.fogold");
    let sysconfdir = server.made_up.sysconfdir();
    let snapshot = Fogold::new(["snapshot", "-o"])
        .arg(&saved)
        .arg("--sysconfdir")
        .arg(&sysconfdir);
    snapshot.run().assert_code(0);
    let manifest = |arguments: &[&str]| {
        let manifest =
            server.manifest(&["--gold-only", "--url-gold", "skip", "-o", "-", "--catalog"]);
        let outcome = manifest.arg(&saved).args(arguments).run();
        outcome.assert_code(0);
        outcome
    };
    assert_eq!(left_out(&manifest(&[])).len(), 0);
    assert_eq!(
        left_out(&manifest(&["--allow-local-urls"])).len(),
        server.golds.len()
    );
    // A check takes no comfort from what this machine serves.
    let (_, name) = &server.golds[0];
    for path in server
        .made_up
        .files("gold")
        .iter()
        .chain(&server.made_up.files("files"))
    {
        if path.ends_with(name) {
            fs::remove_file(server.made_up.repository().join(path)).expect("it is there");
        }
    }
    let findings = Fogold::check_configured(&sysconfdir)
        .arg("--catalog")
        .arg(&saved)
        .run();
    let lost = findings
        .findings()
        .into_iter()
        .find(|finding| finding["kind"] == "missing-gold");
    assert_eq!(lost.expect("a finding")["recovery"], "none");
}

#[test]
fn verified_gold_was_really_fetched() {
    let server = OnTheWeb::start("manifest_verified", |at, mut bytes| match at {
        0 => Reply::Status(404),
        1 => {
            bytes[0] ^= 1;
            Reply::File(bytes)
        }
        _ => Reply::File(bytes),
    });
    let outcome = server
        .manifest(&[
            "--gold-only",
            "--url-gold",
            "verified",
            "--allow-local-urls",
            "-o",
            "-",
        ])
        .run();
    outcome.assert_code(0);
    let mut good: Vec<String> = server.golds[2..]
        .iter()
        .map(|(_, name)| name.clone())
        .collect();
    good.sort();
    let out: Vec<String> = left_out(&outcome)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(out, good);
    let complaint = outcome.complaint();
    assert!(complaint.contains("status 404"), "{complaint}");
    assert!(complaint.contains("differs in sha1, md5"), "{complaint}");
    assert!(complaint.contains("kept in the set"), "{complaint}");
    for (path, _) in &server.golds {
        let asked = server
            .web
            .requests()
            .iter()
            .any(|request| request.path == *path);
        assert!(asked, "{path} was asked for");
    }
}

#[test]
fn a_tar_is_left_out_only_where_a_tar_is_promised() {
    let server = OnTheWeb::start("manifest_tar", as_it_is);
    let port = server.web.port();
    let skip = || {
        let arguments = [
            "--gold-only",
            "--url-gold",
            "skip",
            "--allow-local-urls",
            "-o",
            "-",
        ];
        let outcome = server.manifest(&arguments).run();
        outcome.assert_code(0);
        let out = left_out(&outcome).into_iter();
        out.filter(|(name, _)| !server.names().contains(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(skip().len(), 0, "directories and checkouts are kept");
    // What was a directory of that name is a tar, too.
    for (ending, left_out) in [("zip", 0), ("d", 0), ("tar", 1), ("tar.gz", 1)] {
        server.sql(&format!(
            "UPDATE upload SET upload_origin = 'http://127.0.0.1:{port}/pub/x.{ending}' \
             WHERE upload_pk = (SELECT min(upload_pk) FROM upload WHERE upload_origin LIKE '%:{port}/pub/%/' \
                                OR upload_origin LIKE '%/pub/x.%')"
        ));
        assert_eq!(skip().len(), left_out, "{ending}");
    }
}

#[test]
fn of_several_uploads_one_with_a_url_is_enough_and_all_urls_are_kept() {
    let server = OnTheWeb::start("manifest_twins", as_it_is);
    let twins = "SELECT pfile_fk FROM upload WHERE pfile_fk IS NOT NULL GROUP BY pfile_fk HAVING count(*) > 1";
    let arguments = [
        "--gold-only",
        "--url-gold",
        "skip",
        "--allow-local-urls",
        "-o",
        "-",
    ];
    let others = |outcome: &Outcome| {
        let out = left_out(outcome).into_iter();
        out.filter(|(name, _)| !server.names().contains(name))
            .collect::<Vec<_>>()
    };
    server.sql(&format!(
        "UPDATE upload SET upload_origin = 'http://127.0.0.1/pub/first.tar.gz' \
         WHERE upload_pk IN (SELECT min(upload_pk) FROM upload WHERE pfile_fk IN ({twins}))"
    ));
    let one = server.manifest(&arguments).run();
    assert_eq!(others(&one).len(), 1, "the other was given by hand");
    assert_eq!(others(&one)[0].1, ["http://127.0.0.1/pub/first.tar.gz"]);
    server.sql(&format!(
        "UPDATE upload SET upload_origin = 'ftp://127.0.0.1/pub/second.tar.gz' WHERE upload_origin \
         NOT LIKE 'http%' AND pfile_fk = (SELECT pfile_fk FROM upload WHERE upload_origin LIKE '%/first.tar.gz') \
         AND pfile_fk IN ({twins})"
    ));
    let two = others(&server.manifest(&arguments).run());
    let wanted = [
        "http://127.0.0.1/pub/first.tar.gz",
        "ftp://127.0.0.1/pub/second.tar.gz",
    ];
    assert_eq!(two[0].1, wanted);
}

#[test]
fn a_secret_in_a_url_is_nowhere_to_be_seen() {
    let server = OnTheWeb::start("manifest_secret", as_it_is);
    server.sql(
        "UPDATE upload SET upload_origin = replace(upload_origin, 'http://', 'http://me:hunter2@') \
         WHERE upload_origin LIKE 'http://127.0.0.1:%' AND upload_origin NOT LIKE '%/'",
    );
    for policy in ["skip", "verified"] {
        let arguments = [
            "--gold-only",
            "--url-gold",
            policy,
            "--allow-local-urls",
            "-v",
            "-o",
            "-",
        ];
        let (outcome, table) = table(server.manifest(&arguments), &server.made_up.directory());
        outcome.assert_code(0);
        assert_eq!(left_out(&outcome), []);
        let withheld = entries(&outcome)
            .into_iter()
            .filter(|entry| entry["url_withheld"] == true);
        assert!(withheld.count() >= server.golds.len());
        let all = format!("{} {} {table}", outcome.text(), outcome.complaint());
        assert!(!all.contains("hunter2") && !all.contains("me:"), "{all}");
    }
    assert_eq!(server.web.requests().len(), 0);
}

/// Whether the Python package `bagit` finds a bag valid; `None`, with the reason on standard error,
/// when it is not there.
fn is_valid(bag: &Path) -> Option<bool> {
    let python = |script: &str| {
        let mut command = Command::new("python3");
        command.arg("-c").arg(script).arg(bag).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !python("import bagit") {
        skipped("python3 has no module bagit (pip install bagit)");
        return None;
    }
    Some(python(
        "import sys, bagit; bagit.Bag(sys.argv[1]).validate()",
    ))
}

#[test]
fn a_bag_is_valid_and_holds_the_files() {
    let made_up = MadeUp::on_two_hosts();
    let bag = made_up.directory().join("bag");
    let arguments = ["--full", "--format", "bagit", "-o"];
    of_dump(&made_up, &arguments).arg(&bag).run().assert_code(0);
    let copies = files_below(&bag.join("data"));
    let all: BTreeSet<String> = ["gold", "files", "license"]
        .into_iter()
        .flat_map(|ty| made_up.files(ty))
        .collect();
    same(&copies, &all);
    use std::os::unix::fs::MetadataExt;
    for path in &copies {
        let copy = bag.join("data").join(path);
        assert_eq!(
            fs::metadata(&copy).expect("a copy").nlink(),
            1,
            "no hard link"
        );
        let original = made_up.repository().join(path);
        assert!(fs::read(&copy).expect("a copy") == fs::read(original).expect("a file"));
    }
    let tags: BTreeSet<String> = files_below(&bag)
        .into_iter()
        .filter(|path| !path.starts_with("data/"))
        .collect();
    let wanted = [
        "bag-info.txt",
        "bagit.txt",
        "manifest-sha1.txt",
        "manifest-sha256.txt",
        "tagmanifest-sha1.txt",
        "tagmanifest-sha256.txt",
    ];
    assert_eq!(tags, wanted.map(str::to_owned).into());
    if let Some(valid) = is_valid(&bag) {
        assert!(valid);
        let victim = bag.join("data").join(copies.first().expect("a file"));
        fs::write(&victim, b"damage").expect("a file");
        assert_eq!(is_valid(&bag), Some(false), "the judge can say no");
    }
    // What is there is not overwritten.
    let again = of_dump(&made_up, &arguments).arg(&bag).run();
    again.assert_code(2);
    assert!(
        again.complaint().contains("is there already"),
        "{}",
        again.complaint()
    );
}

#[test]
fn a_bag_is_whole_once_it_was_fetched() {
    let server = OnTheWeb::start("manifest_bag", as_it_is);
    let bag = server.made_up.directory().join("bag");
    let arguments = [
        "--gold-only",
        "--url-gold",
        "skip",
        "--allow-local-urls",
        "--format",
        "bagit",
        "-o",
    ];
    server.manifest(&arguments).arg(&bag).run().assert_code(0);
    let fetch = fs::read_to_string(bag.join("fetch.txt")).expect("fetch.txt");
    assert_eq!(fetch.lines().count(), server.golds.len());
    assert!(bag.join("manifest-sha256.txt").exists());
    if is_valid(&bag).is_some() {
        assert_eq!(
            is_valid(&bag),
            Some(false),
            "something is yet to be fetched"
        );
    }
    for line in fetch.lines() {
        let [url, size, path] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let (_, name) = server
            .golds
            .iter()
            .find(|(path, _)| server.web.url(path) == url)
            .expect("a URL of an upload");
        assert!(
            name.ends_with(&format!(".{size}")) && path.ends_with(name),
            "{line}"
        );
        let target = bag.join(path);
        fs::create_dir_all(target.parent().expect("a parent")).expect("directories");
        fs::copy(gold(&server.made_up, name), target).expect("a copy");
    }
    if let Some(valid) = is_valid(&bag) {
        assert!(valid, "fetched, it is whole");
    }
}

#[test]
fn a_bag_without_all_sha256_has_no_manifest_of_them() {
    let server = OnTheWeb::start("manifest_bag_sha256", as_it_is);
    let (_, name) = &server.golds[0];
    server.sql(&format!(
        "UPDATE pfile SET pfile_sha256 = NULL WHERE pfile_sha1 = upper('{}')",
        &name[..40]
    ));
    for path in server
        .made_up
        .files("gold")
        .iter()
        .chain(&server.made_up.files("files"))
    {
        if path.ends_with(name) {
            fs::remove_file(server.made_up.repository().join(path)).expect("it is there");
        }
    }
    let bag = server.made_up.directory().join("bag");
    let arguments = [
        "--gold-only",
        "--url-gold",
        "skip",
        "--allow-local-urls",
        "--format",
        "bagit",
        "-o",
    ];
    // The gold is missing in the tree, which is told; its URL stands for it.
    server.manifest(&arguments).arg(&bag).run().assert_code(1);
    assert!(!bag.join("manifest-sha256.txt").exists());
    let sums = fs::read_to_string(bag.join("manifest-sha1.txt")).expect("checksums");
    assert!(sums.contains(&name[..40]));
    assert!(
        fs::read_to_string(bag.join("fetch.txt"))
            .expect("fetch.txt")
            .contains(name)
    );
}

#[test]
fn what_cannot_be_proven_is_not_in_a_bag() {
    let made_up = MadeUp::on_two_hosts();
    let damage = |path: &Path| {
        let mut bytes = fs::read(path).expect("a file");
        bytes[0] ^= 1;
        // A new inode: a hard link of it stays as it is.
        fs::remove_file(path).expect("it is there");
        fs::write(path, bytes).expect("a file");
    };
    let golds = made_up.files("gold");
    // One gold has a good copy in files, one has none.
    let (mended, lost) = (&golds[0], &golds[1]);
    let name_of = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    damage(&made_up.repository().join(mended));
    let all = [made_up.files("gold"), made_up.files("files")].concat();
    for path in all.iter().filter(|path| path.ends_with(&name_of(lost))) {
        damage(&made_up.repository().join(path));
    }
    let bag = made_up.directory().join("bag");
    let (outcome, table) = table(
        of_dump(&made_up, &["--gold-only", "--format", "bagit", "-o"]).arg(&bag),
        &made_up.directory(),
    );
    outcome.assert_code(1);
    assert_eq!(table["not_taken_files"], 1);
    assert_eq!(table["not_taken"][0]["name"], name_of(lost));
    // The table is about the bag, and not about what was planned.
    let amounts = &table["amounts"];
    assert_eq!(amounts["gold"]["files"], golds.len() - 1);
    assert_eq!(amounts["left_out"]["gold_not_found"]["files"], 1);
    let named = format!("A gold-only set holds {} files, ", {
        let listings = amounts["listings"]["files"].as_u64().expect("a number");
        golds.len() as u64 - 1 + listings
    });
    assert!(
        outcome.text().starts_with(&named),
        "{named}: {}",
        outcome.text()
    );
    assert!(
        outcome.text().contains("differ in sha1, md5"),
        "{}",
        outcome.text()
    );
    let copies = files_below(&bag.join("data"));
    assert!(copies.contains(mended) && !copies.contains(lost));
    assert!(is_valid(&bag).unwrap_or(true));
}

/// Files that are read piece by piece, good and bad.
#[test]
fn large_files_in_a_bag() {
    let made_up = MadeUp::healthy(ServerSpec {
        files: 120,
        bytes: 30_000_000,
        per_upload: 10,
        hard_links: false,
        ..ServerSpec::default()
    });
    let root = made_up.repository();
    let size = |path: &String| fs::metadata(root.join(path)).map_or(0, |meta| meta.len());
    let mut golds = made_up.files("gold");
    golds.retain(|path| size(path) > 1_000_000);
    let [mended, lost, ..] = &golds[..] else {
        panic!("no large gold");
    };
    let damage = |path: &String| {
        let mut bytes = fs::read(root.join(path)).expect("a file");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(root.join(path), bytes).expect("a file");
    };
    damage(mended);
    let name = lost.rsplit('/').next().expect("a name");
    let all = [made_up.files("gold"), made_up.files("files")].concat();
    all.iter()
        .filter(|path| path.ends_with(name))
        .for_each(damage);
    let bag = made_up.directory().join("bag");
    let arguments = ["--full", "--format", "bagit", "-o"];
    let (outcome, table) = table(
        of_dump(&made_up, &arguments).arg(&bag),
        &made_up.directory(),
    );
    outcome.assert_code(1);
    assert_eq!(
        table["not_taken_files"], 2,
        "its gold and its copy in files"
    );
    let copies = files_below(&bag.join("data"));
    assert!(copies.contains(mended) && !copies.iter().any(|path| path.ends_with(name)));
    for sums in ["sha1", "sha256"] {
        let list = fs::read(bag.join(format!("manifest-{sums}.txt"))).expect("checksums");
        let program = format!("{sums}sum");
        assert!(run_in(
            &bag,
            &program,
            &["--check", "--strict", "--quiet", "-"],
            &list
        ));
        let lines = list.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, copies.len());
        let tags = fs::read(bag.join(format!("tagmanifest-{sums}.txt"))).expect("checksums");
        assert!(run_in(
            &bag,
            &program,
            &["--check", "--strict", "--quiet", "-"],
            &tags
        ));
    }
    assert!(is_valid(&bag).unwrap_or(true));
}

#[test]
fn what_is_missing_is_told() {
    let made_up = MadeUp::on_two_hosts();
    let golds = made_up.files("gold");
    let name = golds[0].rsplit('/').next().expect("a name");
    for path in golds.iter().chain(&made_up.files("files")) {
        if path.ends_with(name) {
            fs::remove_file(made_up.repository().join(path)).expect("it is there");
        }
    }
    let arguments = ["--gold-only", "--format", "files-from", "-o", "-"];
    let (outcome, table) = table(of_dump(&made_up, &arguments), &made_up.directory());
    outcome.assert_code(1);
    assert_eq!(table["amounts"]["left_out"]["gold_not_found"]["files"], 1);
    assert!(!outcome.text().contains(name));
    // Nothing of it is told to somebody who wants to hear of failures only, and this is one.
    let quiet = of_dump(&made_up, &arguments).arg("-q").run();
    assert!(quiet.complaint().contains("missing or damaged"));
}

#[test]
fn a_misplaced_gold_is_taken_from_where_it_lies() {
    let made_up = MadeUp::on_two_hosts();
    let root = made_up.repository();
    let name = made_up.files("gold")[0].clone();
    let name = name.rsplit('/').next().expect("a name");
    let astray = format!("south/gold/ff/fe/{name}");
    fs::create_dir_all(root.join("south/gold/ff/fe")).expect("directories");
    fs::copy(gold(&made_up, name), root.join(&astray)).expect("a copy");
    for path in made_up.files("gold").iter().chain(&made_up.files("files")) {
        if path.ends_with(name) && *path != astray {
            fs::remove_file(root.join(path)).expect("it is there");
        }
    }
    let list = of_dump(&made_up, &["--gold-only", "--format", "sha1sum", "-o", "-"]).run();
    list.assert_code(0);
    assert!(
        list.text()
            .contains(&format!("{}  {astray}\n", &name[..40]))
    );
    let bag = made_up.directory().join("bag");
    let arguments = ["--gold-only", "--format", "bagit", "-o"];
    of_dump(&made_up, &arguments).arg(&bag).run().assert_code(0);
    assert!(bag.join("data").join(astray).is_file());
}

#[test]
fn what_cannot_be_meant() {
    let made_up = MadeUp::on_two_hosts();
    let root = made_up.repository();
    let inside = root.join("north/manifest");
    let inside = inside.to_str().expect("UTF-8");
    let leftover = made_up.directory().join("bag.partial");
    fs::create_dir(&leftover).expect("a directory");
    let bag = made_up.directory().join("bag");
    let bag = bag.to_str().expect("UTF-8");
    for (arguments, words) in [
        (&["-o", "-"][..], "--full"),
        (&["--full", "--gold-only", "-o", "-"], "--gold-only"),
        (&["--full"], "--output"),
        (&["--full", "-0", "-o", "-"], "files-from"),
        (&["--full", "--format", "bagit", "-o", "-"], "directory"),
        (&["--full", "--format", "bagit", "-o", bag], "interrupted"),
        (&["--full", "-o", inside], "inside the repository"),
        (
            &["--full", "--format", "bagit", "-o", inside],
            "inside the repository",
        ),
        (&["--full", "--url-gold", "perhaps", "-o", "-"], "verified"),
        (&["--full", "-o", "-", "--report", "x.pdf"], ".json"),
    ] {
        let outcome = of_dump(&made_up, arguments).run();
        outcome.assert_code(2);
        let complaint = outcome.complaint();
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
        assert_eq!(outcome.stdout, b"");
    }
    assert!(
        leftover.is_dir(),
        "what another may be at work on is left alone"
    );
}

#[test]
fn a_repository_that_is_not_there_has_no_manifest() {
    let made_up = MadeUp::on_two_hosts();
    let root = made_up.repository();
    let out = made_up.directory().join("manifest.jsonl");
    let run = || of_dump(&made_up, &["--full", "-o"]).arg(&out).run();
    fs::rename(&root, root.with_extension("away")).expect("it is there");
    run().assert_code(3);
    fs::create_dir(&root).expect("an empty directory");
    let outcome = run();
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("is it mounted?"),
        "{}",
        outcome.complaint()
    );
    assert!(!out.exists());
}

#[test]
fn a_manifest_is_the_same_however_it_is_made() {
    let made_up = MadeUp::on_two_hosts();
    let jsonl = |arguments: &[&str]| {
        let outcome = of_dump(&made_up, &["--full", "-o", "-"])
            .args(arguments)
            .run();
        outcome.assert_code(0);
        outcome.stdout
    };
    let one = jsonl(&["-j", "1"]);
    assert_eq!(one, jsonl(&["-j", "7"]));
    let lines: Vec<&[u8]> = one.split_inclusive(|byte| *byte == b'\n').collect();
    let before: usize = lines[..lines.len() - 1].iter().map(|line| line.len()).sum();
    let footer: Value = serde_json::from_slice(lines[lines.len() - 1]).expect("a footer");
    assert_eq!(footer["blake3"], blake3::hash(&one[..before]).to_string());
}

/// A server of HTTPS that gives everybody the same file, with a certificate that nobody knows; and
/// the file of that certificate.
fn secure_server(directory: &Path, bytes: Vec<u8>) -> Option<(u16, PathBuf)> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::io::{Read, Write};
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let made = Command::new("openssl")
        .args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1".split(' '))
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        skipped("openssl makes no certificate");
        return None;
    }
    let chain = vec![CertificateDer::from_pem_file(&certificate).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(&key).expect("a key");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a configuration");
    let config = std::sync::Arc::new(config);
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(std::sync::Arc::clone(&config));
            let mut stream = rustls::StreamOwned::new(connection.expect("a connection"), stream);
            // Whoever does not trust the certificate hangs up.
            if stream.read(&mut [0; 4096]).is_ok() {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&bytes);
            }
        }
    });
    Some((port, certificate))
}

#[test]
fn https_needs_a_certificate_that_the_system_trusts() {
    let server = OnTheWeb::start("manifest_https", as_it_is);
    let (_, name) = &server.golds[0];
    let bytes = fs::read(gold(&server.made_up, name)).expect("gold");
    let directory = server.made_up.directory();
    let Some((port, certificate)) = secure_server(&directory, bytes) else {
        return;
    };
    server.sql(&format!(
        "UPDATE upload SET upload_origin = 'https://127.0.0.1:{port}/a.tar.gz' \
         FROM pfile WHERE pfile_pk = pfile_fk AND pfile_sha1 = upper('{}')",
        &name[..40]
    ));
    let arguments = [
        "--gold-only",
        "--url-gold",
        "verified",
        "--allow-local-urls",
        "-o",
        "-",
    ];
    let is_left_out = |outcome: &Outcome| left_out(outcome).iter().any(|(out, _)| out == name);
    let unknown = server.manifest(&arguments).run();
    assert!(!is_left_out(&unknown));
    assert!(
        unknown.complaint().contains("certificate"),
        "{}",
        unknown.complaint()
    );
    let known = server
        .manifest(&arguments)
        .env("SSL_CERT_FILE", &certificate)
        .run();
    assert!(is_left_out(&known), "{}", known.complaint());
}

#[test]
fn a_proxy_is_asked_for_hosts_that_it_looks_up_itself() {
    let made_up = MadeUp::on_two_hosts();
    let proxy = WebServer::start(|_| Reply::Status(403));
    let arguments = ["--gold-only", "--url-gold", "verified", "-o", "-"];
    let outcome = of_dump(&made_up, &arguments)
        .env("https_proxy", format!("http://127.0.0.1:{}", proxy.port()))
        .run();
    outcome.assert_code(0);
    assert_eq!(left_out(&outcome), [], "the proxy gave nothing");
    let asked = proxy.requests();
    assert!(!asked.is_empty());
    for request in asked {
        assert_eq!(request.path, "downloads.example.org:443");
    }
    let refused = of_dump(&made_up, &arguments)
        .env("all_proxy", "socks5://127.0.0.1:1080")
        .run();
    refused.assert_code(2);
    assert!(
        refused.complaint().contains("SOCKS"),
        "{}",
        refused.complaint()
    );
}

#[test]
fn a_server_that_says_nothing_does_not_keep_a_signal_waiting() {
    use rustix::process::Signal;
    use std::time::{Duration, Instant};
    let server = OnTheWeb::start("manifest_signal", |_, _| Reply::Silence);
    let arguments = [
        "--gold-only",
        "--url-gold",
        "verified",
        "--allow-local-urls",
        "-o",
        "-",
    ];
    let mut running = server.manifest(&arguments).start();
    let began = Instant::now();
    while server.web.requests().is_empty() {
        assert!(running.is_at_work() && began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal(Signal::INT);
    let outcome = running.end_within(Duration::from_secs(5));
    outcome.assert_code(3);
    assert_eq!(outcome.stdout, b"");
    assert!(outcome.complaint().contains("no manifest was written"));
}

/// Format 1 is for ever: what was written once is read as it was meant.
#[test]
fn a_manifest_of_format_1_says_what_it_always_said() {
    use fogold::manifest::jsonl::{Header, Reader};
    use fogold::manifest::{Place, SetKind, Types, UrlGold};
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/manifest-v1.jsonl");
    let file = std::io::BufReader::new(fs::File::open(&path).expect("the fixture"));
    let (mut reader, header) = Reader::new(file, &path).expect("a manifest");
    let wanted = Header {
        fogold_manifest: 1,
        kind: SetKind::Full,
        url_gold: UrlGold::Verified,
        made_by: "fogold 0.1.0".to_owned(),
        origin: "fossology on db.example.org".to_owned(),
    };
    assert_eq!(header, wanted);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().expect("an entry") {
        entries.push(entry);
    }
    let [license, gold, empty] = &entries[..] else {
        panic!("{} entries", entries.len());
    };
    assert_eq!(
        gold.name.to_string(),
        "a9993e364706816aba3e25717850c26c9cd0d89d.900150983cd24fb0d6963f7d28e17f72.3"
    );
    assert_eq!(gold.types, Types::GOLD.and(Types::FILES));
    assert_eq!((gold.place, gold.blake3), (Place::Urls, None));
    let urls = [
        "https://example.org/pub/abc.txt",
        "ftp://example.org/abc.txt",
    ];
    assert_eq!(gold.urls, urls);
    assert!(gold.url_withheld && !empty.url_withheld);
    assert_eq!(
        (empty.types, empty.place, empty.name.size),
        (Types::FILES, Place::Pool, 0)
    );
    assert_eq!(empty.blake3, Some(*blake3::hash(b"").as_bytes()));
    assert_eq!(license.types, Types::FILES.and(Types::LICENSE));
    let footer = reader.footer().expect("a footer");
    assert_eq!((footer.entries, footer.files, footer.bytes), (3, 2, 4));
    assert_eq!((footer.left_out_files, footer.left_out_bytes), (1, 3));
}

#[test]
fn what_could_not_be_read_is_no_reason_for_half_a_manifest() {
    use std::os::unix::fs::PermissionsExt;
    let user = Unprivileged::new();
    let made_up = MadeUp::on_two_hosts();
    let out = made_up.directory().join("manifest");
    fs::create_dir(&out).expect("a directory");
    let out = out.join("m.jsonl");
    let run = || {
        user.run_as(of_dump(&made_up, &["--full", "-o"]).arg(&out))
            .run()
    };
    made_up.dump();
    user.own(&made_up.directory());
    run().assert_code(0);
    let before = fs::read(&out).expect("a manifest");
    let files = made_up.files("files");
    let closed = made_up.repository().join(&files[7]);
    let closed = closed.parent().expect("a directory");
    fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).expect("a closed directory");
    let outcome = run();
    fs::set_permissions(closed, fs::Permissions::from_mode(0o770)).expect("an open directory");
    outcome.assert_code(3);
    assert!(outcome.complaint().contains("could not be read completely"));
    assert!(
        fs::read(&out).expect("a manifest") == before,
        "the earlier one is left alone"
    );
}

#[test]
fn a_full_disk_leaves_no_half_of_a_bag() {
    let made_up = MadeUp::on_two_hosts();
    let bytes =
        |path: &String| fs::metadata(made_up.repository().join(path)).map_or(0, |meta| meta.len());
    let all: u64 = ["gold", "files", "license"]
        .into_iter()
        .flat_map(|ty| made_up.files(ty))
        .map(|path| bytes(&path))
        .sum();
    // Too small by far; and large enough by the bytes, but not by the blocks that files take.
    for (size, words) in [
        (64 * 1024, "the bag needs about"),
        (all + 64 * 1024, "cannot write"),
    ] {
        let Some(disk) = SmallDisk::mount(size) else {
            return;
        };
        let bag = disk.path().join("bag");
        let outcome = of_dump(&made_up, &["--full", "--format", "bagit", "-o"])
            .arg(&bag)
            .run();
        outcome.assert_code(3);
        assert!(
            outcome.complaint().contains(words),
            "{}",
            outcome.complaint()
        );
        let left = fs::read_dir(disk.path()).expect("a directory");
        assert_eq!(left.count(), 0, "nothing is left");
    }
}
