//! Asking over http and https.

use std::io;
use std::sync::Arc;

use ureq::http::header::{CONTENT_LENGTH, LOCATION};
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use super::intake::Intake;
use super::resolve::{JudgingResolver, OnlyLocal};
use super::target::Target;
use super::{Answer, FetchError, FetchOptions, USER_AGENT};

/// Asks over http and https, and keeps connections for the next file.
#[derive(Debug)]
pub(super) struct Client {
    direct: Agent,
    by_proxy: Option<Agent>,
}

impl Client {
    pub(super) fn new(options: &FetchOptions) -> Result<Client, FetchError> {
        let tls = tls();
        let agent = |proxy| {
            let patience = options.patience;
            let config = Agent::config_builder()
                .tls_config(tls.clone())
                .proxy(proxy)
                .http_status_as_error(false)
                .max_redirects(0)
                .user_agent(USER_AGENT)
                // The bytes themselves are wanted, not a form of them.
                .accept_encoding("identity")
                .timeout_resolve(Some(patience.connect))
                .timeout_connect(Some(patience.connect))
                .timeout_recv_response(Some(patience.idle))
                .timeout_per_read(Some(patience.idle))
                .timeout_per_write(Some(patience.idle))
                .build();
            let resolver = JudgingResolver {
                hosts: options.hosts,
            };
            Agent::with_parts(config, DefaultConnector::default(), resolver)
        };
        let by_proxy = match Proxy::try_from_env() {
            None => None,
            Some(proxy) => match proxy.protocol() {
                ProxyProtocol::Http | ProxyProtocol::Https => Some(agent(Some(proxy))),
                _ => return Err(FetchError::Proxy),
            },
        };
        Ok(Client {
            direct: agent(None),
            by_proxy,
        })
    }

    pub(super) fn ask(
        &self,
        target: &Target,
        intake: &mut Intake<'_>,
    ) -> Result<Answer, FetchError> {
        let agent = match &self.by_proxy {
            Some(agent) if !target.host.is_local() => agent,
            _ => &self.direct,
        };
        let request = agent.get(&target.url).config();
        let request = request.timeout_global(Some(intake.time_left())).build();
        let response = request.call().map_err(|error| failed(intake.url, error))?;
        let status = response.status();
        if let (true, Some(location)) = (is_redirect(status), header(&response, LOCATION)) {
            return Ok(Answer::Elsewhere(location));
        }
        if status != StatusCode::OK {
            return Err(FetchError::Status {
                url: intake.url.to_owned(),
                status: u32::from(status.as_u16()),
            });
        }
        let length = header(&response, CONTENT_LENGTH).and_then(|text| text.trim().parse().ok());
        if let Some(length) = length {
            intake.expect_length(length)?;
        }
        let mut body = response.into_body().into_reader();
        intake.take(&mut body).map(Answer::File)
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The text of a header. Bytes that are not UTF-8 are as good as a wrong answer.
fn header(response: &Response<Body>, name: ureq::http::HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// How servers are proven to be who they say.
pub(crate) fn tls() -> TlsConfig {
    TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(authorities())
        .build()
}

/// The authorities that this system trusts: a company's own among them.
fn authorities() -> RootCerts {
    let found = rustls_native_certs::load_native_certs();
    let certificates = found.certs.iter();
    RootCerts::from(certificates.map(|der| Certificate::from_der(der).to_owned()))
}

/// What an error of the client means. Its own words may hold the URL of a later hop, so some are
/// replaced.
fn failed(url: &str, error: ureq::Error) -> FetchError {
    let network = |source: Box<dyn std::error::Error + Send + Sync>| FetchError::Network {
        url: url.to_owned(),
        source,
    };
    match error {
        ureq::Error::Timeout(_) => FetchError::Timeout {
            url: url.to_owned(),
        },
        ureq::Error::Other(source) if source.is::<OnlyLocal>() => FetchError::LocalAddress {
            url: url.to_owned(),
        },
        ureq::Error::Io(source) => FetchError::of_io(url, source),
        ureq::Error::Rustls(source) => network(Box::new(source)),
        ureq::Error::HostNotFound => network("its host is not known".into()),
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => network("it cannot be asked for".into()),
        other => network(io::Error::other(other.to_string()).into()),
    }
}
