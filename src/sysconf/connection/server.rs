//! The servers that the lists `host`, `hostaddr` and `port` name.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::environment::socket_name;
use super::settings::Settings;
use super::{ConnectionError, Environment};
use crate::sysconf::Secret;

const DEFAULT_PORT: u16 = 5432;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A directory that holds the server's socket.
    Socket(PathBuf),
    /// A host by name, and its address if that need not be looked up.
    Tcp {
        host: String,
        address: Option<IpAddr>,
    },
}

/// One server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) port: u16,
    pub(super) password: Option<Secret>,
}

impl Server {
    /// The name under which password files know the server.
    pub(super) fn name_in_password_file(&self, environment: &Environment) -> String {
        match &self.address {
            Address::Tcp { host, .. } => host.clone(),
            Address::Socket(directory) if environment.is_default_socket_directory(directory) => {
                "localhost".to_owned()
            }
            Address::Socket(directory) => directory.to_string_lossy().into_owned(),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Socket(directory) => {
                write!(
                    f,
                    "socket {}",
                    directory.join(socket_name(self.port)).display()
                )
            }
            Address::Tcp { host, .. } if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Address::Tcp { host, .. } => write!(f, "{host}:{}", self.port),
        }
    }
}

/// The servers in the order in which they are tried, without passwords; at least one.
pub(super) fn servers(
    settings: &Settings,
    environment: &Environment,
) -> Result<Vec<Server>, ConnectionError> {
    let list = |keyword| {
        settings
            .get(keyword)
            .map(|text| text.split(',').map(str::trim).collect())
    };
    let hosts: Vec<&str> = list("host").unwrap_or_default();
    let addresses: Vec<&str> = list("hostaddr").unwrap_or_default();
    let ports: Vec<&str> = list("port").unwrap_or_default();
    let count = hosts.len().max(addresses.len()).max(1);
    let mismatch = |keyword, others| ConnectionError::Mismatch {
        hosts: count,
        keyword,
        others,
    };
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(ConnectionError::Mismatch {
            hosts: hosts.len(),
            keyword: "hostaddr",
            others: addresses.len(),
        });
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(mismatch("port", ports.len()));
    }
    let nth = |list: &[&str], index: usize| list.get(index).copied().unwrap_or("").to_owned();
    (0..count)
        .map(|index| {
            let port = port(&nth(&ports, if ports.len() == 1 { 0 } else { index }))?;
            let address = address(
                &nth(&hosts, index),
                &nth(&addresses, index),
                port,
                environment,
            )?;
            Ok(Server {
                address,
                port,
                password: None,
            })
        })
        .collect()
}

fn port(text: &str) -> Result<u16, ConnectionError> {
    match text.parse() {
        _ if text.is_empty() => Ok(DEFAULT_PORT),
        Ok(port) if port > 0 => Ok(port),
        _ => Err(ConnectionError::BadValue {
            keyword: "port",
            value: text.to_owned(),
            want: "a number from 1 to 65535",
        }),
    }
}

fn address(
    host: &str,
    address: &str,
    port: u16,
    environment: &Environment,
) -> Result<Address, ConnectionError> {
    if !address.is_empty() {
        let parsed = address.parse().map_err(|_| ConnectionError::BadValue {
            keyword: "hostaddr",
            value: address.to_owned(),
            want: "an IP address",
        })?;
        let host = if host.is_empty() { address } else { host };
        return Ok(Address::Tcp {
            host: host.to_owned(),
            address: Some(parsed),
        });
    }
    if host.is_empty() {
        return Ok(Address::Socket(environment.default_socket_directory(port)));
    }
    if host.starts_with('/') {
        return Ok(Address::Socket(PathBuf::from(host)));
    }
    Ok(Address::Tcp {
        host: host.to_owned(),
        address: None,
    })
}
