//! What must hold for every input: names, the text form of rows, and the join of tree and rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use fogold::catalog::dump::{DumpOptions, Input, read};
use fogold::catalog::rows::{
    JobRow, JobqueueRow, PfileRow, RowSink, TreeRow, UnunpackArsRow, UploadRow,
};
use fogold::catalog::{Builder, Catalog, CatalogError, Provenance};
use fogold::check::{self, Options, Slice};
use fogold::monitor::Silent;
use fogold::repository::{Access, Layout, LowImpact, Parsed, RepositoryName, Tree};
use fogold::sysconf::{HostTable, RepositoryType};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use sha1::{Digest, Sha1};

use crate::support::{Cluster, Encoding, MadeUp};

fn config(cases: u32) -> Config {
    Config {
        cases,
        // A failure is printed; the source directory may not be writable.
        failure_persistence: None,
        ..Config::default()
    }
}

fn name() -> impl Strategy<Value = RepositoryName> {
    let size = prop_oneof![0..=20_u64, 0..=i64::MAX as u64, Just(i64::MAX as u64)];
    (any::<[u8; 20]>(), any::<[u8; 16]>(), size).prop_map(|(sha1, md5, size)| RepositoryName {
        sha1,
        md5,
        size,
    })
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn a_name_is_written_and_read_again(name in name()) {
        let text = name.to_string();
        prop_assert_eq!(text.parse::<RepositoryName>(), Ok(name));
        let upper = text.to_uppercase();
        prop_assert_eq!(upper.parse::<RepositoryName>(), Ok(name));
        let of_row = RepositoryName::from_row(
            &upper.as_bytes()[..40],
            &upper.as_bytes()[41..73],
            name.size as i64,
        );
        prop_assert_eq!(of_row, Some(name));
    }

    #[test]
    fn what_is_taken_for_a_name_is_one(
        name in name(),
        at in 0..100_usize,
        replaced in 0..3_usize,
        bytes in vec(any::<u8>(), 0..4),
    ) {
        // Close to a name, so that the parser has to look closely.
        let mut text = name.to_string().into_bytes();
        let start = at.min(text.len());
        let end = (start + replaced).min(text.len());
        text.splice(start..end, bytes);
        match Parsed::of(&text) {
            Parsed::Name { name, lower_case } => {
                let lower = text.to_ascii_lowercase();
                prop_assert_eq!(name.to_string().into_bytes(), lower.clone());
                prop_assert_eq!(lower_case, text == lower);
            }
            Parsed::Leftover(name, _) => {
                let own = name.to_string().len();
                prop_assert_eq!(name.to_string().into_bytes(), text[..own].to_ascii_lowercase());
            }
            Parsed::Foreign => {}
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in vec(any::<u8>(), 0..120)) {
        if let Parsed::Name { name, .. } = Parsed::of(&bytes) {
            prop_assert_eq!(name.to_string().into_bytes(), bytes.to_ascii_lowercase());
        }
    }
}

/// Keeps names and origins of uploads.
#[derive(Default)]
struct Uploads(BTreeMap<i64, (Vec<u8>, Option<Vec<u8>>)>);

impl RowSink for Uploads {
    fn pfile(&mut self, _: &PfileRow<'_>) -> Result<(), CatalogError> {
        Ok(())
    }

    fn tree(&mut self, _: &TreeRow) -> Result<(), CatalogError> {
        Ok(())
    }

    fn upload(&mut self, row: &UploadRow<'_>) -> Result<(), CatalogError> {
        let texts = (row.filename.to_vec(), row.origin.map(<[u8]>::to_vec));
        self.0.insert(row.pk, texts);
        Ok(())
    }

    fn job(&mut self, _: &JobRow) -> Result<(), CatalogError> {
        Ok(())
    }

    fn jobqueue(&mut self, _: &JobqueueRow<'_>) -> Result<(), CatalogError> {
        Ok(())
    }

    fn ununpack_ars(&mut self, _: &UnunpackArsRow) -> Result<(), CatalogError> {
        Ok(())
    }
}

#[test]
fn every_text_comes_out_of_a_dump_as_it_went_in() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    cluster.create_database_in("property_copy", Encoding::SqlAscii);
    let mut client = cluster.connect("property_copy");
    made_up
        .server
        .load_into(&mut client)
        .expect("rows in a database");
    client
        .batch_execute("DELETE FROM upload")
        .expect("no uploads");
    // Bytes that the text form escapes, and those around them, come often.
    let byte = prop_oneof![
        Just(b'\\'),
        Just(b'\t'),
        Just(b'\n'),
        Just(b'\r'),
        Just(b'.'),
        Just(b'N'),
        Just(b'x'),
        Just(b'1'),
        1..=255_u8,
    ];
    let text = vec(byte, 0..24);
    let row = (text.clone(), proptest::option::of(text));
    let mut runner = TestRunner::deterministic();
    let mut written = BTreeMap::new();
    for pk in 1..=600_i32 {
        let (filename, origin) = row.new_tree(&mut runner).expect("a value").current();
        client
            .execute(
                "INSERT INTO upload (upload_pk, upload_filename, user_fk, upload_mode, upload_origin) \
                 VALUES ($1, convert_from($2, 'SQL_ASCII'), 3, 104, convert_from($3, 'SQL_ASCII'))",
                &[&pk, &filename, &origin],
            )
            .expect("a row");
        written.insert(i64::from(pk), (filename, origin));
    }
    for form in ["-Fp", "-Fc"] {
        let file = made_up.directory().join(format!("property{form}"));
        let status = cluster
            .client("pg_dump", "property_copy")
            .arg(form)
            .arg("--file")
            .arg(&file)
            .status();
        assert!(status.expect("pg_dump runs").success());
        let input = Input::open(&file).expect("a dump");
        let options = DumpOptions::default();
        let (uploads, _) =
            read(input, &options, || Ok(Uploads::default()), &Silent).expect("a whole dump");
        assert_eq!(uploads.0.len(), written.len());
        for (pk, texts) in &written {
            assert_eq!(&uploads.0[pk], texts, "{form}, upload {pk}");
        }
    }
}

