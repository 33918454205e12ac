//! A PostgreSQL of our own, to try a restore in: made in a scratch directory, reached over a socket
//! there and in no other way, and gone afterwards.
//!
//! The server is the child of a small shell that waits for the end of its standard input. The pipe
//! ends with this process, however that ends, and the shell then stops the server. What a killed
//! process leaves behind is a directory: its name tells what it is, and a lock on it, which went
//! with the process, that nobody uses it any more; the next cluster in the same place takes it away.
//!
//! PostgreSQL refuses to be run by root. Root runs it as `postgres` where there is such a user, else
//! as `nobody`.

mod account;
mod directory;
mod error;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

pub use error::ScratchClusterError;

use super::scratch_directory::ScratchDirectory;
use crate::monitor::{Monitor, Phase};
use crate::sysconf::programs::Running;
use crate::sysconf::{ConnectionParameters, ProgramError, Programs};
use account::Account;
use directory::remove_leftovers;

/// The superuser of the cluster.
const SUPERUSER: &str = "postgres";

/// There is no other server in the directory of the socket.
const PORT: u16 = 5432;

/// How long the server may take to begin and to end.
const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(20);

/// How much of the server's log a message shows.
const LOG_SHOWN: usize = 500;

/// Starts the server `$1` on the data in `$2`; stops it at the end of standard input. What a shell
/// runs in the background has no standard input but by another number; and it ignores interrupts
/// until it has its own handler for them, so that one that comes too early has to be said again.
const LEASH: &str = r#"
exec 3<&0
"$1" -D "$2/data" >"$2/log" 2>&1 </dev/null 3<&- &
server=$!
( read -r _ <&3; while kill -INT "$server"; do sleep 0.2; done ) 2>/dev/null &
end=$!
wait "$server"
kill "$end"
wait "$end"
"#;

/// Nothing in it is worth waiting for the disk, and nobody else should reach it.
const SETTINGS: &str = "
listen_addresses = ''
unix_socket_permissions = 0700
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = '2GB'
maintenance_work_mem = '128MB'
timezone = 'UTC'
";

/// A running server. It ends, and its directory goes, when this is dropped.
#[derive(Debug)]
pub struct ScratchCluster {
    directory: ScratchDirectory,
    /// The shell that watches over the server.
    watch: Option<Child>,
    /// Held open as long as the server should run.
    leash: Mutex<Option<ChildStdin>>,
}

impl ScratchCluster {
    /// Makes and starts a server in a new directory within `scratch`; takes away there what killed
    /// processes have left.
    pub fn start(
        scratch: &Path,
        programs: &Programs,
        monitor: &dyn Monitor,
    ) -> Result<ScratchCluster, ScratchClusterError> {
        monitor.phase(Phase::StartServer, None);
        let account = Account::unprivileged()?;
        remove_leftovers(scratch, &account);
        let mut cluster = ScratchCluster {
            directory: directory::make(scratch, &account)?,
            watch: None,
            leash: Mutex::default(),
        };
        cluster.initialize(programs, &account, monitor)?;
        cluster.run(programs, &account)?;
        cluster.wait_until_ready(monitor)?;
        Ok(cluster)
    }

    /// How the server's superuser reaches a database of it. A new one has only `postgres` and the
    /// templates.
    pub fn connection(&self, database: &str) -> Result<ConnectionParameters, ScratchClusterError> {
        let directory = self.directory.path();
        Ok(ConnectionParameters::at_socket(
            directory, PORT, SUPERUSER, database,
        )?)
    }

    /// Has the server end, whatever it is doing: connections to it break. It has not ended yet
    /// when this returns.
    pub fn let_go(&self) {
        self.leash
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn initialize(
        &self,
        programs: &Programs,
        account: &Account,
        monitor: &dyn Monitor,
    ) -> Result<(), ScratchClusterError> {
        let path = self.directory.path();
        let data = path.join("data");
        let initdb = programs.path("initdb");
        let mut command = account.command(&initdb, path);
        command
            .args([
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
                "--auth=trust",
            ])
            .arg(format!("--username={SUPERUSER}"))
            .arg("--pgdata")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let run = Running::start(&mut command, &initdb.to_string_lossy());
        match run.and_then(|running| running.wait(monitor, || {})) {
            Ok(_) => {}
            Err(ProgramError::Stopped) => return Err(ScratchClusterError::Stopped),
            Err(ProgramError::NotInstalled { program }) => {
                return Err(ScratchClusterError::NotInstalled { program });
            }
            Err(source) => {
                return Err(ScratchClusterError::Make {
                    directory: path.to_owned(),
                    user: account.name.clone(),
                    source: Box::new(source),
                });
            }
        }
        let conf = data.join("postgresql.conf");
        let socket = path.to_string_lossy().replace('\'', "''");
        let settings = format!("{SETTINGS}port = {PORT}\nunix_socket_directories = '{socket}'\n");
        let appended = File::options()
            .append(true)
            .open(&conf)
            .and_then(|mut file| file.write_all(settings.as_bytes()));
        appended.map_err(|source| ScratchClusterError::Io {
            action: "write",
            path: conf,
            source,
        })
    }

    fn run(&mut self, programs: &Programs, account: &Account) -> Result<(), ScratchClusterError> {
        let path = self.directory.path();
        let mut watch = account
            .command(OsStr::new("/bin/sh"), path)
            .args(["-c", LEASH, "watch"])
            .arg(server_beside(&programs.path("initdb")))
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the terminal is for this process, which then ends the server.
            .process_group(0)
            .spawn()
            .map_err(|source| ScratchClusterError::Io {
                action: "run a shell in",
                path: path.to_owned(),
                source,
            })?;
        self.leash = Mutex::new(watch.stdin.take());
        self.watch = Some(watch);
        Ok(())
    }

    fn wait_until_ready(&mut self, monitor: &dyn Monitor) -> Result<(), ScratchClusterError> {
        let connector = self.connection("postgres")?.connector()?;
        let start = Instant::now();
        while connector.connect().is_err() {
            if monitor.stopped() {
                return Err(ScratchClusterError::Stopped);
            }
            let ended = self
                .watch
                .as_mut()
                .is_none_or(|watch| !matches!(watch.try_wait(), Ok(None)));
            if ended || start.elapsed() > START {
                return Err(ScratchClusterError::Start { why: self.log() });
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// The end of the server's log.
    fn log(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        let end = &log[log.len().saturating_sub(LOG_SHOWN)..];
        String::from_utf8_lossy(end).trim().replace('\n', "; ")
    }
}

impl Drop for ScratchCluster {
    fn drop(&mut self) {
        self.let_go();
        let Some(mut watch) = self.watch.take() else {
            return;
        };
        let start = Instant::now();
        while matches!(watch.try_wait(), Ok(None)) {
            if start.elapsed() > END {
                if let Some(pid) = i32::try_from(watch.id()).ok().and_then(Pid::from_raw) {
                    let _ = kill_process_group(pid, Signal::KILL);
                }
                let _ = watch.wait();
            }
            thread::sleep(STEP);
        }
    }
}

/// The server's program, which lies where `initdb` does.
fn server_beside(initdb: &OsStr) -> OsString {
    Path::new(initdb)
        .with_file_name("postgres")
        .into_os_string()
}
