//! Reading to the end: the length and the BLAKE3 of what was read, and a copy of it on the way.

use std::io::{self, Read, Write};

use crate::monitor::Monitor;

/// What reading a file showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Its length.
    pub bytes: u64,
    /// Its blake3.
    pub blake3: [u8; 32],
}

/// Why reading broke off.
#[derive(Debug)]
pub(crate) enum Broken {
    /// What is read.
    Source(io::Error),
    /// Where the copy goes.
    Target(io::Error),
    /// The monitor asked to stop.
    Stopped,
}

/// Reads to the end, a piece at a time, into `piece`, which must have room; and copies to `out`,
/// where there is one.
pub(crate) fn read_to_end(
    source: &mut dyn Read,
    mut out: Option<&mut dyn Write>,
    piece: &mut [u8],
    monitor: &dyn Monitor,
) -> Result<Contents, Broken> {
    let mut digest = blake3::Hasher::new();
    let mut bytes = 0;
    loop {
        if monitor.stopped() {
            return Err(Broken::Stopped);
        }
        let count = match source.read(piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Broken::Source(error)),
        };
        digest.update(&piece[..count]);
        if let Some(out) = &mut out {
            out.write_all(&piece[..count]).map_err(Broken::Target)?;
        }
        bytes += count as u64;
        monitor.advance(0, count as u64);
    }
    Ok(Contents {
        bytes,
        blake3: *digest.finalize().as_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::monitor::Silent;

    /// Counts bytes, and asks to stop once there are so many.
    struct StopsAt(u64, AtomicU64);

    impl Monitor for StopsAt {
        fn advance(&self, _steps: u64, bytes: u64) {
            self.1.fetch_add(bytes, Ordering::Relaxed);
        }

        fn stopped(&self) -> bool {
            self.1.load(Ordering::Relaxed) >= self.0
        }
    }

    #[test]
    fn length_and_digest_of_all_pieces() {
        let text = vec![7; 1000];
        let mut copy = Vec::new();
        for piece in [1, 999, 1000, 4096] {
            copy.clear();
            let read = read_to_end(
                &mut &text[..],
                Some(&mut copy),
                &mut vec![0; piece],
                &Silent,
            );
            let read = read.unwrap();
            assert_eq!(read.bytes, 1000);
            assert_eq!(read.blake3, *blake3::hash(&text).as_bytes());
            assert_eq!(copy, text);
        }
        let read = read_to_end(&mut &text[..], None, &mut [0; 10], &Silent);
        assert_eq!(read.unwrap().blake3, *blake3::hash(&text).as_bytes());
    }

    #[test]
    fn it_ends_between_two_pieces() {
        let monitor = StopsAt(20, AtomicU64::new(0));
        let mut copy = Vec::new();
        let read = read_to_end(&mut &[7; 1000][..], Some(&mut copy), &mut [0; 10], &monitor);
        assert!(matches!(read, Err(Broken::Stopped)));
        assert_eq!(copy.len(), 20);
    }

    #[test]
    fn a_full_disk_is_told_from_a_bad_source() {
        let mut full: &mut [u8] = &mut [0; 15];
        let read = read_to_end(&mut &[7; 30][..], Some(&mut full), &mut [0; 10], &Silent);
        assert!(matches!(read, Err(Broken::Target(_))));
        let mut bad = std::fs::File::open(".").unwrap();
        let read = read_to_end(&mut bad, None, &mut [0; 10], &Silent);
        assert!(matches!(read, Err(Broken::Source(_))));
    }
}
