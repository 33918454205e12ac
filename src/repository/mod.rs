//! The repository: names, where a name lies, listing a shard, reading, digests.

pub mod access;
mod digests;
mod directory;
pub mod layout;
mod levels;
pub mod listing;
pub mod low_impact;
pub mod meta;
pub mod name;
mod outside;
pub mod page_cache;
pub mod path;
pub mod probe;
pub mod proof;
pub mod reading;
pub mod seek;
mod shard;
pub mod survey;
pub mod throttle;
pub mod tree;

pub use access::Access;
pub use layout::Layout;
pub use listing::{InPlace, Listing, Odd, OddWhat, Place, Proofs, Stray, Temporary};
pub use low_impact::LowImpact;
pub use meta::Meta;
pub use name::{Leftover, Parsed, RepositoryName, Shard};
pub use page_cache::{PageCache, Pages};
pub use path::TreePath;
pub use probe::{Probe, discover_layout};
pub use proof::{Claim, Crew, Proof, Prover, Seat, Witness};
pub use reading::{At, ContentReader, Reading};
pub use seek::seek;
pub use survey::Survey;
pub use throttle::Throttle;
pub use tree::{RepositoryError, Tree};
