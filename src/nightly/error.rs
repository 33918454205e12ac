//! Why a night did not begin. What befalls its steps is their verdict, and no error.

use crate::state::StateError;
use crate::store::StoreError;

/// Why a night did not begin, or left nothing for the next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NightlyError {
    /// Another is at work.
    #[error("another night is at work: {owner}; it goes on, and nothing was done")]
    Locked {
        /// Who it is.
        owner: String,
    },
    /// The lock.
    #[error(transparent)]
    Lock(#[from] Box<StoreError>),
    /// The state directory.
    #[error("the state directory is of no use (--state names another)")]
    State(#[from] StateError),
}
