//! Options of those who do not want to disturb the server that goes on working.

use std::process::{Command, Stdio};

use super::progress::Progress;
use crate::monitor::Monitor;
use crate::repository::{LowImpact, PageCache};

/// Options for working quietly.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct LowImpactArguments {
    /// Read no more than so many bytes of contents a second: a number, with K, M or G behind it
    #[arg(long, value_name = "RATE", value_parser = rate)]
    bwlimit: Option<u64>,
    /// Work only when nobody else wants the disk or the processor
    ///
    /// The lowest priority for the processor (nice 19) and, with ionice of util-linux, the idle class
    /// for the disk.
    #[arg(long, visible_alias = "idle")]
    nice: bool,
    /// Leave what was read in the page cache
    ///
    /// Without it, only what was there before stays there, so that a pass over the whole repository
    /// does not push out what FOSSology and its database work with.
    #[arg(long)]
    keep_cache: bool,
    /// Drop what was read from the page cache, also what was there before
    #[arg(long, conflicts_with = "keep_cache")]
    drop_cache: bool,
}

impl LowImpactArguments {
    /// Puts this process into the idle classes, where that was asked for. Threads take this after
    /// the one that begins them, so it comes before there are any.
    pub(super) fn apply(self, progress: &Progress) {
        if !self.nice {
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
                .warn("--nice: the disk is used as always, for ionice (util-linux) did not help");
        }
    }

    /// Whether reading has a limit.
    pub(super) fn has_limit(self) -> bool {
        self.bwlimit.is_some()
    }

    /// How contents are read.
    pub(super) fn low_impact(self) -> LowImpact {
        let page_cache = match (self.keep_cache, self.drop_cache) {
            (true, _) => PageCache::Keep,
            (_, true) => PageCache::Drop,
            _ => PageCache::AsFound,
        };
        LowImpact::new(page_cache, self.bwlimit)
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
