//! From the command line, the environment and the configuration file to what is in force.
//!
//! What is set elsewhere is put among the words of the command line, and all of it is parsed again:
//! so a setting means what its option means, with all that the option requires and excludes. A flag
//! counts before a variable, a variable before the file. What counts more also puts out what it
//! excludes: `--full` a `gold-only = true` of the file.

mod in_force;
mod vocabulary;

use std::ffi::OsString;

use clap::{ArgMatches, CommandFactory, Parser};

use super::Cli;
use super::error::Failure;
pub(super) use in_force::{Found, InForce, Origin};
pub(super) use vocabulary::{Given, Setting, step_section};

/// What looks up a variable of the environment.
type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Why a command line was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is wrong, or asks for help; with it, where the settings concerned came from.
    Words(clap::Error, Vec<String>),
    /// The settings are wrong.
    Settings(Failure),
}

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused::Settings(error.into())
    }
}

/// A command line that was taken, and the settings that went into it.
pub(super) struct Parsed {
    pub(super) cli: Cli,
    pub(super) settings: InForce,
}

/// Takes a command line, with all that is set elsewhere.
pub(super) fn parse(words: Vec<OsString>) -> Result<Parsed, Refused> {
    parse_with(words, &variable)
}

/// As [`parse`], in an environment with further variables.
pub(super) fn parse_as(
    words: Vec<OsString>,
    variables: &[(String, OsString)],
) -> Result<Parsed, Refused> {
    parse_with(words, &|name| {
        let found = variables.iter().find(|(it, _)| it == name);
        found.map_or_else(|| variable(name), |(_, value)| Some(value.clone()))
    })
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn parse_with(mut words: Vec<OsString>, variables: Variables<'_>) -> Result<Parsed, Refused> {
    let mut definition = Cli::command();
    definition.build();
    // What is wrong in the words is told by the parsing proper.
    let loose = definition.clone().ignore_errors(true);
    let first = loose.try_get_matches_from(&words).ok();
    let first = first.as_ref().and_then(ArgMatches::subcommand);
    let Some((name, matches)) = first.filter(|(name, _)| *name != "completions") else {
        let settings = InForce::nothing(definition);
        return match Cli::try_parse_from(&words) {
            Ok(cli) => Ok(Parsed { cli, settings }),
            Err(error) => Err(Refused::Words(error, Vec::new())),
        };
    };
    let mut settings = InForce::read(definition, matches, variables)?;
    let added = settings.add(name, matches, variables)?;
    let end = words.iter().position(|word| word == "--");
    let at = end.unwrap_or(words.len());
    words.splice(at..at, added.iter().flat_map(|(words, _)| words.clone()));
    match Cli::try_parse_from(&words) {
        Ok(cli) => Ok(Parsed { cli, settings }),
        Err(error) => {
            let said = error.to_string();
            let notes = added.into_iter().map(|(_, note)| note);
            let notes = notes.filter(|(name, _)| said.contains(name.as_str()));
            let notes = notes.map(|(name, origin)| format!("{name} comes from {origin}"));
            Err(Refused::Words(error, notes.collect()))
        }
    }
}

#[cfg(test)]
mod tests;