/// What rows and tree say of one content.
#[derive(Clone, Debug)]
struct Content {
    bytes: Vec<u8>,
    has_row: bool,
    in_gold: bool,
    in_tree: bool,
    gold: Files,
    files: Files,
}

/// Where copies of a content lie in the directories of a type.
#[derive(Clone, Copy, Debug)]
struct Files {
    right: bool,
    wrong_directory: bool,
    upper_case: bool,
}

fn files() -> impl Strategy<Value = Files> {
    let rarely = || prop::bool::weighted(0.2);
    (any::<bool>(), rarely(), rarely()).prop_map(|(right, wrong_directory, upper_case)| Files {
        right,
        wrong_directory,
        upper_case,
    })
}

fn contents() -> impl Strategy<Value = Vec<Content>> {
    let content = (
        vec(any::<u8>(), 0..=20),
        prop::bool::weighted(0.8),
        any::<bool>(),
        any::<bool>(),
        files(),
        files(),
    )
        .prop_map(|(bytes, has_row, in_gold, in_tree, gold, files)| Content {
            bytes,
            has_row,
            in_gold,
            in_tree,
            gold,
            files,
        });
    vec(content, 0..12).prop_map(|mut contents| {
        contents.sort_by(|a, b| a.bytes.cmp(&b.bytes));
        contents.dedup_by(|a, b| a.bytes == b.bytes);
        contents
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Content {
    fn name(&self) -> String {
        format!(
            "{}.{}.{}",
            hex(&Sha1::digest(&self.bytes)),
            hex(&md5::Md5::digest(&self.bytes)),
            self.bytes.len()
        )
    }

    /// Paths of the files of a type: the right one, whether a file is there, and the wrong ones.
    fn paths(&self, ty: &str, depth: usize) -> (String, bool, Vec<String>) {
        let place = if ty == "gold" { self.gold } else { self.files };
        let name = self.name();
        let directory = |digits: &str| {
            let levels: Vec<&str> = (0..depth)
                .map(|level| &digits[2 * level..2 * level + 2])
                .collect();
            format!("localhost/{ty}/{}", levels.join("/"))
        };
        let right = format!("{}/{name}", directory(&name));
        let mut wrong = Vec::new();
        if place.wrong_directory {
            let other = if name.starts_with('0') { "1" } else { "0" };
            let digits = format!("{other}{}", &name[1..]);
            wrong.push(format!("{}/{name}", directory(&digits)));
        }
        let upper = name.to_uppercase();
        if place.upper_case && upper != name {
            wrong.push(format!("{}/{upper}", directory(&name)));
        }
        (right, place.right, wrong)
    }
}

/// A finding, as far as it is compared: kind, path or name, recovery.
type Fact = (String, String, String);

/// What a reader of the contract who never saw the program would say.
fn naive(contents: &[Content], depth: usize) -> BTreeSet<Fact> {
    let mut facts = BTreeSet::new();
    for content in contents {
        let mut anywhere = false;
        for ty in ["gold", "files"] {
            let (_, stands, wrong) = content.paths(ty, depth);
            anywhere |= stands || !wrong.is_empty();
        }
        for ty in ["gold", "files"] {
            let (right, stands, wrong) = content.paths(ty, depth);
            let wanted = content.in_gold || (ty == "files" && content.in_tree);
            let all = wrong.iter().chain(stands.then_some(&right));
            let mut add = |kind: &str, path: &str, recovery: &str| {
                facts.insert((kind.to_owned(), path.to_owned(), recovery.to_owned()));
            };
            if !content.has_row {
                all.for_each(|path| add("orphan", path, ""));
            } else if !wanted {
                all.for_each(|path| add("unreferenced", path, ""));
            } else if stands || !wrong.is_empty() {
                wrong.iter().for_each(|path| add("misplaced", path, ""));
            } else {
                let kind = if ty == "gold" {
                    "missing-gold"
                } else {
                    "missing-derived"
                };
                add(kind, &right, if anywhere { "copy" } else { "other" });
            }
        }
        if content.has_row && !content.in_gold && !content.in_tree && !anywhere {
            let fact = ("pfile-without-use", content.name(), "");
            facts.insert((fact.0.to_owned(), fact.1, fact.2.to_owned()));
        }
    }
    facts
}

fn catalog(contents: &[Content], scratch: &Path) -> Result<Catalog, CatalogError> {
    let builder = Builder::new("made up", scratch)?;
    let mut writer = builder.writer();
    for (number, content) in contents.iter().enumerate() {
        let pk = number as i64 + 1;
        let name = content.name().to_uppercase();
        let parts: Vec<&[u8]> = name.split('.').map(str::as_bytes).collect();
        if !content.has_row {
            continue;
        }
        writer.pfile(&PfileRow {
            pk,
            sha1: parts[0],
            md5: parts[1],
            sha256: None,
            size: content.bytes.len() as i64,
        })?;
        let gold = if content.in_gold { pk } else { 0 };
        writer.upload(&UploadRow {
            pk,
            filename: b"made-up.tar",
            mode: 104,
            pfile: gold,
            origin: None,
            uploaded: None,
            user: None,
            tree_table: None,
            expire_action: None,
        })?;
        if content.in_tree {
            writer.tree(&TreeRow {
                upload: pk,
                pfile: pk,
                listing: false,
            })?;
        }
    }
    writer.close()?;
    builder.finish(Provenance::default(), None, 1, &Silent)
}

fn layout(depth: usize) -> Layout {
    let mut hosts = HostTable::default();
    hosts
        .add("localhost", "* 00 ff")
        .expect("a line of a configuration");
    Layout { depth, hosts }
}

/// What the check says of the same.
fn checked(contents: &[Content], depth: usize, threads: usize, verify: bool) -> BTreeSet<Fact> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("repository");
    fs::create_dir(&root).expect("a directory");
    for content in contents {
        for ty in ["gold", "files"] {
            let (right, stands, wrong) = content.paths(ty, depth);
            for path in wrong.iter().chain(stands.then_some(&right)) {
                let path = root.join(path);
                fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
                fs::write(path, &content.bytes).expect("a file");
            }
        }
    }
    let catalog = catalog(contents, directory.path()).expect("a catalog");
    let tree = Tree::open(&root, layout(depth), Access::default()).expect("a tree");
    let options = Options {
        types: vec![RepositoryType::Gold, RepositoryType::Files],
        verify,
        sha256: false,
        slice: Slice::ALL,
        allow_empty: true,
        threads,
        scratch: directory.path().to_owned(),
        low_impact: LowImpact::default(),
    };
    let outcome = check::run(&tree, &catalog, None, &options, &Silent).expect("a check");
    assert!(outcome.complete);
    let mut facts = BTreeSet::new();
    let take = |piece: &[u8]| -> Result<(), CatalogError> {
        for line in piece
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let finding: Value = serde_json::from_slice(line).expect("JSON");
            let text = |field: &str| finding[field].as_str().unwrap_or_default().to_owned();
            let recovery = match &text("recovery")[..] {
                "" => "",
                "copy" => "copy",
                _ => "other",
            };
            let kind = text("kind");
            let subject = match &kind[..] {
                // Of modes, and of uploads without gold, nothing is said here.
                "wrong-mode" | "upload-without-pfile" => continue,
                "pfile-without-use" => text("name"),
                _ => text("path"),
            };
            let is_new = facts.insert((kind, subject, recovery.to_owned()));
            assert!(is_new, "twice: {finding}");
        }
        Ok(())
    };
    outcome.findings.for_each_piece(take).expect("the findings");
    facts
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn the_join_says_what_a_naive_reader_says(
        contents in contents(),
        depth in 1..=3_usize,
        threads in 1..=2_usize,
        verify in any::<bool>(),
    ) {
        prop_assert_eq!(
            checked(&contents, depth, threads, verify),
            naive(&contents, depth)
        );
    }
}
