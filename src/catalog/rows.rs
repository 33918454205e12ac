//! The rows that a catalog is made of, as every source hands them over.
//!
//! A source (a live database, a dump) decodes rows and passes them to a [`RowSink`], in any order
//! of tables and rows. Text is bytes: a FOSSology database may be in `SQL_ASCII`, where text has no
//! encoding. Numbers are `i64` whatever the column's width.

use super::CatalogError;

/// A point in time: microseconds since 1970-01-01 UTC.
pub type Micros = i64;

/// A row of `pfile`. Digests as the database holds them: hex text, mostly upper case, perhaps
/// malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PfileRow<'a> {
    /// `pfile_pk`
    pub pk: i64,
    /// `pfile_sha1`
    pub sha1: &'a [u8],
    /// `pfile_md5`
    pub md5: &'a [u8],
    /// `pfile_sha256`: since 3.6.0; NULL in older rows.
    pub sha256: Option<&'a [u8]>,
    /// `pfile_size`; NULL is taken for -1, which names no file.
    pub size: i64,
}

/// A row of `uploadtree` or of a table that inherits from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeRow {
    /// `upload_fk`
    pub upload: i64,
    /// `pfile_fk`: NULL and 0 alike are a directory and come as 0.
    pub pfile: i64,
    /// Whether the row is named `artifact.meta` and has the artifact bit (1<<28) in `ufile_mode`.
    pub listing: bool,
}

/// A row of `upload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadRow<'a> {
    /// `upload_pk`
    pub pk: i64,
    /// `upload_filename`
    pub filename: &'a [u8],
    /// `upload_mode`
    pub mode: i64,
    /// `pfile_fk`: NULL comes as 0.
    pub pfile: i64,
    /// `upload_origin`: the file name or URL it came from.
    pub origin: Option<&'a [u8]>,
    /// `upload_ts`
    pub uploaded: Option<Micros>,
    /// `user_fk`
    pub user: Option<i64>,
    /// `uploadtree_tablename`: since 2.1.0.
    pub tree_table: Option<&'a [u8]>,
    /// `expire_action`: since 2.4.0; `d` in the row of a deleted upload.
    pub expire_action: Option<&'a [u8]>,
}

/// A row of `job`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// `job_pk`
    pub pk: i64,
    /// `job_upload_fk`
    pub upload: Option<i64>,
    /// `job_queued`
    pub queued: Option<Micros>,
}

/// A row of `jobqueue`. Sources hand over all of them; the sink takes what concerns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobqueueRow<'a> {
    /// `jq_pk`
    pub pk: i64,
    /// `jq_job_fk`
    pub job: i64,
    /// `jq_type`: the agent's name.
    pub agent: &'a [u8],
    /// `jq_args`. May hold a version control password: never to be stored or printed.
    pub args: Option<&'a [u8]>,
    /// `jq_starttime`
    pub started: Option<Micros>,
    /// `jq_endtime`
    pub ended: Option<Micros>,
    /// `jq_end_bits`: 1 ok, 2 failed, 4 not fatal.
    pub end_bits: i64,
    /// `jq_itemsprocessed`
    pub items: Option<i64>,
    /// `jq_cmd_args`: since 2.4.0.
    pub cmd_args: Option<&'a [u8]>,
}

/// A row of `ununpack_ars`: one run of the unpack agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnunpackArsRow {
    /// `upload_fk`
    pub upload: i64,
    /// `ars_success`
    pub success: bool,
    /// `ars_endtime`
    pub ended: Option<Micros>,
}

/// A row of `users` or of `folder`: what its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedRow<'a> {
    /// `user_pk`, `folder_pk`
    pub pk: i64,
    /// `user_name`, `folder_name`
    pub name: &'a [u8],
}

/// A row of `foldercontents`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderContentRow {
    /// `parent_fk`: the folder.
    pub parent: i64,
    /// `foldercontents_mode`: 1 a folder, 2 an upload, 4 a tree row.
    pub mode: i64,
    /// `child_id`
    pub child: i64,
}

/// Takes the rows of one FOSSology database. Those of people and folders come only where they are
/// asked for.
pub trait RowSink {
    /// A row of `pfile`.
    fn pfile(&mut self, row: &PfileRow<'_>) -> Result<(), CatalogError>;
    /// A row of `uploadtree` or a table that inherits from it.
    fn tree(&mut self, row: &TreeRow) -> Result<(), CatalogError>;
    /// A row of `upload`.
    fn upload(&mut self, row: &UploadRow<'_>) -> Result<(), CatalogError>;
    /// A row of `job`.
    fn job(&mut self, row: &JobRow) -> Result<(), CatalogError>;
    /// A row of `jobqueue`.
    fn jobqueue(&mut self, row: &JobqueueRow<'_>) -> Result<(), CatalogError>;
    /// A row of `ununpack_ars`.
    fn ununpack_ars(&mut self, row: &UnunpackArsRow) -> Result<(), CatalogError>;

    /// A row of `users`.
    fn user(&mut self, row: &NamedRow<'_>) -> Result<(), CatalogError> {
        let _ = row;
        Ok(())
    }

    /// A row of `folder`.
    fn folder(&mut self, row: &NamedRow<'_>) -> Result<(), CatalogError> {
        let _ = row;
        Ok(())
    }

    /// A row of `foldercontents`.
    fn folder_content(&mut self, row: &FolderContentRow) -> Result<(), CatalogError> {
        let _ = row;
        Ok(())
    }
}
