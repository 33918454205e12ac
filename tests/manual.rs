//! The manual pages in `man/`: made from the command definitions, the kinds of finding and the exit
//! statuses, so that they cannot fall behind the program.
//!
//! Hand-written sections stand in `man/parts/<page>.roff`: what comes before their first `.SH`
//! belongs to the description, the rest after the options. A line `@name@` stands for a generated
//! list. With `FOGOLD_BLESS=1` the pages are written instead of compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use fogold::check::Kind;
use fogold::cli::{Cli, exit};
use fogold::sysconf::Environment;

/// What every page may need a reader to look up elsewhere.
const ELSEWHERE: [&str; 3] = ["pg_dump(1)", "pg_restore(1)", "psql(1)"];

fn man_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

/// The program's definition as the pages show it, with everything passed on to the subcommands.
fn definition() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// Every command that has a page, by the page's name.
fn commands() -> BTreeMap<String, Command> {
    let whole = definition();
    let mut commands: BTreeMap<String, Command> = whole
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| (format!("fogold-{}", command.get_name()), command.clone()))
        .collect();
    commands.insert("fogold".to_owned(), whole);
    commands
}

/// All pages, by file name.
fn pages() -> BTreeMap<String, String> {
    let commands = commands();
    let names: Vec<String> = commands.keys().cloned().collect();
    commands
        .into_iter()
        .map(|(name, command)| (format!("{name}.1"), page(&name, command, &names)))
        .collect()
}

fn page(name: &str, mut command: Command, all: &[String]) -> String {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim().to_owned();
    // The first paragraph stands under NAME already.
    let about = command.get_long_about().unwrap_or_default().to_string();
    let about = about
        .split_once("\n\n")
        .map_or(about.clone(), |(_, rest)| rest.to_owned());
    let man = Man::new(command.override_usage(usage).long_about(about));
    let part = man_directory().join("parts").join(format!("{name}.roff"));
    let part = fs::read_to_string(part).unwrap_or_default();
    let cut = if part.starts_with(".SH") {
        0
    } else {
        part.find("\n.SH").map_or(part.len(), |at| at + 1)
    };
    let (description, sections) = part.split_at(cut);

    let mut out = title(name).into_bytes();
    man.render_name_section(&mut out).unwrap();
    man.render_synopsis_section(&mut out).unwrap();
    man.render_description_section(&mut out).unwrap();
    out.extend_from_slice(filled(description).as_bytes());
    man.render_options_section(&mut out).unwrap();
    if name == "fogold" {
        man.render_subcommands_section(&mut out).unwrap();
    }
    out.extend_from_slice(filled(sections).as_bytes());
    out.extend_from_slice(see_also(name, all).as_bytes());
    tidy(&String::from_utf8(out).unwrap())
}

/// The first line: name, section, no date (pages change with the program, not with the day),
/// source, manual.
fn title(name: &str) -> String {
    let (name, version) = (escaped(&name.to_uppercase()), env!("CARGO_PKG_VERSION"));
    format!(".TH {name} 1 \"\" \"fogold {version}\" \"fogold\"\n")
}

/// A hand-written part with its generated lists.
fn filled(part: &str) -> String {
    let mut out = String::new();
    for line in part.lines().filter(|line| !line.starts_with(".\\\"")) {
        let list = match line {
            "@exit-status@" => exit_status(),
            "@findings@" => findings(),
            "@variables-used@" => variables(Environment::used_variables()),
            "@variables-refused@" => variables(Environment::refused_variables()),
            _ => {
                assert!(!line.starts_with('@'), "no generated list is named {line}");
                format!("{line}\n")
            }
        };
        out.push_str(&list);
    }
    out
}

fn exit_status() -> String {
    exit::MEANINGS
        .iter()
        .fold(String::new(), |mut out, (status, meaning)| {
            let _ = writeln!(out, ".TP\n.B {status}\n{}", escaped(meaning));
            out
        })
}

fn findings() -> String {
    Kind::ALL.iter().fold(String::new(), |mut out, kind| {
        let (severity, meaning, mend) = (kind.severity_rule(), kind.meaning(), kind.mend());
        let _ = writeln!(out, ".TP\n.B {}", escaped(kind.as_str()));
        let _ = writeln!(out, "Severity: {}.", escaped(severity));
        let _ = writeln!(out, ".IP\n{}\n.IP\n{}", escaped(meaning), escaped(mend));
        out
    })
}

fn variables(names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<String> = names.map(|name| format!("\\fB{name}\\fR")).collect();
    format!("{}.\n", names.join(", "))
}

fn see_also(own: &str, all: &[String]) -> String {
    let mut out = String::from(".SH \"SEE ALSO\"\n");
    for page in all.iter().filter(|page| *page != own) {
        let _ = writeln!(out, ".BR {} (1),", escaped(page));
    }
    let elsewhere: Vec<String> = ELSEWHERE
        .iter()
        .map(|page| format!(".BR {}", page.replace('(', " (")))
        .collect();
    let _ = writeln!(out, "{}", elsewhere.join(",\n"));
    out
}

