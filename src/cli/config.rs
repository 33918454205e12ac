//! `fogold config`: what is in force, and where it came from.

use std::ffi::OsString;
use std::io::Write;

use serde::Serialize;

use super::error::Failure;
use super::nightly;
use super::progress::Progress;
use super::sets::{ListFormat, print_json};
use super::settings::{Found, Given, InForce, Origin, Setting};
use super::{Global, exit};
use crate::monitor::Monitor;
use crate::report::printable;
use crate::settings::{Hooks, Mail, Reports, Settings, Value, has_secret};
use crate::sysconf::{ConnectionParameters, Environment};

/// Print what settings are in force, and where each came from
///
/// A flag counts before a variable of the environment, a variable before the configuration file, the
/// file before what is built in. The key of an option is its long name: those of all commands stand
/// at the top of the file, a command's own below its name ([check]). Passwords and secret URLs are
/// not shown. A file that has a mistake in it is refused, with the line.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Print also what nothing sets: every key that there is, with its variable
    #[arg(long)]
    all: bool,
    /// The form of the list
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

#[derive(Serialize)]
struct List {
    tool: &'static str,
    version: &'static str,
    command: &'static str,
    file: String,
    file_found: bool,
    settings: Vec<Line>,
}

/// A setting, as it is shown.
#[derive(Serialize)]
struct Line {
    section: String,
    key: String,
    /// As JSON has it; `null` where nothing is set.
    value: serde_json::Value,
    /// `flag`, `environment`, `file`, `default`, `unset`.
    from: &'static str,
    /// The variable or the line, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// The variable that sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<String>,
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    settings: &InForce,
    progress: &Progress,
) -> Result<u8, Failure> {
    for variable in settings.strange_variables() {
        progress.warn(&format!("{variable} sets nothing: there is no such option"));
    }
    if let Some(file) = settings.file() {
        Mail::of(file)?;
        Hooks::of(file)?;
        Reports::of(file)?;
    }
    let mut lines = Vec::new();
    for setting in settings.all() {
        lines.push(line(&setting, settings)?);
    }
    let mut night = Vec::new();
    if let Some(file) = settings.file() {
        night.extend(of_the_night(file, settings));
    }
    night.extend(
        nightly::defaults(global, settings)?
            .into_iter()
            .map(built_in),
    );
    // Sections stay together: what is set in one, and what a night does there by itself.
    let order: Vec<String> = night.iter().map(|line| line.section.clone()).collect();
    night.sort_by_key(|line| order.iter().position(|it| *it == line.section));
    lines.extend(night);
    if !arguments.all {
        lines.retain(Line::says_something);
    }
    let list = List {
        tool: "fogold",
        version: env!("CARGO_PKG_VERSION"),
        command: "config",
        file: settings.path().display().to_string(),
        file_found: settings.file().is_some(),
        settings: lines,
    };
    let mut out = std::io::stdout().lock();
    match arguments.format {
        ListFormat::Json => print_json(&mut out, &list)?,
        ListFormat::Text => print_text(&mut out, &list)?,
    }
    Ok(exit::DONE)
}

fn line(setting: &Setting<'_>, settings: &InForce) -> Result<Line, Failure> {
    let flag = settings.flag_of(setting);
    let found = match flag {
        Some(found) => Some(found),
        None => settings.find(setting)?,
    };
    let defaults = setting.arg.get_default_values();
    let (value, from) = match &found {
        Some(found) => (shown(setting, found), from(&found.origin)),
        None if setting.is_switch() => (false.into(), "default"),
        None if defaults.is_empty() => (serde_json::Value::Null, "unset"),
        None => {
            let defaults: Vec<OsString> = defaults.iter().map(Into::into).collect();
            (texts(setting.key(), &defaults), "default")
        }
    };
    Ok(Line {
        section: setting.command.unwrap_or_default().to_owned(),
        key: setting.key().to_owned(),
        value,
        from,
        place: found.and_then(|found| match found.origin {
            Origin::Flag => None,
            other => Some(other.to_string()),
        }),
        variable: setting.variables().into_iter().next(),
    })
}

/// The entries that only the night reads.
fn of_the_night(file: &Settings, settings: &InForce) -> Vec<Line> {
    let read: Vec<&str> = settings.all().iter().filter_map(|it| it.command).collect();
    let is_own =
        |section: &str| !section.is_empty() && section != "retention" && !read.contains(&section);
    let entries = file.entries().iter().filter(|entry| is_own(&entry.section));
    let lines = entries.map(|entry| Line {
        section: entry.section.clone(),
        key: entry.key.clone(),
        value: match &entry.value {
            Value::Switch(on) => (*on).into(),
            Value::Text(text) => masked(&entry.key, text).into(),
            Value::List(list) => list.clone().into(),
            Value::Elsewhere(place) => format!("({place})").into(),
        },
        from: "file",
        place: Some(format!("{}:{}", file.path().display(), entry.line)),
        variable: None,
    });
    lines.collect()
}

/// What a night does where nothing says so.
fn built_in(default: nightly::Default) -> Line {
    Line {
        section: default.section,
        key: default.key.to_owned(),
        value: default
            .value
            .map_or_else(|| true.into(), |value| value.to_string_lossy().into()),
        from: "default",
        place: None,
        variable: None,
    }
}

fn from(origin: &Origin) -> &'static str {
    match origin {
        Origin::Flag => "flag",
        Origin::Variable(_) => "environment",
        Origin::Line(..) => "file",
    }
}

fn shown(setting: &Setting<'_>, found: &Found) -> serde_json::Value {
    if let Some(place) = found.elsewhere() {
        return format!("({place})").into();
    }
    match &found.given {
        Given::Switch(on) => (*on).into(),
        Given::Values(values) => texts(setting.key(), values),
    }
}

fn texts(key: &str, values: &[OsString]) -> serde_json::Value {
    let mut texts = values
        .iter()
        .map(|value| masked(key, &value.to_string_lossy()));
    match (texts.next(), values.len()) {
        (Some(text), 1) => text.into(),
        (first, _) => first.into_iter().chain(texts).collect(),
    }
}

/// A value that everybody may see.
fn masked(key: &str, text: &str) -> String {
    if !has_secret(key, text) {
        return text.to_owned();
    }
    match ConnectionParameters::from_source(text, &Environment::empty()) {
        Ok(parameters) if key != Hooks::WEBHOOK => format!("*** ({})", parameters.target()),
        _ => "***".to_owned(),
    }
}

impl Line {
    fn says_something(&self) -> bool {
        self.from != "unset" && !(self.from == "default" && self.value == false)
    }
}

fn print_text(out: &mut dyn Write, list: &List) -> Result<(), Failure> {
    let found = if list.file_found { "" } else { " (not there)" };
    writeln!(out, "# {}{found}", printable(&list.file))?;
    let mut section = "";
    for line in &list.settings {
        if line.section != section {
            section = &line.section;
            writeln!(out, "\n[{}]", printable(section))?;
        }
        let origin = match (&line.place, &line.variable) {
            (Some(place), _) => printable(place),
            (None, Some(variable)) if line.from == "unset" => format!("not set; {variable}"),
            _ => line.from.to_owned(),
        };
        let (hash, value) = match &line.value {
            serde_json::Value::Null => ("# ", String::new()),
            value => ("", printable(&value.to_string())),
        };
        let text = format!("{hash}{} = {value}", printable(&line.key));
        writeln!(out, "{text:<44} # {origin}")?;
    }
    Ok(())
}
