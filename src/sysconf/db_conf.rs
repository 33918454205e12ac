//! `Db.conf`: how FOSSology reaches its database.
//!
//! Settings `key=value;`, usually one a line. FOSSology hands them to libpq as a connection string,
//! so every keyword of libpq may stand there, and a value is unquoted the way libpq does it. A line
//! that begins with `#` is a comment; what has no `=` is ignored; the closing `;` may be missing.

use std::fmt;

use super::Secret;
use super::connection::conninfo;

/// What stands in the place of a secret in a set's copy of the configuration.
pub const REMOVED: &str = "(removed by fogold)";

/// The settings of a `Db.conf`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DbConf {
    settings: Vec<(String, Secret)>,
}

impl DbConf {
    /// Reads the bytes of a `Db.conf`. Never fails: whether the settings make sense is known when
    /// they are used.
    pub fn parse(bytes: &[u8]) -> DbConf {
        let text = String::from_utf8_lossy(bytes);
        let mut settings = Vec::new();
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
        {
            for piece in line.split(';') {
                if let Some((key, value)) = piece.split_once('=') {
                    let value = conninfo::unquote(value.trim());
                    settings.push((key.trim().to_owned(), Secret::new(value)));
                }
            }
        }
        DbConf { settings }
    }

    /// The value of a key; of several, the last. Empty values count as absent.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings
            .iter()
            .rfind(|(name, _)| name == key)
            .map(|(_, value)| value.expose())
            .filter(|value| !value.is_empty())
    }

    /// All settings in file order, but for empty ones, which count as absent.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.settings
            .iter()
            .filter(|(_, value)| !value.expose().is_empty())
            .map(|(key, value)| (key.as_str(), value))
    }
}

/// Shows everything but the values of passwords and of keys that are not well known.
impl fmt::Debug for DbConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (key, value) in &self.settings {
            match key.as_str() {
                "dbname" | "host" | "port" | "user" => map.entry(key, &value.expose()),
                _ => map.entry(key, value),
            };
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_form() {
        let conf =
            DbConf::parse(b"dbname=fossology;\nhost=localhost;\r\nuser=fossy;\npassword=fossy;\n");
        assert_eq!(conf.get("dbname"), Some("fossology"));
        assert_eq!(conf.get("host"), Some("localhost"));
        assert_eq!(conf.get("user"), Some("fossy"));
        assert_eq!(conf.get("password"), Some("fossy"));
        assert_eq!(conf.get("port"), None);
    }

    #[test]
    fn other_forms() {
        let conf = DbConf::parse(
            b"# password=old;\n\n remark \n dbname = a ; host=b;port=5433\nuser=\npassword='a=b \\'c';\nsslmode=require",
        );
        assert_eq!(conf.get("dbname"), Some("a"));
        assert_eq!(conf.get("host"), Some("b"));
        assert_eq!(conf.get("port"), Some("5433"));
        assert_eq!(conf.get("user"), None);
        assert_eq!(conf.get("password"), Some("a=b 'c"));
        assert_eq!(conf.get("sslmode"), Some("require"));
        assert_eq!(
            DbConf::parse(b"password=a=b==;").get("password"),
            Some("a=b==")
        );
    }

    #[test]
    fn the_password_is_not_shown() {
        let conf = DbConf::parse(b"dbname=fossology;password=hunter2;pasword=hunter2;");
        let shown = format!("{conf:?} {conf:#?}");
        assert!(
            shown.contains("fossology") && shown.contains("***"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
