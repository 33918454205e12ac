//! The keywords of libpq and the values that one source gives them.
//!
//! A keyword is used, ignored because it changes nothing that matters here, or refused because
//! ignoring it would break a promise its writer relies on. An empty value hides those of weaker
//! sources and then counts as absent, as in libpq.

use std::collections::BTreeMap;

use super::{ConnectionError, Environment};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Used,
    Ignored,
    Refused,
}

use Treatment::{Ignored, Refused, Used};

/// Keyword, environment variable, treatment.
const KEYWORDS: &[(&str, Option<&str>, Treatment)] = &[
    ("service", Some("PGSERVICE"), Used),
    ("servicefile", Some("PGSERVICEFILE"), Used),
    ("user", Some("PGUSER"), Used),
    ("password", Some("PGPASSWORD"), Used),
    ("passfile", Some("PGPASSFILE"), Used),
    ("dbname", Some("PGDATABASE"), Used),
    ("host", Some("PGHOST"), Used),
    ("hostaddr", Some("PGHOSTADDR"), Used),
    ("port", Some("PGPORT"), Used),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT"), Used),
    ("options", Some("PGOPTIONS"), Used),
    ("application_name", Some("PGAPPNAME"), Used),
    ("fallback_application_name", None, Used),
    ("sslmode", Some("PGSSLMODE"), Used),
    ("sslnegotiation", Some("PGSSLNEGOTIATION"), Used),
    ("sslrootcert", Some("PGSSLROOTCERT"), Used),
    ("sslcert", Some("PGSSLCERT"), Used),
    ("sslkey", Some("PGSSLKEY"), Used),
    ("sslcertmode", Some("PGSSLCERTMODE"), Used),
    ("sslsni", Some("PGSSLSNI"), Used),
    (
        "ssl_min_protocol_version",
        Some("PGSSLMINPROTOCOLVERSION"),
        Used,
    ),
    (
        "ssl_max_protocol_version",
        Some("PGSSLMAXPROTOCOLVERSION"),
        Used,
    ),
    ("channel_binding", Some("PGCHANNELBINDING"), Used),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS"), Used),
    ("keepalives", None, Used),
    ("keepalives_idle", None, Used),
    ("keepalives_interval", None, Used),
    ("keepalives_count", None, Used),
    ("tcp_user_timeout", None, Used),
    ("gssencmode", Some("PGGSSENCMODE"), Used),
    ("sslcrl", Some("PGSSLCRL"), Refused),
    ("sslcrldir", Some("PGSSLCRLDIR"), Refused),
    ("sslpassword", None, Refused),
    ("require_auth", Some("PGREQUIREAUTH"), Refused),
    ("requirepeer", Some("PGREQUIREPEER"), Refused),
    ("replication", None, Refused),
    ("authtype", None, Ignored),
    ("client_encoding", None, Ignored),
    ("gssdelegation", None, Ignored),
    ("gsslib", None, Ignored),
    ("krbsrvname", None, Ignored),
    ("load_balance_hosts", None, Ignored),
    ("max_protocol_version", None, Ignored),
    ("min_protocol_version", None, Ignored),
    ("oauth_client_id", None, Ignored),
    ("oauth_client_secret", None, Ignored),
    ("oauth_issuer", None, Ignored),
    ("oauth_scope", None, Ignored),
    ("scram_client_key", None, Ignored),
    ("scram_server_key", None, Ignored),
    ("sslcompression", None, Ignored),
    ("sslkeylogfile", None, Ignored),
    ("tty", None, Ignored),
];

/// Whether libpq knows the keyword.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|(keyword, ..)| *keyword == word)
}

/// The environment variables that are used, in the order of their keywords.
pub(super) fn used_variables() -> impl Iterator<Item = &'static str> {
    KEYWORDS
        .iter()
        .filter(|(_, _, treatment)| *treatment == Used)
        .filter_map(|(_, variable, _)| *variable)
}

/// The environment variables with which no connection is made, for what they ask is not done.
pub(super) fn refused_variables() -> impl Iterator<Item = &'static str> {
    KEYWORDS
        .iter()
        .filter(|(_, _, treatment)| *treatment == Refused)
        .filter_map(|(_, variable, _)| *variable)
}

/// The keywords that are used and have an environment variable, with it.
pub(super) fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYWORDS
        .iter()
        .filter(|(_, _, treatment)| *treatment == Used)
        .filter_map(|(keyword, variable, _)| Some((*keyword, (*variable)?)))
}

/// Values by keyword. Deliberately without `Debug`: one of them is a password.
#[derive(Default)]
pub(super) struct Settings {
    values: BTreeMap<&'static str, String>,
}

impl Settings {
    /// Sets a keyword that was found at `place`; a later value replaces an earlier one.
    pub(super) fn set(
        &mut self,
        keyword: &str,
        value: &str,
        place: &str,
    ) -> Result<(), ConnectionError> {
        let (known, _, treatment) = KEYWORDS
            .iter()
            .find(|(known, ..)| *known == keyword)
            .ok_or_else(|| ConnectionError::UnknownKeyword {
                keyword: keyword.to_owned(),
                place: place.to_owned(),
            })?;
        match treatment {
            Refused if !value.is_empty() => {
                return Err(ConnectionError::Unsupported {
                    keyword: known,
                    place: place.to_owned(),
                });
            }
            Refused | Ignored => {}
            Used => {
                self.values.insert(known, value.to_owned());
            }
        }
        Ok(())
    }

    /// What the environment's variables say.
    pub(super) fn of_environment(environment: &Environment) -> Result<Settings, ConnectionError> {
        let mut settings = Settings::default();
        for (keyword, variable, _) in KEYWORDS {
            if let Some(variable) = variable
                && let Some(value) = environment.variable(variable)
            {
                settings.set(
                    keyword,
                    value,
                    &format!("the environment variable {variable}"),
                )?;
            }
        }
        Ok(settings)
    }

    /// Takes from a weaker source what is not set yet.
    pub(super) fn fill_from(&mut self, weaker: Settings) {
        for (keyword, value) in weaker.values {
            self.values.entry(keyword).or_insert(value);
        }
    }

    /// All keywords that are used and have a value.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(keyword, value)| (*keyword, value.as_str()))
    }

    /// The value of a keyword, unless empty.
    pub(super) fn get(&self, keyword: &str) -> Option<&str> {
        debug_assert!(is_keyword(keyword), "{keyword}");
        self.values
            .get(keyword)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}
