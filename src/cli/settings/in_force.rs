//! What the file and the environment set, and where they do.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Id};

use super::vocabulary::{Given, STORE, Setting, known, step_section};
use super::{Variables, variable};
use crate::cli::error::Failure;
use crate::settings::{DEFAULT_FILE, Entry, Settings, SettingsError, Value};
use crate::store::Store;

/// Names the file for who gives no `--config`.
pub(super) const VARIABLE: &str = "FOGOLD_CONFIG";

/// The name that the definition has for `--config`.
const CONFIG: &str = "config";

/// The rank of a variable: more than any section has.
const ABOVE_THE_FILE: usize = 10;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Origin {
    /// The command line.
    Flag,
    /// A variable of the environment.
    Variable(String),
    /// A line of the file.
    Line(PathBuf, usize),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag => f.write_str("the command line"),
            Origin::Variable(name) => f.write_str(name),
            Origin::Line(path, line) => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// What an option is set to, and by what.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Found {
    pub(in crate::cli) given: Given,
    pub(in crate::cli) origin: Origin,
    /// Of two that exclude each other, the one with the higher rank stays.
    rank: usize,
    /// The entry of a value that is to be fetched from elsewhere.
    entry: Option<Entry>,
    /// It is the store of every command, and was not meant for this one alone.
    is_store_of_all: bool,
}

impl Found {
    /// Where a secret is kept that was not fetched.
    pub(in crate::cli) fn elsewhere(&self) -> Option<String> {
        match &self.entry.as_ref()?.value {
            Value::Elsewhere(place) => Some(place.to_string()),
            _ => None,
        }
    }
}

/// The settings of the file and the environment.
#[derive(Debug)]
pub(in crate::cli) struct InForce {
    definition: Command,
    file: Option<Settings>,
    path: PathBuf,
    /// The options of all commands that the command line has.
    flags: Vec<(Id, Given)>,
    /// What of it this command does without.
    left_out: Vec<String>,
}

/// Words to be added to a command line; the option they are for, and where they come from.
pub(super) type Added = (Vec<OsString>, (String, Origin));

impl InForce {
    pub(super) fn nothing(definition: Command) -> InForce {
        InForce {
            definition,
            file: None,
            path: PathBuf::from(DEFAULT_FILE),
            flags: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Reads the file that the command line or the environment names, or the default one, which
    /// need not be there.
    pub(super) fn read(
        definition: Command,
        matches: &ArgMatches,
        variables: Variables<'_>,
    ) -> Result<InForce, Failure> {
        let flag = matches.get_raw(CONFIG).and_then(|mut raw| raw.next());
        let named = flag.map(OsStr::to_owned).or_else(|| variables(VARIABLE));
        let path = named.as_ref().map_or(Path::new(DEFAULT_FILE), Path::new);
        let file = Settings::read(path)?;
        if let (Some(_), None) = (&named, &file) {
            let path = path.display();
            return Err(Failure::misuse(format_args!(
                "--config {path}: no such file"
            )));
        }
        let is_given = |arg: &&Arg| arg.is_global_set() && is_flagged(matches, arg.get_id());
        let flags = definition.get_arguments().filter(is_given);
        let flags = flags.map(|arg| (arg.get_id().clone(), flag_given(arg, matches)));
        let mut settings = InForce {
            path: path.to_owned(),
            flags: flags.collect(),
            left_out: Vec::new(),
            file,
            definition,
        };
        settings.check_file()?;
        Ok(settings)
    }

    /// Refuses a file with a key or a value that no option takes.
    fn check_file(&mut self) -> Result<(), SettingsError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        file.check(&known(&self.definition))?;
        let mut lines = Vec::new();
        for entry in file.entries() {
            let Some(setting) = self.setting_of(entry) else {
                continue;
            };
            let given = setting
                .of_value(&entry.value)
                .map_err(|why| file.unfit(entry, why))?;
            if !setting.arg.is_positional() {
                let command = setting.command.unwrap_or("sets").to_owned();
                lines.push((entry, command, setting.words(&given)));
            }
        }
        for (entry, command, words) in lines {
            let mut line = vec![OsString::from("fogold"), command.into()];
            line.extend(words);
            if let Err(error) = self.definition.try_get_matches_from_mut(line)
                && let Some(why) = bad_value(&error)
            {
                return Err(file.unfit(entry, why));
            }
        }
        Ok(())
    }

    /// The option that an entry of the file sets.
    fn setting_of(&self, entry: &Entry) -> Option<Setting<'_>> {
        let section = entry.section.as_str();
        let step = section.strip_prefix("nightly.");
        Setting::all(&self.definition).into_iter().find(|setting| {
            let is_there = match step {
                Some(step) => setting.command.is_none_or(|command| command == step),
                None => setting.sections().contains(&section),
            };
            is_there && setting.key() == entry.key
        })
    }

