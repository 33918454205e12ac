//! Runs whose system calls are tampered with.

use std::process::Command;

use super::{Fogold, Outcome, skipped};

/// A run of which one kind of call is tampered with. `None` when calls cannot be traced here,
/// which is said.
pub(crate) fn tampered(fogold: Fogold, with: &str) -> Option<Outcome> {
    if Command::new("strace").arg("-V").output().is_err() {
        skipped("strace is missing");
        return None;
    }
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-o", "/dev/null", "-e"]);
    strace.arg(format!("inject={with}"));
    let outcome = fogold.behind(strace, None).run();
    if outcome.complaint().contains("ptrace") {
        skipped(format_args!("strace cannot trace: {}", outcome.complaint()));
        return None;
    }
    Some(outcome)
}
