//! Telling tar archives: gold that FOSSology may have made itself, from a directory or a checkout.
//!
//! Such a tar cannot be made again bit for bit, and a URL that leads to it leads to a directory. A
//! gold that is a tar by its contents counts as fetched only if its URL says that it is one.

/// Bytes of a file that are enough to tell.
pub const HEAD: usize = 512;

/// Where a header of tar holds its checksum.
const CHECKSUM: std::ops::Range<usize> = 148..156;
/// Where a header holds `ustar`, in all but the oldest archives.
const MAGIC: std::ops::Range<usize> = 257..262;

/// Endings of URLs that say that there is a tar.
const ENDINGS: [&str; 19] = [
    ".tar",
    ".tar.gz",
    ".tgz",
    ".taz",
    ".tar.bz2",
    ".tbz",
    ".tbz2",
    ".tb2",
    ".tar.xz",
    ".txz",
    ".tar.lzma",
    ".tlz",
    ".tar.zst",
    ".tzst",
    ".tar.lz",
    ".tar.lz4",
    ".tar.lzo",
    ".tar.z",
    ".tar.br",
];

/// Whether a file is a tar archive (not a compressed one), by its first [`HEAD`] bytes.
///
/// The checksum of its first header must be right, whatever else stands there: so old archives
/// without a magic word count too. A file that holds the magic word in its place counts in any case,
/// so that a damaged one is not taken for something that can be fetched again.
pub fn is_tar(head: &[u8]) -> bool {
    if head.get(MAGIC) == Some(&b"ustar"[..]) {
        return true;
    }
    let Some(header) = head.get(..HEAD) else {
        return false;
    };
    let Some(stated) = octal(&header[CHECKSUM]) else {
        return false;
    };
    let byte = |(at, byte): (usize, &u8)| if CHECKSUM.contains(&at) { b' ' } else { *byte };
    let sum = |value: fn(u8) -> i64| -> i64 {
        header
            .iter()
            .enumerate()
            .map(|each| value(byte(each)))
            .sum()
    };
    // Some old programs added the bytes up as signed numbers.
    stated == sum(i64::from) || stated == sum(|byte| i64::from(byte as i8))
}

/// Whether a URL's ending says that there is a tar, compressed or not.
pub fn says_tar(url: &str) -> bool {
    let url = url.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| url.ends_with(ending))
}

/// An octal number as tar writes it: digits between blanks, ended by a blank or a zero.
fn octal(field: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches([' ', '\0']);
    i64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of an archive from before there was a magic word.
    fn old_header(name: &[u8], signed: bool) -> Vec<u8> {
        let mut header = vec![0; HEAD];
        header[..name.len()].copy_from_slice(name);
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(b"00000000007");
        header[CHECKSUM].fill(b' ');
        let sum: i64 = header
            .iter()
            .map(|byte| {
                if signed {
                    i64::from(*byte as i8)
                } else {
                    i64::from(*byte)
                }
            })
            .sum();
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }

    #[test]
    fn archives_old_and_new() {
        assert!(is_tar(&old_header(b"a.txt", false)));
        assert!(is_tar(&old_header(b"gr\xfc\xdf.txt", false)));
        assert!(is_tar(&old_header(b"gr\xfc\xdf.txt", true)));
        let mut header = vec![0; HEAD];
        header[MAGIC].copy_from_slice(b"ustar");
        assert!(is_tar(&header));
    }

    #[test]
    fn what_is_no_archive() {
        let mut changed = old_header(b"a.txt", false);
        changed[0] = b'b';
        assert!(!is_tar(&changed));
        for contents in [&b""[..], b"ustar", &[0; 512], &[b' '; 512], &[b'x'; 600]] {
            assert!(!is_tar(contents));
        }
        assert!(!is_tar(&old_header(b"a.txt", false)[..511]));
    }

    #[test]
    fn endings() {
        for url in [
            "http://a/b.TAR",
            "http://a/b.tar.gz",
            "http://a/b.tgz",
            "ftp://a/b.tar.Z",
        ] {
            assert!(says_tar(url), "{url}");
        }
        for url in [
            "http://a/b.zip",
            "http://a/docs/",
            "http://a/tar",
            "http://a.tar/b.gz",
        ] {
            assert!(!says_tar(url), "{url}");
        }
    }
}
