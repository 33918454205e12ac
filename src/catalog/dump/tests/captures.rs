//! Dumps of a real FOSSology server, in every form in which they were captured.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::*;

/// A captured file; `None`, with the reason printed, where the captures are not at hand.
pub(super) fn capture(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/capture")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is not there", path.display()));
    None
}

/// Says why a test does nothing here.
#[expect(
    clippy::print_stderr,
    reason = "a skipped test says so where a person looks"
)]
pub(super) fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

fn read_file(path: &Path) -> Outcome {
    read_input(Input::open(path).unwrap(), &DumpOptions::default())
}

#[test]
fn all_forms_of_one_database_give_the_same_rows() {
    let Some(plain) = capture("A-healthy/dump.sql.gz") else {
        return;
    };
    let (rows, facts) = read_file(&plain).unwrap();
    assert_eq!(rows.pfiles.len(), 89);
    assert_eq!(rows.tree.len(), 187);
    assert_eq!(rows.tree.iter().filter(|row| row.pfile == 0).count(), 75);
    assert_eq!(rows.tree.iter().filter(|row| row.listing).count(), 9);
    assert_eq!(rows.uploads.len(), 13);
    assert_eq!(rows.jobqueue.len(), 29);
    assert_eq!(facts.server_version.as_deref(), Some("15.20"));
    assert_eq!(facts.database, None);
    assert_eq!(facts.rows["uploadtree"], 0);
    assert_eq!(facts.rows["uploadtree_a"], 187);
    assert!(facts.has_sha256 && facts.has_ununpack_ars);

    let (same, cluster) = read_file(&capture("A-healthy/dumpall.sql.gz").unwrap()).unwrap();
    assert_eq!(same, rows);
    assert_eq!(cluster.database.as_deref(), Some("fossology"));
    assert_eq!(cluster.rows, facts.rows);

    let archive = capture("A-healthy/dump-Fc.dump").unwrap();
    let (same, custom) = read_file(&archive).unwrap();
    assert_eq!(same, rows);
    assert_eq!(custom, facts);
    let (same, custom) = read_stream(File::open(&archive).unwrap()).unwrap();
    assert_eq!(same, rows);
    assert_eq!(custom, facts);
}

#[test]
fn the_other_states_are_read() {
    for (name, pfiles, tree, uploads) in [
        ("B-gold-only", 89, 187, 13),
        ("D-killed-midunpack", 126, 228, 14),
        ("E-pending", 90, 187, 15),
    ] {
        let Some(path) = capture(&format!("{name}/dump.sql.gz")) else {
            return;
        };
        let (rows, _) = read_file(&path).unwrap();
        assert_eq!(
            (rows.pfiles.len(), rows.tree.len(), rows.uploads.len()),
            (pfiles, tree, uploads),
            "{name}"
        );
    }
}

#[test]
fn cuts_of_a_custom_dump_are_cuts() {
    let Some(path) = capture("A-healthy/dump-Fc.dump") else {
        return;
    };
    let whole = fs::read(&path).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cut.dump");
    for part in (1..24).chain([60, 63]) {
        let cut = &whole[..whole.len() * part / 64];
        fs::write(&file, cut).unwrap();
        for outcome in [read_file(&file), read_text(cut)] {
            let Err(error) = outcome else {
                panic!("{part}/64 of a dump was read")
            };
            assert!(
                matches!(error, CatalogError::Cut { .. }),
                "{part}/64: {error}"
            );
        }
    }
}
