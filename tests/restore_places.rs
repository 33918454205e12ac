//! Files of a set are restored beside what stands in the repository already.

use std::fs;
use std::path::Path;

use fogold::fixtures::ServerSpec;
use fogold::manifest::SetKind;

use crate::support::{MadeStore, MadeUp, Outcome};

/// Two hosts that both claim every name: FOSSology looks on the first one first.
fn both_claim_all() -> MadeUp {
    let host = |name: &str| (name.to_owned(), "* 00 ff".to_owned());
    MadeUp::healthy(ServerSpec {
        files: 60,
        bytes: 60_000,
        per_upload: 10,
        hosts: vec![host("alpha"), host("beta")],
        ..ServerSpec::default()
    })
}

fn restore(made_up: &MadeUp, store: &MadeStore, more: &[&str]) -> Outcome {
    store
        .fogold("restore")
        .args(["--format", "ndjson", "-c"])
        .arg(made_up.sysconfdir())
        .args(more)
        .run()
}

/// The path of a file that stands below a directory, whatever lies between.
fn find(root: &Path, name: &str) -> Option<String> {
    fs::read_dir(root).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return find(&path, name);
        }
        path.ends_with(name).then(|| path.display().to_string())
    })
}

#[test]
fn a_bad_file_does_not_hide_a_good_one_on_a_later_host() {
    let made_up = both_claim_all();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let files = made_up.files("files");
    let path = files.iter().find(|path| !path.ends_with(".0"));
    let path = path.expect("a file that is not empty");
    let first = made_up.repository().join(path);
    let later = made_up
        .repository()
        .join(path.replacen("alpha/", "beta/", 1));
    assert_ne!(first, later);
    let contents = fs::read(&first).expect("contents");
    fs::create_dir_all(later.parent().expect("a directory")).expect("a directory");
    fs::copy(&first, &later).expect("a copy");
    fs::remove_file(&first).expect("no file");
    fs::write(&first, "bad").expect("a bad file");

    let outcome = restore(&made_up, &store, &["--only", "files"]);
    let restored = &outcome.report()["coverage"]["restored"]["files"];
    assert_eq!(restored["quarantined"], 1, "{}", outcome.complaint());
    assert_eq!(restored["lost"]["files"], 0);
    assert_eq!(fs::read(&first).expect("a file"), contents);
    assert_eq!(fs::read(&later).expect("a file"), contents);
    let own = made_up.repository().join("alpha/.fogold/quarantine");
    let name = path.rsplit('/').next().expect("a name");
    let kept = find(&own, name).expect("the bad file");
    assert_eq!(fs::read_to_string(kept).expect("a file"), "bad");
}

#[test]
fn what_no_check_misses_is_no_success_when_it_is_lost() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let license = made_up.files("license");
    let path = license.first().expect("a file in license/");
    let name = path.rsplit('/').next().expect("a name");
    let whole = restore(&made_up, &store, &["--only", "license"]);
    whole.assert_code(0);
    let pooled = store
        .open()
        .layout()
        .pool_path(&name.parse().expect("a name"));
    fs::remove_file(pooled).expect("no file in the pool");
    fs::remove_file(made_up.repository().join(path)).expect("no file");
    let outcome = restore(&made_up, &store, &["--only", "license"]);
    outcome.assert_code(1);
    let verdict = outcome.report()["verdict"].to_string();
    assert!(verdict.contains("is restored but for 1 file."), "{verdict}");
}
