//! Fetching gold again: what is taken, and what is not, from servers of all sorts.

use std::io::{Read, Seek, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use fogold::catalog::Hosts;
use fogold::manifest::fetch::{FetchError, FetchOptions, Fetched, Fetcher, Patience};
use fogold::monitor::{Monitor, Silent};
use fogold::repository::RepositoryName;
use md5::{Digest, Md5};
use sha1::Sha1;

use super::support::ftp_server::FtpServer;
use super::support::web::{Reply, WebServer};

/// The name of contents.
fn name_of(contents: &[u8]) -> RepositoryName {
    RepositoryName {
        sha1: Sha1::digest(contents).into(),
        md5: Md5::digest(contents).into(),
        size: contents.len() as u64,
    }
}

fn contents() -> Vec<u8> {
    (0..300_000u32)
        .flat_map(|n| (n % 251).to_le_bytes())
        .collect()
}

fn quick() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        idle: Duration::from_millis(600),
        whole: Duration::from_secs(2),
        least_rate: 10 * 1024 * 1024,
    }
}

fn fetcher(hosts: Hosts) -> Fetcher {
    let patience = quick();
    Fetcher::new(FetchOptions { hosts, patience }).expect("a fetcher")
}

/// Fetches, and returns what was written too.
fn fetch(url: &str, wanted: &[u8]) -> (Result<Fetched, FetchError>, Vec<u8>) {
    let mut out = Vec::new();
    let result = fetcher(Hosts::Any).fetch(url, &name_of(wanted), &mut out, &Silent);
    (result, out)
}

#[test]
fn a_file_comes_as_it_is_and_is_proven() {
    let wanted = contents();
    let bytes = wanted.clone();
    // An encoding that a server names is none of our business: the bytes are.
    let server = WebServer::start(move |request| match &*request.path {
        "/a.gz" => Reply::With("Content-Encoding: gzip", bytes.clone()),
        "/unmeasured.gz" => Reply::Unmeasured(bytes.clone()),
        _ => Reply::File(bytes.clone()),
    });
    for path in ["/plain.zip", "/a.gz", "/unmeasured.gz"] {
        let (fetched, written) = fetch(&server.url(path), &wanted);
        let fetched = fetched.expect("it is fetched");
        assert_eq!(written, wanted, "{path}");
        assert_eq!(fetched.blake3, *blake3::hash(&wanted).as_bytes());
        assert_eq!(fetched.sha256[..], sha2::Sha256::digest(&wanted)[..]);
    }
    for request in server.requests() {
        let asks_for_bytes = |line: &String| line == "accept-encoding: identity";
        assert!(request.headers.iter().any(asks_for_bytes), "{request:?}");
    }
}

#[test]
fn another_file_is_told_by_its_digests() {
    let wanted = contents();
    let mut changed = wanted.clone();
    changed[77] ^= 1;
    let longer = [&wanted[..], b"!"].concat();
    let replies = [
        ("size", Reply::File(longer.clone())),
        ("size", Reply::Unmeasured(longer)),
        ("size", Reply::Unmeasured(vec![0; 50_000_000])),
        ("size", Reply::Unmeasured(wanted[1..].to_vec())),
        ("sha1, md5", Reply::File(changed)),
    ];
    for (difference, reply) in replies {
        let server = WebServer::start(move |_| reply.clone());
        let (fetched, written) = fetch(&server.url("/a.zip"), &wanted);
        match fetched {
            Err(FetchError::Differs {
                difference: found, ..
            }) => {
                assert!(found.contains(difference), "{found}");
            }
            other => panic!("{other:?}"),
        }
        assert!(written.len() <= wanted.len(), "never more than the size");
    }
}

