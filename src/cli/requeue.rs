//! `fogold requeue`: have FOSSology unpack again what is missing.

use std::io::Write;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::error::Failure;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::source::{self, require_room};
use super::{Global, exit, place};
use crate::check;
use crate::monitor::Monitor;
use crate::recover::requeue::{
    self, CutTree, Job, JobEnd, OpenUnpack, Options, Outcome, Patience, Scheduler, Server, Told,
};
use crate::report::{Clock, bytes_for_people, counted, grouped, printable};
use crate::repository::LowImpact;
use crate::sysconf::RepositoryType;

/// So many unpacks are listed for people; failed ones always.
const MOST_SHOWN: u64 = 50;

/// Have FOSSology unpack again what is missing
///
/// Checks the repository, finds the cheapest set of uploads whose unpack jobs bring all missing
/// files back, proves their gold, and queues the jobs as FOSSology's own pages do. An upload whose
/// gold is lost is named, and not queued. Nothing is queued twice: run it again at any time.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Follow the jobs to their end, and then check again
    ///
    /// A job that says "Completed" proves nothing: the second check says what came back.
    #[arg(long)]
    wait: bool,
    /// Clean up what unpack jobs leave behind
    ///
    /// Removes rows of pfile that came while the jobs of this or an earlier run ran and that nothing
    /// uses, and moves their files to the quarantine; only while no upload is unfinished.
    #[arg(long)]
    clean: bool,
    /// Mend uploads whose tree a killed unpack has cut
    ///
    /// Their tree rows are deleted and made anew by an unpack. An upload is left alone, and named,
    /// when decisions or findings hang on its tree.
    #[arg(long)]
    rebuild_trees: bool,
    /// Show the plan and its SQL, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Read contents too: also files that are corrupt are brought back
    #[arg(long)]
    verify: bool,
    /// So many jobs at a time; with --wait, the next ones are queued when these have ended
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Wait no longer than this for all jobs (with --wait)
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    wait_limit: Duration,
    /// Wait no longer than this while nothing moves (with --wait)
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    stall_limit: Duration,
    /// The form of the report on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: PlanFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    /// For people
    Text,
    /// One object with everything in it
    Json,
}

/// A time such as `90s`, `30m`, `24h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("{text:?} is no time: write it as 90s, 30m or 24h");
    let duration: jiff::SignedDuration = text.parse().map_err(|_| wanted())?;
    Duration::try_from(duration).map_err(|_| wanted())
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    // A database may make it wait for ever.
    interrupt.set_last_word(Box::new(last_word));
    let sysconf = place::sysconf(global)?;
    let parameters = source::live_parameters(global, sysconf.as_ref(), progress)?;
    let (database, connector) = (source::connect(&parameters)?, parameters.connector()?);
    let tree = place::tree(global, sysconf.as_ref())?;
    require_room(&database, 1, global, progress)?;
    let threads = global.threads();
    let server = Server {
        tree: &tree,
        catalog: &|| database.read_catalog(&global.scratch, None, threads, progress),
        live: &database,
        connector: &connector,
        scheduler: sysconf.as_ref().map(|sysconf| Scheduler {
            address: sysconf.scheduler_address.clone(),
            port: sysconf.scheduler_port,
        }),
    };
    let outcome = requeue::run(&server, &arguments.options(global), progress);
    progress.finish();
    let outcome = match outcome {
        Err(_) if progress.stopped() => {
            interrupt.forget_last_word();
            last_word();
            return Ok(exit::WORLD);
        }
        other => other?,
    };
    interrupt.forget_last_word();
    let status = status(&outcome);
    if !global.quiet || status != exit::DONE {
        let text = match arguments.format {
            PlanFormat::Text => text(&outcome),
            PlanFormat::Json => report(&outcome, status, clock)? + "\n",
        };
        std::io::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(status)
}

impl Arguments {
    fn options(&self, global: &Global) -> Options {
        Options {
            dry_run: self.dry_run,
            wait: self.wait.then_some(Patience {
                overall: self.wait_limit,
                standstill: self.stall_limit,
            }),
            clean: self.clean,
            rebuild_trees: self.rebuild_trees,
            batch: usize::from(self.batch),
            check: check::Options {
                types: vec![RepositoryType::Gold, RepositoryType::Files],
                verify: self.verify,
                sha256: false,
                slice: check::Slice::ALL,
                allow_empty: false,
                threads: global.threads(),
                scratch: global.scratch.clone(),
                low_impact: LowImpact::default(),
            },
        }
    }
}

fn status(outcome: &Outcome) -> u8 {
    if !outcome.complete {
        exit::WORLD
    } else if outcome.is_well() {
        exit::DONE
    } else {
        exit::FINDINGS
    }
}

