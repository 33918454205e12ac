//! A notice that is posted to a URL.

use std::time::Duration;

use ureq::Agent;

use crate::manifest::fetch::{USER_AGENT, tls};
use crate::settings::Webhook;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Posts a notice. Errors are told in words of our own: the client's may hold the URL.
pub(super) fn post(webhook: &Webhook, json: &[u8]) -> Result<(), String> {
    let url = webhook.url()?;
    let config = Agent::config_builder()
        .tls_config(tls())
        .http_status_as_error(false)
        // A secret is sent to no other place than the one that was named.
        .max_redirects(0)
        .user_agent(USER_AGENT)
        .timeout_global(Some(LIMIT))
        .build();
    let request = Agent::new_with_config(config)
        .post(url.expose())
        .content_type("application/json");
    let status = request.send(json).map_err(said)?.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("it answered with status {}", status.as_u16()))
    }
}

fn said(error: ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {} s", LIMIT.as_secs()),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::Io(source) => source.kind().to_string(),
        ureq::Error::Rustls(source) => source.to_string(),
        _ => "it cannot be asked".to_owned(),
    }
}
