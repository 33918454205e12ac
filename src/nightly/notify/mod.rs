//! Telling people and programs of a night: a command, a mail, a webhook.
//!
//! Each is tried whatever becomes of the others, and each has a time limit. One that fails is said,
//! and changes nothing of what was done. A webhook's URL may let its holder in, and stands in no
//! message.

mod command;
mod mail;
mod text;
mod webhook;

use serde::Serialize;

pub use mail::can_be_sent;
pub use text::for_people;

use super::Verdict;
use crate::settings::{Hooks, Mail};

/// When somebody is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A night did not end with 0.
    Failure,
    /// A night says something else than the one before.
    Change,
    /// Every night.
    Always,
}

/// Why a notification did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("nobody was told by {by}: {why}")]
pub struct NotifyError {
    by: &'static str,
    why: String,
}

/// What is told.
#[derive(Debug, Serialize)]
pub struct Notice {
    /// `failure`, `change` or `done`.
    pub event: &'static str,
    /// The same for people: chat programs show it.
    pub text: String,
    #[serde(flatten)]
    verdict: Verdict,
}

impl Notice {
    /// What is told of a night; `None` when it is no occasion for it.
    pub fn of(verdict: &Verdict, last: Option<&Verdict>, occasions: &[Occasion]) -> Option<Notice> {
        let is_failure = verdict.exit_status != 0;
        let is_change = verdict.differs_from(last) || last.is_some_and(|last| last.untold);
        let is_told = occasions.iter().any(|occasion| match occasion {
            Occasion::Failure => is_failure,
            Occasion::Change => is_change,
            Occasion::Always => true,
        });
        is_told.then(|| Notice::new(verdict, is_change))
    }

    /// What was kept to be told later.
    pub fn kept(verdict: &Verdict) -> Option<Notice> {
        verdict.untold.then(|| Notice::new(verdict, true))
    }

    fn new(verdict: &Verdict, is_change: bool) -> Notice {
        let event = match (verdict.exit_status, is_change) {
            (1.., _) => "failure",
            (0, true) => "change",
            (0, false) => "done",
        };
        Notice {
            event,
            text: for_people(verdict),
            verdict: Verdict {
                untold: false,
                ..verdict.clone()
            },
        }
    }

    fn json(&self) -> Vec<u8> {
        // A verdict holds nothing that JSON cannot say.
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// Tells everybody; returns what failed.
pub fn tell(notice: &Notice, mail: Option<&Mail>, hooks: &Hooks) -> Vec<NotifyError> {
    let error = |by| move |why| NotifyError { by, why };
    let mut failed = Vec::new();
    if let Some(line) = &hooks.command {
        let told = command::run(line, notice.json(), hooks.limit);
        failed.extend(told.map_err(error("the command of [hooks]")).err());
    }
    if let Some(mail) = mail {
        let told = mail::can_be_sent(mail).and_then(|()| mail::send(mail, notice));
        failed.extend(told.map_err(error("mail")).err());
    }
    if let Some(webhook) = &hooks.webhook {
        let told = webhook::post(webhook, &notice.json());
        failed.extend(told.map_err(error("the webhook")).err());
    }
    failed
}
