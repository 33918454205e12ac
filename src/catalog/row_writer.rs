//! Takes rows in: pfiles and their uses go to disk, the small tables stay in memory.

use std::sync::{Arc, Mutex, PoisonError};

use super::CatalogError;
use super::join::{Whereabouts, bucket_of, put_key, put_pfile};
use super::pfile::{Row, Sha256, Usage};
use super::rows::{
    FolderContentRow, JobRow, JobqueueRow, NamedRow, PfileRow, RowSink, TreeRow, UnunpackArsRow,
    UploadRow,
};
use super::scatter;
use super::small_tables::{Agent, Queued, SmallTables};
use super::upload::{Origin, Unpacking, Upload};
use crate::repository::RepositoryName;

/// A [`RowSink`] that feeds a [`Builder`](super::Builder).
pub struct RowWriter {
    origin: String,
    pfiles: scatter::Writer,
    keys: scatter::Writer,
    uses: scatter::Writer,
    shared: Arc<Mutex<SmallTables>>,
    small: SmallTables,
    /// Tree rows come by upload: the count of the one that is passing by.
    upload_now: (i32, u64),
}

impl RowWriter {
    pub(super) fn new(
        origin: String,
        pfiles: scatter::Writer,
        keys: scatter::Writer,
        uses: scatter::Writer,
        shared: Arc<Mutex<SmallTables>>,
    ) -> RowWriter {
        RowWriter {
            origin,
            pfiles,
            keys,
            uses,
            shared,
            small: SmallTables::default(),
            upload_now: (0, 0),
        }
    }

    /// Hands what was collected to the builder.
    pub fn close(mut self) -> Result<(), CatalogError> {
        self.count_tree_rows(0);
        self.pfiles.finish()?;
        self.keys.finish()?;
        self.uses.finish()?;
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_in(self.small);
        Ok(())
    }

    /// A key as PostgreSQL's `int4`, which is what every key of FOSSology is.
    fn key(&self, table: &str, row: u64, value: i64) -> Result<i32, CatalogError> {
        i32::try_from(value).map_err(|_| CatalogError::BadRow {
            origin: self.origin.clone(),
            table: table.to_owned(),
            row,
            why: format!("the key {value} is out of range"),
        })
    }

    fn push_use(&mut self, pfile: i32, upload: i32, usage: Usage) -> Result<(), CatalogError> {
        self.uses.push(bucket_of(pfile), |out| {
            out.extend_from_slice(&pfile.to_le_bytes());
            out.extend_from_slice(&upload.to_le_bytes());
            out.push(usage.bits());
        })
    }

    /// Notes that a table of people or folders can be read.
    pub(super) fn note_table(&mut self, table: &str) {
        self.small.particulars.directory.note_table(table);
    }

    fn count_tree_rows(&mut self, next: i32) {
        let (upload, rows) = std::mem::replace(&mut self.upload_now, (next, 0));
        if rows > 0 {
            *self.small.tree_rows.entry(upload).or_default() += rows;
        }
    }
}

impl RowSink for RowWriter {
    fn pfile(&mut self, row: &PfileRow<'_>) -> Result<(), CatalogError> {
        self.small.pfile_rows += 1;
        let pk = self.key("pfile", self.small.pfile_rows, row.pk)?;
        let name = RepositoryName::from_row(
            row.sha1.trim_ascii_end(),
            row.md5.trim_ascii_end(),
            row.size,
        );
        let place = if let Some(name) = name {
            let shard = name.shard().0;
            let sha256 = Sha256::of_row(row.sha256);
            self.pfiles.push(shard, |out| {
                put_pfile(out, &name, Row { pk, sha256 });
            })?;
            Whereabouts::Shard(shard)
        } else {
            self.small.unusable.insert(pk, why_unusable(row));
            Whereabouts::Unusable
        };
        self.keys.push(bucket_of(pk), |out| put_key(out, pk, place))
    }

    fn tree(&mut self, row: &TreeRow) -> Result<(), CatalogError> {
        self.small.tree_total += 1;
        let upload = self.key("uploadtree", self.small.tree_total, row.upload)?;
        if upload != self.upload_now.0 {
            self.count_tree_rows(upload);
        }
        self.upload_now.1 += 1;
        if row.pfile == 0 {
            return Ok(());
        }
        let pfile = self.key("uploadtree", self.small.tree_total, row.pfile)?;
        let usage = if row.listing {
            Usage::LISTING
        } else {
            Usage::TREE
        };
        self.push_use(pfile, upload, usage)
    }

