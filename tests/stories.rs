//! The stories: what users do with the program, played through from outside.
//!
//! One binary for all of them, so that they are linked once and share one PostgreSQL.

mod bad_input;
mod captured_servers;
mod catalog_format;
mod connections;
mod database_shapes;
mod fixtures_story;
mod interruption;
mod made_up_servers;
mod manual;
mod properties;
mod regressions;
mod support;
mod support_story;
mod work_in_progress;
