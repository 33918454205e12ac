//! Who may change a repository at the same time: one restore, repair, or cleaning up after unpacks.

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::repository::Tree;

/// Keeps others out as long as the tree is open; false when another one is at work. The lock is on
/// the open root, and needs no file; a file system without such locks has none.
pub(super) fn keep_others_out(tree: &Tree) -> bool {
    let lock = rustix::fs::flock(tree.root(), FlockOperation::NonBlockingLockExclusive);
    !matches!(lock, Err(Errno::WOULDBLOCK))
}
