//! The runs before this one, where `--state` says that they are kept.

use std::path::{Path, PathBuf};

use super::error::Failure;
use super::progress::Progress;
use super::{Global, exit};
use crate::monitor::Monitor;
use crate::report::{Clock, History, Run};
use crate::state::State;

/// What is known of earlier runs, and where this one is added.
#[derive(Clone, Default)]
pub(super) struct Past {
    directory: Option<PathBuf>,
    pub(super) history: History,
}

impl Past {
    /// Reads how earlier runs went, where that is kept. A history that cannot be read is none, and
    /// that is said. Nothing is made yet: the directory may lie where it must not.
    pub(super) fn read(global: &Global, progress: &Progress) -> Result<Past, Failure> {
        let mut past = Past {
            directory: global.state.clone(),
            history: History {
                is_kept: global.state.is_some(),
                ..History::default()
            },
        };
        let Some(directory) = past.directory.as_deref().filter(|path| path.is_dir()) else {
            return Ok(past);
        };
        match History::read(&State::open(directory)?) {
            Ok(history) => {
                past.history = History {
                    is_kept: true,
                    ..history
                }
            }
            Err(error) => progress.warn(&Failure::from(error).to_string()),
        }
        if past.history.unreadable > 0 {
            progress.warn(&format!(
                "some lines of {} say nothing of a run: they are passed over",
                directory.join(History::FILE).display()
            ));
        }
        Ok(past)
    }

    /// The state directory.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Adds a run of a command that has no report, and what it came to; a failure is reported by the
    /// caller.
    pub(super) fn add_ended(
        &self,
        command: &str,
        subject: &Path,
        clock: Clock,
        result: &Result<(u8, String), Failure>,
    ) -> Result<(), Failure> {
        let failed;
        let (status, verdict) = match result {
            Ok((status, verdict)) => (*status, verdict),
            Err(failure) => {
                failed = format!("FAILED: {failure}");
                (failure.status, &failed)
            }
        };
        let subject = subject.display().to_string();
        self.add(&Run::without_report(
            command, subject, clock, status, verdict,
        ))
    }

    /// Adds a run. For one that was refused no directory is made.
    pub(super) fn add(&self, run: &Run) -> Result<(), Failure> {
        let is_refused = run.exit_status == exit::MISUSE;
        if let Some(directory) = &self.directory
            && (!is_refused || directory.is_dir())
        {
            History::append(&State::open(directory)?, run)?;
        }
        Ok(())
    }
}
