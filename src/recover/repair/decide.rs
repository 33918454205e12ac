//! What is to be done about a finding: decided from the finding alone, before anything is looked at
//! again.

use std::collections::HashMap;

use super::Options;
use crate::catalog::{Hosts, Summary};
use crate::check::{Action, Backups, Finding, Kind, Recovery, Severity};
use crate::repository::{RepositoryName, Tree, TreePath};
use crate::sysconf::RepositoryType;

/// What is to be done about a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing, and why.
    Leave(String),
    /// This.
    Do(Work),
}

/// What a repair can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// FOSSology's user and group get at a file, or at a directory and all that is in it.
    OpenUp { path: TreePath },
    /// A good copy is put where FOSSology looks.
    PutBack(PutBack),
    /// A file is moved to where FOSSology looks.
    SetRight {
        name: RepositoryName,
        ty: RepositoryType,
        from: TreePath,
    },
    /// A file is moved to the quarantine.
    SetAside(SetAside),
    /// All that is in a temporary tree is moved to the quarantine.
    Clear { path: TreePath },
}

/// A good copy is put where FOSSology looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PutBack {
    pub(super) name: RepositoryName,
    pub(super) ty: RepositoryType,
    pub(super) path: TreePath,
    /// A bad file stands there.
    pub(super) is_bad: bool,
    /// Where the check saw a good copy.
    pub(super) copy: Option<TreePath>,
    /// Where it can be fetched.
    pub(super) urls: Vec<String>,
}

/// A file is moved to the quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetAside {
    pub(super) path: TreePath,
    pub(super) because: Because,
}

/// Why a file may go to the quarantine: what must still be so right before it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Because {
    /// No row knows the name.
    Unknown(RepositoryName),
    /// No row uses it there.
    Unused(RepositoryName, RepositoryType),
    /// It was left over by an import.
    LeftOver,
    /// A good copy stands where FOSSology looks first.
    Doubled(RepositoryName, RepositoryType),
    /// Its contents are bad, and an unpack writes them again.
    Bad(RepositoryName, RepositoryType),
}

impl Work {
    /// What kind of action it is.
    pub(super) fn action(&self) -> Action {
        match self {
            Work::OpenUp { .. } => Action::Mode,
            Work::PutBack(_) => Action::PutBack,
            Work::SetRight { .. } => Action::Move,
            Work::SetAside(_) | Work::Clear { .. } => Action::Quarantine,
        }
    }

    /// Whether only the live database can tell that it may be done.
    pub(super) fn needs_live(&self) -> bool {
        match self {
            Work::Clear { .. } => true,
            Work::SetAside(aside) => matches!(
                aside.because,
                Because::Unknown(_) | Because::Unused(..) | Because::LeftOver
            ),
            Work::OpenUp { .. } | Work::PutBack(_) | Work::SetRight { .. } => false,
        }
    }

    /// Whether a file leaves a place and none takes it: what the guard counts. Temporary trees are
    /// no files of the repository.
    pub(super) fn empties_a_place(&self) -> bool {
        matches!(self, Work::SetAside(_) | Work::SetRight { .. })
    }

    /// Whether it mends what was found, and does not only take it out of the way.
    pub(super) fn mends(&self) -> bool {
        !matches!(
            self,
            Work::SetAside(SetAside {
                because: Because::Bad(..),
                ..
            })
        )
    }
}

impl Decision {
    /// The name that it is about.
    pub(super) fn name(&self) -> Option<RepositoryName> {
        match self {
            Decision::Do(Work::PutBack(work)) => Some(work.name),
            Decision::Do(Work::SetRight { name, .. }) => Some(*name),
            Decision::Do(Work::SetAside(aside)) => aside.name(),
            _ => None,
        }
    }

    /// The name of a file that goes because no row knows it, or none uses it as a file of this type.
    pub(super) fn unneeded(&self) -> Option<(RepositoryName, Option<RepositoryType>)> {
        match self {
            Decision::Do(Work::SetAside(aside)) => match aside.because {
                Because::Unknown(name) => Some((name, None)),
                Because::Unused(name, ty) => Some((name, Some(ty))),
                _ => None,
            },
            _ => None,
        }
    }
}

impl SetAside {
    /// The name of the file; left-overs have none that counts.
    pub(super) fn name(&self) -> Option<RepositoryName> {
        match self.because {
            Because::Unknown(name)
            | Because::Unused(name, _)
            | Because::Doubled(name, _)
            | Because::Bad(name, _) => Some(name),
            Because::LeftOver => None,
        }
    }
}

