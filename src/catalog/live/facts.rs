//! What a database says of itself, and how its rows are read with that in mind.

use std::collections::HashSet;

use super::piece::Piece;
use super::statement::{
    COLUMNS, COPY_FOLDER, COPY_FOLDERCONTENTS, COPY_JOB, COPY_JOBQUEUE, COPY_PFILE,
    COPY_UNUNPACK_ARS, COPY_UPLOAD, COPY_UPLOADTREE, COPY_USERS, DIRECTORY, RIGHTS, SERVER,
    Statement, Watch,
};
use crate::catalog::CatalogError;
use crate::catalog::row_writer::RowWriter;
use crate::catalog::rows::{
    FolderContentRow, JobRow, JobqueueRow, NamedRow, PfileRow, RowSink, TreeRow, UnunpackArsRow,
    UploadRow,
};
use crate::sysconf::RowStream;

/// The tables that every FOSSology database has, in the order in which a missing one is named.
const REQUIRED: [(&str, &[&str]); 5] = [
    (
        "pfile",
        &["pfile_pk", "pfile_sha1", "pfile_md5", "pfile_size"],
    ),
    (
        "upload",
        &[
            "upload_pk",
            "upload_filename",
            "upload_mode",
            "pfile_fk",
            "upload_origin",
        ],
    ),
    (
        "uploadtree",
        &["upload_fk", "pfile_fk", "ufile_mode", "ufile_name"],
    ),
    ("job", &["job_pk", "job_upload_fk"]),
    ("jobqueue", &["jq_pk", "jq_job_fk", "jq_type", "jq_endtime"]),
];

/// What the database says of itself.
pub(super) struct Facts {
    pub(super) database: String,
    pub(super) server_version: String,
    pub(super) taken: i64,
    /// The tables of people and folders that are to be read.
    directory: Vec<String>,
    columns: HashSet<(String, String)>,
}

impl Facts {
    /// Asks for them.
    pub(super) fn of(stream: &RowStream, with_directory: bool) -> Result<Facts, CatalogError> {
        let server = SERVER.query(stream)?;
        let columns = COLUMNS.query(stream)?;
        let directory = match with_directory {
            true => DIRECTORY.query(stream)?,
            false => Vec::new(),
        };
        Ok(Facts {
            database: server[0].get(0),
            server_version: server[0].get(1),
            taken: server[0].get(2),
            directory: directory.into_iter().map(|row| row.get(0)).collect(),
            columns: columns
                .into_iter()
                .map(|row| (row.get(0), row.get(1)))
                .collect(),
        })
    }

    fn has(&self, table: &str, column: &str) -> bool {
        self.columns
            .contains(&(table.to_owned(), column.to_owned()))
    }

    /// Makes sure that the database is FOSSology's.
    pub(super) fn require_fossology(&self, target: &str) -> Result<(), CatalogError> {
        let missing = |what| CatalogError::NotFossology {
            origin: target.to_owned(),
            what,
        };
        for (table, _) in REQUIRED {
            if !self.columns.iter().any(|(name, _)| name == table) {
                return Err(missing(format!("table {table}")));
            }
        }
        for (table, columns) in REQUIRED {
            for column in columns {
                if !self.has(table, column) {
                    return Err(missing(format!("column {table}.{column}")));
                }
            }
        }
        Ok(())
    }

    /// A statement with the columns that this release has.
    fn adapted(&self, statement: &Statement, table: &str, optional: &[&str]) -> String {
        let mut text = statement.text.to_owned();
        for column in optional {
            let value = if self.has(table, column) {
                (*column).to_owned()
            } else {
                "NULL::text".to_owned()
            };
            text = text.replace(&format!("{{{column}}}"), &value);
        }
        text
    }

    /// Reads the rows of a piece.
    pub(super) fn read(
        &self,
        piece: &Piece,
        stream: &RowStream,
        writer: &mut RowWriter,
        watch: &Watch<'_>,
    ) -> Result<(), CatalogError> {
        match piece {
            Piece::Pfiles { range } => {
                let text = self.adapted(&COPY_PFILE, "pfile", &["pfile_sha256"]);
                let text = text.replace("{range}", range);
                COPY_PFILE.copy(&text, stream, watch, |row| {
                    Ok(writer.pfile(&PfileRow {
                        pk: row.key(0)?,
                        sha1: row.bytes(1).unwrap_or_default(),
                        md5: row.bytes(2).unwrap_or_default(),
                        size: row.int(3)?.unwrap_or(-1),
                        sha256: row.bytes(4),
                    }))
                })
            }
            Piece::Trees { table, range } => {
                let text = COPY_UPLOADTREE.text.replace("{table}", table);
                let text = text.replace("{range}", range);
                COPY_UPLOADTREE.copy(&text, stream, watch, |row| {
                    Ok(writer.tree(&TreeRow {
                        upload: row.key(0)?,
                        pfile: row.int(1)?.unwrap_or(0),
                        listing: row.truth(2),
                    }))
                })
            }
            Piece::Rest => self.small_tables(stream, writer, watch),
        }
    }

