//! Why a file was not fetched.
//!
//! A message shows the URL that was asked for, which a person may see, and never where redirects
//! led: there a secret may stand.

use std::io;

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Never fetched, whatever a server may say; not shown, for it may hold a secret.
    #[error("a URL with credentials or a query is not fetched, nor is it shown here")]
    Secret,
    /// Never fetched, whatever a server may say.
    #[error("{url} is not fetched: {why}")]
    Refused {
        /// The URL.
        url: String,
        /// What speaks against it.
        why: &'static str,
    },
    /// A server sent the request on to where it does not go.
    #[error("{url} leads elsewhere, and the redirect is not followed: {why}")]
    BadRedirect {
        /// The URL that was asked for first.
        url: String,
        /// What speaks against it.
        why: &'static str,
    },
    /// The host's name resolves to a local address only.
    #[error(
        "{url} is not fetched: its host, or one that it leads to, resolves to an address of this machine or its own \
         link (--allow-local-urls allows it)"
    )]
    LocalAddress {
        /// The URL that was asked for first.
        url: String,
    },
    /// No answer, or half of one.
    #[error("cannot fetch {url}")]
    Network {
        /// The URL that was asked for first.
        url: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server took too long.
    #[error("cannot fetch {url}: it takes too long")]
    Timeout {
        /// The URL that was asked for first.
        url: String,
    },
    /// The server will not give the file.
    #[error("cannot fetch {url}: the server answers with status {status}")]
    Status {
        /// The URL that was asked for first.
        url: String,
        /// The status of HTTP or FTP.
        status: u32,
    },
    /// The server has another file there now.
    #[error("{url} gives another file now: it differs in {difference}")]
    Differs {
        /// The URL that was asked for first.
        url: String,
        /// In which of sha1, md5 and size.
        difference: String,
    },
    /// What was fetched cannot be written.
    #[error("cannot write what was fetched")]
    Write {
        /// The system's answer.
        source: io::Error,
    },
    /// The proxy that the environment names cannot be used.
    #[error(
        "the environment names a SOCKS proxy, and fogold knows proxies of http and https only: unset all_proxy, or name another"
    )]
    Proxy,
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

impl FetchError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        matches!(self, FetchError::Proxy)
    }

    /// Whether nobody answered: another time the same URL may give the file.
    pub fn is_unreached(&self) -> bool {
        matches!(
            self,
            FetchError::Network { .. } | FetchError::Timeout { .. }
        )
    }

    /// An error of a connection: a wait that was too long is told from the rest.
    pub(super) fn of_io(url: &str, source: io::Error) -> FetchError {
        let url = url.to_owned();
        // A read that met its time limit comes back as one of these.
        let is_late = matches!(
            source.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
        ) || source
            .get_ref()
            .and_then(|inner| inner.downcast_ref())
            .is_some_and(|error| matches!(error, ureq::Error::Timeout(_)));
        if is_late {
            return FetchError::Timeout { url };
        }
        FetchError::Network {
            url,
            source: Box::new(source),
        }
    }
}
