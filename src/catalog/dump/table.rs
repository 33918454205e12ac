//! The tables that are read, their columns, and how a line of COPY data becomes a row.
//!
//! Columns are found by name, for their order differs among releases. Messages name a column but
//! never show its value, which may hold a password.

use super::copy::{Fields, Text};
use super::timestamp;
use crate::catalog::CatalogError;
use crate::catalog::rows::{
    FolderContentRow, JobRow, JobqueueRow, Micros, NamedRow, PfileRow, RowSink, TreeRow,
    UnunpackArsRow, UploadRow,
};

/// `ufile_mode`: made by unpacking, not part of the upload.
const ARTIFACT: i64 = 1 << 28;

/// The name of the tree rows that are listings.
const LISTING: &[u8] = b"artifact.meta";

/// The most columns of a table that are read.
const MOST_COLUMNS: usize = 9;

/// A table's place among the columns of a COPY statement that lacks it.
const ABSENT: usize = usize::MAX;

/// The tables that make a database FOSSology's, in the order in which a missing one is named.
pub(super) const REQUIRED: [&str; 5] = ["pfile", "upload", "uploadtree", "job", "jobqueue"];

/// The root of the tables that hold tree rows.
pub(super) const TREE: &str = "uploadtree";

/// The table of the unpack agent's runs.
pub(super) const UNUNPACK_ARS: &str = "ununpack_ars";

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `pfile`
    Pfile,
    /// `upload`
    Upload,
    /// `uploadtree` and its children
    Tree,
    /// `job`
    Job,
    /// `jobqueue`
    Jobqueue,
    /// `ununpack_ars`
    UnunpackArs,
    /// `users`
    Users,
    /// `folder`
    Folder,
    /// `foldercontents`
    FolderContents,
}

impl Kind {
    /// The kind of a table that is no child of `uploadtree`.
    pub(super) fn of(table: &str) -> Option<Kind> {
        match table {
            "pfile" => Some(Kind::Pfile),
            "upload" => Some(Kind::Upload),
            TREE => Some(Kind::Tree),
            "job" => Some(Kind::Job),
            "jobqueue" => Some(Kind::Jobqueue),
            UNUNPACK_ARS => Some(Kind::UnunpackArs),
            "users" => Some(Kind::Users),
            "folder" => Some(Kind::Folder),
            "foldercontents" => Some(Kind::FolderContents),
            _ => None,
        }
    }

    /// Whether the table is about people and folders: read only where that is asked for.
    pub(super) fn is_of_directory(self) -> bool {
        matches!(self, Kind::Users | Kind::Folder | Kind::FolderContents)
    }

    /// The columns that are read, each with whether every release has it. Their order is that of
    /// the arguments in [`Layout::hand_over`].
    fn columns(self) -> &'static [(&'static str, bool)] {
        match self {
            Kind::Pfile => &[
                ("pfile_pk", true),
                ("pfile_sha1", true),
                ("pfile_md5", true),
                ("pfile_size", true),
                ("pfile_sha256", false),
            ],
            Kind::Upload => &[
                ("upload_pk", true),
                ("upload_filename", true),
                ("upload_mode", true),
                ("pfile_fk", true),
                ("upload_origin", true),
                ("upload_ts", true),
                ("user_fk", false),
                ("uploadtree_tablename", false),
                ("expire_action", false),
            ],
            Kind::Tree => &[
                ("upload_fk", true),
                ("pfile_fk", true),
                ("ufile_mode", true),
                ("ufile_name", true),
            ],
            Kind::Job => &[
                ("job_pk", true),
                ("job_upload_fk", true),
                ("job_queued", true),
            ],
            Kind::Jobqueue => &[
                ("jq_pk", true),
                ("jq_job_fk", true),
                ("jq_type", true),
                ("jq_args", true),
                ("jq_starttime", true),
                ("jq_endtime", true),
                ("jq_end_bits", true),
                ("jq_itemsprocessed", true),
                ("jq_cmd_args", false),
            ],
            Kind::UnunpackArs => &[
                ("upload_fk", true),
                ("ars_success", true),
                ("ars_endtime", true),
            ],
            Kind::Users => &[("user_pk", true), ("user_name", true)],
            Kind::Folder => &[("folder_pk", true), ("folder_name", true)],
            Kind::FolderContents => &[
                ("parent_fk", true),
                ("foldercontents_mode", true),
                ("child_id", true),
            ],
        }
    }
}

/// Where the columns of one COPY block are.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    kind: Kind,
    fields: usize,
    places: [usize; MOST_COLUMNS],
}

/// Why a line is no row, or the sink's own answer.
#[derive(Debug)]
pub(super) enum RowError {
    /// What is wrong with the line.
    Bad(String),
    /// The sink does not take it.
    Sink(CatalogError),
}

