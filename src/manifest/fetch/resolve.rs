//! Looking up the addresses of hosts, and keeping those that may be connected to.
//!
//! A name that anybody can register may resolve to this machine. So it is the addresses that are
//! judged, and a connection is made to one of the judged addresses, never to the name.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::catalog::Hosts;
use crate::catalog::origin::{Host, is_local_address};

/// A host has local addresses only.
#[derive(Debug, thiserror::Error)]
#[error("the host resolves to an address of this machine or its own link")]
pub(super) struct OnlyLocal;

/// Resolves for the HTTP client.
#[derive(Debug)]
pub(super) struct JudgingResolver {
    pub(super) hosts: Hosts,
}

impl Resolver for JudgingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        // Where the proxy stands is the affair of whoever named it.
        let is_proxy = config.proxy().is_some_and(|proxy| proxy.uri() == uri);
        let mut kept = self.empty();
        for address in &found {
            if is_proxy || may_connect(*address, self.hosts) {
                kept.push(*address);
            }
        }
        if kept.is_empty() {
            return Err(ureq::Error::Other(Box::new(OnlyLocal)));
        }
        Ok(kept)
    }
}

fn may_connect(address: SocketAddr, hosts: Hosts) -> bool {
    hosts == Hosts::Any || !is_local_address(address.ip())
}

/// Connects to a host, within a time.
pub(super) fn connect(
    host: &Host,
    port: u16,
    hosts: Hosts,
    patience: Duration,
) -> io::Result<TcpStream> {
    let deadline = Instant::now() + patience;
    let addresses = addresses(host, port, patience)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let mut judged = addresses.into_iter().filter(|address| {
        let may = may_connect(*address, hosts);
        if !may {
            last = io::Error::new(io::ErrorKind::PermissionDenied, OnlyLocal);
        }
        may
    });
    let mut failure = None;
    for address in judged.by_ref() {
        let left = deadline.saturating_duration_since(Instant::now());
        match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(100))) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    drop(judged);
    Err(failure.unwrap_or(last))
}

/// The addresses of a host. The system's resolver knows no time limit, so it works on a thread that
/// is left to itself when the time is up.
fn addresses(host: &Host, port: u16, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    let name = match host {
        Host::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
        Host::Name(name) => name.clone(),
    };
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::Builder::new().spawn(move || {
        let found = (&*name, port).to_socket_addrs().map(Iterator::collect);
        // Nobody may be waiting any more.
        let _ = sender.send(found);
    })?;
    receiver
        .recv_timeout(patience)
        .map_err(|_| io::ErrorKind::TimedOut)?
}
