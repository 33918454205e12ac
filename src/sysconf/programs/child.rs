//! A program at work: its messages are read along, and it is ended when nobody wants it any more.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::ProgramError;
use crate::monitor::Monitor;

/// The most that is kept of a message.
const MESSAGE_LIMIT: u64 = 4096;

/// How often it is looked whether the program has ended, or somebody wants it to.
const STEP: Duration = Duration::from_millis(20);

/// How long a program may take to end when it is told to, before it is killed: PostgreSQL's own
/// tell the server in this time that nobody waits for the answer any more.
const GRACE: Duration = Duration::from_millis(300);

/// How long a program's messages are waited for once it has ended: what it has started may hold
/// them open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a program said on its standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Messages {
    /// The first line that calls itself an error.
    pub(crate) first_error: Option<String>,
    /// The last line that says something.
    pub(crate) last: Option<String>,
}

impl Messages {
    /// Reads to the end. A line loses the name of the program before it.
    pub(crate) fn read(messages: impl Read) -> Messages {
        let mut messages = BufReader::new(messages);
        let mut said = Messages::default();
        let mut line = Vec::new();
        while let Ok(1..) = messages
            .by_ref()
            .take(MESSAGE_LIMIT)
            .read_until(b'\n', &mut line)
        {
            let text = String::from_utf8_lossy(&line);
            let (plain, is_error) = without_prefix(text.trim());
            if !plain.is_empty() {
                said.last = Some(plain.to_owned());
                if is_error && said.first_error.is_none() {
                    said.first_error = said.last.clone();
                }
            }
            line.clear();
        }
        said
    }

    /// What says best why the program failed.
    pub(crate) fn why(self) -> Option<String> {
        self.first_error.or(self.last)
    }
}

/// A message without `pg_dump: error: ` before it, and whether it had that.
fn without_prefix(text: &str) -> (&str, bool) {
    let rest = match text.split_once(": ") {
        Some((program, rest)) if program.starts_with("pg_") || program == "initdb" => rest,
        _ => text,
    };
    match rest.strip_prefix("error: ") {
        Some(rest) => (rest, true),
        None => (rest, rest.starts_with("FATAL:")),
    }
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    name: String,
    messages: Receiver<Messages>,
}

impl Running {
    /// Starts it. Standard input and output are as the command has them. It speaks English, leads
    /// a process group and gets no signal from the terminal: who stops us decides what becomes of
    /// it.
    pub(crate) fn start(command: &mut Command, name: &str) -> Result<Running, ProgramError> {
        command
            .env("LC_ALL", "C")
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command
            .spawn()
            .map_err(|source| ProgramError::of_start(OsStr::new(name), source))?;
        let (sender, messages) = mpsc::channel();
        let stderr = child.stderr.take();
        let running = Running {
            child,
            name: name.to_owned(),
            messages,
        };
        if let Some(stderr) = stderr {
            thread::Builder::new()
                .name("messages".to_owned())
                .spawn(move || {
                    // Nobody waits for them when the program was ended early.
                    let _ = sender.send(Messages::read(stderr));
                })
                .map_err(|source| ProgramError::Start {
                    program: name.to_owned(),
                    source,
                })?;
        }
        Ok(running)
    }

    /// Waits until it has ended; `tick` is called now and then. Returns what it said, when it has
    /// ended well.
    pub(crate) fn wait(
        mut self,
        monitor: &dyn Monitor,
        mut tick: impl FnMut(),
    ) -> Result<Messages, ProgramError> {
        let status = loop {
            tick();
            if let Some(status) = self.ended()? {
                break status;
            }
            if monitor.stopped() {
                return Err(ProgramError::Stopped);
            }
            thread::sleep(STEP);
        };
        tick();
        let said = self.messages.recv_timeout(LAST_WORDS).unwrap_or_default();
        if status.success() {
            return Ok(said);
        }
        Err(self.failed(said.why().unwrap_or_else(|| status.to_string())))
    }

    /// Its exit status, once it has ended.
    fn ended(&mut self) -> Result<Option<ExitStatus>, ProgramError> {
        self.child
            .try_wait()
            .map_err(|error| self.failed(error.to_string()))
    }

    fn failed(&self, why: String) -> ProgramError {
        ProgramError::Failed {
            program: self.name.clone(),
            why,
        }
    }

    /// Tells it, and all that it has started, to end.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It fails only when all of them have ended.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once it was waited for, its number may be another's.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.signal(Signal::TERM);
        let told = Instant::now();
        while told.elapsed() < GRACE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(STEP);
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::monitor::Silent;

    /// Puts a script where it can be run. `install` has closed it before it is: one that this
    /// process had written might still be open in the child of another test.
    pub(in super::super) fn install_script(path: &Path, text: &str) {
        let source = path.with_extension("text");
        fs::write(&source, text).unwrap();
        let made = Command::new("install")
            .args(["-m", "755"])
            .args([source.as_path(), path])
            .status()
            .unwrap();
        assert!(made.success());
    }

    fn shell(script: &str) -> Result<Messages, ProgramError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        Running::start(&mut command, "sh")?.wait(&Silent, || {})
    }

    #[test]
    fn messages_lose_their_prefix() {
        let text = b"pg_dump: warning: odd\npg_dump: error: first\xff\ndetail: x\npg_dump: error: last\n\n";
        let said = Messages::read(&text[..]);
        assert_eq!(said.first_error.as_deref(), Some("first\u{fffd}"));
        assert_eq!(said.last.as_deref(), Some("last"));
        assert_eq!(Messages::read(&b""[..]).why(), None);
        assert_eq!(
            Messages::read(&b"no space\n"[..]).why().as_deref(),
            Some("no space")
        );
    }

    #[test]
    fn how_it_ended() {
        assert_eq!(shell("echo hm >&2").unwrap().last.as_deref(), Some("hm"));
        assert_eq!(
            shell("echo boom >&2; exit 3").unwrap_err().to_string(),
            "sh failed: boom"
        );
        let silent = shell("exit 3").unwrap_err().to_string();
        assert_eq!(silent, "sh failed: exit status: 3");
        let killed = shell("kill -9 $$").unwrap_err().to_string();
        assert!(killed.starts_with("sh failed: signal: 9"), "{killed}");
        // What it leaves behind may hold its standard error open.
        let start = Instant::now();
        shell("sleep 30 & exit 0").unwrap();
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn it_ends_with_all_that_it_has_started() {
        struct Stop(AtomicBool);
        impl Monitor for Stop {
            fn stopped(&self) -> bool {
                self.0.load(Ordering::Relaxed)
            }
        }
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("pid");
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "trap '' TERM; sleep 600 & echo $! > new; mv new pid; wait; wait",
            ])
            .current_dir(place.path())
            .stdin(Stdio::null());
        let stop = Stop(AtomicBool::new(false));
        let outcome = Running::start(&mut command, "sh")
            .unwrap()
            .wait(&stop, || stop.0.store(file.exists(), Ordering::Relaxed));
        assert!(matches!(outcome, Err(ProgramError::Stopped)));
        let pid = fs::read_to_string(&file).unwrap();
        let status = format!("/proc/{}/stat", pid.trim());
        let start = Instant::now();
        // A process that nobody waits for stays as a zombie until the system's first takes it.
        while fs::read_to_string(&status).is_ok_and(|text| !text.contains(") Z ")) {
            assert!(start.elapsed() < Duration::from_secs(10), "{pid} runs on");
            thread::sleep(STEP);
        }
    }
}
