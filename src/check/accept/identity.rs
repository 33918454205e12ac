//! By what a finding is recognised in another run.

use serde::{Deserialize, Serialize};

use crate::check::finding::Finding;
use crate::check::kind::Kind;
use crate::sysconf::RepositoryType;

/// What a finding is about, without its kind: fields of the finding, under the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(super) ty: Option<RepositoryType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pfile: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload: Option<i32>,
}

impl Identity {
    /// That of a finding: where the file lies; for a missing file its name, which stays when the layout
    /// changes; for a row its key, where no name says more; else the upload.
    pub(super) fn of(finding: &Finding) -> Identity {
        let is_missing = matches!(
            finding.kind,
            Kind::MissingGold | Kind::MissingDerived | Kind::MissingListing
        );
        let place = Identity {
            ty: finding.ty,
            host: finding.host.clone(),
            ..Identity::default()
        };
        if let (Some(path), false) = (&finding.path, is_missing) {
            return Identity {
                path: Some(path.clone()),
                path_bytes: finding.path_bytes.clone(),
                // Several rows may be wrong about one file.
                pfile: finding.pfile.filter(|_| finding.kind == Kind::WrongSha256),
                ..place
            };
        }
        if let Some(name) = &finding.name {
            return Identity {
                name: Some(name.clone()),
                ..place
            };
        }
        let uploads = finding.uploads.as_deref().unwrap_or_default();
        Identity {
            pfile: finding.pfile,
            upload: uploads.first().copied().filter(|_| finding.pfile.is_none()),
            ..place
        }
    }

    pub(super) fn is_about_something(&self) -> bool {
        self.path.is_some() || self.name.is_some() || self.pfile.is_some() || self.upload.is_some()
    }
}
