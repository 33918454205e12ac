//! What the stories stand on: a private PostgreSQL, the program itself, and recorded servers.

// A story uses what it needs; with few stories some of it waits for the next.
#![allow(dead_code, unused_imports)]

pub(crate) mod binary;
pub(crate) mod browser;
pub(crate) mod capture;
pub(crate) mod cluster;
pub(crate) mod finding;
pub(crate) mod ftp_server;
pub(crate) mod made_up;
pub(crate) mod on_the_web;
pub(crate) mod recorded;
pub(crate) mod scheduler;
pub(crate) mod site;
pub(crate) mod small_disk;
pub(crate) mod store;
pub(crate) mod tampered;
pub(crate) mod unprivileged;
pub(crate) mod web;

pub(crate) use binary::{Fogold, Outcome, PROGRAM, Running};
pub(crate) use capture::Capture;
pub(crate) use cluster::{Cluster, ClusterOptions, Encoding};
pub(crate) use finding::{agree, kinds};
pub(crate) use made_up::MadeUp;
pub(crate) use recorded::Recorded;
pub(crate) use scheduler::{FakeScheduler, Mood, Play};
pub(crate) use site::Site;
pub(crate) use small_disk::SmallDisk;
pub(crate) use store::MadeStore;
pub(crate) use tampered::tampered;
pub(crate) use unprivileged::Unprivileged;

/// Says on standard error why a story is not played.
#[allow(clippy::print_stderr)]
pub(crate) fn skipped(why: impl std::fmt::Display) {
    eprintln!("skipped: {why}");
}
