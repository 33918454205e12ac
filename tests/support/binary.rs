//! The program itself, run from outside.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Where the program lies.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fogold");

/// How long a run may take before it counts as hung.
const LIMIT: Duration = Duration::from_secs(120);

/// A run of the program in the making.
#[derive(Debug)]
pub(crate) struct Fogold {
    command: Command,
    input: Vec<u8>,
    limit: Duration,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit status; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: Vec<u8>,
}

impl Fogold {
    /// The program with arguments, in an environment that says nothing of any database.
    pub(crate) fn new<I, S>(arguments: I) -> Fogold
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut program = Command::new(PROGRAM);
        program.args(arguments);
        Fogold::of(program)
    }

    /// A check of a repository, with its report as NDJSON.
    pub(crate) fn check(repository: &Path, catalog: impl AsRef<OsStr>) -> Fogold {
        Fogold::new(["check", "--format", "ndjson", "--repository"])
            .arg(repository)
            .arg("--catalog")
            .arg(catalog)
    }

    /// A check of a repository with what its configuration says, with its report as NDJSON.
    pub(crate) fn check_configured(sysconfdir: &Path) -> Fogold {
        Fogold::new(["check", "--format", "ndjson", "--sysconfdir"]).arg(sysconfdir)
    }

    /// Another command line that runs the program, in the same environment.
    pub(crate) fn of(mut command: Command) -> Fogold {
        let settings: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).collect();
        for name in settings {
            let text = name.to_string_lossy();
            if text.starts_with("PG") || text.starts_with("FOGOLD_") {
                command.env_remove(&name);
            }
        }
        // This machine's own configuration is none of a story's.
        command.env("FOGOLD_CONFIG", "/dev/null");
        Fogold {
            command,
            input: Vec::new(),
            limit: LIMIT,
        }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Fogold {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub(crate) fn args<I, S>(mut self, arguments: I) -> Fogold
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.command.args(arguments);
        self
    }

    /// Another directory to run in.
    pub(crate) fn current_dir(mut self, directory: &Path) -> Fogold {
        self.command.current_dir(directory);
        self
    }

    /// The same command line behind another program that runs it, such as `setpriv`. `program`
    /// takes the place of the program itself, for one that cannot be reached from there.
    pub(crate) fn behind(self, mut outer: Command, program: Option<&Path>) -> Fogold {
        outer.arg(program.map_or(self.command.get_program(), Path::as_os_str));
        outer.args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        if let Some(directory) = self.command.get_current_dir() {
            outer.current_dir(directory);
        }
        Fogold {
            command: outer,
            ..self
        }
    }

    /// One more variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Fogold {
        self.command.env(name, value);
        self
    }

    /// What it reads from standard input; nothing otherwise.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Fogold {
        self.input = bytes.into();
        self
    }

    /// Another time limit.
    pub(crate) fn limit(mut self, limit: Duration) -> Fogold {
        self.limit = limit;
        self
    }

    /// Runs it to its end. Panics when the time is up.
    pub(crate) fn run(mut self) -> Outcome {
        let (input, limit) = (std::mem::take(&mut self.input), self.limit);
        let mut running = self.start();
        let stdin = running.stdin.take();
        let writer = thread::spawn(move || {
            // A program that does not want its input closes the pipe.
            stdin.map(|mut stdin| stdin.write_all(&input))
        });
        let outcome = running.end_within(limit);
        let _ = writer.join();
        outcome
    }

    /// Starts it. Its standard input stays open until [`Running::stdin`] is dropped.
    pub(crate) fn start(mut self) -> Running {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Running {
            stdin: child.stdin.take(),
            stdout: reader(child.stdout.take()),
            stderr: reader(child.stderr.take()),
            child,
            command: format!("{:?}", self.command),
        }
    }
}

/// The program at work.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its standard input.
    pub(crate) stdin: Option<ChildStdin>,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    child: Child,
    command: String,
}

impl Running {
    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), signal).expect("a signal to a child");
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_at_work(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the program's status")
            .is_none()
    }

    /// Waits for its end. Panics when it does not come in time.
    pub(crate) fn end_within(mut self, limit: Duration) -> Outcome {
        let status = wait(&mut self.child, limit);
        drop(self.stdin);
        let outcome = Outcome {
            code: status.and_then(|status| status.code()),
            stdout: self.stdout.join().unwrap_or_default(),
            stderr: self.stderr.join().unwrap_or_default(),
        };
        assert!(
            status.is_some(),
            "{} took longer than {limit:?}; it said:\n{}",
            self.command,
            outcome.complaint()
        );
        outcome
    }
}

impl Outcome {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub(crate) fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Standard output as one JSON value a line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
            })
            .collect()
    }

    /// The findings of an NDJSON report: all lines with a kind.
    pub(crate) fn findings(&self) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line.get("kind").is_some());
        lines
    }

    /// The report at the end of NDJSON: the last line, which has no kind.
    pub(crate) fn report(&self) -> Value {
        let last = self.lines().pop();
        let report = last.filter(|line| line.get("kind").is_none());
        report.unwrap_or_else(|| panic!("no report at the end; it said:\n{}", self.complaint()))
    }

    /// Panics with all that was said unless the exit status is `code`.
    pub(crate) fn assert_code(&self, code: i32) -> &Outcome {
        assert_eq!(
            self.code,
            Some(code),
            "standard output:\n{}\nstandard error:\n{}",
            self.text(),
            self.complaint()
        );
        self
    }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Waits for the end; kills the program when it does not come in time.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("the program's status") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
