//! What commands in a report are given again, so that they are about the same server.

use std::path::{Path, PathBuf};

use super::Global;
use crate::report::SameServer;
use crate::sysconf::ConnectionParameters;

/// What stands for the name of a database that cannot be shown.
const WITHHELD: &str = "SOURCE";

impl Global {
    /// The options that say which server this is, and its stores.
    pub(super) fn same_server(&self, stores: &[PathBuf]) -> SameServer {
        let text = |path: &PathBuf| wherever(path);
        let options = [
            ("--config", self.config.as_ref().map(text)),
            ("-c", self.sysconfdir.as_ref().map(text)),
            ("--repository", self.repository.as_ref().map(text)),
            ("--depth", self.depth.map(|depth| depth.to_string())),
        ];
        let options = options
            .into_iter()
            .filter_map(|(name, value)| Some([name.to_owned(), value?]))
            .flatten();
        let catalog = self.catalog.as_ref();
        SameServer {
            options: options.collect(),
            catalog: catalog.map(|source| match Path::new(source) {
                path if path.exists() => wherever(path),
                _ => without_secrets(&source.to_string_lossy()),
            }),
            stores: stores.iter().map(text).collect(),
        }
    }
}

/// A path that is right wherever the command is typed.
fn wherever(path: &Path) -> String {
    let whole = std::path::absolute(path);
    let whole = whole.as_deref().unwrap_or(path);
    whole.display().to_string()
}

/// A value of `--catalog` that is no file, as it may be shown: what is not plainly free of secrets is
/// not.
fn without_secrets(source: &str) -> String {
    if source == "-" || (ConnectionParameters::is_source(source) && is_free_of_secrets(source)) {
        source.to_owned()
    } else {
        WITHHELD.to_owned()
    }
}

fn is_free_of_secrets(source: &str) -> bool {
    let lower = source.to_ascii_lowercase();
    let names_one = ["pass", "secret", "token"]
        .iter()
        .any(|word| lower.contains(word));
    // What is written as %70 may be any letter of such a word.
    let hides_one = lower.contains('%') || lower.contains('\\');
    let user = lower.split_once("://").and_then(|(_, rest)| {
        let (user, _) = rest.rsplit_once('@')?;
        Some(user)
    });
    let has_password = user.is_some_and(|user| user.contains(':'));
    !names_one && !hides_one && !has_password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for shown in [
            "postgresql://fossy@localhost:5432/fossology",
            "host=/run/postgresql dbname=fossology user=fossy",
            "-",
        ] {
            assert_eq!(without_secrets(shown), shown);
        }
        for secret in [
            "postgresql://fossy:s3@localhost/fossology",
            "postgresql://fossy:a@b@localhost/fossology",
            "postgresql://localhost/fossology?password=s3",
            "postgresql://localhost/fossology?pass%77ord=s3",
            "host=localhost password=s3",
            "host=localhost PASSWORD = 's3'",
            "host=localhost sslpassword=s3",
            "host=localhost oauth_client_secret=s3",
            "/nonexistent/s3",
        ] {
            assert_eq!(without_secrets(secret), WITHHELD, "{secret}");
        }
    }
}
