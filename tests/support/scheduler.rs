//! A scheduler and its unpack agent in small: listens as FOSSology's does, takes rows from the queue
//! when it is told to look, and "unpacks" by copying files of a healthy server.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use postgres::Client;

use super::{Capture, Recorded};

/// How an upload's unpack goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Play {
    /// Fails each time, with this as the end of its log.
    Fails(&'static str),
    /// Fails the first time, as on a fresh database.
    FailsOnce,
    /// Says "Completed" and brings nothing back.
    Lies,
}

/// What the scheduler does with the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Runs what there is.
    Works,
    /// Answers, runs nothing, and shows a job of its self-test.
    Hangs,
    /// Answers and runs nothing.
    Idles,
    /// Is at work on this row.
    Runs(i32),
}

/// A listening scheduler; ends when dropped.
pub(crate) struct FakeScheduler {
    pub(crate) port: u16,
    /// The commands that came, in order.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Agent {
    client: Client,
    root: PathBuf,
    healthy: Capture,
    plays: Vec<(i32, Play)>,
    mood: Mood,
}

impl FakeScheduler {
    /// Begins to listen, and has the server's configuration say so.
    pub(crate) fn start(
        server: &Recorded,
        mood: Mood,
        plays: &[(i32, Play)],
    ) -> Option<FakeScheduler> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        listener.set_nonblocking(true).expect("a listener");
        server.scheduler_at(port);
        let mut agent = Agent {
            client: server.client(),
            root: server.repository(),
            healthy: Capture::open("A-healthy")?,
            plays: plays.to_vec(),
            mood,
        };
        let (heard, over) = (
            Arc::<Mutex<Vec<String>>>::default(),
            Arc::<AtomicBool>::default(),
        );
        let (ears, end) = (Arc::clone(&heard), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => agent.answer(stream, &ears),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Some(FakeScheduler {
            port,
            heard,
            over,
            thread: Some(thread),
        })
    }

    /// How often it was told to look at the queue.
    pub(crate) fn looks(&self) -> usize {
        let heard = self.heard.lock().expect("commands");
        heard
            .iter()
            .filter(|command| *command == "database")
            .count()
    }
}

impl Drop for FakeScheduler {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Agent {
    fn answer(&mut self, mut stream: TcpStream, heard: &Mutex<Vec<String>>) {
        stream.set_nonblocking(false).expect("a stream");
        let mut bytes = [0; 256];
        let count = stream.read(&mut bytes).unwrap_or(0);
        let command = String::from_utf8_lossy(&bytes[..count]).trim().to_owned();
        heard.lock().expect("commands").push(command.clone());
        let _ = stream.write_all(b"received\n");
        if command == "status" {
            let job = match self.mood {
                Mood::Hangs => "job:-3 status:JB_STARTED type:nomos, priority:0\n".to_owned(),
                Mood::Runs(row) => format!("job:{row} status:JB_STARTED type:ununpack\n"),
                Mood::Works | Mood::Idles => String::new(),
            };
            let _ = write!(stream, "scheduler:[#] daemon:1 jobs:0\n{job}end\n");
        }
        drop(stream);
        if command == "database" && self.mood == Mood::Works {
            self.work();
        }
    }

    /// Runs every row that can run, as FOSSology's scheduler chooses them.
    fn work(&mut self) {
        let ready = "SELECT q.jq_pk, q.jq_args::int FROM jobqueue q \
             WHERE q.jq_type = 'ununpack' AND q.jq_starttime IS NULL AND q.jq_end_bits < 2 \
             AND NOT EXISTS (SELECT FROM jobdepends d JOIN jobqueue o ON o.jq_pk = d.jdep_jq_depends_fk \
                              WHERE d.jdep_jq_fk = q.jq_pk AND (o.jq_endtime IS NULL OR o.jq_end_bits >= 2)) \
             ORDER BY q.jq_pk LIMIT 10";
        loop {
            let rows = self.client.query(ready, &[]).expect("the queue");
            if rows.is_empty() {
                return;
            }
            for row in rows {
                self.run(row.get(0), row.get(1));
            }
        }
    }

