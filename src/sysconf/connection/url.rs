//! PostgreSQL URLs: `postgresql://user:password@host:port,host2/dbname?keyword=value`.
//!
//! Every part may be percent-encoded; a host may be an IPv6 address in brackets or, encoded, a
//! socket directory. Errors name the part, never its text: one of these is a password.

use super::ConnectionError;
use super::settings::Settings;

const PLACE: &str = "the database URL";

/// What follows the scheme, if the text is a PostgreSQL URL.
pub(super) fn strip_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("postgresql://")
        .or_else(|| text.strip_prefix("postgres://"))
}

/// The settings in a URL whose scheme has been taken off.
pub(super) fn parse(rest: &str) -> Result<Settings, ConnectionError> {
    let mut settings = Settings::default();
    let (user_info, rest) = split_user_info(rest);
    if let Some(user_info) = user_info {
        let (user, password) = match user_info.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (user_info, None),
        };
        set_if_given(&mut settings, "user", user)?;
        set_if_given(&mut settings, "password", password.unwrap_or(""))?;
    }
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let (authority, dbname) = match rest.split_once('/') {
        Some((authority, dbname)) => (authority, dbname),
        None => (rest, ""),
    };
    hosts(authority, &mut settings)?;
    set_if_given(&mut settings, "dbname", dbname)?;
    for pair in query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.is_empty())
    {
        parameter(pair, &mut settings)?;
    }
    Ok(settings)
}

/// Splits at the first `@` before the path. A `?` does not end the search: libpq lets a password
/// hold one.
fn split_user_info(rest: &str) -> (Option<&str>, &str) {
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].find('@') {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    }
}

fn set_if_given(settings: &mut Settings, keyword: &str, text: &str) -> Result<(), ConnectionError> {
    if text.is_empty() {
        return Ok(());
    }
    settings.set(keyword, &decode(text, keyword)?, PLACE)
}

/// `host:port,host:port` into the two lists that the keywords hold.
fn hosts(authority: &str, settings: &mut Settings) -> Result<(), ConnectionError> {
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for part in authority.split(',') {
        let (host, port) = host_and_port(part)?;
        hosts.push(decode(host, "host")?);
        ports.push(decode(port, "port")?);
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        settings.set("host", &hosts.join(","), PLACE)?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        settings.set("port", &ports.join(","), PLACE)?;
    }
    Ok(())
}

fn host_and_port(part: &str) -> Result<(&str, &str), ConnectionError> {
    let Some(bracketed) = part.strip_prefix('[') else {
        return Ok(part.split_once(':').unwrap_or((part, "")));
    };
    let broken = |why: &str| ConnectionError::Syntax {
        why: why.to_owned(),
    };
    let (host, rest) = bracketed
        .split_once(']')
        .ok_or_else(|| broken("the IPv6 address in the URL has no closing ']'"))?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None if rest.is_empty() => Ok((host, "")),
        None => Err(broken(
            "something stands between ']' and the port in the URL",
        )),
    }
}

fn parameter(pair: &str, settings: &mut Settings) -> Result<(), ConnectionError> {
    let (keyword, value) = pair
        .split_once('=')
        .ok_or_else(|| ConnectionError::Syntax {
            why: "a parameter behind '?' in the URL has no '='".to_owned(),
        })?;
    let keyword = decode(keyword, "a keyword")?;
    let value = decode(value, &keyword)?;
    if keyword == "ssl" && value == "true" {
        return settings.set("sslmode", "require", PLACE);
    }
    settings.set(&keyword, &value, PLACE)
}

/// Resolves `%xx`.
fn decode(text: &str, part: &str) -> Result<String, ConnectionError> {
    let broken = || ConnectionError::Syntax {
        why: format!("{part} in the URL is not properly percent-encoded (write % itself as %25)"),
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(broken());
        };
        match u8::try_from(high * 16 + low) {
            Ok(byte) if byte != 0 => bytes.push(byte),
            _ => return Err(broken()),
        }
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(url: &str, keyword: &str) -> Option<String> {
        let settings = parse(strip_scheme(url).unwrap()).unwrap();
        settings.get(keyword).map(str::to_owned)
    }

    #[test]
    fn the_parts() {
        let url = "postgresql://us%40er:p%3Aa:s?s@db.example:5433/fosso%20logy?sslmode=require&connect_timeout=5";
        for (keyword, value) in [
            ("user", "us@er"),
            ("password", "p:a:s?s"),
            ("host", "db.example"),
            ("port", "5433"),
            ("dbname", "fosso logy"),
            ("sslmode", "require"),
            ("connect_timeout", "5"),
        ] {
            assert_eq!(get(url, keyword).as_deref(), Some(value), "{keyword}");
        }
    }

    #[test]
    fn hosts_of_every_kind() {
        for (url, host, port) in [
            ("postgres://", None, None),
            ("postgres:///db", None, None),
            ("postgres://localhost", Some("localhost"), None),
            ("postgres://:5433", None, Some("5433")),
            ("postgres://[::1]:5433/db", Some("::1"), Some("5433")),
            (
                "postgres://a:1,b,[fe80::1]:3/db",
                Some("a,b,fe80::1"),
                Some("1,,3"),
            ),
            (
                "postgres://%2Fvar%2Frun%2Fpostgresql/db",
                Some("/var/run/postgresql"),
                None,
            ),
            (
                "postgres:///db?host=/var/run/postgresql&port=5433",
                Some("/var/run/postgresql"),
                Some("5433"),
            ),
            ("postgres://user@/db", None, None),
        ] {
            assert_eq!(get(url, "host").as_deref(), host, "{url}");
            assert_eq!(get(url, "port").as_deref(), port, "{url}");
        }
        assert_eq!(
            get("postgres://h?ssl=true", "sslmode").as_deref(),
            Some("require")
        );
        assert!(strip_scheme("mysql://x").is_none());
    }

    #[test]
    fn errors_do_not_show_the_text() {
        for url in [
            "postgres://u:hunter2%zz@h/db",
            "postgres://u:hunter2%4@h/db",
            "postgres://u:hunter2%00@h/db",
            "postgres://u:hunter2%ff@h/db",
            "postgres://u:hunter2@[::1/db",
            "postgres://u:hunter2@[::1]x/db",
            "postgres://u:hunter2@h/db?x",
            "postgres://u:hunter2@h/db?colour=red",
        ] {
            let error = parse(strip_scheme(url).unwrap()).err().unwrap().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn encoded_parts_are_read_back(user in "\\PC{1,12}", password in "\\PC{1,12}", dbname in "\\PC{1,12}") {
            let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
            let url = format!("postgres://{}:{}@h/{}", encode(&user), encode(&password), encode(&dbname));
            prop_assert_eq!(get(&url, "user"), Some(user));
            prop_assert_eq!(get(&url, "password"), Some(password));
            prop_assert_eq!(get(&url, "dbname"), Some(dbname));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a:@/?&=,%0\\[\\]\u{e9}]{0,40}") {
            let _ = parse(&text);
        }
    }
}
