//! A program at work for the night: what it says is heard line by line, and a signal is passed on.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How often it is looked whether the program has ended, or is to end.
const STEP: Duration = Duration::from_millis(20);

/// How long a program is listened to once it has ended: what it has started may hold its outputs
/// open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The most that is taken as one line.
const LONGEST_LINE: u64 = 1 << 20;

/// So many lines may wait to be heard.
const WAITING: usize = 64;

/// What a program says.
pub(super) enum Event {
    /// A line on standard output, with its end.
    Out(Vec<u8>),
    /// A line on standard error.
    Message(String),
}

/// Runs a program to its end. It leads a process group, so that the terminal's signals reach us
/// alone; `wants_end` is asked now and then, and each signal that it names is sent once: SIGKILL to
/// all that the program has started, another to the program alone.
pub(super) fn run(
    command: &mut Command,
    input: Option<Vec<u8>>,
    at_work: impl Fn(Option<u32>),
    mut hear: impl FnMut(Event),
    mut wants_end: impl FnMut() -> Option<Signal>,
) -> io::Result<ExitStatus> {
    let stdin = if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    at_work(Some(child.id()));
    let events = listen(&mut child, input);
    let mut told = None;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let status = loop {
        match events.recv_timeout(STEP) {
            Ok(event) => hear(event),
            Err(RecvTimeoutError::Timeout) => {}
            // Nothing is left to hear, and the end is near.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(STEP / 4),
        }
        match &ended {
            None => ended = child.try_wait()?.map(|status| (status, Instant::now())),
            Some((status, at)) if is_silent(&events, &mut hear) || at.elapsed() > LAST_WORDS => {
                break *status;
            }
            Some(_) => {}
        }
        let wanted = wants_end().filter(|signal| Some(*signal) != told && ended.is_none());
        if let Some(wanted) = wanted {
            told = Some(wanted);
            signal(child.id(), wanted);
        }
    };
    at_work(None);
    Ok(status)
}

/// Sends a signal to a process that was not waited for yet.
pub(super) fn signal(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It fails only when the process has ended.
        let _ = match signal {
            Signal::KILL => kill_process_group(pid, signal),
            _ => kill_process(pid, signal),
        };
    }
}

/// Whether nobody can say anything more; what waits is heard first.
fn is_silent(events: &Receiver<Event>, hear: &mut impl FnMut(Event)) -> bool {
    loop {
        match events.try_recv() {
            Ok(event) => hear(event),
            Err(mpsc::TryRecvError::Empty) => return false,
            Err(mpsc::TryRecvError::Disconnected) => return true,
        }
    }
}

/// Begins to listen to a program, and to speak to it. The threads end with its pipes.
fn listen(child: &mut Child, input: Option<Vec<u8>>) -> Receiver<Event> {
    let (sender, events) = mpsc::sync_channel(WAITING);
    if let Some(out) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || each_line(out, &sender, Event::Out));
    }
    if let Some(messages) = child.stderr.take() {
        thread::spawn(move || {
            each_line(messages, &sender, |line| {
                Event::Message(String::from_utf8_lossy(&line).trim_end().to_owned())
            });
        });
    }
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // A program that does not want its input closes the pipe.
        thread::spawn(move || stdin.write_all(&input));
    }
    events
}

fn each_line(from: impl Read, sender: &SyncSender<Event>, event: impl Fn(Vec<u8>) -> Event) {
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        let read = from
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line);
        match read {
            Ok(1..) if sender.send(event(line)).is_ok() => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn shell(
        script: &str,
        input: Option<&str>,
        wants_end: impl FnMut() -> Option<Signal>,
    ) -> (Option<i32>, String) {
        let heard = RefCell::new(String::new());
        let status = run(
            Command::new("sh").args(["-c", script]),
            input.map(|text| text.as_bytes().to_vec()),
            |_| (),
            |event| {
                *heard.borrow_mut() += &match event {
                    Event::Out(line) => String::from_utf8(line).expect("UTF-8"),
                    Event::Message(line) => format!("!{line}\n"),
                }
            },
            wants_end,
        );
        (status.expect("a status").code(), heard.into_inner())
    }

    #[test]
    fn what_a_program_says_is_heard_to_the_end() {
        let (code, heard) = shell("cat; exit 7", Some("a\nb"), || None);
        assert_eq!((code, heard.as_str()), (Some(7), "a\nb"));
        let (code, heard) = shell("seq 1 9999; echo x >&2", None, || None);
        assert_eq!(code, Some(0));
        assert!(heard.contains("\n9999\n") && heard.contains("!x\n"));
    }

    #[test]
    fn what_it_leaves_behind_is_not_waited_for() {
        let began = Instant::now();
        let (code, _) = shell("sleep 30 & exit 0", None, || None);
        assert_eq!(code, Some(0));
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn it_is_told_once_to_end() {
        let asked = Cell::new(0);
        let script = "trap 'echo told' TERM; echo ready; n=0; while [ $n -lt 40 ]; do sleep 0.05; n=$((n+1)); done; exit 3";
        let (code, heard) = shell(script, None, || {
            asked.set(asked.get() + 1);
            (asked.get() > 20).then_some(Signal::TERM)
        });
        assert_eq!((code, heard.as_str()), (Some(3), "ready\ntold\n"));
    }
}
