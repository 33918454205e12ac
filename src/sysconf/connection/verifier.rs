//! Judging a server's certificate the way libpq does with OpenSSL.
//!
//! The chain, times and names are checked by webpki. Two customs of PostgreSQL servers are allowed
//! beside it, since the manual of PostgreSQL itself leads to them: a self-signed certificate that is
//! its own root, and a certificate that has its host only as the subject's common name.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Takes any certificate, and with it any signature: encryption without knowing the peer.
#[derive(Debug)]
pub(super) struct AnyCertificate {
    schemes: Vec<SignatureScheme>,
}

impl AnyCertificate {
    pub(super) fn new(provider: &CryptoProvider) -> AnyCertificate {
        AnyCertificate {
            schemes: provider
                .signature_verification_algorithms
                .supported_schemes(),
        }
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Takes certificates that lead to a known root, or are one.
#[derive(Debug)]
pub(super) struct KnownRoots {
    webpki: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
    check_name: bool,
}

impl KnownRoots {
    /// `check_name` as for `verify-full`. Roots that cannot be parsed are left out; an error when
    /// none remains.
    pub(super) fn new(
        roots: Vec<CertificateDer<'static>>,
        check_name: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<KnownRoots, VerifierBuilderError> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let webpki =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build()?;
        Ok(KnownRoots {
            webpki,
            roots,
            check_name,
        })
    }

    fn judge_name(
        &self,
        certificate: &CertificateDer<'_>,
        host: &ServerName<'_>,
    ) -> Result<(), Error> {
        if !self.check_name || common_name_fits(certificate, host) {
            return Ok(());
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, host)
    }
}

impl ServerCertVerifier for KnownRoots {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = if self.roots.iter().any(|root| root == certificate) {
            check_times(certificate, now)
        } else {
            let verified = self.webpki.verify_server_cert(
                certificate,
                intermediates,
                host,
                ocsp_response,
                now,
            );
            match verified {
                // webpki looks at the name last, so everything else is in order.
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )) => Ok(()),
                other => other.map(|_| ()),
            }
        };
        judged?;
        self.judge_name(certificate, host)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether a certificate that is itself a root is valid now.
fn check_times(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = Certificate::from_der(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let validity = parsed.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    Ok(())
}

/// Whether the subject's common name is the host's, in a certificate that has no alternative names
/// for hosts.
fn common_name_fits(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> bool {
    let Ok(parsed) = Certificate::from_der(certificate) else {
        return false;
    };
    if has_alternative_hosts(&parsed) {
        return false;
    }
    let attributes = parsed
        .tbs_certificate
        .subject
        .0
        .iter()
        .flat_map(|name| name.0.iter());
    attributes
        .filter(|attribute| attribute.oid == CN)
        .filter_map(|attribute| std::str::from_utf8(attribute.value.value()).ok())
        .next()
        .is_some_and(|name| name_fits(name, &host.to_str()))
}

/// Whether a certificate has alternative names for hosts. One whose names cannot be read counts as
/// having them, so that nothing weaker is looked at.
fn has_alternative_hosts(certificate: &Certificate) -> bool {
    let extensions = certificate.tbs_certificate.extensions.iter().flatten();
    extensions
        .filter(|extension| extension.extn_id == SubjectAltName::OID)
        .any(|extension| {
            SubjectAltName::from_der(extension.extn_value.as_bytes()).map_or(true, |names| {
                names
                    .0
                    .iter()
                    .any(|name| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_)))
            })
        })
}

/// Compares without case; `*.` stands for one leading label.
fn name_fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && domain.contains('.') && rest.eq_ignore_ascii_case(domain)
        }),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names() {
        for (pattern, host, fits) in [
            ("db.example.org", "DB.example.org", true),
            ("db.example.org", "db2.example.org", false),
            ("*.example.org", "db.example.org", true),
            ("*.example.org", "a.db.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.org", "example.org", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("", "db", false),
        ] {
            assert_eq!(name_fits(pattern, host), fits, "{pattern} {host}");
        }
    }
}