/// Decides; shared by all findings of a run.
pub(super) struct Decider<'a> {
    tree: &'a Tree,
    options: &'a Options,
    backups: &'a [&'a dyn Backups],
    urls: HashMap<RepositoryName, Vec<String>>,
    /// Rows of pfile from this key on may belong to an upload although nothing uses them.
    owned_from: Option<i32>,
}

impl<'a> Decider<'a> {
    pub(super) fn of(
        tree: &'a Tree,
        summary: &Summary,
        options: &'a Options,
        backups: &'a [&'a dyn Backups],
    ) -> Decider<'a> {
        let mut urls: HashMap<RepositoryName, Vec<String>> = HashMap::new();
        if let Some(hosts) = options.urls {
            for upload in &summary.uploads {
                if let (Some(gold), Some(url)) = (upload.gold, upload.url_on(hosts)) {
                    urls.entry(gold).or_default().push(url.to_owned());
                }
            }
        }
        // Version control contents of an upload unpacked with -I are used by nothing, by right, and
        // what a cut unpack has brought, or one at work brings, belongs to its upload.
        let owned_from = summary
            .uploads
            .iter()
            .filter(|upload| !upload.deleted && upload.pfile > 0)
            .filter(|upload| {
                let unpacking = &upload.unpacking;
                let rows = i64::try_from(upload.tree_rows).unwrap_or(i64::MAX);
                upload.is_unfinished()
                    || unpacking.without_version_control
                    || unpacking.killed
                    || unpacking.items.is_some_and(|items| rows < items)
            })
            .map(|upload| upload.pfile)
            .min();
        Decider {
            tree,
            options,
            backups,
            urls,
            owned_from,
        }
    }

    /// What is to be done about a finding.
    pub(super) fn decide(&self, finding: &Finding) -> Decision {
        let decision = self.by_kind(finding);
        match decision {
            Decision::Do(work) if !self.options.actions.contains(&work.action()) => {
                Decision::Leave(format!("{} is left out by --only", work.action().as_str()))
            }
            other => other,
        }
    }

    fn by_kind(&self, finding: &Finding) -> Decision {
        let by_hand = || leave("a person has to look at it: fogold-check(1) says what to do");
        match finding.kind {
            Kind::MissingGold | Kind::MissingDerived | Kind::MissingListing => {
                self.put_back(finding, false)
            }
            Kind::Corrupt | Kind::WrongSize | Kind::Unreadable => self.bad(finding),
            Kind::Misplaced => self.misplaced(finding),
            Kind::Orphan => with_name(finding, |name, path| aside(path, Because::Unknown(name))),
            Kind::Unreferenced => self.unreferenced(finding),
            Kind::PartialImport => match finding.tree_path() {
                Some(path) => aside(path, Because::LeftOver),
                None => by_hand(),
            },
            Kind::Abandoned => match finding.tree_path() {
                Some(path) => Decision::Do(Work::Clear { path }),
                None => by_hand(),
            },
            Kind::WrongMode => match finding.tree_path() {
                Some(path) => Decision::Do(Work::OpenUp { path }),
                None => by_hand(),
            },
            Kind::PartialTree => {
                leave("'fogold requeue --rebuild-trees --wait' has it unpacked from scratch")
            }
            Kind::UnfinishedUpload => leave("FOSSology is at work on it: wait"),
            Kind::Foreign
            | Kind::DuplicatePfile
            | Kind::PfileWithoutUse
            | Kind::DeletedMeanwhile => leave("nothing needs to be done"),
            Kind::UnusablePfile
            | Kind::DanglingReference
            | Kind::WrongSha256
            | Kind::UploadWithoutPfile => by_hand(),
        }
    }

    /// A file that is missing, or whose contents are bad.
    fn put_back(&self, finding: &Finding, is_bad: bool) -> Decision {
        with_name(finding, |name, path| {
            let ty = finding.ty.unwrap_or(RepositoryType::Files);
            let urls = self.urls.get(&name).cloned().unwrap_or_default();
            let is_stored = self
                .backups
                .iter()
                .any(|store| store.holds(&name).is_some());
            let work = PutBack {
                name,
                ty,
                path,
                is_bad,
                copy: copy_of(finding),
                urls,
            };
            match finding.recovery {
                Some(Recovery::Copy) => Decision::Do(Work::PutBack(work)),
                _ if is_stored => Decision::Do(Work::PutBack(work)),
                Some(Recovery::Unpack) if is_bad => aside(work.path, Because::Bad(name, work.ty)),
                Some(Recovery::Unpack) => {
                    leave("'fogold requeue --wait' has FOSSology unpack it again")
                }
                _ if !work.urls.is_empty() => Decision::Do(Work::PutBack(work)),
                Some(Recovery::Url) => {
                    leave("it can be fetched from its URL, and --no-urls says not to")
                }
                _ if is_bad => leave(
                    "no good copy is known, so what there is stays: give every store of backups there is with --from",
                ),
                _ => {
                    leave("no good copy is known: give every store of backups there is with --from")
                }
            }
        })
    }

    fn bad(&self, finding: &Finding) -> Decision {
        if finding.name.is_none() {
            return leave("a directory that cannot be read: look after its rights and the storage");
        }
        if finding.severity != Severity::Waste {
            return self.put_back(finding, true);
        }
        let is_used = finding.uploads_total.is_some_and(|total| total > 0);
        with_name(finding, |name, path| {
            let ty = finding.ty.unwrap_or(RepositoryType::Files);
            let because = match (is_used, finding.pfile) {
                (true, _) => Because::Doubled(name, ty),
                (false, Some(_)) => Because::Unused(name, ty),
                (false, None) => Because::Unknown(name),
            };
            aside(path, because)
        })
    }

    fn misplaced(&self, finding: &Finding) -> Decision {
        let ty = finding.ty.unwrap_or(RepositoryType::Files);
        with_name(finding, |name, from| match finding.severity {
            Severity::Waste => aside(from, Because::Doubled(name, ty)),
            _ => Decision::Do(Work::SetRight { name, ty, from }),
        })
    }

    fn unreferenced(&self, finding: &Finding) -> Decision {
        let ty = finding.ty.unwrap_or(RepositoryType::Files);
        let may_be_owned = match (self.owned_from, finding.pfile) {
            (Some(from), Some(pfile)) => pfile >= from,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if ty != RepositoryType::Gold && may_be_owned {
            return leave(
                "its row came after an upload that was unpacked with -I, or whose unpack was cut or has not ended: it may be that upload's",
            );
        }
        with_name(finding, |name, path| aside(path, Because::Unused(name, ty)))
    }

    /// Every path where a good copy may stand, the likeliest first, but for the place itself.
    pub(super) fn copies(&self, work: &PutBack) -> Vec<TreePath> {
        let layout = self.tree.layout();
        let types = [RepositoryType::Gold, RepositoryType::Files];
        let mut copies: Vec<TreePath> = work.copy.iter().cloned().collect();
        copies.extend(
            types
                .into_iter()
                .flat_map(|ty| layout.places(ty, &work.name)),
        );
        copies.retain(|path| *path != work.path);
        let mut seen = std::collections::BTreeSet::new();
        copies.retain(|path| seen.insert(path.clone()));
        copies
    }

    /// Where stores have contents of a name.
    pub(super) fn stored(&self, name: &RepositoryName) -> Vec<String> {
        self.backups
            .iter()
            .filter_map(|store| store.holds(name))
            .collect()
    }
}