    fn small_tables(
        &self,
        stream: &RowStream,
        writer: &mut RowWriter,
        watch: &Watch<'_>,
    ) -> Result<(), CatalogError> {
        let text = self.adapted(
            &COPY_UPLOAD,
            "upload",
            &["uploadtree_tablename", "expire_action"],
        );
        COPY_UPLOAD.copy(&text, stream, watch, |row| {
            Ok(writer.upload(&UploadRow {
                pk: row.key(0)?,
                filename: row.bytes(1).unwrap_or_default(),
                mode: row.int(2)?.unwrap_or(0),
                pfile: row.int(3)?.unwrap_or(0),
                origin: row.bytes(4),
                uploaded: row.time(5)?,
                user: row.int(6)?,
                tree_table: row.bytes(7),
                expire_action: row.bytes(8),
            }))
        })?;
        COPY_JOB.copy(COPY_JOB.text, stream, watch, |row| {
            Ok(writer.job(&JobRow {
                pk: row.key(0)?,
                upload: row.int(1)?,
                queued: row.time(2)?,
            }))
        })?;
        let text = self.adapted(&COPY_JOBQUEUE, "jobqueue", &["jq_cmd_args"]);
        COPY_JOBQUEUE.copy(&text, stream, watch, |row| {
            Ok(writer.jobqueue(&JobqueueRow {
                pk: row.key(0)?,
                job: row.key(1)?,
                agent: row.bytes(2).unwrap_or_default(),
                args: row.bytes(3),
                started: row.time(4)?,
                ended: row.time(5)?,
                end_bits: row.int(6)?.unwrap_or(0),
                items: row.int(7)?,
                cmd_args: row.bytes(8),
            }))
        })?;
        if self.has("ununpack_ars", "ars_success") {
            let text = COPY_UNUNPACK_ARS.text;
            COPY_UNUNPACK_ARS.copy(text, stream, watch, |row| {
                Ok(writer.ununpack_ars(&UnunpackArsRow {
                    upload: row.key(0)?,
                    success: row.truth(1),
                    ended: row.time(2)?,
                }))
            })?;
        }
        for table in &self.directory {
            writer.note_table(table);
            directory_table(table, stream, writer, watch)?;
        }
        Ok(())
    }
}

/// Reads one of the tables of people and folders.
fn directory_table(
    table: &str,
    stream: &RowStream,
    writer: &mut RowWriter,
    watch: &Watch<'_>,
) -> Result<(), CatalogError> {
    match table {
        "users" => COPY_USERS.copy(COPY_USERS.text, stream, watch, |row| {
            Ok(writer.user(&NamedRow {
                pk: row.key(0)?,
                name: row.bytes(1).unwrap_or_default(),
            }))
        }),
        "folder" => COPY_FOLDER.copy(COPY_FOLDER.text, stream, watch, |row| {
            Ok(writer.folder(&NamedRow {
                pk: row.key(0)?,
                name: row.bytes(1).unwrap_or_default(),
            }))
        }),
        _ => COPY_FOLDERCONTENTS.copy(COPY_FOLDERCONTENTS.text, stream, watch, |row| {
            Ok(writer.folder_content(&FolderContentRow {
                parent: row.key(0)?,
                mode: row.int(1)?.unwrap_or(0),
                child: row.key(2)?,
            }))
        }),
    }
}

/// Makes sure that the role may read every table, for a run that fails at each missing right in turn
/// is a nuisance.
pub(super) fn require_rights(stream: &RowStream, target: &str) -> Result<(), CatalogError> {
    let rows = RIGHTS.query(stream)?;
    let Some(first) = rows.first() else {
        return Ok(());
    };
    Err(CatalogError::NoRight {
        target: target.to_owned(),
        tables: rows.iter().map(|row| row.get(0)).collect(),
        role: first.get(1),
    })
}
