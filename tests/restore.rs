//! A server is lost, whole or in part, and is brought back from a set.

mod faults;
mod input;
mod kills;
mod lost;
mod queue;
mod tree;
mod urls;

use fogold::fixtures::ServerSpec;
use serde_json::Value;

use crate::support::{MadeUp, Outcome, Site};

/// A made-up server of another layout than most.
fn two_hosts(depth: usize) -> MadeUp {
    let host = |name: &str, line: &str| (name.to_owned(), line.to_owned());
    MadeUp::healthy(ServerSpec {
        files: 300,
        bytes: 400_000,
        per_upload: 10,
        depth,
        hosts: vec![host("north", "* 00 7f"), host("south", "* 80 ff")],
        ..ServerSpec::default()
    })
}

/// What a restore says that it did to the files.
fn files(outcome: &Outcome) -> Value {
    outcome.report()["coverage"]["restored"]["files"].clone()
}

/// How many files it says that it handled so.
fn count(outcome: &Outcome, what: &str) -> u64 {
    files(outcome)[what]["files"].as_u64().expect("a number")
}

/// What a restore says that it did to the database.
fn database(outcome: &Outcome) -> Value {
    outcome.report()["coverage"]["restored"]["database"].clone()
}

/// The name of a path's file.
fn last(path: &str) -> &str {
    path.rsplit('/').next().expect("a name")
}

/// The paths of a type in a site.
fn of_type(site: &Site, ty: &str) -> Vec<String> {
    let mut paths: Vec<String> = site.contents().into_keys().collect();
    paths.retain(|path| path.split('/').nth(1) == Some(ty));
    paths
}
