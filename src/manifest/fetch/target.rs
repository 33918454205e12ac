//! A URL that may be asked for: judged before anything is sent, at each hop.

use crate::catalog::{Hosts, origin};
use crate::manifest::fetch::FetchError;
use origin::Host;

/// The protocols that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    Ftp,
}

impl Scheme {
    const ALL: [(&'static str, Scheme); 3] = [
        ("http", Scheme::Http),
        ("https", Scheme::Https),
        ("ftp", Scheme::Ftp),
    ];
}

/// A URL that may be asked for.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    /// 0 where the URL says none.
    pub(super) port: u16,
    /// The URL, without a fragment. It is ASCII, and has no blanks.
    pub(super) url: String,
    /// Where in the URL the path begins.
    path: usize,
}

impl Target {
    /// Judges the URL of a manifest or an upload.
    pub(super) fn of(url: &str, hosts: Hosts) -> Result<Target, FetchError> {
        if origin::may_be_a_secret(url) {
            return Err(FetchError::Secret);
        }
        let refused = |why| FetchError::Refused {
            url: url.escape_default().to_string(),
            why,
        };
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused("it has characters that no URL has"));
        }
        Target::parse(url, hosts).map_err(refused)
    }

    /// Judges where a server sends us instead. A query is its own affair.
    pub(super) fn follow(&self, location: &str, hosts: Hosts) -> Result<Target, &'static str> {
        let location = location.split('#').next().unwrap_or_default();
        let joined = self.join(&plain(location));
        Target::parse(&joined, hosts)
    }

    /// The path, with its leading slash; without a query.
    pub(super) fn path(&self) -> &str {
        self.url[self.path..].split('?').next().unwrap_or_default()
    }

    fn parse(url: &str, hosts: Hosts) -> Result<Target, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("it is no complete URL")?;
        let (_, scheme) = Scheme::ALL
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(scheme))
            .ok_or("only http, https and ftp are spoken")?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("it has credentials");
        }
        let host = origin::host_of(authority).ok_or("its host is not written as usual")?;
        if hosts == Hosts::Remote && host.is_local() {
            return Err(
                "its host is this machine or on its own link (--allow-local-urls allows it)",
            );
        }
        let after_host = authority.rsplit(']').next().unwrap_or_default();
        let port = after_host.split_once(':').and_then(|(_, p)| p.parse().ok());
        Ok(Target {
            scheme,
            host,
            port: port.unwrap_or(0),
            url: url.to_owned(),
            path: url.len() - rest.len() + authority.len(),
        })
    }

    /// What a location means that may be relative to this URL (RFC 3986, section 5).
    fn join(&self, location: &str) -> String {
        let scheme_end = self.url.find(':').unwrap_or(0);
        let before_path = &self.url[..self.path];
        if location.contains("://") && has_scheme(location) {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{}:{location}", &self.url[..scheme_end])
        } else if location.starts_with('/') {
            format!("{before_path}{}", without_dots(location))
        } else if location.starts_with('?') || location.is_empty() {
            format!("{before_path}{}{location}", self.path())
        } else {
            let directory = self.path().rsplit_once('/').map_or("", |(start, _)| start);
            let path = without_dots(&format!("{directory}/{location}"));
            format!("{before_path}{path}")
        }
    }
}

fn has_scheme(location: &str) -> bool {
    location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// A path whose `.` and `..` were resolved; a query stays as it is.
fn without_dots(path: &str) -> String {
    let (path, query) = match path.find('?') {
        Some(mark) => path.split_at(mark),
        None => (path, ""),
    };
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (number, segment) in segments.iter().enumerate() {
        let is_last = number + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

/// A location as ASCII without blanks: servers do not always write what they should.
fn plain(location: &str) -> String {
    let mut plain = String::with_capacity(location.len());
    for byte in location.trim().bytes() {
        if byte.is_ascii_graphic() {
            plain.push(char::from(byte));
        } else {
            plain.push_str(&format!("%{byte:02X}"));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        for (url, hosts, refused) in [
            ("http://example.org/a.zip", Hosts::Remote, false),
            ("FTP://example.org:2121/a.zip", Hosts::Remote, false),
            ("http://127.0.0.1:8080/a.zip", Hosts::Any, false),
            ("http://127.0.0.1:8080/a.zip", Hosts::Remote, true),
            ("http://localhost/a.zip", Hosts::Remote, true),
            ("http://[::ffff:127.0.0.1]/a.zip", Hosts::Remote, true),
            ("http://2130706433/a.zip", Hosts::Any, true),
            ("file:///etc/passwd.txt", Hosts::Any, true),
            ("gopher://example.org/a.zip", Hosts::Any, true),
            ("example.org/a.zip", Hosts::Any, true),
            ("http://example.org/a b.zip", Hosts::Any, true),
            ("http://example.org/a\r\nX: y.zip", Hosts::Any, true),
        ] {
            assert_eq!(Target::of(url, hosts).is_err(), refused, "{url}");
        }
    }

    #[test]
    fn a_secret_is_neither_asked_for_nor_shown() {
        for url in [
            "http://user:hunter2@example.org/a.zip",
            "http://example.org/a.zip?token=hunter2",
            "http://example.org/a.zip#hunter2",
            "http://user%3Ahunter2%40example.org/a.zip",
        ] {
            let error = Target::of(url, Hosts::Any).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn redirects_are_judged_anew() {
        let target = Target::of("https://example.org:8443/pub/x/a.zip", Hosts::Remote).unwrap();
        for (location, leads_to) in [
            ("b.zip", Ok("https://example.org:8443/pub/x/b.zip")),
            (
                "../b.zip?q=..#f",
                Ok("https://example.org:8443/pub/b.zip?q=.."),
            ),
            ("/./b.zip", Ok("https://example.org:8443/b.zip")),
            ("/../../b", Ok("https://example.org:8443/b")),
            ("?q", Ok("https://example.org:8443/pub/x/a.zip?q")),
            (
                "//cdn.example.org/b.zip",
                Ok("https://cdn.example.org/b.zip"),
            ),
            (
                "http://cdn.example.org/b?sig=1",
                Ok("http://cdn.example.org/b?sig=1"),
            ),
            ("ftp://cdn.example.org/b", Ok("ftp://cdn.example.org/b")),
            (
                "/a b\u{e9}.zip",
                Ok("https://example.org:8443/a%20b%C3%A9.zip"),
            ),
            ("a:b.zip", Ok("https://example.org:8443/pub/x/a:b.zip")),
            ("http://127.0.0.1/b", Err(())),
            ("//[::1]/b", Err(())),
            ("http://u:p@example.org/b", Err(())),
            ("file:///etc/passwd", Err(())),
        ] {
            let followed = target.follow(location, Hosts::Remote);
            let url = followed.as_ref().map(|target| &*target.url).map_err(|_| ());
            assert_eq!(url, leads_to, "{location}");
        }
    }
}
