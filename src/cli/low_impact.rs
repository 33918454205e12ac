//! Options of those who do not want to disturb the server that goes on working.

use std::process::{Command, Stdio};

use super::progress::Progress;
use crate::monitor::Monitor;

/// Options for working quietly.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct LowImpactArguments {
    /// Read no more than so much a second from the repository: a number, with K, M or G behind it
    #[arg(long, value_name = "RATE", value_parser = rate)]
    bwlimit: Option<u64>,
    /// Work only when nobody else wants the disk or the processor
    #[arg(long)]
    idle: bool,
    /// Drop what was read from the page cache
    #[arg(long)]
    drop_cache: bool,
}

impl LowImpactArguments {
    /// Puts this process into the idle classes, where that was asked for.
    pub(super) fn apply(self, progress: &Progress) {
        if !self.idle {
            return;
        }
        // Lowering one's own priority is always allowed.
        let _ = rustix::process::nice(19);
        let own = rustix::process::getpid().as_raw_nonzero().to_string();
        let status = Command::new("ionice")
            .args(["-c", "3", "-p", &own])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            progress
                .warn("--idle: the disk is used as always, for ionice (util-linux) did not help");
        }
    }

    /// Bytes a second.
    pub(super) fn limit(self) -> Option<u64> {
        self.bwlimit
    }

    /// Whether what was read is to leave the page cache.
    pub(super) fn drops_cache(self) -> bool {
        self.drop_cache
    }
}

/// A number of bytes, with a unit of 1024.
fn rate(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is no rate: want a number, or one such as 500K, 20M, 1G");
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| bad())?;
    number
        .checked_mul(unit)
        .filter(|rate| *rate > 0)
        .ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(rate("20M"), Ok(20 << 20));
        assert_eq!(rate("7"), Ok(7));
        for bad in ["", "M", "0", "-1", "1.5G", "20MB", "99999999999G"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
