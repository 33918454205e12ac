//! Whole dumps, made up and captured, through [`read`](super::read).

mod captures;
mod cuts;
mod databases;
mod forms;
mod programs;

use std::io::{Cursor, Read};

use super::{DumpFacts, DumpOptions, Input, read};
use crate::catalog::CatalogError;
use crate::catalog::rows::{
    JobRow, JobqueueRow, PfileRow, RowSink, TreeRow, UnunpackArsRow, UploadRow,
};
use crate::monitor::Silent;

/// Keeps every row as text, in the order of arrival within its table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Recorder {
    pfiles: Vec<String>,
    tree: Vec<TreeRow>,
    uploads: Vec<String>,
    jobs: Vec<JobRow>,
    jobqueue: Vec<String>,
    ars: Vec<UnunpackArsRow>,
}

/// A row with byte strings, as text: the rows borrow what a recorder must own.
fn shown(row: &impl std::fmt::Debug, texts: &[Option<&[u8]>]) -> String {
    let texts: Vec<_> = texts
        .iter()
        .map(|text| text.map(|text| text.escape_ascii().to_string()))
        .collect();
    format!("{row:?} {texts:?}")
}

impl RowSink for Recorder {
    fn pfile(&mut self, row: &PfileRow<'_>) -> Result<(), CatalogError> {
        let numbers = (row.pk, row.size);
        self.pfiles.push(shown(
            &numbers,
            &[Some(row.sha1), Some(row.md5), row.sha256],
        ));
        Ok(())
    }

    fn tree(&mut self, row: &TreeRow) -> Result<(), CatalogError> {
        self.tree.push(*row);
        Ok(())
    }

    fn upload(&mut self, row: &UploadRow<'_>) -> Result<(), CatalogError> {
        let numbers = (row.pk, row.mode, row.pfile, row.uploaded, row.user);
        let texts = [
            Some(row.filename),
            row.origin,
            row.tree_table,
            row.expire_action,
        ];
        self.uploads.push(shown(&numbers, &texts));
        Ok(())
    }

    fn job(&mut self, row: &JobRow) -> Result<(), CatalogError> {
        self.jobs.push(*row);
        Ok(())
    }

    fn jobqueue(&mut self, row: &JobqueueRow<'_>) -> Result<(), CatalogError> {
        let numbers = (
            row.pk,
            row.job,
            row.started,
            row.ended,
            row.end_bits,
            row.items,
        );
        self.jobqueue
            .push(shown(&numbers, &[Some(row.agent), row.args, row.cmd_args]));
        Ok(())
    }

    fn ununpack_ars(&mut self, row: &UnunpackArsRow) -> Result<(), CatalogError> {
        self.ars.push(*row);
        Ok(())
    }
}

type Outcome = Result<(Recorder, DumpFacts), CatalogError>;

fn read_input(input: Input, options: &DumpOptions) -> Outcome {
    read(input, options, || Ok(Recorder::default()), &Silent)
}

fn read_stream(stream: impl Read + Send + 'static) -> Outcome {
    read_input(
        Input::from_reader("a dump", stream),
        &DumpOptions::default(),
    )
}

fn read_text(text: impl Into<Vec<u8>>) -> Outcome {
    read_stream(Cursor::new(text.into()))
}

/// The message of an error, or a failed test.
fn refused(outcome: Outcome) -> String {
    match outcome {
        Ok((_, facts)) => panic!("it was read: {facts:?}"),
        Err(error) => error.to_string(),
    }
}

const HEAD: &str = r"--
-- PostgreSQL database dump
--

\restrict Key1

-- Dumped from database version 15.20 (Debian 15.20-0+deb12u1)
-- Dumped by pg_dump version 15.20 (Debian 15.20-0+deb12u1)

SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

";

const TAIL: &str = r"--
-- PostgreSQL database dump complete
--

\unrestrict Key1

";

const TABLES: &str = r"CREATE FUNCTION public.f() RETURNS void
    LANGUAGE sql
    AS $$
COPY public.pfile (pfile_pk) FROM stdin;
1
\.
$$;

