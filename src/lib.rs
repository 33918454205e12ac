//! fogold keeps the file repository of a FOSSology server whole.
//!
//! FOSSology keeps every uploaded package (*gold*) and every file unpacked from it (*files*) in a
//! content-addressed tree, and what they mean in PostgreSQL. This library proves that the two
//! agree. The program `fogold` is a thin command line over it.
//!
//! The rooms, in the order in which the data flows; a room uses only what stands before it:
//!
//! | room | holds |
//! |---|---|
//! | [`monitor`] | what the library tells its caller as it goes, and how the caller stops it |
//! | [`parallel`] | work on 256 parts, shared out over threads |
//! | [`state`] | the directory in which one run leaves something for the next |
//! | [`sysconf`] | `fossology.conf`, `Db.conf`, repository hosts and ranges, database connections |
//! | [`settings`] | fogold's own configuration file |
//! | [`repository`] | names, where a name lies, listing a shard, reading, digests |
//! | [`catalog`] | the sorted, sharded snapshot of what the database knows |
//! | [`check`] | the merge join of tree and catalog, and its findings |
//! | [`manifest`] | what a set holds and leaves out, and the forms in which that is written down |
//! | [`store`] | contents of many sets in one pool; locks, retention, verification |
//! | [`recover`] | bringing back what is lost: the database, the repository, unpack jobs; mending the rest |
//! | [`figures`] | figures to decide by: who has how much, and what backups would take |
//! | [`report`] | findings as text, pages, JSON, NDJSON and metrics; how earlier runs went |
//! | [`nightly`] | what cron runs: the steps of a night, a verdict over all, who is told |
//! | [`fixtures`] | made-up servers for tests, benchmarks and the demo |
//! | [`cli`] | the command line: the only room that prints |

pub mod catalog;
pub mod check;
pub mod cli;
pub mod figures;
#[path = "../fixtures/mod.rs"]
pub mod fixtures;
pub mod manifest;
pub mod monitor;
pub mod nightly;
pub mod parallel;
pub mod recover;
pub mod report;
pub mod repository;
pub mod settings;
pub mod state;
pub mod store;
pub mod sysconf;
