//! Bringing back what was lost.
//!
//! What is put into the tree is put there by [`place`], what is taken out of it by [`quarantine`]:
//! nothing is overwritten, and nothing is deleted.

pub mod database;
pub mod drill;
pub mod files;
mod in_full;
mod lock;
pub mod logs;
pub mod place;
pub mod quarantine;
pub mod repair;
pub mod requeue;
pub mod restore;
pub mod scratch_cluster;
pub(crate) mod scratch_directory;
