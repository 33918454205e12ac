//! The floor of everything that reads a tree: opens, reads and closes each file of a list, and does
//! nothing with the bytes.
//!
//!     floor LIST [THREADS]
//!
//! LIST holds paths, each ended by a NUL (`find -print0`), from the working directory. The threads (2)
//! take 256 paths at a time, so that none has to wait for another at the end. Each has one buffer,
//! used again for every file. Nothing is listed, looked up or allocated for a file.

use std::ffi::CStr;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags};

/// Paths that a thread takes at once.
const SHARE: usize = 256;

/// What `cp` and `cat` read at once: most files are one read, and the buffer stays in the cache.
const BUFFER: usize = 128 << 10;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "floor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (list, threads) = match &arguments[..] {
        [list] => (list, 2),
        [list, threads] => (list, threads.parse().context("THREADS is no number")?),
        _ => bail!("usage: floor LIST [THREADS]"),
    };
    let list = std::fs::read(list).with_context(|| format!("cannot read {list}"))?;
    let paths: Vec<&CStr> = list
        .split_inclusive(|&byte| byte == 0)
        .map(|path| CStr::from_bytes_with_nul(path).context("the list does not end with a NUL"))
        .collect::<Result<_>>()?;
    let bytes = read_all(&paths, threads)?;
    writeln!(std::io::stdout(), "{} files, {bytes} bytes", paths.len())?;
    Ok(())
}

/// Reads every file, by several threads; the bytes in them.
fn read_all(paths: &[&CStr], threads: usize) -> Result<u64> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; BUFFER];
        let mut bytes = 0;
        loop {
            let start = next.fetch_add(SHARE, Ordering::Relaxed);
            if start >= paths.len() {
                return Ok(bytes);
            }
            for path in &paths[start..paths.len().min(start + SHARE)] {
                bytes += read_one(path, &mut buffer)
                    .with_context(|| format!("cannot read {}", path.to_string_lossy()))?;
            }
        }
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .sum()
    })
}

/// A read that does not fill the buffer has met the end: a second one would only say so.
fn read_one(path: &CStr, buffer: &mut [u8]) -> rustix::io::Result<u64> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = 0;
    loop {
        let read = rustix::io::read(&file, &mut *buffer)?;
        bytes += read as u64;
        if read < buffer.len() {
            return Ok(bytes);
        }
    }
}
