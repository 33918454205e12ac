//! The stories: what users do with the program, played through from outside.
//!
//! One binary for all of them, so that they are linked once and share one PostgreSQL.

mod backup;
mod backup_again;
mod backup_faults;
mod backup_kills;
mod backup_quiet;
mod bad_input;
mod captured_servers;
mod catalog_format;
mod client_programs;
mod connections;
mod database_restore;
mod database_shapes;
mod demo;
mod drill;
mod fetching;
mod fixtures_story;
mod interruption;
mod made_up_servers;
mod manifest;
mod manual;
mod page_cache;
mod plan;
mod properties;
mod regressions;
mod requeue;
mod restore;
mod restore_places;
mod roles;
mod store_by_hand;
mod store_links;
mod store_prune;
mod store_sets;
mod store_verify;
mod support;
mod support_story;
mod usage;
mod without_gold;
mod work_in_progress;
