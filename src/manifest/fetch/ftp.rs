//! Asking over ftp: anonymous, passive, binary.
//!
//! The data connection goes to the host that was judged, whatever address the server names.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use suppaftp::types::FileType;
use suppaftp::{FtpError, FtpStream, Mode};

use super::intake::Intake;
use super::resolve::{self, OnlyLocal};
use super::target::Target;
use super::{Answer, FetchError, Patience};
use crate::catalog::Hosts;

const PORT: u16 = 21;

pub(super) fn ask(
    target: &Target,
    hosts: Hosts,
    patience: &Patience,
    intake: &mut Intake<'_>,
) -> Result<Answer, FetchError> {
    let url = intake.url.to_owned();
    let path = path(target.path()).ok_or_else(|| FetchError::Refused {
        url: url.clone(),
        why: "its path has characters that no path has",
    })?;
    let port = if target.port == 0 { PORT } else { target.port };
    let of_io = |error: io::Error| failed(&url, error.into());
    let of_ftp = |error: FtpError| failed(&url, error.into());
    let control = open(&target.host, port, hosts, patience).map_err(of_io)?;
    let watched = control.try_clone().map_err(of_io)?;
    within(intake.time_left(), watched, || {
        let mut ftp = log_in(control, patience).map_err(|error| failed(&url, error))?;
        // Not every server knows the command.
        if let Ok(size) = ftp.size(&path) {
            intake.expect_length(size as u64)?;
        }
        let mut data = ftp.retr_as_stream(&path).map_err(of_ftp)?;
        let fetched = intake.take(&mut data)?;
        // The contents are proven: how the server takes its leave does not matter.
        let _ = data.finish();
        Ok(Answer::File(fetched))
    })
}

fn open(
    host: &crate::catalog::origin::Host,
    port: u16,
    hosts: Hosts,
    patience: &Patience,
) -> io::Result<TcpStream> {
    let stream = resolve::connect(host, port, hosts, patience.connect)?;
    limit_waits(&stream, patience.idle)?;
    Ok(stream)
}

fn log_in(control: TcpStream, patience: &Patience) -> Result<FtpStream, Failed> {
    let peer = control.peer_addr()?;
    let patience = *patience;
    let mut ftp = FtpStream::connect_with_stream(control)?.passive_stream_builder(move |named| {
        let address = SocketAddr::new(peer.ip(), named.port());
        let stream = TcpStream::connect_timeout(&address, patience.connect);
        stream
            .and_then(|stream| limit_waits(&stream, patience.idle).map(|()| stream))
            .map_err(FtpError::ConnectionError)
    });
    ftp.set_mode(if peer.is_ipv4() {
        Mode::Passive
    } else {
        Mode::ExtendedPassive
    });
    ftp.login("anonymous", "fogold@")?;
    ftp.transfer_type(FileType::Binary)?;
    Ok(ftp)
}

fn limit_waits(stream: &TcpStream, idle: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(idle))?;
    stream.set_write_timeout(Some(idle))
}

/// Does work that a server might draw out a byte at a time; when the time is up, the connection is
/// cut.
fn within<T>(time: Duration, control: TcpStream, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        let watch = move || {
            if let Err(mpsc::RecvTimeoutError::Timeout) = is_done.recv_timeout(time) {
                // One that is closed already needs no cutting.
                let _ = control.shutdown(Shutdown::Both);
            }
        };
        // Without a further thread there is still the limit on each wait.
        let watcher = std::thread::Builder::new().spawn_scoped(scope, watch);
        let result = work();
        drop(done);
        drop(watcher);
        result
    })
}

/// The path that a server is asked for: relative to where an anonymous user comes in, as the URL
/// means it (RFC 1738), and decoded.
fn path(path: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut rest = path.strip_prefix('/')?.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let [byte] = crate::repository::name::hex::<1>(rest.get(..2)?)?;
        decoded.push(byte);
        rest = &rest[2..];
    }
    let text = String::from_utf8(decoded).ok()?;
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

/// An error of the system or of the protocol.
enum Failed {
    Io(io::Error),
    Ftp(FtpError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Io(error)
    }
}

impl From<FtpError> for Failed {
    fn from(error: FtpError) -> Failed {
        match error {
            FtpError::ConnectionError(error) => Failed::Io(error),
            other => Failed::Ftp(other),
        }
    }
}

fn failed(url: &str, error: Failed) -> FetchError {
    let url = url.to_owned();
    match error {
        Failed::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<OnlyLocal>()) => {
            FetchError::LocalAddress { url }
        }
        Failed::Io(error) => FetchError::of_io(&url, error),
        Failed::Ftp(FtpError::UnexpectedResponse(response)) => FetchError::Status {
            url,
            status: response.status.code(),
        },
        Failed::Ftp(error) => FetchError::Network {
            url,
            source: Box::new(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded() {
        assert_eq!(path("/pub/a%20b.zip").as_deref(), Some("pub/a b.zip"));
        assert_eq!(path("/%2Fpub/a.zip").as_deref(), Some("/pub/a.zip"));
        for odd in ["/a%0d%0aDELE b", "/a%", "/a%4", "/a%zz", "/", "", "/%ff"] {
            assert_eq!(path(odd), None, "{odd}");
        }
    }
}
