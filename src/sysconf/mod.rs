//! FOSSology's own configuration: where the repository lies, on which hosts, and how to reach the
//! database.
//!
//! [`Sysconf`] is what `fossology.conf` says; `Db.conf` is read only when the database is needed,
//! so that a check against a dump needs no password. Nothing here writes, and nothing prints.

pub mod connection;
pub mod db_conf;
pub mod error;
pub mod grammar;
pub mod hosts;
pub mod programs;
pub mod secret;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use connection::{
    ConnectError, ConnectionError, ConnectionParameters, Connector, Environment, RowStream,
};
pub use db_conf::DbConf;
pub use error::SysconfError;
pub use grammar::Conf;
pub use hosts::{HostLine, HostTable, RepositoryType};
pub use programs::{ProgramError, Programs};
pub use secret::Secret;

use grammar::{BadLineReason, Entry};

/// Where FOSSology's packages and its source install put their configuration, in the order in
/// which it is looked for.
pub const DEFAULT_DIRECTORIES: [&str; 2] = ["/etc/fossology", "/usr/local/etc/fossology"];

/// Directory levels when `fossology.conf` has no `depth`.
const DEFAULT_DEPTH: usize = 2;
const MAX_DEPTH: usize = 16;
const DEFAULT_USER: &str = "fossy";
const DEFAULT_SCHEDULER_ADDRESS: &str = "localhost";
const DEFAULT_SCHEDULER_PORT: u16 = 24693;

/// What `fossology.conf` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysconf {
    /// The directory that holds `fossology.conf` and `Db.conf`.
    pub directory: PathBuf,
    /// The repository's root (`path`); see [`Sysconf::repository_or`].
    pub repository: Option<PathBuf>,
    /// Directory levels between type and file.
    pub depth: usize,
    /// The repository's hosts and what each claims.
    pub hosts: HostTable,
    /// The user that FOSSology runs as (`PROJECTUSER`).
    pub project_user: String,
    /// The group that FOSSology runs as (`PROJECTGROUP`).
    pub project_group: String,
    /// The host on which the scheduler listens (`address`).
    pub scheduler_address: String,
    /// The port on which the scheduler listens (`port`).
    pub scheduler_port: u16,
}

impl Sysconf {
    /// The configuration in `explicit`, which must have one, or else in the first of
    /// [`DEFAULT_DIRECTORIES`] that has one; `None` when none of these has.
    pub fn find(explicit: Option<&Path>) -> Result<Option<Sysconf>, SysconfError> {
        if let Some(directory) = explicit {
            return Sysconf::load(directory).map(Some);
        }
        Sysconf::find_in(DEFAULT_DIRECTORIES.iter().map(Path::new))
    }

    fn find_in<'a>(
        directories: impl Iterator<Item = &'a Path>,
    ) -> Result<Option<Sysconf>, SysconfError> {
        for directory in directories {
            match Sysconf::load(directory) {
                Err(SysconfError::NotFound { .. }) => {}
                found => return found.map(Some),
            }
        }
        Ok(None)
    }

    /// Reads the `fossology.conf` in `directory`.
    pub fn load(directory: &Path) -> Result<Sysconf, SysconfError> {
        let path = directory.join("fossology.conf");
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SysconfError::NotFound {
                directory: directory.to_owned(),
            },
            _ => SysconfError::Read {
                path: path.clone(),
                source,
            },
        })?;
        Sysconf::parse(directory, &path, &bytes)
    }

    fn parse(directory: &Path, path: &Path, bytes: &[u8]) -> Result<Sysconf, SysconfError> {
        let conf = Conf::parse(bytes).map_err(|bad| {
            let (path, line, text) = (path.to_owned(), bad.line, bad.text);
            match bad.reason {
                BadLineReason::Malformed => SysconfError::Malformed { path, line, text },
                BadLineReason::NoSection => SysconfError::NoSection { path, line, text },
            }
        })?;
        let text = |section: &str, key: &str, default: &str| {
            let value = conf.get(section, key).filter(|value| !value.is_empty());
            value.unwrap_or(default).to_owned()
        };
        Ok(Sysconf {
            directory: directory.to_owned(),
            repository: conf
                .get("FOSSOLOGY", "path")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            depth: depth(&conf, path)?,
            hosts: hosts(&conf, path)?,
            project_user: text("DIRECTORIES", "PROJECTUSER", DEFAULT_USER),
            project_group: text("DIRECTORIES", "PROJECTGROUP", DEFAULT_USER),
            scheduler_address: text("FOSSOLOGY", "address", DEFAULT_SCHEDULER_ADDRESS),
            scheduler_port: scheduler_port(&conf, path)?,
        })
    }

    /// `named` if given, else the configured root of the repository.
    pub fn repository_or(&self, named: Option<&Path>) -> Result<PathBuf, SysconfError> {
        named
            .map(Path::to_owned)
            .or_else(|| self.repository.clone())
            .ok_or_else(|| SysconfError::NoRepository {
                path: self.directory.join("fossology.conf"),
            })
    }

    /// Reads the `Db.conf` beside `fossology.conf`.
    pub fn database(&self) -> Result<DbConf, SysconfError> {
        let path = self.directory.join("Db.conf");
        match fs::read(&path) {
            Ok(bytes) => {
                let settings = DbConf::parse(&bytes);
                match settings.get("dbname") {
                    Some(_) => Ok(settings),
                    None => Err(SysconfError::NoDbName { path }),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SysconfError::NoDbConf { path })
            }
            Err(source) => Err(SysconfError::Read { path, source }),
        }
    }
}

