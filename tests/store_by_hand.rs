//! The store's own README.txt: somebody without fogold follows it to the letter.

use std::fs;
use std::process::Command;

use fogold::manifest::SetKind;

use crate::support::{Cluster, Fogold, MadeStore, MadeUp, skipped};

/// The commands of a numbered step, as they stand in README.txt.
fn step(readme: &str, number: u32) -> String {
    let start = readme.find(&format!("\n{number}. ")).expect("the step");
    let end = readme[start..]
        .find(&format!("\n{}. ", number + 1))
        .map_or(readme.len(), |length| start + length);
    readme[start..end]
        .lines()
        .filter_map(|line| line.strip_prefix("       "))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn shell(script: &str) {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .output()
        .expect("a shell");
    assert!(
        output.status.success(),
        "{script}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    found.is_ok_and(|output| output.status.success())
}

#[test]
fn it_brings_back_files_and_database() {
    if let Some(missing) = ["jq", "zstdcat", "psql"]
        .iter()
        .find(|program| !has(program))
    {
        skipped(format_args!("{missing} is not installed"));
        return;
    }
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let id = store.back_up(&made_up, SetKind::Full);
    let readme = fs::read_to_string(store.path().join("README.txt")).expect("the page");
    let place = made_up.directory().join("restored");
    fs::create_dir(&place).expect("a directory");

    let here = step(&readme, 1)
        .replace("STORE", &store.path().display().to_string())
        .replace("TIME-KIND", &id)
        .replace("/srv/fossology/repository", &place.display().to_string());
    shell(&format!("{here}\n{}", step(&readme, 4)));
    let cluster = Cluster::shared();
    cluster.create_database("by_hand");
    let conninfo = cluster.conninfo("by_hand");
    // The dump that was handed in is text.
    assert!(readme.contains("psql -v ON_ERROR_STOP=1 -d"));
    let dump = store.set(&id).join(store.dump_of(&id));
    shell(&format!(
        "psql -q -v ON_ERROR_STOP=1 -d '{conninfo}' -f '{}' >/dev/null",
        dump.display()
    ));

    let outcome = Fogold::check(&place, &conninfo)
        .args(["--verify", "--fail-on", "notice", "--depth", "3"])
        .run();
    let kinds: Vec<String> = outcome
        .findings()
        .iter()
        .map(|finding| finding["kind"].to_string())
        .filter(|kind| kind != "\"wrong-mode\"")
        .collect();
    assert_eq!(kinds, Vec::<String>::new(), "{}", outcome.text());
    let before = made_up.files("gold").len() + made_up.files("files").len();
    let listed = &outcome.report()["coverage"]["listed"];
    let of = |ty: &str| listed[ty]["files"].as_u64().expect("a number") as usize;
    assert_eq!(of("gold") + of("files"), before);
}