CREATE TABLE public.job (job_pk integer);
CREATE TABLE public.jobqueue (jq_pk integer);
CREATE TABLE public.pfile (pfile_pk integer);
CREATE TABLE public.ununpack_ars (
)
INHERITS (public.ars_master);
CREATE TABLE public.upload (upload_pk integer);
COMMENT ON TABLE public.upload IS 'odd;
COPY public.upload (x) FROM stdin;
';
CREATE TABLE public.uploadtree (uploadtree_pk integer);
CREATE TABLE public.uploadtree_a (
)
INHERITS (public.uploadtree);
CREATE TABLE public.uploadtree_old (uploadtree_pk integer);

";

const ROWS: &str = r"COPY public.empty (a) FROM stdin;
\.


COPY public.job (job_pk, job_queued, job_upload_fk) FROM stdin;
1	2026-11-21 02:54:44.384377+00	1
2	infinity	\N
\.


COPY public.jobqueue (jq_pk, jq_job_fk, jq_type, jq_args, jq_starttime, jq_endtime, jq_end_bits, jq_itemsprocessed, jq_cmd_args) FROM stdin;
1	1	ununpack	1	1970-01-01 00:00:01+00	1970-01-01 01:00:02+01	1	4	-E a\tb
2	1	adj2nest	\N	\N	\N	0	\N	\N
\.


COPY public.page (id, body) FROM stdin;
1	\\.\n\\.
\.


COPY public.pfile (pfile_pk, pfile_md5, pfile_sha1, pfile_sha256, pfile_size, pfile_mimetypefk) FROM stdin;
1	D41D8CD98F00B204E9800998ECF8427E	DA39A3EE5E6B4B0D3255BFEF95601890AFD80709	\N	0	\N
2	0CC175B9C0F1B6A831C399E269772661	86F7E437FAA5A7FCE15D1DDCB9EAEAEA377667B8	CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB	1	3
3	short   	odd	\N	\N	\N
\.


COPY public.ununpack_ars (ars_pk, agent_fk, upload_fk, ars_success, ars_status, ars_starttime, ars_endtime) FROM stdin;
1	1	1	t	\N	\N	1970-01-01 00:00:02+00
\.


COPY public.upload (upload_pk, upload_desc, upload_filename, user_fk, upload_mode, upload_ts, pfile_fk, upload_origin, uploadtree_tablename, expire_date, expire_action, public_perm) FROM stdin;
1	line\n\\.\nline	odd\\name\t.tar	3	104	1970-01-01 00:00:00+00	2	a.tar	uploadtree_a	\N	\N	0
2	\N	gone	3	104	1970-01-01 00:00:00+00	\N	gone	uploadtree_2	2026-11-21	d	0
\.


COPY public.uploadtree (uploadtree_pk, parent, realparent, upload_fk, pfile_fk, ufile_mode, lft, rgt, ufile_name) FROM stdin;
\.


COPY public.uploadtree_a (uploadtree_pk, parent, realparent, upload_fk, pfile_fk, ufile_mode, lft, rgt, ufile_name) FROM stdin;
1	\N	\N	1	2	33188	1	4	odd\\name\t.tar
2	1	1	1	0	536888320	2	3	artifact.dir
3	1	1	1	1	268468224	2	3	artifact.meta
4	1	1	1	1	33188	2	3	artifact.meta
5	1	1	1	\N	\N	2	3	\N
\.


COPY public.uploadtree_old (uploadtree_pk) FROM stdin;
9
\.


SELECT pg_catalog.setval('public.x', 6, true);

";

/// A small dump that holds whatever is odd.
fn small_dump() -> String {
    [HEAD, TABLES, ROWS, TAIL].concat()
}

/// The same made with `--data-only`.
fn data_only() -> String {
    [HEAD, ROWS, TAIL].concat()
}

/// `text` without the last statement, or block of rows, that begins with `start`.
fn without(text: &str, start: &str) -> String {
    let from = text.rfind(start).unwrap_or_else(|| panic!("no {start}"));
    let end = if start.starts_with("COPY") {
        "\\.\n"
    } else {
        ";\n"
    };
    let to = from + text[from..].find(end).unwrap() + end.len();
    [&text[..from], &text[to..]].concat()
}