    /// The words that a command's settings add to its command line.
    pub(super) fn add(
        &mut self,
        name: &str,
        matches: &ArgMatches,
        variables: Variables<'_>,
    ) -> Result<Vec<Added>, Failure> {
        let (added, left_out) = self.added(name, matches, variables)?;
        self.left_out = left_out;
        Ok(added)
    }

    /// The words, and what is left out of them.
    fn added(
        &self,
        name: &str,
        matches: &ArgMatches,
        variables: Variables<'_>,
    ) -> Result<(Vec<Added>, Vec<String>), Failure> {
        let Some(command) = self.definition.find_subcommand(name) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let mut found = Vec::new();
        let mut ranks = Vec::new();
        for setting in self.settings_of(name) {
            let id = setting.arg.get_id();
            if is_flagged(matches, id) {
                ranks.push((id.clone(), usize::MAX));
            } else if let Some(it) = self.find_with(&setting, variables)? {
                ranks.push((id.clone(), it.rank));
                found.push((setting, it));
            }
        }
        found.retain(|(setting, it)| {
            let excluded = excluded_by(command, setting.arg.get_id());
            !ranks
                .iter()
                .any(|(id, rank)| *rank > it.rank && excluded.contains(id))
        });
        let (mut added, mut left_out) = (Vec::new(), Vec::new());
        for (setting, it) in found {
            let given = self.fetched(&it)?;
            match it.is_store_of_all.then(|| no_store(&given)).flatten() {
                Some(why) => left_out.push(format!(
                    "{why}; {name} goes on without the store, which {} names",
                    it.origin
                )),
                None => added.push((setting.words(&given), (setting.name(), it.origin))),
            }
        }
        Ok((added, left_out))
    }

    /// The settings that a command's line can have: its own, and those of all commands.
    pub(in crate::cli) fn settings_of(&self, command: &str) -> Vec<Setting<'_>> {
        let mut all = Setting::all(&self.definition);
        all.retain(|setting| setting.command.is_none_or(|it| it == command));
        all
    }

    /// All settings that there are.
    pub(in crate::cli) fn all(&self) -> Vec<Setting<'_>> {
        Setting::all(&self.definition)
    }

    /// What the environment or the file sets an option to.
    pub(in crate::cli) fn find(&self, setting: &Setting<'_>) -> Result<Option<Found>, Failure> {
        self.find_with(setting, &variable)
    }

    fn find_with(
        &self,
        setting: &Setting<'_>,
        variables: Variables<'_>,
    ) -> Result<Option<Found>, Failure> {
        let (names, sections) = (setting.variables(), setting.sections());
        let asks = setting.asks_the_store();
        for (at, name) in names.iter().enumerate() {
            let Some(value) = variables(name) else {
                continue;
            };
            let given = setting
                .of_variable(value)
                .map_err(|why| Failure::misuse(format_args!("{name}: {why}")))?;
            return Ok(Some(Found {
                given,
                origin: Origin::Variable(name.clone()),
                rank: ABOVE_THE_FILE - at,
                entry: None,
                is_store_of_all: asks && at > 0,
            }));
        }
        let Some(file) = &self.file else {
            return Ok(None);
        };
        for (at, section) in sections.iter().enumerate() {
            if let Some(entry) = file.get(section, setting.key()) {
                let rank = sections.len() - at;
                return self.found(file, setting, entry, rank).map(Some);
            }
        }
        let Some(entry) = file.get("", STORE).filter(|_| asks) else {
            return Ok(None);
        };
        let found = self.found(file, setting, entry, 0)?;
        Ok(Some(Found {
            is_store_of_all: true,
            ..found
        }))
    }

    fn found(
        &self,
        file: &Settings,
        setting: &Setting<'_>,
        entry: &Entry,
        rank: usize,
    ) -> Result<Found, Failure> {
        let given = setting
            .of_value(&entry.value)
            .map_err(|why| file.unfit(entry, why))?;
        Ok(Found {
            given,
            origin: Origin::Line(file.path().to_owned(), entry.line),
            rank,
            entry: Some(entry.clone()),
            is_store_of_all: false,
        })
    }

    /// The value, also where it is kept elsewhere.
    pub(in crate::cli) fn fetched(&self, found: &Found) -> Result<Given, Failure> {
        match (&self.file, &found.entry) {
            (Some(file), Some(entry)) => match &entry.value {
                Value::Elsewhere(place) => {
                    Ok(Given::Values(vec![file.fetch(entry, place)?.into()]))
                }
                _ => Ok(found.given.clone()),
            },
            _ => Ok(found.given.clone()),
        }
    }

    /// What the file sets for a command where `fogold nightly` runs it.
    pub(in crate::cli) fn of_step(
        &self,
        command: &str,
    ) -> Result<Vec<(Setting<'_>, Found)>, Failure> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        let section = step_section(command);
        let mut found = Vec::new();
        for setting in self.settings_of(command) {
            if let Some(entry) = file.get(&section, setting.key())
                && self.flag_of(&setting).is_none()
            {
                let it = self.found(file, &setting, entry, 0)?;
                found.push((setting, it));
            }
        }
        Ok(found)
    }

    /// What a key is set to where `fogold nightly` runs a command, by its own section or another.
    pub(in crate::cli) fn in_night(
        &self,
        command: &str,
        key: &str,
    ) -> Result<Option<Found>, Failure> {
        let settings = self.settings_of(command);
        let Some(setting) = settings.iter().find(|setting| setting.key() == key) else {
            return Ok(None);
        };
        match &self.file {
            Some(file) => match file.get(&step_section(command), key) {
                Some(entry) => self.found(file, setting, entry, 0).map(Some),
                None => self.find(setting),
            },
            None => self.find(setting),
        }
    }

    /// The file, where there is one.
    pub(in crate::cli) fn file(&self) -> Option<&Settings> {
        self.file.as_ref()
    }

    /// Where the file is, or would be.
    pub(in crate::cli) fn path(&self) -> &Path {
        &self.path
    }

    /// The options of all commands, as the command line has them.
    pub(in crate::cli) fn flags(&self) -> Vec<OsString> {
        let of_all = self.all().into_iter();
        let words = of_all.filter_map(|it| Some(it.words(&self.flag_of(&it)?.given)));
        let mut words: Vec<OsString> = words.flatten().collect();
        if self.flags.iter().any(|(id, _)| id == CONFIG) {
            words.push("--config".into());
            words.push(self.path.clone().into());
        }
        words
    }

    /// What the command line sets an option of all commands to.
    pub(in crate::cli) fn flag_of(&self, setting: &Setting<'_>) -> Option<Found> {
        let flags = self.flags.iter().filter(|_| setting.command.is_none());
        let (_, given) = flags
            .into_iter()
            .find(|(id, _)| id == setting.arg.get_id())?;
        Some(Found {
            given: given.clone(),
            origin: Origin::Flag,
            rank: usize::MAX,
            entry: None,
            is_store_of_all: false,
        })
    }

    /// Variables of the environment that look like ours and set nothing.
    pub(in crate::cli) fn strange_variables(&self) -> Vec<String> {
        let all = self.all();
        let known: BTreeSet<String> = all.iter().flat_map(Setting::variables).collect();
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        let is_strange = |name: &String| {
            name.starts_with("FOGOLD_") && name != VARIABLE && !known.contains(name)
        };
        names.filter(is_strange).collect()
    }

    /// What the user ought to know of the file.
    pub(in crate::cli) fn warnings(&self) -> Vec<String> {
        let of_file = self.file.iter().flat_map(Settings::warnings);
        of_file.chain(self.left_out.iter().cloned()).collect()
    }
}

