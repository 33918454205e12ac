//! What lies above the shards: hosts, types, temporary trees, and what does not belong.
//!
//! The survey reads these few directories once. After it, [`Tree::list_shard`] lists the
//! directories of one shard below every place; shards are independent of each other.

use std::collections::BTreeMap;
use std::io;

use super::directory::{self, EntryKind};
use super::layout::Layout;
use super::levels::{Chain, Lister, is_level, place_path};
use super::listing::{InPlace, Listing, Place, Temporary};
use super::name::{Parsed, hex};
use super::outside::{Spot, foreign_directory};
use super::path::TreePath;
use super::tree::Tree;
use crate::monitor::Monitor;
use crate::sysconf::RepositoryType;

/// The types whose files have names that promise their contents.
pub const NAMED_TYPES: [RepositoryType; 3] = [
    RepositoryType::Gold,
    RepositoryType::Files,
    RepositoryType::License,
];

/// Directories at the root that FOSSology fills outside the scheme: left alone.
const OUTSIDE: [&[u8]; 5] = [
    b"logs",
    b"report",
    b"ReportImport",
    b"DecisionImport",
    b"fossdash",
];

/// What a file system or its snapshots put at the root: seen, but not entered.
const OF_THE_FILE_SYSTEM: [&[u8]; 6] = [
    b"lost+found",
    b".snapshot",
    b".snapshots",
    b".zfs",
    b".ckpt",
    b"#snapshot",
];

/// fogold's own directory: no check looks into it.
const OWN: &[u8] = b".fogold";

/// What lies above the shards.
#[derive(Debug, Default)]
pub struct Survey {
    /// The directories of hosts and types that are there, in the order in which FOSSology tries
    /// them.
    pub places: Vec<Place>,
    /// Temporary trees with something in them.
    pub temporary: Vec<Temporary>,
    /// Strays, odd things and the count of directories above the shards. At depth 0 also the files
    /// themselves.
    pub top: Listing,
    /// For each shard the places that have a directory for it.
    pub(super) shard_directories: BTreeMap<u8, Vec<u16>>,
}

impl Survey {
    /// The path of a file in its place.
    pub fn path(&self, file: &InPlace, layout: &Layout) -> TreePath {
        let place = &self.places[usize::from(file.place)];
        let name = file.name.to_string();
        TreePath(
            layout
                .path_on(place.host.as_deref(), place.ty, &name)
                .into_bytes(),
        )
    }
}

impl Tree {
    /// Reads everything above the shards.
    pub fn survey(&self, monitor: &dyn Monitor) -> Survey {
        let mut survey = Survey::default();
        let root = TreePath::default();
        let nowhere = Spot {
            host: None,
            ty: None,
        };
        let Some(entries) = self.enter(&root, nowhere, true, &mut survey.top) else {
            return survey;
        };
        for (name, kind) in entries {
            let path = root.join(&name);
            if kind != EntryKind::Directory {
                self.judge(&path, &name, kind, nowhere, &mut survey.top);
            } else if OF_THE_FILE_SYSTEM.contains(&&name[..]) {
                foreign_directory(&path, nowhere, &mut survey.top);
            } else if let Some(ty) = type_called(&name) {
                if NAMED_TYPES.contains(&ty) {
                    self.survey_type(&path, None, ty, &mut survey);
                }
            } else if !OUTSIDE.contains(&&name[..]) && name != OWN {
                let host = String::from_utf8_lossy(&name).into_owned();
                let known = self
                    .layout()
                    .hosts
                    .names()
                    .any(|known| known.as_bytes() == name);
                self.survey_host(&path, &host, known, &mut survey, monitor);
            }
        }
        // Hosts come in FOSSology's order as the entries were sorted; the root's own types are last.
        survey.places.sort_by(|a, b| {
            (a.host.is_none(), &a.host, a.ty).cmp(&(b.host.is_none(), &b.host, b.ty))
        });
        self.find_shards(&mut survey, monitor);
        survey
    }

