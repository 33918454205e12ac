//! A server of HTTP on the loopback address that does what a story needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request, as far as stories look at it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// What is asked for: path and query.
    pub(crate) path: String,
    /// The header lines, in lower case.
    pub(crate) headers: Vec<String>,
    /// What is sent along.
    pub(crate) body: Vec<u8>,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// 200 with these bytes and their length.
    File(Vec<u8>),
    /// 200 with these bytes, and a header line.
    With(&'static str, Vec<u8>),
    /// 200 with these bytes, whose length is not told.
    Unmeasured(Vec<u8>),
    /// 200 with more length than bytes: the connection ends before.
    Cut(Vec<u8>),
    /// 200, and then nothing for a long time.
    Silence,
    /// 200, and then a byte now and then.
    Trickle,
    /// A redirect to somewhere else.
    To(String),
    /// Another status.
    Status(u16),
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

/// A server. It goes on until the process ends.
#[derive(Debug)]
pub(crate) struct WebServer {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl WebServer {
    /// A server that answers as `answer` says.
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> WebServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (answer, seen): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                // Whoever hangs up early has seen enough.
                thread::spawn(move || serve(&stream, &*answer, &seen).ok());
            }
        });
        WebServer { port, requests }
    }

    /// A server of some files.
    pub(crate) fn of_files(files: Vec<(String, Vec<u8>)>) -> WebServer {
        WebServer::start(move |request| {
            let found = files.iter().find(|(path, _)| *path == request.path);
            found.map_or(Reply::Status(404), |(_, bytes)| Reply::File(bytes.clone()))
        })
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// All requests since the last call.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().expect("requests"))
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("requests").clone()
    }
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream, answer: &Answer, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let path = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
        let headers: Vec<String> = lines[1..].iter().map(|line| line.to_lowercase()).collect();
        let length = headers
            .iter()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.and_then(|text| text.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let request = Request {
            path,
            headers,
            body,
        };
        seen.lock().expect("requests").push(request.clone());
        let measured =
            |bytes: &[u8]| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", bytes.len());
        match answer(&request) {
            Reply::File(bytes) => {
                out.write_all(format!("{}\r\n", measured(&bytes)).as_bytes())?;
                out.write_all(&bytes)?;
            }
            Reply::With(header, bytes) => {
                out.write_all(format!("{}{header}\r\n\r\n", measured(&bytes)).as_bytes())?;
                out.write_all(&bytes)?;
            }
            Reply::Unmeasured(bytes) => {
                out.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                return out.write_all(&bytes);
            }
            Reply::Cut(bytes) => {
                let length = bytes.len() + 1;
                out.write_all(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
                )?;
                return out.write_all(&bytes);
            }
            Reply::Silence => {
                out.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                thread::sleep(Duration::from_secs(60));
                return Ok(());
            }
            Reply::Trickle => {
                out.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                loop {
                    out.write_all(b"x")?;
                    thread::sleep(Duration::from_millis(50));
                }
            }
            Reply::To(location) => {
                let head = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n";
                out.write_all(format!("{head}Location: {location}\r\n\r\n").as_bytes())?;
            }
            Reply::Status(status) => {
                out.write_all(
                    format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").as_bytes(),
                )?;
            }
        }
    }
}
