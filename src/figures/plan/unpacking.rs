//! What it takes to have everything unpacked again, which a gold-only restore needs.

use std::collections::HashMap;

use serde::Serialize;

use crate::catalog::Catalog;
use crate::catalog::rows::Micros;

/// The time of all unpack jobs, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Unpacking {
    /// Seconds; `None` when no job says how long it took.
    pub seconds: Option<f64>,
    /// Originals that have to be unpacked: uploads of the same one need one job.
    pub golds: u64,
    /// Of these, how many have a job that completed.
    pub known: u64,
    /// How it was reckoned.
    pub how: String,
}

impl Unpacking {
    /// By the last job of each upload that completed; others by their bytes.
    pub(super) fn of(catalog: &Catalog) -> Unpacking {
        let Some(particulars) = catalog.particulars() else {
            return Unpacking {
                how: "a saved catalog does not say how long unpack jobs took".to_owned(),
                ..Unpacking::default()
            };
        };
        let mut golds: HashMap<_, Option<Micros>> = HashMap::new();
        for upload in &catalog.summary().uploads {
            let Some(gold) = upload.gold.filter(|_| !upload.deleted) else {
                continue;
            };
            let took = particulars.unpack_times.get(&upload.pk).copied();
            let known = golds.entry(gold).or_default();
            *known = (*known).max(took);
        }
        let known: Vec<(u64, Micros)> = golds
            .iter()
            .filter_map(|(gold, took)| Some((gold.size, (*took)?)))
            .collect();
        let known_bytes: f64 = known.iter().map(|(bytes, _)| *bytes as f64).sum();
        let known_seconds: f64 = known.iter().map(|(_, took)| *took as f64 / 1e6).sum();
        let unknown = golds.iter().filter(|(_, took)| took.is_none());
        let unknown_bytes: f64 = unknown.map(|(gold, _)| gold.size as f64).sum();
        let all = golds.len() as u64;
        let of_known = known.len() as u64;
        if golds.is_empty() {
            return Unpacking {
                seconds: Some(0.0),
                how: "there is nothing to unpack".to_owned(),
                ..Unpacking::default()
            };
        }
        if known.is_empty() || (all > of_known && known_bytes == 0.0) {
            return Unpacking {
                golds: all,
                how: "no unpack job says how long it took".to_owned(),
                ..Unpacking::default()
            };
        }
        let others = match known_bytes {
            0.0 => 0.0,
            bytes => known_seconds * unknown_bytes / bytes,
        };
        let mut how = format!(
            "the last unpack jobs of {of_known} of {all} originals took this long, one after the other"
        );
        if all > of_known {
            how.push_str("; the others by their bytes");
        }
        Unpacking {
            seconds: Some(known_seconds + others),
            golds: all,
            known: of_known,
            how,
        }
    }
}
