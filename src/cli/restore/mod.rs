//! `fogold restore`: bring a server back from a set.

mod after;
mod target;

use std::path::PathBuf;

use clap::ValueEnum;

use super::error::Failure;
use super::interrupt::Interrupt;
use super::output::{Output, OutputArguments};
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::{Global, exit, place};
use crate::catalog::Hosts;
use crate::manifest::Types;
use crate::manifest::fetch::{FetchOptions, Fetcher};
use crate::monitor::Monitor;
use crate::recover::quarantine::run_name;
use crate::recover::restore::{self, Done, Parts, Request};
use crate::report::{Clock, Report};
use crate::repository::Tree;
use crate::store::{ReadLock, Store};
use after::{After, Checked};
use target::Repository;

/// Bring back the database and the repository from a set
///
/// The database is restored first: all of it or nothing, into one that is not there or empty. Then
/// the files, into the layout of this server's own configuration: what is there and good is left
/// alone, what is bad goes to a quarantine. Gold that the set left out is fetched again. At the end
/// comes a check with its report. Whatever interrupts it, the same command goes on. Afterwards
/// 'fogold requeue' has FOSSology unpack what a gold-only set does not hold.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The store
    store: PathBuf,
    /// The set, by its id or a unique beginning of it [default: the newest]
    set: Option<String>,
    /// The database to restore into, with its user [default: that of Db.conf]
    ///
    /// A PostgreSQL URL or connection string: for instance that of an administrator, where
    /// FOSSology's own role may not make databases. What is restored belongs to the role of Db.conf.
    #[arg(long, value_name = "CONN")]
    database: Option<String>,
    /// Restore this part alone; several with commas between them
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Restore only the files that lie on this host of the repository, and not the database
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Rename a database that is not empty to <name>_before_<time>, and restore in its place
    #[arg(long)]
    clean: bool,
    /// Leave pending deletions to run
    ///
    /// Without it they are ended, and what their rows held is kept in a journal: a deletion that was
    /// pending when the dump was taken would take away what was just brought back.
    #[arg(long)]
    run_deletions: bool,
    /// Have rows that name files in the former repository name those in this one
    #[arg(long)]
    rewrite_paths: bool,
    /// Fetch gold from URLs of this machine and of its own link too
    #[arg(long)]
    allow_local_urls: bool,
    /// Change nothing; only show what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    programs: ProgramArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The database
    Database,
    /// Gold, in gold/ alone
    Gold,
    /// What lies in files/, gold's copy there included
    Files,
    /// What lies in license/
    License,
}

impl Arguments {
    fn parts(&self) -> Result<Parts, Failure> {
        self.refuse_what_is_of_the_database()?;
        let is_whole = self.only.is_empty();
        let database = self.only.contains(&Part::Database);
        if database && self.host.is_some() {
            return Err(Failure::misuse(
                "--host names a host of the repository: the database is on none",
            ));
        }
        let types = [
            (Part::Gold, Types::GOLD),
            (Part::Files, Types::FILES),
            (Part::License, Types::LICENSE),
        ];
        Ok(Parts {
            database: database || (is_whole && self.host.is_none()),
            types: types
                .into_iter()
                .filter(|(part, _)| is_whole || self.only.contains(part))
                .fold(Types::NONE, |all, (_, ty)| all.and(ty)),
            logs: is_whole && self.host.is_none(),
        })
    }

    /// Fetches the gold that a set left out.
    fn fetcher(&self) -> Result<Fetcher, Failure> {
        let hosts = if self.allow_local_urls {
            Hosts::Any
        } else {
            Hosts::Remote
        };
        Ok(Fetcher::new(FetchOptions {
            hosts,
            ..FetchOptions::default()
        })?)
    }

    /// What is said of the database means nothing when it is not restored.
    fn refuse_what_is_of_the_database(&self) -> Result<(), Failure> {
        let is_whole = self.only.is_empty();
        let what = match self.host {
            None if is_whole || self.only.contains(&Part::Database) => return Ok(()),
            Some(_) if is_whole => "--host",
            _ => "--only",
        };
        let said = [
            ("--clean", self.clean),
            ("--run-deletions", self.run_deletions),
            ("--rewrite-paths", self.rewrite_paths),
        ];
        match said.into_iter().find(|(_, is_said)| *is_said) {
            Some((option, _)) => Err(Failure::misuse(format_args!(
                "{option} is about the database, and with {what} it is not restored"
            ))),
            None => Ok(()),
        }
    }
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    let output = arguments.output.output(global, progress)?;
    let result = attempt(global, arguments, progress, interrupt, &output, clock);
    interrupt.forget_last_word();
    output.tell_failure("restore", clock, &result, progress);
    result
}

