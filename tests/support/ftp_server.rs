//! A server of FTP on the loopback address: one file, passive, as far as a client that fetches goes.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A server of one file. It goes on until the process ends.
#[derive(Debug)]
pub(crate) struct FtpServer {
    port: u16,
    commands: Arc<Mutex<Vec<String>>>,
}

impl FtpServer {
    /// Serves `bytes` under `path`; says that data comes from `data_address`, whatever is true.
    pub(crate) fn start(path: &str, bytes: Vec<u8>, data_address: &str) -> FtpServer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let commands: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&commands);
        let (path, data_address) = (path.to_owned(), data_address.replace('.', ","));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whoever hangs up early has seen enough.
                let _ = serve(&stream, &path, &bytes, &data_address, &seen);
            }
        });
        FtpServer { port, commands }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ftp://127.0.0.1:{}/{path}", self.port)
    }

    /// All commands so far.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.commands.lock().expect("commands").clone()
    }
}

fn serve(
    stream: &TcpStream,
    path: &str,
    bytes: &[u8],
    data_address: &str,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let data = TcpListener::bind(("127.0.0.1", 0))?;
    let port = data.local_addr()?.port();
    let mut out = stream;
    out.write_all(b"220 ready\r\n")?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        seen.lock().expect("commands").push(line.clone());
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match command {
            "USER" => "331 and the password?".to_owned(),
            "PASS" => "230 come in".to_owned(),
            "TYPE" => "200 so be it".to_owned(),
            "SIZE" if argument == path => format!("213 {}", bytes.len()),
            "PASV" => format!(
                "227 Entering Passive Mode ({data_address},{},{})",
                port >> 8,
                port & 255
            ),
            "RETR" if argument == path => {
                out.write_all(b"150 here it comes\r\n")?;
                let (mut connection, _) = data.accept()?;
                connection.write_all(bytes)?;
                "226 that was it".to_owned()
            }
            "SIZE" | "RETR" => "550 no such file".to_owned(),
            "QUIT" => "221 farewell".to_owned(),
            _ => "502 what?".to_owned(),
        };
        out.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
