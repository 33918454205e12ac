//! Having FOSSology unpack again what is missing.
//!
//! 1. A check says which files are missing, and which of these an unpack brings back.
//! 2. The cheapest set of uploads whose unpacks bring all of them back is found (`plan`, `cover`),
//!    and their golds are proven (`golds`): FOSSology unpacks whatever it finds, and says
//!    "Completed". An upload whose gold is not good is named, and not queued.
//! 3. A proven gold takes the place of a missing or bad copy in files/, for that copy comes first.
//! 4. Each upload is queued in one statement, exactly as FOSSology's own pages do it, and the
//!    scheduler is told.
//! 5. Where it was asked, the jobs are followed to their end (`follow`), and a second check says what
//!    they were worth.
//!
//! A lock in the database keeps two runs apart. Killed at any point, the same command again leads to
//! the same rows: what has an unpack without an end is not queued again.

mod clean;
mod cover;
mod database;
mod error;
mod follow;
mod golds;
mod jobs;
mod journal;
mod log;
mod plan;
mod preview;
mod rebuild;
mod report;
mod run;
mod scheduler;
mod statement;
mod wanted;

pub use clean::Cleaned;
pub use error::RequeueError;
pub use follow::Patience;
pub use golds::PlacedGold;
pub use preview::preview;
pub use rebuild::CutTree;
pub use report::{After, Job, JobEnd, LostUpload, OpenUnpack, Outcome, Told};
pub use run::{Options, Server, run};
pub use scheduler::Scheduler;