/// Restores, checks and reports; a failure is reported by the caller.
fn attempt(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
    output: &Output,
    clock: Clock,
) -> Result<u8, Failure> {
    let parts = arguments.parts()?;
    let sysconf = place::sysconf_with(global, true)?;
    let store = Store::open_read_only(&arguments.store)?;
    let _lock = ReadLock::take(&store)?;
    output.refuse_inside(store.path(), "the store")?;
    let id = store.find_set(arguments.set.as_deref(), progress)?;
    let record = store.record(id)?;
    let place = Repository::find(global, sysconf.as_ref(), parts)?;
    if let Some(place) = &place {
        Store::keep_apart(store.path(), &place.path)?;
    }
    let named = arguments.database.as_deref();
    let database = target::database(global, named, sysconf.as_ref(), parts, progress)?;
    let programs = arguments.programs.programs();
    let fetcher = arguments.fetcher()?;
    let run = run_name(jiff::Timestamp::now(), "restore");
    if let Some(place) = &place {
        let host = arguments.host.as_deref();
        place.look_at_storage(sysconf.as_ref(), &record, parts, host, progress)?;
    }
    let opened = place
        .as_ref()
        .map(|place| place.open(global, sysconf.as_ref(), &record, arguments.dry_run))
        .transpose()?;
    let tree = opened.as_ref().map(|(tree, _)| tree);
    if let Some(tree) = tree {
        output.refuse_inside(tree.path(), "the repository")?;
        output.is_about(tree.path());
    }
    if let Some(tree) = tree.filter(|_| !parts.types.is_none()) {
        target::warn_of_unknown_owner(tree, progress);
    }
    let journal = target::journal_directory(tree, global, parts)?;
    if !parts.types.is_none() {
        target::say_what_room_it_needs(tree, &record, progress);
    }
    let last = output.clone();
    interrupt.set_last_word(Box::new(move || {
        // The process ends here; there is nobody to tell of a closed output.
        let _ = last.write(&Report::of_nothing("restore", clock), None);
    }));
    let request = Request {
        store: &store,
        id,
        record: &record,
        parts,
        database: database.as_ref(),
        clean: arguments.clean,
        run_deletions: arguments.run_deletions,
        rewrite_paths: arguments.rewrite_paths,
        journal: &journal,
        programs: &programs,
        host: arguments.host.as_deref(),
        fetcher: Some(&fetcher),
        run: &run,
        threads: global.threads(),
        dry_run: arguments.dry_run,
    };
    let after = After {
        global,
        sysconf: sysconf.as_ref(),
        database: database.as_ref(),
        store: &store,
        id,
        record: &record,
        dump: record.dump.file.path(&store.layout().set(id)),
        programs: &programs,
        types: after::checked_types(parts),
    };
    let worked = work(&request, tree, &after, progress);
    interrupt.forget_last_word();
    progress.finish();
    let (mut done, checked) = match worked {
        Ok(worked) => worked,
        Err(_) if progress.stopped() => {
            output.write(&Report::of_nothing("restore", clock), None)?;
            return Ok(exit::WORLD);
        }
        Err(failure) => return Err(failure),
    };
    // A dry run has looked at another place where there is none.
    done.repository = place.map(|place| place.path.display().to_string());
    let report = match (&checked, tree) {
        (Some(checked), Some(tree)) => checked.report(done, tree, clock),
        _ => Report::of_restore_unchecked(done, clock),
    }
    .to_advise_on(global.same_server(&[store.path().to_owned()]));
    let findings = checked.as_ref().map(|checked| &checked.outcome.findings);
    output.write(&report, findings)?;
    Ok(report.exit_status)
}

/// Restores and checks. The last step of all is the one after which the same command does not go on
/// any more.
fn work(
    request: &Request<'_>,
    tree: Option<&Tree>,
    after: &After<'_>,
    progress: &Progress,
) -> Result<(Done, Option<Checked>), Failure> {
    let done = restore::run(request, tree, progress)?;
    let checked = match tree.filter(|_| !request.dry_run) {
        Some(tree) => Some(after.check(&done, tree, progress)?),
        None => None,
    };
    if done.is_whole() {
        restore::seal(request)?;
    }
    Ok((done, checked))
}
