//! Servers recorded from a real FOSSology. They are not part of the source: where they are not to
//! be found, the stories about them say so and are skipped.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::Cluster;

/// Where the recordings lie when `FOGOLD_CAPTURES` does not say.
const USUAL_PLACE: &str = "../shared/capture";

/// A recorded server, unpacked into a directory of its own.
#[derive(Debug)]
pub(crate) struct Capture {
    recording: PathBuf,
    directory: TempDir,
}

impl Capture {
    /// Unpacks a recording such as `A-healthy`; `None`, with the reason on standard error, when it
    /// is not there.
    pub(crate) fn open(name: &str) -> Option<Capture> {
        let recording = Capture::directory()?.join(name);
        if !recording.is_dir() {
            skip(&recording);
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let archive = recording.join("repository.tar.gz");
        // The owner that is named in the archive is known on FOSSology's machines only.
        let status = Command::new("tar")
            .args([
                "--extract",
                "--gzip",
                "--preserve-permissions",
                "--no-same-owner",
                "--file",
            ])
            .arg(&archive)
            .arg("--directory")
            .arg(directory.path())
            .status()
            .expect("tar runs");
        assert!(status.success(), "tar cannot unpack {}", archive.display());
        Some(Capture {
            recording,
            directory,
        })
    }

    /// The directory of all recordings; `None`, with the reason on standard error, when there is
    /// none.
    pub(crate) fn directory() -> Option<PathBuf> {
        let place = match std::env::var_os("FOGOLD_CAPTURES") {
            Some(place) => PathBuf::from(place),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join(USUAL_PLACE),
        };
        if place.is_dir() {
            return Some(place);
        }
        skip(&place);
        None
    }

    /// The unpacked tree. It may be changed.
    pub(crate) fn repository(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    /// The recorded configuration. Its `path` is that of the recorded machine.
    pub(crate) fn sysconfdir(&self) -> PathBuf {
        self.recording.join("sysconf")
    }

    /// A file of the recording, as it is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.recording.join(name)
    }

    /// A file of the recording without its `.gz`, such as `dump.sql`.
    pub(crate) fn unpacked(&self, name: &str) -> PathBuf {
        let packed = self.recording.join(format!("{name}.gz"));
        let plain = self.directory.path().join(name);
        if !plain.exists() {
            let source =
                File::open(&packed).unwrap_or_else(|error| panic!("{}: {error}", packed.display()));
            let mut target = File::create(&plain).expect("a file in a temporary directory");
            io::copy(&mut flate2::read::MultiGzDecoder::new(source), &mut target)
                .expect("a whole gzip file");
        }
        plain
    }

    /// Loads the recorded dump into a new database. FOSSology's role is made where it is not there.
    pub(crate) fn load(&self, cluster: &Cluster, database: &str) {
        // Two tests may make the role at once; roles belong to the whole cluster.
        let role = "DO $$ BEGIN CREATE ROLE fossy LOGIN; \
                    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
        cluster
            .connect("postgres")
            .batch_execute(role)
            .expect("FOSSology's role");
        cluster.create_database(database);
        let text = fs::read(self.unpacked("dump.sql")).expect("a dump");
        // Only the newest psql knows these two.
        let known: Vec<&[u8]> = text
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| !line.starts_with(b"\\restrict ") && !line.starts_with(b"\\unrestrict "))
            .collect();
        let loadable = self.directory.path().join("loadable.sql");
        fs::write(&loadable, known.concat()).expect("a dump for psql");
        cluster.load(database, &loadable);
    }

    /// A JSON file of the recording.
    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        let text = fs::read(self.file(name)).expect("a file of the recording");
        serde_json::from_slice(&text).expect("JSON")
    }
}

#[allow(clippy::print_stderr)]
fn skip(place: &Path) {
    eprintln!(
        "skipped: no recorded server at {} (FOGOLD_CAPTURES names the place)",
        place.display()
    );
}