    fn upload(&mut self, row: &UploadRow<'_>) -> Result<(), CatalogError> {
        let number = self.small.uploads.len() as u64 + 1;
        let pk = self.key("upload", number, row.pk)?;
        let pfile = self.key("upload", number, row.pfile)?;
        if pfile != 0 {
            self.push_use(pfile, pk, Usage::GOLD)?;
        }
        if let Some(user) = row.user {
            let user = self.key("upload", number, user)?;
            self.small.particulars.users.insert(pk, user);
        }
        let upload = Upload {
            pk,
            filename: row.filename.to_owned(),
            mode: row.mode as i32,
            pfile,
            gold: None,
            origin: Origin::None,
            deleted: pfile == 0 && row.expire_action.is_some_and(|action| action == b"d"),
            uploaded: row.uploaded,
            tree_rows: 0,
            unpacking: Unpacking::default(),
        };
        self.small
            .uploads
            .push((upload, row.origin.map(<[u8]>::to_owned)));
        Ok(())
    }

    fn job(&mut self, row: &JobRow) -> Result<(), CatalogError> {
        let number = self.small.jobs.len() as u64 + 1;
        let pk = self.key("job", number, row.pk)?;
        let upload = row.upload.map(|upload| self.key("job", number, upload));
        self.small
            .jobs
            .insert(pk, (upload.transpose()?, row.queued));
        Ok(())
    }

    fn jobqueue(&mut self, row: &JobqueueRow<'_>) -> Result<(), CatalogError> {
        let agent = match row.agent {
            b"wget_agent" => Agent::Fetch,
            b"ununpack" => Agent::Unpack,
            b"adj2nest" => Agent::Number,
            _ => return Ok(()),
        };
        let number = self.small.queue.len() as u64 + 1;
        let queued = Queued {
            pk: self.key("jobqueue", number, row.pk)?,
            job: self.key("jobqueue", number, row.job)?,
            agent,
            started: row.started,
            ended: row.ended.is_some(),
            completed: row.ended.is_some() && row.end_bits & 1 != 0,
            took: match (row.started, row.ended) {
                (Some(started), Some(ended)) if started <= ended => Some(ended - started),
                _ => None,
            },
            items: row.items,
            without_version_control: row.cmd_args.is_some_and(|args| {
                args.split(u8::is_ascii_whitespace)
                    .any(|word| word == b"-I")
            }),
            arguments: row.args.map(<[u8]>::to_owned),
        };
        self.small.queue.push(queued);
        Ok(())
    }

    fn ununpack_ars(&mut self, row: &UnunpackArsRow) -> Result<(), CatalogError> {
        if !row.success && row.ended.is_none() {
            let upload = self.key("ununpack_ars", 0, row.upload)?;
            self.small.killed.insert(upload);
        }
        Ok(())
    }

    fn user(&mut self, row: &NamedRow<'_>) -> Result<(), CatalogError> {
        let pk = self.key("users", 0, row.pk)?;
        let users = &mut self.small.particulars.directory.users;
        users
            .get_or_insert_default()
            .insert(pk, row.name.to_owned());
        Ok(())
    }

    fn folder(&mut self, row: &NamedRow<'_>) -> Result<(), CatalogError> {
        let pk = self.key("folder", 0, row.pk)?;
        let folders = &mut self.small.particulars.directory.folders;
        folders
            .get_or_insert_default()
            .insert(pk, row.name.to_owned());
        Ok(())
    }

    fn folder_content(&mut self, row: &FolderContentRow) -> Result<(), CatalogError> {
        let parent = self.key("foldercontents", 0, row.parent)?;
        let child = self.key("foldercontents", 0, row.child)?;
        let contents = &mut self.small.particulars.directory.contents;
        let contents = contents.get_or_insert_default();
        match row.mode {
            FOLDER_IN_FOLDER => contents.folders.push((parent, child)),
            UPLOAD_IN_FOLDER => contents.uploads.push((parent, child)),
            _ => {}
        }
        Ok(())
    }
}

/// Values of `foldercontents_mode`.
const FOLDER_IN_FOLDER: i64 = 1;
const UPLOAD_IN_FOLDER: i64 = 2;

fn why_unusable(row: &PfileRow<'_>) -> String {
    let mut faults = Vec::new();
    for (column, text, length) in [("sha1", row.sha1, 20), ("md5", row.md5, 16)] {
        let text = text.trim_ascii_end();
        if text.len() != 2 * length || !text.iter().all(u8::is_ascii_hexdigit) {
            let shown: String = String::from_utf8_lossy(text).chars().take(80).collect();
            faults.push(format!("its {column} is {shown:?}"));
        }
    }
    if row.size < 0 {
        faults.push(format!("its size is {}", row.size));
    }
    faults.join(", ")
}