/// What is said when a signal ends a wait.
fn last_word() {
    // The process ends here; there is nobody to tell that standard error is closed.
    let _ = writeln!(
        std::io::stderr(),
        "fogold: stopped; what was queued stays queued, run it again for the rest"
    );
}

/// The report as one JSON object.
fn report(outcome: &Outcome, status: u8, clock: Clock) -> Result<String, Failure> {
    let mut object = json!({
        "tool": "fogold",
        "version": env!("CARGO_PKG_VERSION"),
        "command": "requeue",
        "verdict": verdict(outcome),
        "exit_status": status,
        "started": clock.text(),
        "seconds": clock.seconds(),
    });
    let more = serde_json::to_value(outcome).map_err(std::io::Error::from)?;
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
        if outcome.dry_run {
            object.insert("sql".to_owned(), json!(outcome.sql()));
        }
    }
    Ok(serde_json::to_string_pretty(&object).map_err(std::io::Error::from)?)
}

/// One sentence: what has come of it?
fn verdict(outcome: &Outcome) -> String {
    if !outcome.complete {
        return format!("INCOMPLETE: {}", outcome.troubles.join("; "));
    }
    let ends = outcome.jobs.iter().map(|job| job.end);
    let ends: Vec<JobEnd> = ends
        .chain(outcome.open.iter().map(|open| open.end))
        .collect();
    let trees = outcome.trees.iter().filter(|tree| tree.refused.is_none());
    let trees = trees.count();
    let followed = (ends.len() + trees) as u64;
    let failed = ends.iter().filter(|end| **end == JobEnd::Failed).count();
    if failed > 0 {
        return format!("FAILED: {failed} of {}", counted(followed, "unpack"));
    }
    match outcome.after {
        Some(after) if after.missing.files > 0 => {
            return format!(
                "FAILED: {} still missing",
                counted(after.missing.files, "file")
            );
        }
        Some(_) if outcome.is_well() => {
            return format!("OK: all files are back, by {}", counted(followed, "unpack"));
        }
        _ => {}
    }
    let unpacks = (outcome.jobs.len() + trees) as u64;
    let what = match (unpacks, outcome.dry_run) {
        (0, _) if outcome.open.is_empty() => "nothing to unpack".to_owned(),
        (0, _) if outcome.open.iter().any(|open| open.paused) => {
            "what is needed is queued already, but paused: nothing of that runs until somebody resumes it in FOSSology"
                .to_owned()
        }
        (0, _) if outcome.open.iter().any(|open| open.started.is_some()) => {
            "what is needed is queued or started already".to_owned()
        }
        (0, _) => "what is needed is queued already".to_owned(),
        (_, true) => format!(
            "{}, about {}",
            counted(unpacks, "unpack"),
            time(outcome.seconds())
        ),
        _ => format!("{} queued", counted(unpacks, "unpack")),
    };
    match (outcome.is_well(), outcome.dry_run && unpacks > 0) {
        (false, _) => format!("NOT ALL: {what}; not everything comes back that way"),
        (true, true) => format!("PLAN: {what}"),
        (true, false) => format!("OK: {what}"),
    }
}

