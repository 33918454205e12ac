//! What a connection takes from its surroundings.
//!
//! Only [`Environment::of_process`] looks at the real process; everything else works on the values
//! handed in, so that it can be tested without touching the process's variables.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use super::settings;

/// Variables, home directory, user, and the places where a local server's socket may be.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    home: Option<PathBuf>,
    user: Option<String>,
    socket_directories: Vec<PathBuf>,
}

/// Where servers put their socket: Debian's place, then PostgreSQL's own default.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

impl Environment {
    /// libpq's variables that a connection honours, for the manual.
    pub fn used_variables() -> impl Iterator<Item = &'static str> {
        settings::used_variables()
    }

    /// libpq's variables that are refused when set, for the manual: ignoring them would break a
    /// promise their writer relies on.
    pub fn refused_variables() -> impl Iterator<Item = &'static str> {
        settings::refused_variables()
    }

    /// Nothing set, no home, no user; sockets in their usual places.
    pub fn empty() -> Environment {
        Environment {
            socket_directories: SOCKET_DIRECTORIES.map(PathBuf::from).to_vec(),
            ..Environment::default()
        }
    }

    /// What the running process has.
    pub fn of_process() -> Environment {
        let variables: BTreeMap<String, String> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("PG"))
            .collect();
        Environment {
            variables,
            home: env::home_dir().filter(|home| !home.as_os_str().is_empty()),
            user: whoami::username().ok().filter(|user| !user.is_empty()),
            ..Environment::empty()
        }
    }

    /// The same with a variable set.
    pub fn with_variable(mut self, name: &str, value: &str) -> Environment {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with a home directory.
    pub fn with_home(mut self, home: &Path) -> Environment {
        self.home = Some(home.to_owned());
        self
    }

    /// The same with a name of the operating system's user.
    pub fn with_user(mut self, user: &str) -> Environment {
        self.user = Some(user.to_owned());
        self
    }

    /// The same with other places for sockets, the first being the default.
    pub fn with_socket_directories(mut self, directories: &[&Path]) -> Environment {
        self.socket_directories = directories.iter().map(|path| path.to_path_buf()).collect();
        self
    }

    /// A variable's value; empty text if it is set to that.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A path below the home directory.
    pub fn in_home(&self, relative: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(relative))
    }

    /// The operating system's user.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The directory of the local server's socket when no host is named: the first that has a
    /// socket for the port, else the first of all.
    pub fn default_socket_directory(&self, port: u16) -> PathBuf {
        let has_socket = |directory: &&PathBuf| directory.join(socket_name(port)).exists();
        self.socket_directories
            .iter()
            .find(has_socket)
            .or(self.socket_directories.first())
            .cloned()
            .unwrap_or_else(|| PathBuf::from(SOCKET_DIRECTORIES[0]))
    }

    /// Whether password files call this socket directory `localhost`.
    pub fn is_default_socket_directory(&self, directory: &Path) -> bool {
        self.socket_directories
            .iter()
            .any(|default| default == directory)
    }
}

/// The file name of the socket of a server on this port.
pub(super) fn socket_name(port: u16) -> String {
    format!(".s.PGSQL.{port}")
}

/// Names of variables only: a value may be a password.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("home", &self.home)
            .field("user", &self.user)
            .field("socket_directories", &self.socket_directories)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_looked_for() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let environment =
            Environment::empty().with_socket_directories(&[first.path(), second.path()]);
        assert_eq!(environment.default_socket_directory(5432), first.path());
        std::fs::write(second.path().join(".s.PGSQL.5432"), "").unwrap();
        assert_eq!(environment.default_socket_directory(5432), second.path());
        assert_eq!(environment.default_socket_directory(5433), first.path());
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!(
            "{:?}",
            Environment::empty().with_variable("PGPASSWORD", "hunter2")
        );
        assert!(
            shown.contains("PGPASSWORD") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