impl From<CatalogError> for RowError {
    fn from(error: CatalogError) -> RowError {
        RowError::Sink(error)
    }
}

/// What the reader itself must remember of an upload: where its tree is.
#[derive(Debug)]
pub(super) struct TreeOf<'a> {
    /// `upload_pk`
    pub(super) upload: i64,
    /// `uploadtree_tablename`
    pub(super) table: &'a [u8],
}

impl Layout {
    /// Finds the columns of a table of this kind; the error is the first one missing.
    pub(super) fn find(kind: Kind, columns: &[String]) -> Result<Layout, &'static str> {
        let mut places = [ABSENT; MOST_COLUMNS];
        for (place, &(name, required)) in places.iter_mut().zip(kind.columns()) {
            match columns.iter().position(|column| column == name) {
                Some(found) => *place = found,
                None if required => return Err(name),
                None => {}
            }
        }
        Ok(Layout {
            kind,
            fields: columns.len(),
            places,
        })
    }

    /// Whether the table has `pfile_sha256`.
    pub(super) fn has_sha256(&self) -> bool {
        self.kind == Kind::Pfile && self.places[4] != ABSENT
    }

    /// Decodes `line` and hands the row to `sink`. `uploads` is told of each upload that is not
    /// deleted and names the table of its tree.
    pub(super) fn hand_over<S: RowSink>(
        &self,
        line: &[u8],
        work: &mut Work,
        sink: &mut S,
        uploads: &mut dyn FnMut(TreeOf<'_>),
    ) -> Result<(), RowError> {
        let found = work.fields.split(line);
        if found != self.fields {
            return Err(RowError::Bad(format!(
                "it has {found} fields, not {}",
                self.fields
            )));
        }
        work.scratch.clear();
        let scratch = &mut work.scratch;
        let row = Row {
            layout: self,
            line,
            fields: &work.fields,
        };
        match self.kind {
            Kind::Pfile => {
                let pk = row.key(0)?;
                let sha1 = row.text(1, scratch)?;
                let md5 = row.text(2, scratch)?;
                let size = row.number(3)?.unwrap_or(-1);
                let sha256 = row.text(4, scratch)?;
                sink.pfile(&PfileRow {
                    pk,
                    sha1: padded(&sha1, scratch).unwrap_or_default(),
                    md5: padded(&md5, scratch).unwrap_or_default(),
                    sha256: padded(&sha256, scratch),
                    size,
                })?;
            }
            Kind::Upload => {
                let pk = row.key(0)?;
                let filename = row.text(1, scratch)?;
                let mode = row.number(2)?.unwrap_or_default();
                let pfile = row.number(3)?.unwrap_or_default();
                let origin = row.text(4, scratch)?;
                let uploaded = row.time(5)?;
                let user = row.number(6)?;
                let tree_table = row.text(7, scratch)?;
                let expire_action = row.text(8, scratch)?;
                let tree_table = padded(&tree_table, scratch);
                let expire_action = padded(&expire_action, scratch);
                if let Some(table) = tree_table
                    && expire_action != Some(b"d")
                {
                    uploads(TreeOf { upload: pk, table });
                }
                sink.upload(&UploadRow {
                    pk,
                    filename: text(&filename, scratch).unwrap_or_default(),
                    mode,
                    pfile,
                    origin: text(&origin, scratch),
                    uploaded,
                    user,
                    tree_table,
                    expire_action,
                })?;
            }
            Kind::Tree => {
                let upload = row.number(0)?.unwrap_or_default();
                let pfile = row.number(1)?.unwrap_or_default();
                let mode = row.number(2)?.unwrap_or_default();
                let name = row.text(3, scratch)?;
                let listing = mode & ARTIFACT != 0 && text(&name, scratch) == Some(LISTING);
                sink.tree(&TreeRow {
                    upload,
                    pfile,
                    listing,
                })?;
            }
            Kind::Job => {
                sink.job(&JobRow {
                    pk: row.key(0)?,
                    upload: row.number(1)?,
                    queued: row.time(2)?,
                })?;
            }
            Kind::Jobqueue => {
                let pk = row.key(0)?;
                let job = row.number(1)?.unwrap_or_default();
                let agent = row.text(2, scratch)?;
                let args = row.text(3, scratch)?;
                let started = row.time(4)?;
                let ended = row.time(5)?;
                let end_bits = row.number(6)?.unwrap_or_default();
                let items = row.number(7)?;
                let cmd_args = row.text(8, scratch)?;
                sink.jobqueue(&JobqueueRow {
                    pk,
                    job,
                    agent: text(&agent, scratch).unwrap_or_default(),
                    args: text(&args, scratch),
                    started,
                    ended,
                    end_bits,
                    items,
                    cmd_args: text(&cmd_args, scratch),
                })?;
            }
            Kind::UnunpackArs => {
                sink.ununpack_ars(&UnunpackArsRow {
                    upload: row.number(0)?.unwrap_or_default(),
                    success: row.boolean(1)?,
                    ended: row.time(2)?,
                })?;
            }
            Kind::Users | Kind::Folder => {
                let pk = row.key(0)?;
                let name = row.text(1, scratch)?;
                let named = NamedRow {
                    pk,
                    name: text(&name, scratch).unwrap_or_default(),
                };
                match self.kind {
                    Kind::Users => sink.user(&named)?,
                    _ => sink.folder(&named)?,
                }
            }
            Kind::FolderContents => {
                sink.folder_content(&FolderContentRow {
                    parent: row.key(0)?,
                    mode: row.number(1)?.unwrap_or_default(),
                    child: row.key(2)?,
                })?;
            }
        }
        Ok(())
    }
}

