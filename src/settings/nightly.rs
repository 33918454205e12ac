//! The sections that only `fogold nightly` reads: whom it tells, and where its reports go.

use std::path::PathBuf;
use std::time::Duration;

use super::{Place, Settings, SettingsError, Value};
use crate::sysconf::Secret;

/// The program that takes mail where none is named.
const SENDMAIL: &str = "/usr/sbin/sendmail";

/// How long a hook may take where nothing is said.
const HOOK_LIMIT: Duration = Duration::from_secs(60);

/// `[mail]`: who gets a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The addresses.
    pub to: Vec<String>,
    /// The sender; without it, the system's mail program says who.
    pub from: Option<String>,
    /// The mail program.
    pub sendmail: PathBuf,
}

impl Mail {
    pub(super) const SECTION: &str = "mail";
    pub(super) const KEYS: [&str; 3] = ["to", "from", "sendmail"];

    /// The section, where it is there.
    pub fn of(settings: &Settings) -> Result<Option<Mail>, SettingsError> {
        let to = settings.texts(Self::SECTION, "to")?;
        let from = settings.text(Self::SECTION, "from")?;
        for (key, address) in to
            .iter()
            .map(|to| ("to", to))
            .chain(from.iter().map(|from| ("from", from)))
        {
            if let (false, Some(entry)) = (is_address(address), settings.get(Self::SECTION, key)) {
                return Err(settings.unfit(entry, format!("{address:?} is no address")));
            }
        }
        let sendmail = settings.text(Self::SECTION, "sendmail")?;
        Ok((!to.is_empty()).then(|| Mail {
            to,
            from,
            sendmail: sendmail.map_or_else(|| PathBuf::from(SENDMAIL), PathBuf::from),
        }))
    }
}

/// Whether a text may stand in a header: an address or a local user, with or without a name, in
/// ASCII and on one line.
fn is_address(text: &str) -> bool {
    let plain = text
        .rsplit_once('<')
        .map_or(text, |(_, rest)| rest.strip_suffix('>').unwrap_or(""));
    let fits = |c: char| c.is_ascii_graphic() && !"<>,;:\"()\\".contains(c);
    !plain.is_empty()
        && !plain.starts_with('-')
        && plain.chars().all(fits)
        && text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
        && !text.contains([',', ';', ':'])
}

/// Where a webhook is. It may let its holder in, so it is never shown.
#[derive(Clone, Debug)]
pub enum Webhook {
    /// A URL.
    Url(Secret),
    /// One that is kept elsewhere, and fetched only when somebody is to be told.
    Elsewhere(Place),
}

impl Webhook {
    /// The URL; an error says why there is none.
    pub fn url(&self) -> Result<Secret, String> {
        let url = match self {
            Webhook::Url(url) => url.clone(),
            Webhook::Elsewhere(place) => Secret::new(
                place
                    .fetch()
                    .map_err(|error| format!("cannot read the {place}: {error}"))?,
            ),
        };
        let text = url.expose();
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        if !is_web || text.chars().any(|c| c.is_control() || c == ' ') {
            // Not shown: it is a secret all the same.
            return Err("a URL is wanted, http:// or https://".to_owned());
        }
        Ok(url)
    }
}

/// `[hooks]`: what is run or asked with the verdict of a night.
#[derive(Clone, Debug)]
pub struct Hooks {
    /// A shell command that gets the verdict as JSON on its standard input.
    pub command: Option<String>,
    /// A URL that the same JSON is posted to.
    pub webhook: Option<Webhook>,
    /// How long the command may take.
    pub limit: Duration,
}

impl Hooks {
    pub(super) const SECTION: &str = "hooks";
    /// The key of the webhook.
    pub const WEBHOOK: &str = "webhook";
    const LIMIT: &str = "limit";
    pub(super) const KEYS: [&str; 3] = ["command", Self::WEBHOOK, Self::LIMIT];

    /// The section.
    pub fn of(settings: &Settings) -> Result<Hooks, SettingsError> {
        let entry = settings.get(Self::SECTION, Self::WEBHOOK);
        let webhook = match entry.map(|entry| (entry, &entry.value)) {
            None => None,
            Some((_, Value::Elsewhere(place))) => Some(Webhook::Elsewhere(place.clone())),
            Some((entry, Value::Text(url))) => {
                let webhook = Webhook::Url(Secret::new(url));
                webhook.url().map_err(|why| settings.unfit(entry, why))?;
                Some(webhook)
            }
            Some((entry, _)) => return Err(settings.unfit(entry, "a text is wanted, in quotes")),
        };
        let limit = settings.text(Self::SECTION, Self::LIMIT)?;
        let limit = limit.map(|text| duration(&text).ok_or(text)).transpose();
        let limit = match (limit, settings.get(Self::SECTION, Self::LIMIT)) {
            (Err(text), Some(entry)) => {
                let why = format!("{text:?} is no time: write it as 90s or 5m");
                return Err(settings.unfit(entry, why));
            }
            (limit, _) => limit.ok().flatten(),
        };
        Ok(Hooks {
            command: settings.text(Self::SECTION, "command")?,
            webhook,
            limit: limit.unwrap_or(HOOK_LIMIT),
        })
    }
}

fn duration(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(duration).ok()
}

/// `[reports]`: where the reports of a night's steps go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reports {
    /// The directory.
    pub directory: PathBuf,
    /// The endings of the files: one report in each form.
    pub formats: Vec<String>,
}

impl Reports {
    pub(super) const SECTION: &str = "reports";
    pub(super) const KEYS: [&str; 2] = ["directory", "formats"];

    /// The section, where it is there.
    pub fn of(settings: &Settings) -> Result<Option<Reports>, SettingsError> {
        let mut formats = settings.texts(Self::SECTION, "formats")?;
        if formats.is_empty() {
            formats.push("txt".to_owned());
        }
        for format in &formats {
            let known = is_ending(format);
            if let (false, Some(entry)) = (known, settings.get(Self::SECTION, "formats")) {
                let why = format!("{format:?} is no ending of a file, such as txt");
                return Err(settings.unfit(entry, why));
            }
        }
        let directory = settings.text(Self::SECTION, "directory")?;
        Ok(directory.map(|directory| Reports {
            directory: PathBuf::from(directory),
            formats,
        }))
    }
}

/// Whether a text is nothing but the ending of a file's name.
fn is_ending(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase())
}