fn depth(conf: &Conf, path: &Path) -> Result<usize, SysconfError> {
    let Some(entry) = conf.entry("FOSSOLOGY", "depth") else {
        return Ok(DEFAULT_DEPTH);
    };
    match entry.text.parse() {
        Ok(depth) if depth <= MAX_DEPTH => Ok(depth),
        _ => Err(bad_value(path, "depth", entry, "a number from 0 to 16")),
    }
}

fn scheduler_port(conf: &Conf, path: &Path) -> Result<u16, SysconfError> {
    let Some(entry) = conf.entry("FOSSOLOGY", "port") else {
        return Ok(DEFAULT_SCHEDULER_PORT);
    };
    entry
        .text
        .parse()
        .map_err(|_| bad_value(path, "port", entry, "a number from 0 to 65535"))
}

fn hosts(conf: &Conf, path: &Path) -> Result<HostTable, SysconfError> {
    let mut hosts = HostTable::default();
    for host in conf.keys("REPOSITORY") {
        for entry in conf.list("REPOSITORY", host) {
            hosts
                .add(host, &entry.text)
                .map_err(|source| SysconfError::BadHost {
                    path: path.to_owned(),
                    line: entry.line,
                    source,
                })?;
        }
    }
    Ok(hosts)
}

fn bad_value(path: &Path, key: &'static str, entry: &Entry, want: &'static str) -> SysconfError {
    SysconfError::BadValue {
        path: path.to_owned(),
        line: entry.line,
        key,
        text: entry.text.clone(),
        want,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::repository::Layout;

    fn parse(text: &str) -> Result<Sysconf, SysconfError> {
        Sysconf::parse(
            Path::new("/c"),
            Path::new("/c/fossology.conf"),
            text.as_bytes(),
        )
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_complete_file() {
        let sysconf = parse(
            "[FOSSOLOGY]\nport = 24694\naddress = sched\ndepth = 3\npath = /srv/fossology/repository\n\
             [REPOSITORY]\nlocalhost[] = * 00 ff\n[DIRECTORIES]\nPROJECTUSER=fo\nPROJECTGROUP=fg\n",
        )
        .unwrap();
        assert_eq!(
            sysconf.repository.as_deref(),
            Some(Path::new("/srv/fossology/repository"))
        );
        assert_eq!(sysconf.depth, 3);
        assert_eq!(sysconf.hosts.names().collect::<Vec<_>>(), ["localhost"]);
        assert_eq!(
            (
                sysconf.project_user.as_str(),
                sysconf.project_group.as_str()
            ),
            ("fo", "fg")
        );
        assert_eq!(
            (sysconf.scheduler_address.as_str(), sysconf.scheduler_port),
            ("sched", 24694)
        );
    }

    #[test]
    fn an_empty_file_has_the_defaults_but_no_repository() {
        let sysconf = parse("").unwrap();
        assert_eq!(sysconf.depth, 2);
        assert!(sysconf.hosts.is_empty());
        assert_eq!(
            (
                sysconf.project_user.as_str(),
                sysconf.project_group.as_str()
            ),
            ("fossy", "fossy")
        );
        assert_eq!(
            (sysconf.scheduler_address.as_str(), sysconf.scheduler_port),
            ("localhost", 24693)
        );
        assert_eq!(
            sysconf.repository_or(None).unwrap_err().to_string(),
            "/c/fossology.conf has no 'path' in section [FOSSOLOGY]; add it, or name the repository with --repository"
        );
        assert_eq!(
            sysconf.repository_or(Some(Path::new("/r"))).unwrap(),
            Path::new("/r")
        );
    }

    #[test]
    fn messages_name_file_and_line() {
        for depth in ["x", "17", "-1", "", "3.0"] {
            assert_eq!(
                message(&format!("[FOSSOLOGY]\ndepth = {depth}\n")),
                format!(
                    "/c/fossology.conf, line 2: depth = {depth:?}, but it must be a number from 0 to 16"
                )
            );
        }
        assert_eq!(
            message("[FOSSOLOGY]\nport = 70000"),
            "/c/fossology.conf, line 2: port = \"70000\", but it must be a number from 0 to 65535"
        );
        assert_eq!(
            message("\n# hello\n"),
            "/c/fossology.conf, line 2: \"# hello\" is neither a section nor a setting (a comment begins with ';')"
        );
        assert_eq!(
            message("depth = 3"),
            "/c/fossology.conf, line 1: \"depth = 3\" belongs to no section; put it below a line such as [FOSSOLOGY]"
        );
        let error = parse("[REPOSITORY]\na[] = * 00 ff\na[] = 00 ff\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "/c/fossology.conf, line 3 does not say which files its host holds"
        );
        assert_eq!(
            error.source().unwrap().to_string(),
            "[REPOSITORY] a[] = 00 ff: want '<type|*> <start> <end>'"
        );
    }

    #[test]
    fn found_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let (empty, full) = (
            directory.path().join("empty"),
            directory.path().join("full"),
        );
        fs::create_dir(&empty).unwrap();
        fs::create_dir(&full).unwrap();
        fs::write(full.join("fossology.conf"), "[FOSSOLOGY]\npath = /r\n").unwrap();
        let missing = directory.path().join("missing");
        let found = Sysconf::find_in([&*missing, &*empty, &*full].into_iter()).unwrap();
        assert_eq!(found.unwrap().directory, full);
        assert_eq!(
            Sysconf::find_in([&*missing, &*empty].into_iter()).unwrap(),
            None
        );
        assert!(matches!(
            Sysconf::find(Some(&empty)),
            Err(SysconfError::NotFound { .. })
        ));
        assert!(matches!(
            Sysconf::find(Some(&missing)),
            Err(SysconfError::NotFound { .. })
        ));
    }

    #[test]
    fn a_missing_db_conf_matters_only_when_it_is_needed() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("fossology.conf"), "").unwrap();
        let sysconf = Sysconf::load(directory.path()).unwrap();
        assert!(matches!(
            sysconf.database(),
            Err(SysconfError::NoDbConf { .. })
        ));
        fs::write(directory.path().join("Db.conf"), "dbname=f;\n").unwrap();
        assert_eq!(sysconf.database().unwrap().get("dbname"), Some("f"));
    }

    /// Rows recorded from FOSSology's own library: configuration, type, name and resulting path.
    #[test]
    fn names_lie_where_the_library_puts_them() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/capture/hostrules.tsv");
        let Ok(table) = fs::read_to_string(&path) else {
            skipped(&path);
            return;
        };
        let rows = table.lines().filter(|line| !line.starts_with('#')).skip(1);
        let mut count = 0;
        for row in rows {
            check_row(row);
            count += 1;
        }
        assert!(count > 100, "only {count} rows");
    }

    #[allow(clippy::print_stderr)]
    fn skipped(path: &Path) {
        eprintln!("skipped: {} is not there", path.display());
    }

    fn check_row(row: &str) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [depth, repository, ty, name, host, path, state] = columns[..] else {
            panic!("{row}");
        };
        let mut text = format!("[FOSSOLOGY]\ndepth = {depth}\n");
        if repository != "-" {
            text.push_str(&format!(
                "[REPOSITORY]\n{}\n",
                repository.replace(" | ", "\n")
            ));
        }
        let sysconf = parse(&text).unwrap();
        let Ok(ty) = ty.parse::<RepositoryType>() else {
            assert_eq!(path, "-", "{row}");
            return;
        };
        let name = if name == "\"\"" { "" } else { name };
        let layout = Layout {
            depth: sysconf.depth,
            hosts: sysconf.hosts,
        };
        let claimants: Vec<&str> = layout.hosts.claimants(ty, name.as_bytes()).collect();
        if state == "on z1 only" {
            assert_eq!(claimants, [host, "z1"], "{row}");
            assert_eq!(layout.path_on(Some("z1"), ty, name), path, "{row}");
            return;
        }
        let expected = (path != "-").then(|| path.to_owned());
        assert_eq!(layout.path(ty, name), expected, "{row}");
        if path != "-" {
            assert_eq!(
                claimants.first().copied(),
                (host != "-").then_some(host),
                "{row}"
            );
        }
    }
}