/// Plain text as roff.
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if text.starts_with('.') {
        format!("\\&{text}")
    } else {
        text
    }
}

/// Without empty lines, which are no paragraphs in roff, and in ASCII, which every reader of pages
/// understands.
fn tidy(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut lines = page.lines().map(str::trim_end).peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            out.push_str(".sp\n");
            continue;
        }
        // A line break beside empty space is none.
        if line == ".br" && (out.ends_with("\n.sp\n") || lines.peek() == Some(&"")) {
            continue;
        }
        for character in line.chars() {
            if character.is_ascii() {
                out.push(character);
            } else {
                let _ = write!(out, "\\[u{:04X}]", u32::from(character));
            }
        }
        out.push('\n');
    }
    out
}

/// What a reader sees, roughly: without escapes and font changes, blanks and line ends alike.
fn plain(page: &str) -> String {
    let text = page
        .replace("\\-", "-")
        .replace("\\(aq", "'")
        .replace("\\*(Aq", "'")
        .replace("\\&", "")
        .replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "")
        .replace("\\e", "\\");
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn pages_are_up_to_date() {
    let directory = man_directory();
    let pages = pages();
    if std::env::var_os("FOGOLD_BLESS").is_some_and(|value| value == "1") {
        for (file, page) in &pages {
            fs::write(directory.join(file), page).unwrap();
        }
    }
    let stale: Vec<&str> = pages
        .iter()
        .filter(|(file, page)| fs::read_to_string(directory.join(file)).ok().as_ref() != Some(page))
        .map(|(file, _)| file.as_str())
        .collect();
    assert!(
        stale.is_empty(),
        "man/ is behind the program: {}; look at the change, and write the pages with\n    \
         FOGOLD_BLESS=1 cargo test --test stories manual::",
        stale.join(", ")
    );
    let kept: BTreeSet<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|file| file.ends_with(".1"))
        .collect();
    let made: BTreeSet<String> = pages.into_keys().collect();
    assert_eq!(
        kept, made,
        "pages of commands that are no more: remove them"
    );
}

#[test]
fn every_kind_status_and_option_has_its_place() {
    let pages = pages();
    let text = |page: &str| plain(&pages[page]);
    let check = text("fogold-check.1");
    for kind in Kind::ALL {
        assert!(pages["fogold-check.1"].contains(&format!(".TP\n.B {}\n", escaped(kind.as_str()))));
        for paragraph in [kind.severity_rule(), kind.meaning(), kind.mend()] {
            assert!(check.contains(paragraph), "{kind}: {paragraph}");
            assert!(!paragraph.contains("  "), "{kind}: {paragraph}");
        }
    }
    let main = text("fogold.1");
    for (status, meaning) in exit::MEANINGS {
        assert!(
            main.contains(&format!(".TP .B {status} {meaning}")),
            "{status}"
        );
    }
    for (name, command) in commands() {
        let page = text(&format!("{name}.1"));
        for long in command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
            .filter_map(clap::Arg::get_long)
        {
            assert!(page.contains(&format!("--{long}")), "{name}: --{long}");
        }
        let listed = name == "fogold" || main.contains(&format!("{name}(1)"));
        assert!(listed, "{name} is not in fogold(1)");
    }
}

#[test]
fn examples_are_command_lines_that_fogold_takes() {
    let mut taken = 0;
    for (file, page) in pages() {
        let mut in_example = false;
        for line in page.lines() {
            match line {
                ".EX" => in_example = true,
                ".EE" => in_example = false,
                _ if in_example => {
                    let line = line.replace("\\-", "-").replace("\\(aq", "'");
                    let Some(words) = words_of_example(&line) else {
                        continue;
                    };
                    let parsed = Cli::command().try_get_matches_from(&words);
                    assert!(parsed.is_ok(), "{file}: {line}\n{}", parsed.unwrap_err());
                    taken += 1;
                }
                _ => {}
            }
        }
    }
    assert!(taken >= 8, "{taken}");
}

/// The words of fogold's own part of an example, the way a shell would split it.
fn words_of_example(line: &str) -> Option<Vec<String>> {
    let start = line.find("fogold ").filter(|at| {
        let before = &line[..*at];
        before.is_empty() || before.ends_with(' ')
    })?;
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line[start..].chars() {
        match character {
            '\'' => quoted = !quoted,
            '|' | '>' | ';' | '&' if !quoted => break,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut()?.push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    Some(words)
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "whoever runs the tests is to know of a skip"
)]
fn pages_render_without_complaint() {
    let installed = Process::new("mandoc")
        .arg("-T")
        .arg("ascii")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if installed.is_err() {
        eprintln!("skipped: mandoc is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (file, page) in pages() {
        let path = directory.path().join(&file);
        fs::write(&path, page).unwrap();
        let lint = Process::new("mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&lint.stdout);
        let complaints: Vec<&str> = said
            .lines()
            .filter(|line| !line.contains("missing date"))
            .collect();
        assert!(complaints.is_empty(), "{file}: {}", complaints.join("\n"));
    }
}
