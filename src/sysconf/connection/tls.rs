//! How much encryption is asked for, and the TLS settings that follow from it.
//!
//! As in libpq: a root certificate that is there is always checked against, whatever the mode; only
//! `verify-full` looks at the host's name; without a root certificate the modes below `verify-ca`
//! take any certificate. A root certificate that is *named* but missing is an error in every mode,
//! where libpq would silently check nothing. Sockets of the local machine are never encrypted.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::Settings;
use super::verifier::{AnyCertificate, KnownRoots};
use super::{ConnectionError, Environment};

/// `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    const ALL: [(&'static str, SslMode); 6] = [
        ("disable", SslMode::Disable),
        ("allow", SslMode::Allow),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
        ("verify-ca", SslMode::VerifyCa),
        ("verify-full", SslMode::VerifyFull),
    ];

    fn name(self) -> &'static str {
        SslMode::ALL
            .iter()
            .find(|(_, mode)| *mode == self)
            .map_or("", |(name, _)| name)
    }
}

/// What the server's certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Root {
    None,
    File(PathBuf),
    System,
}

/// A certificate and key to show to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

/// Everything that keywords and files say about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TlsParameters {
    pub(super) mode: SslMode,
    /// Begin with TLS at once (`sslnegotiation=direct`).
    pub(super) direct: bool,
    root: Root,
    identity: Option<Identity>,
    sni: bool,
    versions: Versions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Versions {
    tls12: bool,
    tls13: bool,
}

impl TlsParameters {
    /// Reads the keywords; looks which of the usual files exist.
    pub(super) fn of(
        settings: &Settings,
        environment: &Environment,
    ) -> Result<TlsParameters, ConnectionError> {
        let root = match settings.get("sslrootcert") {
            Some("system") => Root::System,
            Some(path) => Root::File(PathBuf::from(path)),
            None => existing(environment, "root.crt").map_or(Root::None, Root::File),
        };
        let mode = mode(settings, &root)?;
        let direct = match settings.get("sslnegotiation") {
            None | Some("postgres") => false,
            Some("direct") => true,
            Some(other) => return Err(bad_value("sslnegotiation", other, "postgres or direct")),
        };
        if direct && matches!(mode, SslMode::Disable | SslMode::Allow | SslMode::Prefer) {
            return Err(bad_value(
                "sslmode",
                mode.name(),
                "require or more with sslnegotiation=direct",
            ));
        }
        Ok(TlsParameters {
            mode,
            direct,
            root,
            identity: identity(settings, environment),
            sni: settings.get("sslsni") != Some("0"),
            versions: versions(settings)?,
        })
    }

    /// What a program that uses libpq is told, as variables: the mode and the files that were found,
    /// for its own idea of the home directory may be another.
    pub(super) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![("PGSSLMODE", OsString::from(self.mode.name()))];
        match &self.root {
            Root::None => {}
            Root::File(path) => variables.push(("PGSSLROOTCERT", path.into())),
            Root::System => variables.push(("PGSSLROOTCERT", "system".into())),
        }
        if let Some(identity) = &self.identity {
            variables.push(("PGSSLCERT", (&identity.certificate).into()));
            variables.push(("PGSSLKEY", (&identity.key).into()));
        }
        variables
    }

    /// Reads certificates and keys.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, ConnectionError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions.supported())
            .map_err(tls_error)?
            .dangerous();
        let builder = match self.roots()? {
            None => {
                builder.with_custom_certificate_verifier(Arc::new(AnyCertificate::new(&provider)))
            }
            Some(roots) => builder.with_custom_certificate_verifier(Arc::new(
                KnownRoots::new(roots, self.mode == SslMode::VerifyFull, provider)
                    .map_err(tls_error)?,
            )),
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.read()?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    unusable("sslcert", &identity.certificate, &error.to_string())
                })?
            }
        };
        config.enable_sni = self.sni;
        if self.direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(MakeRustlsConnect::new(config))
    }

    /// The certificates to check against; `None` when any certificate will do.
    fn roots(&self) -> Result<Option<Vec<CertificateDer<'static>>>, ConnectionError> {
        match &self.root {
            Root::File(path) => certificates("sslrootcert", path).map(Some),
            Root::System => {
                let found = rustls_native_certs::load_native_certs();
                if found.certs.is_empty() {
                    return Err(ConnectionError::NoRoot {
                        mode: self.mode.name(),
                    });
                }
                Ok(Some(found.certs))
            }
            Root::None if matches!(self.mode, SslMode::VerifyCa | SslMode::VerifyFull) => {
                Err(ConnectionError::NoRoot {
                    mode: self.mode.name(),
                })
            }
            Root::None => Ok(None),
        }
    }
}

