//! What a kind of set wants of a catalog.

use std::collections::HashMap;

use super::archive::says_tar;
use super::entry::Types;
use super::{SetKind, UrlGold};
use crate::catalog::{Hosts, Origin, Pfile, Summary};
use crate::repository::RepositoryName;

/// From where a gold file can be fetched again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoldUrls {
    /// The URLs that a person may see, each once.
    pub urls: Vec<String>,
    /// An upload of it has a URL that is a secret.
    pub withheld: bool,
}

impl GoldUrls {
    /// The URLs from which the same bytes can be expected. A tar may have been made by FOSSology
    /// on the spot, of a directory or a checkout: only a URL that promises a tar gives it again.
    pub fn usable(&self, is_tar: bool) -> impl Iterator<Item = &str> {
        self.urls
            .iter()
            .map(String::as_str)
            .filter(move |url| !is_tar || says_tar(url))
    }
}

/// What a set is to hold.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The kind of set.
    pub kind: SetKind,
    /// What becomes of gold that can be fetched again.
    pub url_gold: UrlGold,
    urls: HashMap<RepositoryName, GoldUrls>,
}

impl Selection {
    /// What a kind of set wants of a catalog, with the URLs that lead to these hosts.
    pub fn of(kind: SetKind, url_gold: UrlGold, hosts: Hosts, summary: &Summary) -> Selection {
        let mut urls: HashMap<RepositoryName, GoldUrls> = HashMap::new();
        for upload in &summary.uploads {
            let Some(gold) = upload.gold else {
                continue;
            };
            if upload.origin == Origin::Withheld {
                urls.entry(gold).or_default().withheld = true;
            }
            if let Some(url) = upload.url_on(hosts) {
                let known = &mut urls.entry(gold).or_default().urls;
                if !known.iter().any(|known| known == url) {
                    known.push(url.to_owned());
                }
            }
        }
        Selection {
            kind,
            url_gold,
            urls,
        }
    }

    /// The types under which the database looks for a pfile that belongs into the set; `None` when
    /// it does not belong there.
    ///
    /// A gold-only set wants gold and what no unpacking writes again: listings. A full set wants
    /// every pfile, used or not; one that nothing uses belongs where it is found.
    pub fn wants(&self, pfile: &Pfile) -> Option<Types> {
        let gold = if pfile.in_gold() {
            Types::GOLD
        } else {
            Types::NONE
        };
        match self.kind {
            SetKind::GoldOnly if pfile.in_gold() => Some(gold),
            SetKind::GoldOnly => pfile.is_listing().then_some(Types::FILES),
            SetKind::Full if pfile.in_files() => Some(gold.and(Types::FILES)),
            SetKind::Full => Some(gold),
        }
    }

    /// From where a gold file can be fetched again.
    pub fn urls(&self, name: &RepositoryName) -> Option<&GoldUrls> {
        self.urls.get(name)
    }
}