/// The buffers that decoding uses again for each row.
#[derive(Debug, Default)]
pub(super) struct Work {
    fields: Fields,
    scratch: Vec<u8>,
}

fn text<'s>(text: &Option<Text<'s>>, scratch: &'s [u8]) -> Option<&'s [u8]> {
    text.as_ref().map(|text| text.bytes(scratch))
}

/// A value of a `char(n)` column, without the blanks that fill it up.
fn padded<'s>(field: &Option<Text<'s>>, scratch: &'s [u8]) -> Option<&'s [u8]> {
    let mut value = text(field, scratch)?;
    while let Some(shorter) = value.strip_suffix(b" ") {
        value = shorter;
    }
    Some(value)
}

/// One line, and where its columns are.
struct Row<'a> {
    layout: &'a Layout,
    line: &'a [u8],
    fields: &'a Fields,
}

impl<'a> Row<'a> {
    fn raw(&self, column: usize) -> Option<&'a [u8]> {
        match self.layout.places[column] {
            ABSENT => None,
            place => self.fields.raw(self.line, place),
        }
    }

    fn bad(&self, column: usize, why: &str) -> RowError {
        RowError::Bad(format!(
            "column {} {why}",
            self.layout.kind.columns()[column].0
        ))
    }

    fn key(&self, column: usize) -> Result<i64, RowError> {
        self.number(column)?
            .ok_or_else(|| self.bad(column, "is NULL"))
    }

    fn number(&self, column: usize) -> Result<Option<i64>, RowError> {
        self.raw(column)
            .map(|field| whole(field).ok_or_else(|| self.bad(column, "is not a whole number")))
            .transpose()
    }

    fn time(&self, column: usize) -> Result<Option<Micros>, RowError> {
        self.raw(column)
            .map(|field| {
                timestamp::parse(field).ok_or_else(|| self.bad(column, "is not a point in time"))
            })
            .transpose()
    }

    fn boolean(&self, column: usize) -> Result<bool, RowError> {
        match self.raw(column) {
            Some(b"t") => Ok(true),
            Some(b"f") | None => Ok(false),
            Some(_) => Err(self.bad(column, "is neither true nor false")),
        }
    }

    fn text(&self, column: usize, scratch: &mut Vec<u8>) -> Result<Option<Text<'a>>, RowError> {
        self.raw(column)
            .map(|field| {
                Text::read(field, scratch)
                    .ok_or_else(|| self.bad(column, "ends in the middle of an escape"))
            })
            .transpose()
    }
}

/// Reads a whole number of up to 64 bits.
fn whole(field: &[u8]) -> Option<i64> {
    let (digits, negative) = match field.strip_prefix(b"-") {
        Some(digits) => (digits, true),
        None => (field, false),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        let digit = i64::from(digit);
        value = value.checked_mul(10)?;
        value = if negative {
            value.checked_sub(digit)?
        } else {
            value.checked_add(digit)?
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers() {
        for number in [0, 1, -1, 42, i64::MAX, i64::MIN] {
            assert_eq!(whole(number.to_string().as_bytes()), Some(number));
        }
        for text in [
            "",
            "-",
            "+1",
            "1.0",
            " 1",
            "9223372036854775808",
            "-9223372036854775809",
        ] {
            assert_eq!(whole(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn names_the_first_missing_column() {
        let columns = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            Layout::find(Kind::Pfile, &columns(&["pfile_pk", "pfile_md5"])).unwrap_err(),
            "pfile_sha1"
        );
        let old = Layout::find(
            Kind::Pfile,
            &columns(&["pfile_size", "pfile_md5", "pfile_sha1", "pfile_pk"]),
        )
        .unwrap();
        assert!(!old.has_sha256());
    }

    #[test]
    fn every_required_table_has_a_kind() {
        for table in REQUIRED {
            assert!(Kind::of(table).is_some(), "{table}");
        }
        for kind in [Kind::Pfile, Kind::Upload, Kind::Tree, Kind::Jobqueue] {
            assert!(kind.columns().len() <= MOST_COLUMNS);
        }
    }
}
