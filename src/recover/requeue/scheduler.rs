//! FOSSology's scheduler, over its TCP port: plain text, no authentication.
//!
//! It acknowledges every command with `received`. `database` has it look at the queue at once
//! (otherwise it looks every two minutes); `status` lists the jobs that it runs.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

/// How long one step of a conversation may take.
const STEP: Duration = Duration::from_secs(5);
/// How long a conversation may take, finding the host's address included.
const CONVERSATION: Duration = Duration::from_secs(20);
/// So much of an answer is read at most.
const MOST: usize = 1 << 20;

/// Where the scheduler listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduler {
    /// Its host.
    pub address: String,
    /// Its port.
    pub port: u16,
}

/// What the scheduler says of its jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Keys of the rows that it runs or is about to run.
    pub(super) jobs: BTreeSet<i32>,
    /// Jobs of its own self-test, which have negative keys: while there are any, it runs nothing.
    pub(super) self_test: BTreeSet<i32>,
}

impl Scheduler {
    /// Has it look at the queue.
    pub(super) fn look_at_queue(&self) -> io::Result<()> {
        self.converse("database", false).map(|_| ())
    }

    /// What it is doing.
    pub(super) fn status(&self) -> io::Result<Status> {
        self.converse("status", true).map(|text| Status::of(&text))
    }

    /// Says one thing and reads the answer: up to the acknowledgement, or to the line `end`.
    fn converse(&self, command: &'static str, to_end: bool) -> io::Result<String> {
        let (sender, receiver) = mpsc::channel();
        let place = (self.address.clone(), self.port);
        // Looking up a name cannot be given a limit, so all of it is done beside.
        std::thread::Builder::new()
            .name("scheduler".to_owned())
            .spawn(move || {
                // After the limit nobody waits for the answer.
                let _ = sender.send(talk(&place, command, to_end));
            })?;
        receiver
            .recv_timeout(CONVERSATION)
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl std::fmt::Display for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.address, self.port)
    }
}

impl Status {
    fn of(text: &str) -> Status {
        let mut status = Status::default();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("job:") else {
                continue;
            };
            let key = rest.split(|c: char| c != '-' && !c.is_ascii_digit()).next();
            match key.and_then(|key| key.parse().ok()) {
                Some(key) if key < 0 => status.self_test.insert(key),
                Some(key) => status.jobs.insert(key),
                None => continue,
            };
        }
        status
    }
}

/// What the scheduler runs.
pub(super) enum Running {
    /// It is down: it runs nothing.
    Nothing,
    /// These rows.
    Rows(BTreeSet<i32>),
    /// Nobody knows where it is, or it listens, but does not say.
    Unknown(String),
}

impl Running {
    pub(super) fn ask(scheduler: Option<&Scheduler>) -> Running {
        match scheduler.map(Scheduler::status) {
            None => Running::Unknown("no fossology.conf says where it listens".to_owned()),
            Some(Ok(status)) => Running::Rows(status.jobs),
            Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Running::Nothing
            }
            Some(Err(error)) => Running::Unknown(error.to_string()),
        }
    }

    /// Whether it is at a row, where that is known.
    pub(super) fn is_at(&self, row: i32) -> Option<bool> {
        match self {
            Running::Nothing => Some(false),
            Running::Rows(rows) => Some(rows.contains(&row)),
            Running::Unknown(_) => None,
        }
    }
}

fn talk(place: &(String, u16), command: &str, to_end: bool) -> io::Result<String> {
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    let mut stream = None;
    for address in (place.0.as_str(), place.1).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, STEP) {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(error) => refused = error,
        }
    }
    let Some(mut stream) = stream else {
        return Err(refused);
    };
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    stream.write_all(format!("{command}\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece)?;
        answer.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&answer);
        let has = |wanted: &str| text.lines().any(|line| line.trim_end() == wanted);
        if has("received") && (!to_end || has("end")) {
            return Ok(text.into_owned());
        }
        if count == 0 || answer.len() >= MOST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "what listens there does not answer as FOSSology's scheduler does",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A listener that gives one answer.
    fn listening(answer: &'static str) -> Scheduler {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut command = [0; 64];
            let _ = stream.read(&mut command);
            let _ = stream.write_all(answer.as_bytes());
        });
        Scheduler {
            address: "127.0.0.1".to_owned(),
            port,
        }
    }

    #[test]
    fn an_acknowledgement_is_enough() {
        listening("received\n").look_at_queue().unwrap();
    }

    #[test]
    fn a_status_ends_with_end() {
        let scheduler = listening(
            "received\nscheduler:[#] daemon:0 jobs:2\njob:31 status:JB_STARTED type:ununpack\n\
             job:-4 status:JB_STARTED type:nomos\nend\n",
        );
        let status = scheduler.status().unwrap();
        assert_eq!(status.jobs, BTreeSet::from([31]));
        assert_eq!(status.self_test, BTreeSet::from([-4]));
    }

    #[test]
    fn something_else_listens() {
        let error = listening("HTTP/1.1 400 Bad Request\r\n")
            .look_at_queue()
            .unwrap_err();
        assert!(error.to_string().contains("does not answer as"), "{error}");
    }

    #[test]
    fn nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let scheduler = Scheduler {
            address: "127.0.0.1".to_owned(),
            port,
        };
        let error = scheduler.look_at_queue().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
