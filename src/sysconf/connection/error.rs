//! What can be wrong with connection parameters, before any server is asked.
//!
//! No message holds a value that could be a password.

use std::io;
use std::path::PathBuf;

use crate::sysconf::db_conf::REMOVED;

/// Why connection parameters cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The text is neither a PostgreSQL URL nor a connection string.
    #[error(
        "neither a PostgreSQL URL (postgresql://user@host/dbname) nor a connection string (host=… dbname=…)"
    )]
    NotASource,
    /// The text is one of these, but broken.
    #[error("the connection string cannot be understood: {why}")]
    Syntax {
        /// What is wrong, without quoting values.
        why: String,
    },
    /// A keyword that libpq does not have.
    #[error("{place}: libpq has no keyword {keyword:?}")]
    UnknownKeyword {
        /// The keyword.
        keyword: String,
        /// Where it stands.
        place: String,
    },
    /// A keyword that asks for something that is not done here, and that must not be ignored.
    #[error("{place}: {keyword} is not supported by fogold; leave it out")]
    Unsupported {
        /// The keyword.
        keyword: &'static str,
        /// Where it stands.
        place: String,
    },
    /// The file came out of a set, without the secrets that had been in it.
    #[error(
        "Db.conf: {keyword} is {REMOVED}, for a set's copy of the configuration holds no passwords; put the password in, or take the line out where none is asked for"
    )]
    Removed {
        /// The keyword.
        keyword: String,
    },
    /// A keyword has a value that it cannot have.
    #[error("{keyword} = {value:?}, but it must be {want}")]
    BadValue {
        /// The keyword.
        keyword: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        want: &'static str,
    },
    /// The lists of hosts, addresses and ports do not fit together.
    #[error("{hosts} hosts, but {others} values for {keyword}; give one for each host")]
    Mismatch {
        /// The number of hosts.
        hosts: usize,
        /// The keyword with another number.
        keyword: &'static str,
        /// Its number.
        others: usize,
    },
    /// No user is named and the operating system's is not known.
    #[error("no database user is named and this process's user has no name; give user=…")]
    NoUser,
    /// A service is not defined anywhere.
    #[error("no service {name:?} in any pg_service.conf; define it, or name the database itself")]
    NoService {
        /// Its name.
        name: String,
    },
    /// A line of a service file cannot be understood.
    #[error("{}, line {line}: {why}", path.display())]
    ServiceLine {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file that the parameters name cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A certificate or key that the parameters name cannot be used.
    #[error("{keyword}: {} cannot be used: {why}", path.display())]
    Certificate {
        /// The keyword whose value it is.
        keyword: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The server's certificate is to be checked, and there is nothing to check it against.
    #[error(
        "sslmode={mode} needs the certificate of the authority that signed the server's: put it into ~/.postgresql/root.crt, or name it, or 'system', with sslrootcert"
    )]
    NoRoot {
        /// The mode.
        mode: &'static str,
    },
    /// The TLS library refuses the settings.
    #[error("TLS cannot be set up as asked")]
    Tls {
        /// The library's answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
