//! Which command lines a night is made of. Each is parsed before the first one runs: what cannot be
//! meant is told in the evening, and not after the backup.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::StepName;
use crate::cli::error::Failure;
use crate::cli::settings::{self, Given, InForce, Refused, Setting};
use crate::nightly::{Step, report_path};
use crate::report::{Format, printable};
use crate::settings::{Reports, STEPS, has_secret};

/// The part of the contents that is read in a night, when nothing says so: all in four weeks.
const SLICE: &str = "auto/28";

/// The steps of a night.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// What the user may not have meant.
    pub(super) notes: Vec<String>,
}

impl StepName {
    fn as_str(self) -> &'static str {
        match self {
            StepName::Backup => STEPS[0],
            StepName::Check => STEPS[1],
            StepName::Verify => STEPS[2],
            StepName::Prune => STEPS[3],
        }
    }
}

impl Plan {
    pub(super) fn of(
        settings: &InForce,
        named: &[StepName],
        state: &Path,
        reports: Option<&Reports>,
    ) -> Result<Plan, Failure> {
        let mut notes = Vec::new();
        let mut commands: Vec<&str> = named.iter().map(|name| name.as_str()).collect();
        refuse_order(&commands)?;
        if commands.is_empty() {
            commands.extend(STEPS);
            if !keeps_something(settings)? {
                commands.retain(|command| *command != "prune");
                notes.push(
                    "nothing says which sets to keep ([retention]): none is removed".to_owned(),
                );
            }
        }
        let mut steps = Vec::new();
        for command in commands {
            let mut step = Draft::of(settings, command)?.finish(state, reports)?;
            step.store = try_line(&step, settings)?;
            steps.push(step);
        }
        Ok(Plan { steps, notes })
    }

    /// Shows the command lines, as a shell would take them.
    pub(super) fn show(&self, out: &mut dyn Write) -> Result<(), Failure> {
        for step in &self.steps {
            let variables = step.variables.iter().map(|(name, value)| {
                let value = if value == "true" || value == "false" {
                    value.to_string_lossy().into_owned()
                } else {
                    "***".to_owned()
                };
                format!("{name}={value} ")
            });
            let words = step.words.iter().map(|word| shown(word));
            let words: Vec<String> = words.collect();
            writeln!(
                out,
                "{}fogold {}",
                variables.collect::<String>(),
                words.join(" ")
            )?;
        }
        Ok(())
    }
}

/// What a night adds to a command where nothing says so: options, and what those that are no switches are
/// set to.
pub(super) fn filled_in(
    settings: &InForce,
    command: &str,
) -> Result<Vec<(&'static str, Option<&'static str>)>, Failure> {
    let given = |key| {
        settings
            .in_night(command, key)
            .map(|it| it.map(|it| it.given))
    };
    let verify = given("verify")?;
    let mut added = Vec::new();
    if command == "check" && verify.is_none() {
        added.push(("verify", None));
    }
    let is_read = match command {
        "check" => verify != Some(Given::Switch(false)),
        _ => command == "verify",
    };
    if is_read && given("slice")?.is_none() && given("max-duration")?.is_none() {
        added.push(("slice", Some(SLICE)));
    }
    if command == "prune" && given("apply")?.is_none() {
        added.push(("apply", None));
    }
    Ok(added)
}

/// A step's command line in the making.
struct Draft<'a> {
    settings: &'a InForce,
    command: &'a str,
    own: Vec<OsString>,
    reports: Vec<OsString>,
    variables: Vec<(String, OsString)>,
}