impl Versions {
    fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        let known = [(self.tls12, &TLS12), (self.tls13, &TLS13)];
        known
            .into_iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, version)| version)
            .collect()
    }
}

impl Identity {
    #[allow(clippy::type_complexity)]
    fn read(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConnectionError> {
        let chain = certificates("sslcert", &self.certificate)?;
        let unusable = |why: &str| unusable("sslkey", &self.key, why);
        let metadata = fs::metadata(&self.key).map_err(|source| read_error(&self.key, source))?;
        // As in libpq: a key that belongs to root may be readable for a group.
        let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
        if metadata.permissions().mode() & forbidden != 0 {
            return Err(unusable(
                "others may read it; make it private with chmod 0600",
            ));
        }
        let bytes = fs::read(&self.key).map_err(|source| read_error(&self.key, source))?;
        let key = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|_| unusable("it holds no private key in PEM form without a passphrase"))?;
        Ok((chain, key))
    }
}

fn mode(settings: &Settings, root: &Root) -> Result<SslMode, ConnectionError> {
    let Some(text) = settings.get("sslmode") else {
        // Any certificate of the world's authorities would do otherwise.
        let system = *root == Root::System;
        return Ok(if system {
            SslMode::VerifyFull
        } else {
            SslMode::Prefer
        });
    };
    let want = "disable, allow, prefer, require, verify-ca or verify-full";
    let (_, mode) = SslMode::ALL
        .into_iter()
        .find(|(name, _)| *name == text)
        .ok_or_else(|| bad_value("sslmode", text, want))?;
    if *root == Root::System && !matches!(mode, SslMode::Disable | SslMode::VerifyFull) {
        return Err(bad_value(
            "sslmode",
            text,
            "verify-full with sslrootcert=system",
        ));
    }
    Ok(mode)
}

fn identity(settings: &Settings, environment: &Environment) -> Option<Identity> {
    if settings.get("sslcertmode") == Some("disable") {
        return None;
    }
    let named = settings.get("sslcert").map(PathBuf::from);
    let certificate = named.or_else(|| existing(environment, "postgresql.crt"))?;
    let key = match settings.get("sslkey") {
        Some(path) => PathBuf::from(path),
        None => environment.in_home(".postgresql/postgresql.key")?,
    };
    Some(Identity { certificate, key })
}

/// The versions of TLS that are allowed. Below 1.2 there is none that is safe.
fn versions(settings: &Settings) -> Result<Versions, ConnectionError> {
    let tls12 = match settings.get("ssl_min_protocol_version") {
        None | Some("TLSv1" | "TLSv1.1" | "TLSv1.2") => true,
        Some("TLSv1.3") => false,
        Some(other) => {
            return Err(bad_value(
                "ssl_min_protocol_version",
                other,
                "TLSv1.2 or TLSv1.3",
            ));
        }
    };
    let tls13 = match settings.get("ssl_max_protocol_version") {
        None | Some("TLSv1.3") => true,
        Some("TLSv1.2") if tls12 => false,
        Some(other) => {
            let want = "TLSv1.2 or TLSv1.3, and not below ssl_min_protocol_version";
            return Err(bad_value("ssl_max_protocol_version", other, want));
        }
    };
    Ok(Versions { tls12, tls13 })
}

fn existing(environment: &Environment, name: &str) -> Option<PathBuf> {
    environment
        .in_home(&format!(".postgresql/{name}"))
        .filter(|path| path.exists())
}

fn certificates(
    keyword: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ConnectionError> {
    let bytes = fs::read(path).map_err(|source| read_error(path, source))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable(
            keyword,
            path,
            "it holds no certificate in PEM form",
        )),
        Err(error) => Err(unusable(keyword, path, &error.to_string())),
    }
}

fn read_error(path: &Path, source: std::io::Error) -> ConnectionError {
    ConnectionError::Read {
        path: path.to_owned(),
        source,
    }
}

fn unusable(keyword: &'static str, path: &Path, why: &str) -> ConnectionError {
    ConnectionError::Certificate {
        keyword,
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

fn tls_error(error: impl std::error::Error + Send + Sync + 'static) -> ConnectionError {
    ConnectionError::Tls {
        source: Box::new(error),
    }
}

fn bad_value(keyword: &'static str, value: &str, want: &'static str) -> ConnectionError {
    ConnectionError::BadValue {
        keyword,
        value: value.to_owned(),
        want,
    }
}
