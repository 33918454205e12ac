//! Whether gold can be fetched again from a URL (the rules of gold that a set may leave out).
//!
//! Only a single file can be fetched again bit for bit: a directory or a checkout of version
//! control was made into a tar by FOSSology on the spot. The mode bits of an upload mislead, so the
//! origin itself and the arguments of the fetch job decide. A URL with credentials or a query is a
//! secret: it is never stored.
//!
//! Whether the URL leads to this machine itself is no matter of the catalog, which may be used on
//! another: it is judged when the URL is wanted ([`super::Upload::url`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    let authority = authority_of(rest);
    if may_be_a_secret(url) {
        return Origin::Withheld;
    }
    let path = &rest[authority.len()..];
    let last = path.rsplit('/').next().unwrap_or_default();
    let one_file = path.starts_with('/') && last.contains('.') && last != "." && last != "..";
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    let has_host = host_of(authority).is_some();
    if one_file && plain && has_host && fetches_one_file(fetch_arguments, url) {
        Origin::Url(url.to_owned())
    } else {
        Origin::None
    }
}

/// Whether credentials or a query stand in a URL, however they are written.
pub fn may_be_a_secret(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    ["@", "%40", "?", "%3f", "#"]
        .iter()
        .any(|mark| lower.contains(mark))
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

/// Whether a URL that [`judge`] let pass leads to a loopback or link-local host by what it says; a
/// name may still resolve to one.
pub fn is_local(url: &str) -> bool {
    let host = without_scheme(url).and_then(|rest| host_of(authority_of(rest)));
    host.is_none_or(|host| host.is_local())
}

/// The host that a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By its address.
    Address(IpAddr),
    /// By a name, in lower case and without a closing dot.
    Name(String),
}

impl Host {
    /// Whether it is this machine, or one that only this machine's own link reaches.
    pub fn is_local(&self) -> bool {
        match self {
            Host::Address(address) => is_local_address(*address),
            Host::Name(name) => OWN_NAMES.contains(&&**name) || name.ends_with(".localhost"),
        }
    }
}

/// The host of an authority (`host`, `host:port`, `[v6]:port`). `None` for everything that
/// resolvers read in ways of their own (`127.1`, `0x7f.1`, a zone), and for what is no host.
pub fn host_of(authority: &str) -> Option<Host> {
    if let Some(v6) = authority.strip_prefix('[') {
        let (address, port) = v6.split_once(']')?;
        let address = address.parse().ok().filter(|_| is_port(port))?;
        return Some(Host::Address(IpAddr::V6(address)));
    }
    let (host, port) = match authority.find(':') {
        Some(colon) => authority.split_at(colon),
        None => (authority, ""),
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if !is_port(port) {
        return None;
    }
    if let Ok(address) = host.parse() {
        return Some(Host::Address(IpAddr::V4(address)));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_name = host.split('.').all(is_label) && !last.starts_with(|c: char| c.is_ascii_digit());
    is_name.then_some(Host::Name(host))
}

fn authority_of(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|digits| digits.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether an address is this machine, or lies on the machine's own link only.
pub fn is_local_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => is_local_v6(address),
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_link_local() || address.octets()[0] == 0
}

/// With the addresses that carry one of version 4: mapped, compatible, and by NAT64.
fn is_local_v6(address: Ipv6Addr) -> bool {
    let carried = match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => address.to_ipv4(),
    };
    carried.is_some_and(is_local_v4)
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_unicast_link_local()
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
            "http://127.1/a.zip",
            "http:///a.zip",
            "http://0x7f.1/a.zip",
            "http://2130706433/a.zip",
            "http://[fe80::1%25eth0]/a.zip",
            "http://example.org:x/a.zip",
            "http://example.org:0/a.zip",
            "http://example.org:65536/a.zip",
            "http://example.org/..",
            "http://example.org/a/.",
            "file:///etc/passwd.txt",
            "http://example.org/a b.zip",
        ] {
            assert_eq!(of(text), Origin::None, "{text}");
        }
    }

    #[test]
    fn a_host_is_local_or_not() {
        for (host, local) in [
            ("localhost", true),
            ("LOCALHOST.:80", true),
            ("a.localhost", true),
            ("ip6-localhost", true),
            ("localhost.localdomain", true),
            ("127.0.0.1", true),
            ("127.8.0.1:8080", true),
            ("0.0.0.0", true),
            ("169.254.1.1", true),
            ("[::1]:80", true),
            ("[::]", true),
            ("[fe80::1]", true),
            ("[::127.0.0.1]", true),
            ("[::ffff:169.254.0.1]", true),
            ("[64:ff9b::7f00:1]", true),
            ("[64:ff9b::a00:1]", false),
            ("[2001:db8::1]", false),
            ("[fd00::1]", false),
            ("10.0.0.1", false),
            ("192.168.1.1", false),
            ("example.org", false),
            ("notlocalhost", false),
        ] {
            let url = format!("http://{host}/a.zip");
            assert_eq!(of(&url), Origin::Url(url.clone()), "{url}");
            assert_eq!(is_local(&url), local, "{url}");
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