/// Why nothing can be asked of a store: there is none yet, or this user may not look.
fn no_store(given: &Given) -> Option<String> {
    let Given::Values(paths) = given else {
        return None;
    };
    let mut opened = paths
        .iter()
        .map(|path| Store::open_read_only(Path::new(path)));
    let failure = Failure::from(opened.find_map(Result::err)?);
    Some(failure.to_string())
}

fn is_flagged(matches: &ArgMatches, id: &Id) -> bool {
    matches.ids().any(|it| it == id)
        && matches.value_source(id.as_str()) == Some(ValueSource::CommandLine)
}

/// What the command line sets an option to.
fn flag_given(arg: &Arg, matches: &ArgMatches) -> Given {
    if (Setting { command: None, arg }).is_switch() {
        return Given::Switch(true);
    }
    let values = matches.get_raw(arg.get_id().as_str());
    Given::Values(values.into_iter().flatten().map(OsStr::to_owned).collect())
}

/// The options that exclude this one, whichever of the two says so.
fn excluded_by(command: &Command, id: &Id) -> BTreeSet<Id> {
    let mut excluded = BTreeSet::new();
    for arg in command.get_arguments() {
        for other in command.get_arg_conflicts_with(arg) {
            if arg.get_id() == id {
                excluded.insert(other.get_id().clone());
            } else if other.get_id() == id {
                excluded.insert(arg.get_id().clone());
            }
        }
    }
    for group in command.get_groups() {
        let members: BTreeSet<Id> = group.get_args().cloned().collect();
        if !group.clone().is_multiple() && members.contains(id) {
            excluded.extend(members);
        }
    }
    excluded.remove(id);
    excluded
}

/// What is wrong with a value; `None` when something else is wrong with the line.
fn bad_value(error: &clap::Error) -> Option<String> {
    let is_value = matches!(
        error.kind(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8
    );
    let said = error.to_string();
    let until_usage = said.split("\n\n").next().unwrap_or(&said);
    let lines: Vec<&str> = until_usage.lines().map(str::trim).collect();
    is_value.then(|| lines.join(" ").trim_start_matches("error: ").to_owned())
}