#[test]
fn redirects_are_followed_to_an_end() {
    let wanted = contents();
    let bytes = wanted.clone();
    let server = WebServer::start(move |request| {
        let step = request
            .path
            .strip_prefix("/step/")
            .and_then(|n| n.parse::<u32>().ok());
        match step {
            Some(0) => Reply::File(bytes.clone()),
            Some(step) => Reply::To(format!("{}", step - 1)),
            None => Reply::To("/loop".to_owned()),
        }
    });
    let (fetched, written) = fetch(&server.url("/step/10"), &wanted);
    assert!(fetched.is_ok(), "{fetched:?}");
    assert_eq!(written, wanted);
    for path in ["/step/11", "/loop"] {
        let (fetched, _) = fetch(&server.url(path), &wanted);
        assert!(
            matches!(fetched, Err(FetchError::BadRedirect { .. })),
            "{path}: {fetched:?}"
        );
    }
}

#[test]
fn a_redirect_is_judged_like_a_url_and_never_shown() {
    let wanted = contents();
    for location in [
        "file:///etc/hostname",
        "http://user:hunter2@127.0.0.1/a.zip",
        "http://hunter2.127.1/a.zip",
        "gopher://127.0.0.1/hunter2",
    ] {
        let server = WebServer::start(move |_| Reply::To(location.to_owned()));
        let (fetched, _) = fetch(&server.url("/a.zip"), &wanted);
        let error = fetched.expect_err("it is refused");
        assert!(matches!(error, FetchError::BadRedirect { .. }), "{error:?}");
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
    // One that a server makes up for the moment is its own affair: not shown, but followed.
    let bytes = wanted.clone();
    let server = WebServer::start(move |request| match &*request.path {
        "/a.zip" => Reply::To("/b?signature=hunter2".to_owned()),
        "/b?signature=hunter2" => Reply::File(bytes.clone()),
        _ => Reply::Status(404),
    });
    assert!(fetch(&server.url("/a.zip"), &wanted).0.is_ok());
}

#[test]
fn this_machine_is_not_asked_unless_allowed() {
    let server = WebServer::of_files(vec![("/a.zip".to_owned(), contents())]);
    let port = server.port();
    let remote = fetcher(Hosts::Remote);
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"] {
        let url = format!("http://{host}:{port}/a.zip");
        let refused = remote.fetch(&url, &name_of(&contents()), &mut Vec::new(), &Silent);
        let error = refused.expect_err("it is refused");
        assert!(matches!(error, FetchError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("--allow-local-urls"), "{error}");
    }
    assert_eq!(server.requests().len(), 0, "nothing was sent");
}

#[test]
fn nor_by_a_name_that_resolves_to_it() {
    // The name that this machine has for itself stands in most host tables beside a loopback address.
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let is_local = std::net::ToSocketAddrs::to_socket_addrs(&(&*name, 80))
        .is_ok_and(|mut found| found.all(|address| address.ip().is_loopback()));
    if !is_local {
        super::support::skipped("this machine's name does not resolve to a loopback address");
        return;
    }
    for scheme in ["http", "ftp"] {
        let url = format!("{scheme}://{name}:9/a.zip");
        let refused = fetcher(Hosts::Remote).fetch(&url, &name_of(b""), &mut Vec::new(), &Silent);
        assert!(
            matches!(refused, Err(FetchError::LocalAddress { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn servers_that_fail_are_told_apart() {
    let wanted = contents();
    let start = Instant::now();
    for (reply, kind) in [
        (Reply::Status(404), "status 404"),
        (Reply::Status(503), "status 503"),
        (Reply::Status(304), "status 304"),
        (
            Reply::Cut(wanted[..wanted.len() - 1].to_vec()),
            "cannot fetch",
        ),
        (Reply::Silence, "takes too long"),
        (Reply::Trickle, "takes too long"),
    ] {
        let server = WebServer::start(move |_| reply.clone());
        let (fetched, _) = fetch(&server.url("/a.zip"), &wanted);
        let error = fetched.expect_err(kind);
        assert!(error.to_string().contains(kind), "{kind}: {error:?}");
        assert!(error.to_string().contains(&server.url("/a.zip")), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    let nobody = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = nobody.local_addr().expect("bound").port();
    drop(nobody);
    let (fetched, _) = fetch(&format!("http://127.0.0.1:{port}/a.zip"), &wanted);
    assert!(
        matches!(fetched, Err(FetchError::Network { .. })),
        "{fetched:?}"
    );
}

#[test]
fn ftp_is_spoken() {
    let wanted = contents();
    let server = FtpServer::start("pub/a 1.zip", wanted.clone(), "127.0.0.1");
    let (fetched, written) = fetch(&server.url("pub/a%201.zip"), &wanted);
    assert!(fetched.is_ok(), "{fetched:?}");
    assert_eq!(written, wanted);
    assert_eq!(server.commands()[..2], ["USER anonymous", "PASS fogold@"]);
    let (fetched, _) = fetch(&server.url("pub/b.zip"), &wanted);
    assert!(
        matches!(fetched, Err(FetchError::Status { status: 550, .. })),
        "{fetched:?}"
    );
    let (fetched, written) = fetch(&server.url("pub/a%201.zip"), b"another");
    assert!(
        matches!(fetched, Err(FetchError::Differs { .. })),
        "{fetched:?}"
    );
    assert_eq!(written, b"");
}

#[test]
fn an_ftp_server_does_not_say_whom_to_connect_to() {
    let elsewhere = TcpListener::bind(("127.0.0.2", 0)).expect("a port on another address");
    elsewhere.set_nonblocking(true).expect("a socket");
    let wanted = contents();
    let server = FtpServer::start("a.zip", wanted.clone(), "127.0.0.2");
    let (fetched, written) = fetch(&server.url("a.zip"), &wanted);
    assert!(fetched.is_ok(), "{fetched:?}");
    assert_eq!(written, wanted);
    assert!(elsewhere.accept().is_err(), "nobody came");
}

#[test]
fn the_first_url_that_gives_the_file_is_taken() {
    let wanted = contents();
    let bytes = wanted.clone();
    let server = WebServer::start(move |request| match &*request.path {
        "/good.zip" => Reply::File(bytes.clone()),
        "/cut.zip" => Reply::Cut(bytes[..1000].to_vec()),
        _ => Reply::Status(404),
    });
    let mut file = tempfile::tempfile().expect("a file");
    let urls = ["/gone.zip", "/cut.zip", "/good.zip"].map(|path| server.url(path));
    let fetcher = fetcher(Hosts::Any);
    fetcher
        .fetch_from_any(&urls, &name_of(&wanted), &mut file, &Silent)
        .expect("the third gives it");
    let mut found = Vec::new();
    file.rewind().expect("a file");
    file.read_to_end(&mut found).expect("a file");
    assert!(found == wanted, "only the good one's bytes");
    let errors = fetcher
        .fetch_from_any(&urls[..2], &name_of(&wanted), &mut file, &Silent)
        .expect_err("neither gives it");
    assert_eq!(errors.len(), 2);
}

#[test]
fn a_full_disk_is_not_the_servers_fault() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let server = WebServer::of_files(vec![("/a.zip".to_owned(), contents())]);
    let result = fetcher(Hosts::Any).fetch(
        &server.url("/a.zip"),
        &name_of(&contents()),
        &mut Full,
        &Silent,
    );
    assert!(
        matches!(result, Err(FetchError::Write { .. })),
        "{result:?}"
    );
}

#[test]
fn fetching_can_be_stopped() {
    struct Stopped;
    impl Monitor for Stopped {
        fn stopped(&self) -> bool {
            true
        }
    }
    let server = WebServer::of_files(vec![("/a.zip".to_owned(), contents())]);
    let url = server.url("/a.zip");
    let result = fetcher(Hosts::Any).fetch(&url, &name_of(&contents()), &mut Vec::new(), &Stopped);
    assert!(matches!(result, Err(FetchError::Stopped)), "{result:?}");
}
