//! Errors at the edge: a message for a person, and an exit status.

use std::fmt;

use super::exit;
use crate::catalog::CatalogError;
use crate::check::{AcceptError, CheckError, CompanionError};
use crate::figures::FiguresError;
use crate::fixtures::FixtureError;
use crate::manifest::ManifestError;
use crate::manifest::fetch::FetchError;
use crate::manifest::formats::FormatError;
use crate::nightly::NightlyError;
use crate::recover::drill::DrillError;
use crate::recover::files::FilesError;
use crate::recover::repair::RepairError;
use crate::recover::requeue::RequeueError;
use crate::recover::restore::RestoreError;
use crate::report::ReportError;
use crate::repository::RepositoryError;
use crate::settings::SettingsError;
use crate::state::StateError;
use crate::store::StoreError;
use crate::store::backup::BackupError;
use crate::sysconf::{ConnectionError, ProgramError, SysconfError};

/// Why a command did not end as it should.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: u8,
    source: anyhow::Error,
}

impl Failure {
    /// What was asked cannot be meant.
    pub fn misuse(message: impl fmt::Display) -> Failure {
        Failure {
            status: exit::MISUSE,
            source: anyhow::anyhow!("{message}"),
        }
    }

    /// The world was in the way, or only part was done.
    pub fn incomplete(message: impl fmt::Display) -> Failure {
        Failure {
            status: exit::WORLD,
            source: anyhow::anyhow!("{message}"),
        }
    }

    /// The world was in the way.
    pub fn world(message: impl fmt::Display) -> Failure {
        Failure {
            status: exit::WORLD,
            source: anyhow::anyhow!("{message}"),
        }
    }

    fn of(is_misuse: bool, source: impl Into<anyhow::Error>) -> Failure {
        Failure {
            status: if is_misuse { exit::MISUSE } else { exit::WORLD },
            source: source.into(),
        }
    }

    /// Whether the output was closed by its reader, which is no failure.
    pub fn is_closed_output(&self) -> bool {
        self.source.chain().any(|cause| {
            cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
        })
    }
}

impl fmt::Display for Failure {
    /// The message and its causes, a cause only once: some libraries repeat theirs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.source.to_string();
        f.write_str(&said)?;
        for cause in self.source.chain().skip(1) {
            let text = cause.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
        }
        Ok(())
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<AcceptError> for Failure {
    fn from(error: AcceptError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<FiguresError> for Failure {
    fn from(error: FiguresError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<RequeueError> for Failure {
    fn from(error: RequeueError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<RepairError> for Failure {
    fn from(error: RepairError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<DrillError> for Failure {
    fn from(error: DrillError) -> Failure {
        if error.is_verdict() {
            return Failure {
                status: exit::FINDINGS,
                source: error.into(),
            };
        }
        Failure::of(error.is_misuse(), error)
    }
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<ProgramError> for Failure {
    fn from(error: ProgramError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Failure {
        Failure::of(error.is_misuse(), error)
    }
}

impl From<CompanionError> for Failure {
    fn from(error: CompanionError) -> Failure {
        Failure::of(false, anyhow::Error::from_boxed(error))
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Failure {
        Failure::of(true, error)
    }
}

impl From<NightlyError> for Failure {
    fn from(error: NightlyError) -> Failure {
        Failure::of(false, error)
    }
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Failure {
        Failure::of(false, error)
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Failure {
        Failure::of(false, error)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Failure {
        Failure::of(false, error)
    }
}

impl From<SysconfError> for Failure {
    fn from(error: SysconfError) -> Failure {
        Failure::of(true, error)
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Failure {
        Failure::of(true, error)
    }
}

impl From<FixtureError> for Failure {
    fn from(error: FixtureError) -> Failure {
        Failure::of(false, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::of(false, error)
    }
}
