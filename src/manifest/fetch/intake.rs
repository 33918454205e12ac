//! Taking in what a server sends: to a writer, and proven on the way.

use std::io::{self, Read, Write};
use std::time::Instant;

use super::{FetchError, Fetched};
use crate::manifest::proving::Proving;
use crate::monitor::Monitor;
use crate::repository::RepositoryName;

/// Bytes taken at a time.
const PIECE: usize = 64 * 1024;

/// One file that is being fetched.
pub(super) struct Intake<'a> {
    /// What was asked for first.
    pub(super) url: &'a str,
    pub(super) name: &'a RepositoryName,
    pub(super) out: &'a mut dyn Write,
    pub(super) deadline: Instant,
    pub(super) monitor: &'a dyn Monitor,
}

impl Intake<'_> {
    /// Refuses a file whose length a server tells beforehand and that cannot be the right one.
    pub(super) fn expect_length(&self, length: u64) -> Result<(), FetchError> {
        if length == self.name.size {
            Ok(())
        } else {
            Err(self.differs("size"))
        }
    }

    /// Takes a file to its end, or to the first byte too many.
    pub(super) fn take(&mut self, from: &mut dyn Read) -> Result<Fetched, FetchError> {
        let mut proving = Proving::new();
        let mut piece = vec![0; PIECE];
        loop {
            if self.monitor.stopped() {
                return Err(FetchError::Stopped);
            }
            if Instant::now() >= self.deadline {
                return Err(FetchError::Timeout {
                    url: self.url.to_owned(),
                });
            }
            let count = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(FetchError::of_io(self.url, error)),
            };
            proving.take(&piece[..count]);
            if proving.bytes() > self.name.size {
                return Err(self.differs("size"));
            }
            self.out
                .write_all(&piece[..count])
                .map_err(|source| FetchError::Write { source })?;
            self.monitor.advance(0, count as u64);
        }
        let proven = proving.finish(self.name);
        if !proven.proof.holds() {
            return Err(self.differs(&proven.proof.differences()));
        }
        Ok(Fetched {
            blake3: proven.blake3,
            sha256: proven.sha256,
        })
    }

    /// Seconds that remain; at least one, for 0 would mean no limit.
    pub(super) fn time_left(&self) -> std::time::Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.max(std::time::Duration::from_secs(1))
    }

    fn differs(&self, difference: &str) -> FetchError {
        FetchError::Differs {
            url: self.url.to_owned(),
            difference: difference.to_owned(),
        }
    }
}
