//! Figures to decide by: who has how much of the repository, and what backups would take.
//!
//! Everything is counted shard by shard, so that memory holds the uploads and one shard a thread.
//! The tree is looked at by a check that these figures go along with (`copies`): it is listed
//! once, and what nobody needs is known from the findings. Nothing is changed anywhere.

mod copies;
pub mod error;
mod on_disk;
pub mod plan;
pub mod usage;

pub use error::FiguresError;
pub use on_disk::{OnDisk, TemporaryTree};
