//! Programs that are handed a notice.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::nightly::child::{self, Event};

/// How long a program may take to end when it is told to, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a shell command with a notice on its standard input.
pub(super) fn run(line: &str, input: Vec<u8>, limit: Duration) -> Result<(), String> {
    feed(Command::new("/bin/sh").args(["-c", line]), input, limit)
}

/// Runs a program with something on its standard input; an error says why it is of no use.
pub(super) fn feed(command: &mut Command, input: Vec<u8>, limit: Duration) -> Result<(), String> {
    let began = Instant::now();
    let mut last = None;
    let ended = child::run(
        command,
        Some(input),
        |_| (),
        |event| {
            if let Event::Message(message) = event {
                last = Some(message);
            }
        },
        || match began.elapsed() {
            took if took > limit + GRACE => Some(Signal::KILL),
            took if took > limit => Some(Signal::TERM),
            _ => None,
        },
    );
    let status = ended.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    if began.elapsed() > limit {
        return Err(format!("it took longer than {} s", limit.as_secs()));
    }
    Err(match last {
        Some(message) => format!("{status}: {message}"),
        None => status.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_command_ends() {
        let limit = Duration::from_millis(300);
        let run = |line: &str| run(line, b"notice".to_vec(), limit);
        assert_eq!(run("test $(cat) = notice"), Ok(()));
        assert_eq!(run("true"), Ok(()));
        assert_eq!(
            run("echo no >&2; exit 3").unwrap_err(),
            "exit status: 3: no"
        );
        assert_eq!(run("exec sleep 30").unwrap_err(), "it took longer than 0 s");
    }
}
