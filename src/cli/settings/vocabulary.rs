//! Which settings there are: every option of every command, by the names that the configuration
//! file and the environment have for it.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};

use crate::settings::{OWN_SECTIONS, STEPS, Section, Value};

/// Options that one line at the top of the file, or one variable, sets for every command that has
/// them.
const SHARED: [&str; 2] = [STORE, "pg-bindir"];

/// The one positional argument that can be set.
pub(super) const STORE: &str = "store";

/// Where the file may say what `fogold prune` keeps.
const RETENTION: &str = "retention";

/// What begins the name of each variable.
const PREFIX: &str = "FOGOLD";

/// An option that can be set.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Setting<'a> {
    /// The command it belongs to; `None` for those of all commands.
    pub(in crate::cli) command: Option<&'a str>,
    pub(in crate::cli) arg: &'a Arg,
}

/// What an option is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Given {
    /// A switch.
    Switch(bool),
    /// One value, or several where the option may be given more than once.
    Values(Vec<OsString>),
}

impl<'a> Setting<'a> {
    /// All settings of a program's definition, which must be built.
    pub(in crate::cli) fn all(definition: &'a Command) -> Vec<Setting<'a>> {
        let of_all = definition.get_arguments().filter(|arg| arg.is_global_set());
        let mut all: Vec<Setting<'a>> = of_all
            .map(|arg| Setting { command: None, arg })
            .filter(Setting::can_be_set)
            .collect();
        for command in definition.get_subcommands() {
            all.extend(Setting::of_command(command));
        }
        all
    }

    /// The settings that are a command's own.
    fn of_command(command: &'a Command) -> impl Iterator<Item = Setting<'a>> {
        let own = command.get_arguments().filter(|arg| !arg.is_global_set());
        own.map(|arg| Setting {
            command: Some(command.get_name()),
            arg,
        })
        .filter(Setting::can_be_set)
    }

    fn can_be_set(&self) -> bool {
        let is_action = matches!(
            self.arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        let is_positional = self.arg.is_positional() && self.arg.get_id() != STORE;
        // Which file is read cannot stand in it.
        !is_action && !is_positional && self.key() != "config"
    }

    /// The key: the option's long name.
    pub(in crate::cli) fn key(&self) -> &'a str {
        self.arg
            .get_long()
            .unwrap_or_else(|| self.arg.get_id().as_str())
    }

    /// The sections that may have it, those first that count before the others.
    pub(in crate::cli) fn sections(&self) -> Vec<&'a str> {
        let Some(command) = self.command else {
            return vec![""];
        };
        let mut sections = vec![command];
        if command == "prune" && self.key().starts_with("keep-") {
            sections.push(RETENTION);
        }
        if self.is_shared() {
            sections.push("");
        }
        sections
    }

    /// The variables that may set it, those first that count before the others.
    pub(in crate::cli) fn variables(&self) -> Vec<String> {
        let key = self.key();
        match self.command {
            None => vec![variable(&[key])],
            Some(command) if self.is_shared() => {
                vec![variable(&[command, key]), variable(&[key])]
            }
            Some(command) if self.asks_the_store() => {
                vec![variable(&[command, key]), variable(&[STORE])]
            }
            Some(command) => vec![variable(&[command, key])],
        }
    }

    fn is_shared(&self) -> bool {
        SHARED.contains(&self.key()) && (self.key() != STORE || self.arg.is_positional())
    }

    /// Whether it says which stores are asked; without a word, the one at the top of the file is.
    pub(in crate::cli) fn asks_the_store(&self) -> bool {
        let asks = [("check", STORE), ("plan", STORE), ("repair", "from")];
        let is_it = |command| asks.contains(&(command, self.key()));
        !self.arg.is_positional() && self.command.is_some_and(is_it)
    }

    pub(in crate::cli) fn is_switch(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::SetTrue)
    }

    fn takes_several(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    /// What a value of the file means for it; an error says what is wanted.
    pub(in crate::cli) fn of_value(&self, value: &Value) -> Result<Given, String> {
        match value {
            Value::Switch(on) if self.is_switch() => Ok(Given::Switch(*on)),
            _ if self.is_switch() => Err("true or false is wanted, without quotes".to_owned()),
            Value::Switch(_) => Err("a value is wanted, and not true or false".to_owned()),
            Value::Text(text) => Ok(Given::Values(vec![text.into()])),
            Value::List(list) if self.takes_several() => {
                Ok(Given::Values(list.iter().map(OsString::from).collect()))
            }
            Value::List(_) => Err("one value is wanted, and not a list".to_owned()),
            Value::Elsewhere(_) => Ok(Given::Values(Vec::new())),
        }
    }

    /// What the value of a variable means for it.
    pub(in crate::cli) fn of_variable(&self, value: OsString) -> Result<Given, String> {
        if self.is_switch() {
            return match value.to_string_lossy().to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Ok(Given::Switch(true)),
                "0" | "false" | "no" | "off" => Ok(Given::Switch(false)),
                _ => Err("true or false is wanted".to_owned()),
            };
        }
        let is_path = self.arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        if self.takes_several() && is_path {
            // As in PATH.
            let paths = std::env::split_paths(&value).map(PathBuf::into_os_string);
            return Ok(Given::Values(paths.collect()));
        }
        Ok(Given::Values(vec![value]))
    }

    /// The words of a command line that say the same.
    pub(in crate::cli) fn words(&self, given: &Given) -> Vec<OsString> {
        match given {
            Given::Switch(false) => Vec::new(),
            Given::Switch(true) => vec![self.flag()],
            Given::Values(values) => values.iter().map(|value| self.word(value)).collect(),
        }
    }

    fn word(&self, value: &OsString) -> OsString {
        if self.arg.is_positional() {
            return value.clone();
        }
        let mut word = self.flag();
        word.push("=");
        word.push(value);
        word
    }

    fn flag(&self) -> OsString {
        format!("--{}", self.key()).into()
    }

    /// How people call it.
    pub(in crate::cli) fn name(&self) -> String {
        if self.arg.is_positional() {
            format!("<{}>", self.key().to_uppercase())
        } else {
            format!("--{}", self.key())
        }
    }
}

/// The sections and keys that the file may have.
pub(in crate::cli) fn known(definition: &Command) -> Vec<Section> {
    let mut known: Vec<Section> = Vec::new();
    let mut add = |name: &str, key: &str| match known.iter_mut().find(|it| it.name == name) {
        Some(section) if section.keys.iter().any(|it| it == key) => {}
        Some(section) => section.keys.push(key.to_owned()),
        None => known.push(Section {
            name: name.to_owned(),
            keys: vec![key.to_owned()],
        }),
    };
    for setting in Setting::all(definition) {
        for section in setting.sections() {
            add(section, setting.key());
        }
        let is_of = |step: &str| setting.command.is_none_or(|command| command == step);
        for step in STEPS.into_iter().filter(|step| is_of(step)) {
            add(&step_section(step), setting.key());
        }
    }
    for (section, keys) in OWN_SECTIONS {
        keys.iter().for_each(|key| add(section, key));
    }
    known
}

/// The section for a command where `fogold nightly` runs it.
pub(in crate::cli) fn step_section(command: &str) -> String {
    format!("nightly.{command}")
}

fn variable(parts: &[&str]) -> String {
    let mut name = PREFIX.to_owned();
    for part in parts {
        name.push('_');
        name.push_str(&part.replace('-', "_").to_uppercase());
    }
    name
}