/// Which URLs a repair may fetch from; `None`: from none.
pub type Urls = Option<Hosts>;

fn leave(why: &str) -> Decision {
    Decision::Leave(why.to_owned())
}

fn aside(path: TreePath, because: Because) -> Decision {
    Decision::Do(Work::SetAside(SetAside { path, because }))
}

fn with_name(
    finding: &Finding,
    decide: impl FnOnce(RepositoryName, TreePath) -> Decision,
) -> Decision {
    let name = finding.name.as_deref().and_then(|name| name.parse().ok());
    match (name, finding.tree_path()) {
        (Some(name), Some(path)) => decide(name, path),
        _ => leave("it has no name and path that a repair could go by"),
    }
}

/// The good copy that the check saw in the tree. The text of a path that is not UTF-8 leads nowhere,
/// and another copy is looked for.
fn copy_of(finding: &Finding) -> Option<TreePath> {
    let is_copy = finding.recovery == Some(Recovery::Copy);
    let source = finding.source.as_ref().filter(|_| is_copy)?;
    Some(TreePath(source.clone().into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalog::upload::Unpacking;
    use crate::catalog::{Origin, Upload};
    use crate::check::{self, FailOn, Slice};
    use crate::repository::{Access, Layout, LowImpact};
    use crate::sysconf::HostTable;

    const NAME: &str =
        "da39a3ee5e6b4b0d3255bfef95601890afd80709.d41d8cd98f00b204e9800998ecf8427e.0";
    const PATH: &str = "h/files/da/39/a3/x";

    fn options(urls: Urls) -> Options {
        Options {
            apply: true,
            actions: Action::ALL.to_vec(),
            urls,
            min_age: Duration::ZERO,
            max_share: 10,
            relink: false,
            fill_sha256: false,
            fail_on: FailOn::default(),
            check: check::Options {
                types: vec![],
                verify: false,
                sha256: false,
                slice: Slice::ALL,
                allow_empty: false,
                threads: 1,
                scratch: "/".into(),
                low_impact: LowImpact::default(),
            },
        }
    }

    /// An upload whose gold is pfile 10, from a URL of this machine; unpacked with -I, or not.
    fn upload(without_version_control: bool) -> Upload {
        Upload {
            pk: 1,
            filename: b"a.zip".to_vec(),
            mode: 104,
            pfile: 10,
            gold: NAME.parse().ok(),
            origin: Origin::Url("http://127.0.0.1/a.zip".to_owned()),
            deleted: false,
            uploaded: None,
            tree_rows: 5,
            unpacking: Unpacking {
                items: Some(5),
                without_version_control,
                ..Unpacking::default()
            },
        }
    }

    fn finding(kind: Kind, severity: Severity, recovery: Option<Recovery>) -> Finding {
        let name: RepositoryName = NAME.parse().unwrap();
        let mut finding = Finding::new(kind, severity)
            .named(&name)
            .at(&TreePath(PATH.as_bytes().to_vec()));
        finding.ty = Some(RepositoryType::Files);
        finding.recovery = recovery;
        finding
    }

    fn decide(finding: &Finding, upload: Upload, options: &Options) -> Decision {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout {
            depth: 3,
            hosts: HostTable::of_found_hosts(["h".to_owned()]),
        };
        let tree = Tree::open(root.path(), layout, Access::default()).unwrap();
        let summary = Summary {
            uploads: vec![upload],
            ..Summary::default()
        };
        Decider::of(&tree, &summary, options, &[]).decide(finding)
    }

    fn action(decision: &Decision) -> Option<Action> {
        match decision {
            Decision::Do(work) => Some(work.action()),
            Decision::Leave(_) => None,
        }
    }

    #[test]
    fn a_bad_file_goes_only_when_there_is_a_way_back() {
        for (recovery, wanted) in [
            (Recovery::Copy, Some(Action::PutBack)),
            (Recovery::Unpack, Some(Action::Quarantine)),
            (Recovery::None, None),
        ] {
            let finding = finding(Kind::Corrupt, Severity::Loss, Some(recovery));
            let decision = decide(&finding, upload(false), &options(None));
            assert_eq!(action(&decision), wanted, "{recovery:?}");
            if let Decision::Do(work) = decision {
                assert_eq!(work.mends(), recovery == Recovery::Copy);
                assert!(!work.needs_live());
            }
        }
    }

    #[test]
    fn gold_is_fetched_from_the_hosts_that_are_allowed() {
        let finding = finding(Kind::MissingGold, Severity::Loss, Some(Recovery::None));
        for (urls, wanted) in [
            (None, None),
            (Some(Hosts::Remote), None),
            (Some(Hosts::Any), Some(Action::PutBack)),
        ] {
            let decision = decide(&finding, upload(false), &options(urls));
            assert_eq!(action(&decision), wanted, "{urls:?}");
        }
    }

    #[test]
    fn what_may_be_version_control_of_an_upload_stays() {
        let mut finding = finding(Kind::Unreferenced, Severity::Waste, None);
        for (pfile, unpacked_with_i, goes) in [
            (11, false, true),
            (11, true, false),
            (10, true, false),
            (9, true, true),
        ] {
            finding.pfile = Some(pfile);
            let decision = decide(&finding, upload(unpacked_with_i), &options(None));
            assert_eq!(action(&decision).is_some(), goes, "{pfile}");
        }
        // Of a deleted upload nothing is left to belong to.
        finding.pfile = Some(11);
        let deleted = Upload {
            deleted: true,
            ..upload(true)
        };
        assert!(action(&decide(&finding, deleted, &options(None))).is_some());
    }

    #[test]
    fn only_what_was_asked_for_is_done() {
        let finding = finding(Kind::Orphan, Severity::Waste, None);
        let only = |actions: &[Action]| Options {
            actions: actions.to_vec(),
            ..options(None)
        };
        let decision = decide(&finding, upload(false), &only(&[Action::Mode]));
        assert_eq!(
            decision,
            Decision::Leave("quarantine is left out by --only".to_owned())
        );
        let decision = decide(&finding, upload(false), &only(&[Action::Quarantine]));
        assert!(
            matches!(decision, Decision::Do(work) if work.needs_live() && work.empties_a_place())
        );
    }
}