    fn run(&mut self, row: i32, upload: i32) {
        let play = self.plays.iter().position(|(of, _)| *of == upload);
        let play = match play {
            Some(at) if self.plays[at].1 == Play::FailsOnce => Some(self.plays.remove(at).1),
            Some(at) => Some(self.plays[at].1.clone()),
            None => None,
        };
        let start =
            "UPDATE jobqueue SET jq_starttime = now(), jq_endtext = 'Started' WHERE jq_pk = $1";
        self.client.execute(start, &[&row]).expect("a start");
        let log = match play {
            Some(Play::Fails(text)) => text,
            Some(Play::FailsOnce) => "agent failed, code: 2",
            Some(Play::Lies) => return self.end(row, "Completed", 1, None),
            None => {
                self.unpack(upload);
                return self.end(row, "Completed", 1, None);
            }
        };
        let name = format!("{row:06}");
        let below = format!("logs/{}/{}/{}/{name}", &name[..2], &name[2..4], &name[4..]);
        let path = self.root.join(&below);
        fs::create_dir_all(path.parent().expect("a directory")).expect("logs");
        fs::write(path, format!("JOB[{row}.ununpack] ...\n{log}\n")).expect("a log");
        let named = format!("/srv/fossology/repository/{below}");
        self.end(row, "Failed", 2, Some(&named));
    }

    fn end(&mut self, row: i32, text: &str, bits: i16, log: Option<&str>) {
        let statement = "UPDATE jobqueue SET jq_endtime = now(), jq_endtext = $2, jq_end_bits = $3, \
             jq_itemsprocessed = 1, jq_log = $4 WHERE jq_pk = $1";
        self.client
            .execute(statement, &[&row, &text, &bits, &log])
            .expect("an end");
    }

    /// Writes every file of an upload again, but for listings; and one new listing, with a row that
    /// nothing uses.
    fn unpack(&mut self, upload: i32) {
        let names = "SELECT DISTINCT lower(p.pfile_sha1 || '.' || p.pfile_md5) || '.' || p.pfile_size \
             FROM uploadtree t JOIN pfile p ON p.pfile_pk = t.pfile_fk \
             WHERE t.upload_fk = $1 AND t.ufile_name <> 'artifact.meta'";
        let rows = self.client.query(names, &[&upload]).expect("names");
        for row in rows {
            let name: String = row.get(0);
            let path = place(&name);
            let contents = fs::read(self.healthy.repository().join(&path)).expect("a healthy file");
            write(&self.root, &path, &contents);
        }
        let (sha1, md5) = (
            format!("{:040X}", 0xBAD00 + upload),
            format!("{upload:032X}"),
        );
        let insert = "INSERT INTO pfile (pfile_sha1, pfile_md5, pfile_size) VALUES ($1, $2, 7)";
        self.client.execute(insert, &[&sha1, &md5]).expect("a row");
        let name = format!("{sha1}.{md5}.7").to_lowercase();
        write(&self.root, &place(&name), b"listing");
        let ars = "INSERT INTO ununpack_ars (agent_fk, upload_fk, ars_success, ars_starttime, ars_endtime) \
             VALUES (4, $1, TRUE, now(), now())";
        self.client.execute(ars, &[&upload]).expect("a run");
    }
}

fn place(name: &str) -> String {
    format!(
        "localhost/files/{}/{}/{}/{name}",
        &name[..2],
        &name[2..4],
        &name[4..6]
    )
}

fn write(root: &Path, path: &str, contents: &[u8]) {
    let path = root.join(path);
    make(path.parent().expect("a directory"));
    let half = path.with_extension("I");
    fs::write(&half, contents).expect("a file");
    fs::rename(&half, &path).expect("a file in its place");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o2660)).expect("its mode");
}

/// Makes a directory, and those above it, with FOSSology's mode.
fn make(directory: &Path) {
    if !directory.is_dir() {
        make(directory.parent().expect("a directory"));
        fs::create_dir(directory).expect("a directory");
        fs::set_permissions(directory, fs::Permissions::from_mode(0o2770)).expect("its mode");
    }
}
