//! An upload as fogold needs it: its gold, how it was fetched, and how far its unpacking got.

use serde::{Deserialize, Serialize};

use super::origin;
use super::rows::Micros;
use crate::repository::RepositoryName;

/// Bit of `upload_mode`: the upload was unpacked.
pub const UNPACKED: i32 = 1 << 5;

/// Where an upload's gold can be fetched again, judged from `upload_origin` and the arguments of
/// its fetch job (not from the gold's contents).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// No URL, or one that does not give the same bytes again.
    None,
    /// A URL that a person may see; perhaps one of a loopback or link-local host.
    Url(String),
    /// A URL with credentials or a query: never shown, never fetched.
    Withheld,
}

/// The hosts from which gold may be fetched again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hosts {
    /// All but loopback and link-local ones: what these serve is this machine's own affair.
    #[default]
    Remote,
    /// Loopback and link-local ones too.
    Any,
}

impl Hosts {
    /// Whether a URL that was judged as an origin leads to one of these, by what it says.
    pub fn admit(self, url: &str) -> bool {
        self == Hosts::Any || !origin::is_local(url)
    }
}

/// What the job queue says about unpacking an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacking {
    /// A `wget_agent`, `ununpack` or `adj2nest` row of it has no end.
    pub open_job: bool,
    /// An `ununpack` row of it completed.
    pub completed: bool,
    /// `jq_itemsprocessed` of the first completed `ununpack` row that processed anything.
    pub items: Option<i64>,
    /// Unpacked with `-I`: contents of version control have pfile rows but no tree rows.
    pub without_version_control: bool,
    /// A run of the agent is recorded as FALSE and without an end in `ununpack_ars`.
    pub killed: bool,
}

/// A row of `upload`, and what other tables say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// `upload_pk`
    pub pk: i32,
    /// `upload_filename`: bytes, for the database may have no encoding.
    pub filename: Vec<u8>,
    /// `upload_mode`
    pub mode: i32,
    /// `pfile_fk`; 0 for none.
    pub pfile: i32,
    /// The name of its gold, where `pfile` leads to a usable row.
    pub gold: Option<RepositoryName>,
    /// Where the gold can be fetched again.
    pub origin: Origin,
    /// `expire_action` is `d` and there is no pfile: the row of a deleted upload.
    pub deleted: bool,
    /// `upload_ts`
    pub uploaded: Option<Micros>,
    /// Rows of the upload's tree, directories included.
    pub tree_rows: u64,
    /// How far its unpacking got.
    pub unpacking: Unpacking,
}

impl Upload {
    /// Not deleted, its first unpack not yet completed, and a job of it still open. A later
    /// reunpack does not make an upload unfinished, even when the row of the first unpack is no
    /// longer in the queue: the unpacked bit stays.
    pub fn is_unfinished(&self) -> bool {
        !self.deleted
            && self.unpacking.open_job
            && !self.unpacking.completed
            && self.mode & UNPACKED == 0
    }

    /// The URL from which its gold can be fetched again, if a person may see one; none that leads
    /// to a loopback or link-local host.
    pub fn url(&self) -> Option<&str> {
        self.url_on(Hosts::Remote)
    }

    /// The URL from which its gold can be fetched again, if a person may see one and it leads to
    /// one of these hosts.
    pub fn url_on(&self, hosts: Hosts) -> Option<&str> {
        match &self.origin {
            Origin::Url(url) if hosts.admit(url) => Some(url),
            Origin::Url(_) | Origin::None | Origin::Withheld => None,
        }
    }
}