fn time(seconds: f64) -> String {
    match seconds.ceil() as u64 {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// The report for people.
fn text(outcome: &Outcome) -> String {
    let mut text = plan(outcome);
    if outcome.dry_run {
        for sql in outcome.sql() {
            text.push_str(&format!("\n{sql}\n"));
        }
    }
    text
}

/// The report without the SQL of a dry run.
pub(super) fn plan(outcome: &Outcome) -> String {
    let mut lines = vec![verdict(outcome)];
    lines.extend(jobs(outcome));
    lines.extend(uploads(outcome));
    lines.extend(rest(outcome));
    lines.join("\n") + "\n"
}

/// The unpacks, and what came of them.
fn jobs(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    let mut shown = 0;
    for job in &outcome.jobs {
        if job.end != JobEnd::Failed {
            shown += 1;
            if shown > MOST_SHOWN {
                continue;
            }
        }
        lines.push(job_line(job));
        lines.extend(
            job.log
                .iter()
                .map(|text| format!("    {}", printable(text))),
        );
    }
    if let Some(more @ 1..) = shown.checked_sub(MOST_SHOWN) {
        lines.push(format!(
            "  … and {} more (--format json shows all)",
            grouped(more)
        ));
    }
    lines
}

/// What there is to say of uploads that are not unpacked, or not only.
fn uploads(outcome: &Outcome) -> Vec<String> {
    let open = outcome.open.iter().map(open_line);
    let trees = outcome.trees.iter().map(tree_line);
    let lost = outcome.lost.iter().map(|lost| {
        let (upload, name) = (lost.upload, printable(&lost.filename));
        format!(
            "  upload {upload} ({name}) cannot be unpacked: {}",
            lost.why
        )
    });
    let quarantined = outcome.placed.iter().filter_map(|placed| {
        let (path, to) = (&placed.path, placed.quarantined.as_ref()?);
        Some(format!(
            "  {path}: the gold stands there again, the bad copy went to {to}"
        ))
    });
    open.chain(trees).chain(lost).chain(quarantined).collect()
}

/// Everything that is not about one upload.
fn rest(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    let mut some = |number: u64, text: String| {
        if number > 0 {
            lines.push(text);
        }
    };
    let gold_links = if outcome.dry_run {
        outcome.unlinked_golds
    } else {
        0
    };
    some(
        gold_links,
        format!("  {} would be put into files/", counted(gold_links, "gold")),
    );
    let placed = outcome.placed.len() as u64;
    some(
        placed,
        format!("  {} put into files/", counted(placed, "gold")),
    );
    some(
        outcome.beyond.files,
        format!(
            "  {} ({}) can be brought back by no unpack: restore them from a backup",
            counted(outcome.beyond.files, "file"),
            bytes_for_people(outcome.beyond.bytes)
        ),
    );
    some(
        outcome.elsewhere.files,
        format!(
            "  {} with a good copy elsewhere in the repository: 'fogold repair --apply' puts it in its place",
            counted(outcome.elsewhere.files, "file")
        ),
    );
    some(
        outcome.listings,
        format!(
            "  {} missing, which no unpack writes again (no harm; a backup holds them)",
            counted(outcome.listings, "listing")
        ),
    );
    if let Told::No(why) = &outcome.scheduler {
        lines.push(format!("  the scheduler was not told ({})", printable(why)));
    }
    if let Some(cleaned) = outcome
        .cleaned
        .as_ref()
        .filter(|cleaned| cleaned.postponed.is_none())
    {
        lines.push(format!(
            "  cleaned up: {} removed, {} moved to the quarantine",
            counted(cleaned.rows, "row"),
            counted(cleaned.files.files, "file")
        ));
    }
    lines
}

fn tree_line(tree: &CutTree) -> String {
    let about = format!("upload {} ({})", tree.upload, printable(&tree.filename));
    if let Some(why) = &tree.refused {
        return format!("  {about}: its cut tree is left alone: {why}");
    }
    let row = tree
        .row
        .map_or_else(String::new, |row| format!(" as job {row}"));
    let seconds = tree
        .seconds
        .map_or_else(String::new, |seconds| format!(", about {}", time(seconds)));
    format!(
        "  {about}: {}{row}; its cut tree of {} is made anew{seconds}",
        word(tree.end.unwrap_or(JobEnd::Planned)),
        counted(tree.tree_rows, "row")
    )
}

fn open_line(open: &OpenUnpack) -> String {
    if open.paused && open.end == JobEnd::Queued {
        return format!(
            "  upload {}: job {} is paused, and nothing of it runs until somebody resumes it in FOSSology; it then brings \
             back {}",
            open.upload,
            open.row,
            counted(open.brings.files, "file")
        );
    }
    let stands = match (&open.started, open.at_work, open.end) {
        (Some(time), Some(true), JobEnd::Queued) => {
            format!("has been at work since {time}, and")
        }
        (Some(time), at_work, JobEnd::Queued) => {
            let where_nobody = match at_work {
                Some(_) => "no scheduler is at it:",
                None => "where no scheduler is at it,",
            };
            format!(
                "was started {time} and has no end; {where_nobody} start the scheduler anew with --reset; it"
            )
        }
        (_, _, end) => format!("is {} already, and", word(end)),
    };
    format!(
        "  upload {}: job {} {stands} brings back {}",
        open.upload,
        open.row,
        counted(open.brings.files, "file")
    )
}

fn job_line(job: &Job) -> String {
    let others = match job.serves.total {
        0 | 1 => String::new(),
        total => format!(" and {} with the same gold", counted(total - 1, "upload")),
    };
    let arguments = if job.arguments.is_empty() {
        String::new()
    } else {
        let text = String::from_utf8_lossy(&job.arguments);
        format!(", with {}", printable(&text))
    };
    let row = job
        .row
        .map_or_else(String::new, |row| format!(" as job {row}"));
    format!(
        "  upload {} ({}){others}: {}{row}; {}, {}, {}{}{arguments}",
        job.upload,
        printable(&job.filename),
        word(job.end),
        counted(job.brings.files, "file"),
        bytes_for_people(job.brings.bytes),
        if job.seconds_known { "" } else { "about " },
        time(job.seconds),
    )
}

fn word(end: JobEnd) -> &'static str {
    match end {
        JobEnd::Planned => "planned",
        JobEnd::Queued => "queued",
        JobEnd::Completed => "completed",
        JobEnd::Failed => "FAILED",
        JobEnd::Dropped => "left alone (queued by somebody else, or deleted, meanwhile)",
    }
}