impl<'a> Draft<'a> {
    fn of(settings: &'a InForce, command: &'a str) -> Result<Draft<'a>, Failure> {
        let mut draft = Draft {
            settings,
            command,
            own: Vec::new(),
            reports: Vec::new(),
            variables: Vec::new(),
        };
        // A step that says nothing could not be told of.
        if let Some(found) = settings.in_night(command, "quiet")?
            && found.given != Given::Switch(false)
        {
            let quiet = draft.setting("quiet").map(|it| it.variables());
            let quiet = quiet
                .into_iter()
                .flatten()
                .map(|name| (name, "false".into()));
            draft.variables.extend(quiet);
        }
        for (setting, found) in settings.of_step(command)? {
            let variable = || setting.variables().into_iter().next().unwrap_or_default();
            match settings.fetched(&found)? {
                _ if ["format", "quiet", "report"].contains(&setting.key()) => {}
                // No flag says that a switch is off.
                Given::Switch(false) => draft.variables.push((variable(), "false".into())),
                // What a process's arguments say, every user of the machine can read.
                Given::Values(values)
                    if found.elsewhere().is_some()
                        || values.iter().any(|value| is_secret(setting.key(), value)) =>
                {
                    let secret = values.into_iter().map(|value| (variable(), value));
                    draft.variables.extend(secret);
                }
                given => draft.own.extend(setting.words(&given)),
            }
        }
        if let Some(Given::Values(reports)) =
            settings.in_night(command, "report")?.map(|it| it.given)
        {
            draft.reports = reports;
        }
        let added = filled_in(settings, command)?.into_iter();
        draft.own.extend(added.map(|(key, value)| {
            let value = value.map_or_else(String::new, |value| format!("={value}"));
            OsString::from(format!("--{key}{value}"))
        }));
        Ok(draft)
    }

    fn setting(&self, key: &str) -> Option<Setting<'a>> {
        let all = self.settings.settings_of(self.command);
        all.into_iter().find(|setting| setting.key() == key)
    }

    fn finish(mut self, state: &Path, reports: Option<&Reports>) -> Result<Step, Failure> {
        let mut words = self.settings.flags();
        words.retain(|word| word != "--quiet");
        if !words.iter().any(|word| is_option(word, "--state")) {
            words.push(joined("--state=", state.as_os_str()));
        }
        words.push(self.command.into());
        words.append(&mut self.own);
        if let (Some(reports), Some(_)) = (reports, self.setting("report")) {
            let path = |ending| report_path(&reports.directory, self.command, ending).into();
            let in_directory = reports.formats.iter().map(|ending| path(ending));
            self.reports.extend(in_directory);
        }
        let reports = self.reports.iter().map(|path| joined("--report=", path));
        words.extend(reports);
        let form = if self.command == "prune" {
            "json"
        } else {
            "ndjson"
        };
        words.push(format!("--format={form}").into());
        Ok(Step {
            command: self.command.to_owned(),
            words,
            reports: self.reports.into_iter().map(Into::into).collect(),
            variables: self.variables,
            store: None,
        })
    }
}

/// Whether a value is not for everybody's eyes.
fn is_secret(key: &str, value: &OsStr) -> bool {
    has_secret(key, &value.to_string_lossy())
}

/// No set is removed before one is made: were the backup to fail, nobody could take that back.
fn refuse_order(commands: &[&str]) -> Result<(), Failure> {
    let place = |name: &str| commands.iter().position(|command| *command == name);
    let twice = commands
        .iter()
        .enumerate()
        .find(|(at, command)| place(command) != Some(*at));
    if let Some((_, command)) = twice {
        return Err(Failure::misuse(format_args!(
            "--steps: {command} stands there twice"
        )));
    }
    match (place("prune"), place("backup").max(place("verify"))) {
        (Some(prune), Some(other)) if prune < other => Err(Failure::misuse(
            "--steps: prune comes after backup and verify, for it is left out when they fail",
        )),
        _ => Ok(()),
    }
}

/// Whether anything says which sets prune is to keep.
fn keeps_something(settings: &InForce) -> Result<bool, Failure> {
    for setting in settings.settings_of("prune") {
        if setting.key().starts_with("keep-") && settings.find(&setting)?.is_some() {
            return Ok(true);
        }
    }
    let of_step = settings.of_step("prune")?;
    Ok(of_step.iter().any(|(it, _)| it.key().starts_with("keep-")))
}

/// Refuses a step whose line its command would refuse; says which store a backup goes to.
fn try_line(step: &Step, settings: &InForce) -> Result<Option<PathBuf>, Failure> {
    if let Some(path) = step
        .reports
        .iter()
        .find(|path| Format::of_path(path).is_none())
    {
        return Err(Failure::misuse(format_args!(
            "{}: there is no report with this ending",
            path.display()
        )));
    }
    let program = [OsString::from("fogold")];
    let words = program.into_iter().chain(step.words.iter().cloned());
    let refused = match settings::parse_as(words.collect(), &step.variables) {
        Ok(parsed) => return Ok(parsed.cli.backup_store().map(Path::to_owned)),
        Err(Refused::Settings(failure)) => return Err(failure),
        Err(Refused::Words(error, notes)) => {
            let said = error.to_string();
            let said = said.split("\n\nUsage").next().unwrap_or_default();
            let lines: Vec<&str> = said.lines().map(str::trim).collect();
            let said = lines.join(" ");
            let said = said.trim_start_matches("error: ").trim().to_owned();
            [vec![said], notes].concat().join("; ")
        }
    };
    let hint = match settings.file() {
        Some(_) => String::new(),
        None => format!(
            "; there is no {}, which says what a night does",
            settings.path().display()
        ),
    };
    Err(Failure::misuse(format_args!(
        "fogold {}, a step of the night: {refused}{hint}",
        step.command
    )))
}

fn is_option(word: &OsStr, name: &str) -> bool {
    let word = word.to_string_lossy();
    word.split('=').next() == Some(name)
}

fn joined(before: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(before);
    word.push(value);
    word
}

/// A word as a shell takes it, without a password in it.
fn shown(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if let Some((name, value)) = word.split_once('=')
        && is_secret(name.trim_start_matches('-'), OsStr::new(value))
    {
        return format!("{name}=***");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:@%+".contains(c);
    let word = printable(&word);
    if word.chars().all(is_plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
