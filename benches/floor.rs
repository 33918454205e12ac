//! The floor of everything that reads a tree: opens, reads and closes each file, and does nothing with
//! the bytes.
//!
//!     floor LIST [THREADS]
//!     floor --walk ROOT [THREADS]
//!
//! LIST holds paths, each ended by a NUL (`find -print0`), from the working directory. The threads (2)
//! take 256 paths at a time, so that none has to wait for another at the end. Each has one buffer,
//! used again for every file. Nothing is listed, looked up or allocated for a file.
//!
//! With `--walk` there is no list: the threads find the files below ROOT themselves, with the
//! directories two levels down as what a thread takes at once. That is the floor of a program that is
//! told no more than where the tree is.

use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
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
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let two = Ok(2);
    let (files, bytes) = match &arguments[..] {
        ["--walk", root] => walk(Path::new(root), two),
        ["--walk", root, threads] => walk(Path::new(root), threads.parse()),
        [list] => read_list(list, two),
        [list, threads] => read_list(list, threads.parse()),
        _ => bail!("usage: floor LIST [THREADS], or floor --walk ROOT [THREADS]"),
    }?;
    writeln!(std::io::stdout(), "{files} files, {bytes} bytes")?;
    Ok(())
}

/// Files and bytes.
type Amount = (u64, u64);

/// A number of threads as it was given.
type Threads = Result<usize, std::num::ParseIntError>;

/// Reads every file of a list.
fn read_list(list: &str, threads: Threads) -> Result<Amount> {
    let list = std::fs::read(list).with_context(|| format!("cannot read {list}"))?;
    let paths: Vec<&CStr> = list
        .split_inclusive(|&byte| byte == 0)
        .map(|path| CStr::from_bytes_with_nul(path).context("the list does not end with a NUL"))
        .collect::<Result<_>>()?;
    let shares: Vec<&[&CStr]> = paths.chunks(SHARE).collect();
    by_share(&shares, threads, |share, buffer| {
        let mut amount = (0, 0);
        for path in *share {
            add(&mut amount, (1, read_one(path, buffer)?));
        }
        Ok(amount)
    })
}

/// Reads every file below a directory.
fn walk(root: &Path, threads: Threads) -> Result<Amount> {
    let mut shares = vec![root.to_owned()];
    for _ in 0..2 {
        let mut below = Vec::new();
        for directory in &shares {
            for entry in std::fs::read_dir(directory)? {
                below.push(entry?.path());
            }
        }
        shares = below;
    }
    by_share(&shares, threads, walk_one)
}

fn walk_one(directory: &impl AsRef<Path>, buffer: &mut [u8]) -> Result<Amount> {
    let mut amount = (0, 0);
    for entry in std::fs::read_dir(directory.as_ref())? {
        let entry = entry?;
        let path = entry.path();
        add(
            &mut amount,
            if entry.file_type()?.is_dir() {
                walk_one(&path, buffer)?
            } else {
                let path = CString::new(path.as_os_str().as_bytes())?;
                (1, read_one(&path, buffer)?)
            },
        );
    }
    Ok(amount)
}

fn add(amount: &mut Amount, more: Amount) {
    *amount = (amount.0 + more.0, amount.1 + more.1);
}

/// Hands shares of the work to threads, each with a buffer of its own.
fn by_share<T: Sync>(
    shares: &[T],
    threads: Threads,
    work: impl Fn(&T, &mut [u8]) -> Result<Amount> + Sync,
) -> Result<Amount> {
    let threads = threads.context("THREADS is no number")?;
    let next = AtomicUsize::new(0);
    let run = || {
        let mut buffer = vec![0; BUFFER];
        let mut amount = (0, 0);
        while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            add(&mut amount, work(share, &mut buffer)?);
        }
        Ok(amount)
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(run)).collect();
        let mut amount = (0, 0);
        for handle in handles {
            let own = handle.join();
            add(
                &mut amount,
                own.unwrap_or_else(|_| bail!("a thread panicked"))?,
            );
        }
        Ok(amount)
    })
}

/// A read that does not fill the buffer has met the end: a second one would only say so.
fn read_one(path: &CStr, buffer: &mut [u8]) -> Result<u64> {
    let refused = || format!("cannot read {}", path.to_string_lossy());
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .with_context(refused)?;
    let mut bytes = 0;
    loop {
        let read = rustix::io::read(&file, &mut *buffer).with_context(refused)?;
        bytes += read as u64;
        if read < buffer.len() {
            return Ok(bytes);
        }
    }
}
