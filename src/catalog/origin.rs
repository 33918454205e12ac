//! Whether gold can be fetched again from a URL (the rules of gold that a set may leave out).
//!
//! Only a single file can be fetched again bit for bit: a directory or a checkout of version
//! control was made into a tar by FOSSology on the spot. The mode bits of an upload mislead, so the
//! origin itself and the arguments of the fetch job decide. A URL with credentials or a query is a
//! secret: it is never stored.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::upload::Origin;

/// Judges an upload's origin. `fetch_arguments` is `jq_args` of its `wget_agent` job, if it has
/// one.
pub fn judge(origin: Option<&[u8]>, fetch_arguments: Option<&[u8]>) -> Origin {
    let Some(url) = origin.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return Origin::None;
    };
    let Some(rest) = without_scheme(url) else {
        return Origin::None;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let lower = url.to_ascii_lowercase();
    if ["@", "%40", "?", "%3f", "#"]
        .iter()
        .any(|mark| lower.contains(mark))
    {
        return Origin::Withheld;
    }
    let path = &rest[authority.len()..];
    let last = path.rsplit('/').next().unwrap_or_default();
    let one_file = path.starts_with('/') && last.contains('.') && last != "." && last != "..";
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if one_file && plain && is_remote(authority) && fetches_one_file(fetch_arguments, url) {
        Origin::Url(url.to_owned())
    } else {
        Origin::None
    }
}

fn without_scheme(url: &str) -> Option<&str> {
    ["https://", "http://", "ftp://"].iter().find_map(|scheme| {
        let head = url.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme)
            .then(|| &url[scheme.len()..])
    })
}

/// Whether the fetch job's arguments, `<upload_pk> - <url> <options>`, name one file: no `-A`
/// pattern and no version control.
fn fetches_one_file(arguments: Option<&[u8]>, url: &str) -> bool {
    let Some(arguments) = arguments else {
        return true;
    };
    let text = String::from_utf8_lossy(arguments);
    let options = text.split_once(url).map_or(&*text, |(_, options)| options);
    !options
        .split_ascii_whitespace()
        .any(|word| word.starts_with("-A") || ["Git", "SVN", "CVS"].contains(&word))
}

/// Whether an upload's file name must not be shown: FOSSology takes it from the URL's end, with what
/// may stand there.
pub fn may_hold_a_secret(filename: &[u8], origin: &Origin) -> bool {
    *origin == Origin::Withheld || filename.windows(3).any(|window| window == b"://")
}

/// Names that usual host tables give this machine.
const OWN_NAMES: [&str; 4] = [
    "localhost",
    "localhost.localdomain",
    "ip6-localhost",
    "ip6-loopback",
];

/// Whether an authority (`host`, `host:port`, `[v6]:port`) names another machine: by an address, or
/// by a name that can be one. Everything that resolvers read in ways of their own (`127.1`,
/// `0x7f.1`, a zone) is taken for this machine.
fn is_remote(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (address, port) = v6.split_once(']').unwrap_or((v6, ""));
            return is_port(port) && address.parse().is_ok_and(|address| !is_local_v6(address));
        }
        None => match authority.split_once(':') {
            Some((host, _)) => (host, &authority[host.len()..]),
            None => (authority, ""),
        },
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if !is_port(port) {
        return false;
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return !is_local_v4(address);
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.split('.').all(is_label)
        && !last.starts_with(|first: char| first.is_ascii_digit())
        && !OWN_NAMES.contains(&&*host)
        && !host.ends_with(".localhost")
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_link_local() || address.is_unspecified()
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    address.to_ipv4().is_some_and(is_local_v4)
        || address.is_loopback()
        || address.is_unspecified()
        || address.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(origin: &str) -> Origin {
        judge(Some(origin.as_bytes()), None)
    }

    #[test]
    fn one_file_on_another_host_can_be_fetched_again() {
        for url in [
            "http://example.org/pub/a-1.0.tar.gz",
            "HTTPS://10.0.0.7:8080/a.zip",
            "ftp://[2001:db8::1]/a.zip",
        ] {
            assert_eq!(of(url), Origin::Url(url.to_owned()), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_fetched_again() {
        for text in [
            "a-1.0.tar.gz",
            "http://example.org/pub/docs/",
            "http://example.org",
            "http://example.org/README",
            "http://localhost/a.zip",
            "http://127.0.0.1/a.zip",
            "http://127.1/a.zip",
            "http://[::1]:80/a.zip",
            "http://[fe80::1]/a.zip",
            "http://169.254.1.1/a.zip",
            "http:///a.zip",
            "http://0x7f.1/a.zip",
            "http://2130706433/a.zip",
            "http://[::127.0.0.1]/a.zip",
            "http://[fe80::1%25eth0]/a.zip",
            "http://ip6-localhost/a.zip",
            "http://localhost.localdomain/a.zip",
            "http://example.org:x/a.zip",
            "http://example.org/..",
            "http://example.org/a/.",
            "file:///etc/passwd.txt",
            "http://example.org/a b.zip",
        ] {
            assert_eq!(of(text), Origin::None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_withheld() {
        for url in [
            "https://user:pass@example.org/a.zip",
            "https://user@example.org/a.zip",
            "https://example.org/a.zip?token=1",
            "https://example.org/?a.zip",
            "http://bob:pa/ss@example.org/f.tar.gz",
            "http://bob%3Apw%40example.org/f.gz",
            "http://example.org/f.tar.gz#access_token=1",
        ] {
            assert_eq!(of(url), Origin::Withheld, "{url}");
        }
    }

    #[test]
    fn the_fetch_job_must_have_meant_one_file() {
        let url = "http://example.org/pub/a.zip";
        for (arguments, one_file) in [
            (
                "7 - http://example.org/pub/a.zip -l 1 -R index.html* ",
                true,
            ),
            ("7 - http://example.org/pub/a.zip -l 0 -A *.zip", false),
            ("7 - http://example.org/pub/a.zip Git", false),
            (
                "7 - http://example.org/pub/a.zip SVN --username u --password p",
                false,
            ),
        ] {
            let judged = judge(Some(url.as_bytes()), Some(arguments.as_bytes()));
            assert_eq!(judged != Origin::None, one_file, "{arguments}");
        }
    }
}
