//! Fetching gold again from the URL it came from, and proving that it is the same.
//!
//! What comes must have the sha1, the md5 and the size of the name that is expected, byte for byte;
//! nothing else is ever handed over as that file. Since the contents are proven, a way that is not
//! encrypted will do (a redirect from https to http is followed): all that is sent is the URL, and
//! one with a secret in it is never asked for.
//!
//! URLs come from databases and manifests, and so may name anything. Only http, https and ftp are
//! spoken, and each hop of a redirect is judged anew; a host that is this machine or lies on its own
//! link is refused, by its name and by the address that the name resolves to, unless the caller
//! allows it.

mod error;
mod ftp;
mod http;
mod intake;
mod resolve;
mod target;

use std::fs::File;
use std::io::{Seek, Write};
use std::time::{Duration, Instant};

pub use error::FetchError;

pub(crate) use http::tls;

use crate::catalog::Hosts;
use crate::monitor::Monitor;
use crate::repository::RepositoryName;
use intake::Intake;
use target::{Scheme, Target};

/// Redirects that are followed for one file.
const MAX_REDIRECTS: usize = 10;
/// How this program calls itself to servers.
pub(crate) const USER_AGENT: &str = concat!("fogold/", env!("CARGO_PKG_VERSION"));

/// How long fetching may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection, with the look-up of the host's name.
    pub connect: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
    /// For a file as a whole, and beside it the time that its size takes.
    pub whole: Duration,
    /// Bytes a second that a server must give in the long run.
    pub least_rate: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            whole: Duration::from_secs(300),
            least_rate: 32 * 1024,
        }
    }
}

impl Patience {
    /// How long a file of a size may take.
    fn for_size(&self, size: u64) -> Duration {
        self.whole + Duration::from_secs(size / self.least_rate.max(1))
    }
}

/// How to fetch.
#[derive(Clone, Copy, Debug, Default)]
pub struct FetchOptions {
    /// From which hosts.
    pub hosts: Hosts,
    /// How long it may take.
    pub patience: Patience,
}

/// What a file was, besides what its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// BLAKE3 of the contents.
    pub blake3: [u8; 32],
    /// SHA-256 of the contents.
    pub sha256: [u8; 32],
}

/// What one request gave.
enum Answer {
    /// The file.
    File(Fetched),
    /// Where to ask instead, as the server says it.
    Elsewhere(String),
}

/// Fetches files; may be shared by threads.
#[derive(Debug)]
pub struct Fetcher {
    options: FetchOptions,
    http: http::Client,
}

impl Fetcher {
    /// A fetcher that goes through the proxy that the environment names (`https_proxy`,
    /// `http_proxy`, `all_proxy`, `no_proxy`, in upper or lower case) for http and https; a proxy
    /// looks up the names of hosts itself. Local hosts and ftp are asked directly.
    pub fn new(options: FetchOptions) -> Result<Fetcher, FetchError> {
        Ok(Fetcher {
            options,
            http: http::Client::new(&options)?,
        })
    }

    /// Fetches a URL, writes what comes to `out`, and proves that it is the file of a name. After an
    /// error, what was written is of no use.
    pub fn fetch(
        &self,
        url: &str,
        name: &RepositoryName,
        out: &mut dyn Write,
        monitor: &dyn Monitor,
    ) -> Result<Fetched, FetchError> {
        let hosts = self.options.hosts;
        let mut target = Target::of(url, hosts)?;
        let patience = self.options.patience;
        let mut intake = Intake {
            url,
            name,
            out,
            deadline: Instant::now() + patience.for_size(name.size),
            monitor,
        };
        for _ in 0..=MAX_REDIRECTS {
            if monitor.stopped() {
                return Err(FetchError::Stopped);
            }
            let answer = match target.scheme {
                Scheme::Ftp => ftp::ask(&target, hosts, &patience, &mut intake)?,
                Scheme::Http | Scheme::Https => self.http.ask(&target, &mut intake)?,
            };
            match answer {
                Answer::File(fetched) => return Ok(fetched),
                Answer::Elsewhere(location) => {
                    target =
                        target
                            .follow(&location, hosts)
                            .map_err(|why| FetchError::BadRedirect {
                                url: url.to_owned(),
                                why,
                            })?;
                }
            }
        }
        Err(FetchError::BadRedirect {
            url: url.to_owned(),
            why: "it is the eleventh in a row",
        })
    }

    /// Fetches a file from the first of several URLs that gives it. After an error, the file is
    /// empty; the errors of all URLs are handed back.
    pub fn fetch_from_any(
        &self,
        urls: &[String],
        name: &RepositoryName,
        file: &mut File,
        monitor: &dyn Monitor,
    ) -> Result<Fetched, Vec<FetchError>> {
        let mut errors = Vec::new();
        for url in urls {
            match self.fetch(url, name, file, monitor) {
                Ok(fetched) => return Ok(fetched),
                Err(error) => errors.push(error),
            }
            if let Err(source) = file.set_len(0).and_then(|()| file.rewind()) {
                errors.push(FetchError::Write { source });
                break;
            }
            if monitor.stopped() {
                break;
            }
        }
        Err(errors)
    }
}