    /// A directory at the root that is a host, or the remains of one, or foreign.
    fn survey_host(
        &self,
        path: &TreePath,
        host: &str,
        known: bool,
        survey: &mut Survey,
        monitor: &dyn Monitor,
    ) {
        let spot = Spot {
            host: Some(host),
            ty: None,
        };
        let Some(entries) = self.enter(path, spot, known, &mut survey.top) else {
            return;
        };
        let mut is_foreign = entries.is_empty() && !known;
        for (name, kind) in entries {
            let below = path.join(&name);
            if kind == EntryKind::Directory && matches!(&name[..], b"ununpack" | b"wget") {
                self.survey_temporary(&below, host, survey);
                continue;
            }
            if name == OWN {
                continue;
            }
            let ty = type_called(&name).filter(|_| kind == EntryKind::Directory);
            match ty {
                Some(ty) if known && NAMED_TYPES.contains(&ty) => {
                    self.survey_type(&below, Some(host), ty, survey);
                }
                Some(_) if known => {}
                _ if known => {
                    if kind == EntryKind::Directory {
                        foreign_directory(&below, spot, &mut survey.top);
                        self.walk_foreign(below, spot, &mut survey.top, monitor);
                    } else {
                        self.judge(&below, &name, kind, spot, &mut survey.top);
                    }
                }
                _ => {
                    is_foreign = true;
                    if kind == EntryKind::Directory {
                        let spot = Spot { ty, ..spot };
                        self.walk_foreign(below, spot, &mut survey.top, monitor);
                    } else {
                        self.judge_below_foreign(&below, &name, kind, spot, &mut survey.top);
                    }
                }
            }
        }
        if is_foreign {
            foreign_directory(path, spot, &mut survey.top);
        }
    }

    /// The directory of a type: its place in the layout, whatever it holds.
    fn survey_type(
        &self,
        path: &TreePath,
        host: Option<&str>,
        ty: RepositoryType,
        survey: &mut Survey,
    ) {
        survey.places.push(Place {
            host: host.map(str::to_owned),
            ty,
        });
        if let Ok(meta) = self.meta(path) {
            let spot = Spot { host, ty: Some(ty) };
            self.note_mode(path, spot, &meta, &mut survey.top);
        }
    }

    /// Reads the directories of the places, now that these have their numbers.
    fn find_shards(&self, survey: &mut Survey, monitor: &dyn Monitor) {
        for index in 0..survey.places.len() {
            let place = survey.places[index].clone();
            let path = place_path(&place);
            let spot = Spot {
                host: place.host.as_deref(),
                ty: Some(place.ty),
            };
            let Some(entries) = self.enter(&path, spot, false, &mut survey.top) else {
                continue;
            };
            let lister = Lister {
                tree: self,
                place: &place,
                index: index as u16,
                monitor,
            };
            for (name, kind) in entries {
                let below = path.join(&name);
                match kind {
                    EntryKind::Directory if self.layout().depth > 0 && is_level(&name) => {
                        if let Some([shard]) = hex::<1>(&name) {
                            let places = survey.shard_directories.entry(shard).or_default();
                            places.push(index as u16);
                        }
                    }
                    EntryKind::Directory => {
                        foreign_directory(&below, spot, &mut survey.top);
                        self.walk_foreign(below, spot, &mut survey.top, monitor);
                    }
                    EntryKind::File if self.layout().depth == 0 => {
                        let chain = Chain::default();
                        match self.meta(&below) {
                            Ok(meta) => lister.file(
                                &name,
                                Parsed::of(&name),
                                meta,
                                &chain,
                                false,
                                &mut survey.top,
                            ),
                            Err(error) => self.unreadable(&path, spot, error, &mut survey.top),
                        }
                    }
                    _ => self.judge(&below, &name, kind, spot, &mut survey.top),
                }
            }
        }
    }

    fn survey_temporary(&self, path: &TreePath, host: &str, survey: &mut Survey) {
        let spot = Spot {
            host: Some(host),
            ty: None,
        };
        let Some(top) = self.enter(path, spot, false, &mut survey.top) else {
            return;
        };
        if top.is_empty() {
            return;
        }
        let mut temporary = Temporary {
            path: path.clone(),
            host: host.to_owned(),
            files: 0,
            bytes: 0,
            modified: i64::MIN,
        };
        let mut rest: Vec<(TreePath, EntryKind)> = Vec::new();
        for (name, kind) in top {
            let below = path.join(&name);
            if let Ok(meta) = self.meta(&below) {
                temporary.modified = temporary.modified.max(meta.modified);
            }
            rest.push((below, kind));
        }
        while let Some((path, kind)) = rest.pop() {
            if kind == EntryKind::Directory {
                match directory::sorted_entries(self.root(), &path) {
                    Ok(entries) => {
                        rest.extend(
                            entries
                                .into_iter()
                                .map(|(name, kind)| (path.join(&name), kind)),
                        );
                    }
                    // Archives decide how deep such a tree is: what lies beyond the longest path
                    // is not counted.
                    Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {}
                    // What an agent removes while it is counted is not missed.
                    Err(error) => self.unreadable(&path, spot, error, &mut survey.top),
                }
            } else if let Ok(meta) = self.meta(&path) {
                temporary.files += 1;
                temporary.bytes += if meta.is_file() { meta.size } else { 0 };
            }
        }
        survey.temporary.push(temporary);
    }
}

fn type_called(name: &[u8]) -> Option<RepositoryType> {
    std::str::from_utf8(name).ok()?.parse().ok()
}
