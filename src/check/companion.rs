//! Who goes along with a check: sees every shard while it is compared, and may read its files
//! while their directories are open.
//!
//! A backup is a check whose files are copied on the way. What it finds out by reading is the
//! check's own knowledge: a file that does not match its name becomes a finding like any other.

use std::error::Error;

use crate::catalog::ShardPfiles;
use crate::repository::{ContentReader, RepositoryName, Shard};
use crate::sysconf::RepositoryType;

/// Why the companion cannot go on; the check ends with it.
pub type CompanionError = Box<dyn Error + Send + Sync>;

/// Goes along with a check. Shared by all threads.
pub trait Companion: Sync {
    /// A shard is about to be listed.
    fn begin<'a>(
        &'a self,
        shard: Shard,
        pfiles: &'a ShardPfiles,
    ) -> Result<Box<dyn ShardCompanion + 'a>, CompanionError>;
}

/// A companion's work on one shard. It is given the files to read as they are listed.
pub trait ShardCompanion: ContentReader {
    /// The shard was listed, and everything was read: its files in their place, in order of name
    /// and type.
    fn finish(self: Box<Self>, listed: &[Listed]) -> Result<(), CompanionError>;
}

/// A file in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: RepositoryName,
    /// The type under which it lies.
    pub ty: RepositoryType,
    /// Nothing speaks against it: its length is right, and so are its contents if they were read.
    pub good: bool,
}

/// A store of backups, asked for what is missing or damaged. Shared by all threads.
pub trait Backups: Sync {
    /// Where the contents of a name stand in the store, for a person; `None` when they do not.
    fn holds(&self, name: &RepositoryName) -> Option<String>;
}
