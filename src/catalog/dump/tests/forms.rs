//! What is read of a whole dump, in whatever pieces and compression it comes.

use std::io::{Cursor, Read, Write};

use proptest::prelude::*;

use super::*;
use crate::monitor::Monitor;

/// Gives its bytes a few at a time.
struct Dribble {
    inner: Cursor<Vec<u8>>,
    most: usize,
}

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = self.most.min(buffer.len());
        self.inner.read(&mut buffer[..most])
    }
}

fn in_pieces(text: &[u8], piece: usize) -> Outcome {
    let options = DumpOptions::default();
    let mut walk =
        crate::catalog::dump::walk::Walk::new(
            "a dump".into(),
            &options,
            || Ok(Recorder::default()),
        );
    for piece in text.chunks(piece) {
        walk.feed(piece)?;
    }
    walk.finish()
}

pub(super) fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_row_comes_as_it_is() {
    let (rows, facts) = read_text(small_dump()).unwrap();
    assert_eq!(facts.server_version.as_deref(), Some("15.20"));
    assert_eq!(facts.database, None);
    assert!(facts.has_sha256 && facts.has_ununpack_ars);
    assert_eq!(facts.tree_tables, ["uploadtree", "uploadtree_a"]);
    let counts: Vec<_> = facts
        .rows
        .iter()
        .map(|(table, rows)| (table.as_str(), *rows))
        .collect();
    assert_eq!(
        counts,
        [
            ("job", 2),
            ("jobqueue", 2),
            ("pfile", 3),
            ("ununpack_ars", 1),
            ("upload", 2),
            ("uploadtree", 0),
            ("uploadtree_a", 5)
        ]
    );
    assert_eq!(
        rows.pfiles[2], "(3, -1) [Some(\"odd\"), Some(\"short\"), None]",
        "blanks that fill up a char(n) are no part of it"
    );
    assert!(rows.pfiles[1].contains("Some(\"CA978112"));
    assert_eq!(
        rows.uploads[0],
        r#"(1, 104, 2, Some(0), Some(3)) [Some("odd\\\\name\\t.tar"), Some("a.tar"), Some("uploadtree_a"), None]"#
    );
    assert!(rows.uploads[1].starts_with("(2, 104, 0,"));
    let listings: Vec<_> = rows
        .tree
        .iter()
        .map(|row| (row.pfile, row.listing))
        .collect();
    assert_eq!(
        listings,
        [(2, false), (0, false), (1, true), (1, false), (0, false)]
    );
    assert_eq!(
        rows.jobs[1],
        JobRow {
            pk: 2,
            upload: None,
            queued: Some(i64::MAX)
        }
    );
    assert_eq!(
        rows.jobqueue[0],
        r#"(1, 1, Some(1000000), Some(2000000), 1, Some(4)) [Some("ununpack"), Some("1"), Some("-E a\\tb")]"#
    );
    assert_eq!(
        rows.ars,
        [UnunpackArsRow {
            upload: 1,
            success: true,
            ended: Some(2_000_000)
        }]
    );
}

#[test]
fn the_size_of_pieces_makes_no_difference() {
    let text = small_dump();
    let (rows, facts) = read_text(text.clone()).unwrap();
    for piece in [1, 2, 3, 7, 64, 1000, 65536] {
        let (same, same_facts) = in_pieces(text.as_bytes(), piece).unwrap();
        assert_eq!((&same, &same_facts), (&rows, &facts), "pieces of {piece}");
        let inner = Cursor::new(text.clone().into_bytes());
        assert_eq!(read_stream(Dribble { inner, most: piece }).unwrap().0, rows);
    }
}

#[test]
fn compression_makes_no_difference() {
    let text = small_dump();
    let rows = read_text(text.clone()).unwrap().0;
    let (front, back) = text.as_bytes().split_at(1500);
    let members = [gzipped(front), gzipped(b""), gzipped(back)].concat();
    assert_eq!(read_text(members).unwrap().0, rows, "gzip, several members");
    let zstd = |text| zstd::encode_all(text, 1).unwrap();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..]].concat();
    let frames = [skippable, zstd(front), zstd(back)].concat();
    assert_eq!(read_text(frames).unwrap().0, rows, "zstd, several frames");
}

#[test]
fn a_dump_with_data_only_is_read_by_the_names_of_its_tables() {
    let (rows, facts) = read_text(data_only()).unwrap();
    assert_eq!(rows, read_text(small_dump()).unwrap().0);
    assert_eq!(facts.tree_tables, ["uploadtree", "uploadtree_a"]);
}

#[test]
fn old_dumps_name_tables_by_search_path() {
    let text = without(&small_dump(), "COPY public.pfile ");
    let pfile = "COPY public.pfile (pfile_pk, pfile_md5, pfile_sha1, pfile_size) FROM stdin;\n\
                 1\tM\tS\t7\n\\.\n";
    let old = text
        .replace("COPY public.page", &[pfile, "COPY public.page"].concat())
        .replace(
            "SELECT pg_catalog.set_config('search_path', '', false);",
            "SET search_path = public, pg_catalog;",
        )
        .replace("public.", "");
    let (rows, facts) = read_text(old.clone()).unwrap();
    assert!(!facts.has_sha256);
    assert_eq!(rows.pfiles, ["(1, 7) [Some(\"S\"), Some(\"M\"), None]"]);
    assert_eq!(rows.tree, read_text(small_dump()).unwrap().0.tree);
    let elsewhere = old.replace("search_path = public", "search_path = backup");
    assert_eq!(
        refused(read_text(elsewhere)),
        "a dump is not a FOSSology database: it has no table pfile"
    );
}

#[test]
fn children_of_uploadtree_count_whatever_their_name() {
    let text = small_dump()
        .replace("uploadtree_a", "uploadtree_777")
        .replace(
            "CREATE TABLE public.uploadtree_old (uploadtree_pk integer);",
            "CREATE TABLE public.uploadtree_20200101 (uploadtree_pk integer);
         CREATE TABLE public.\"Grand Child\" () INHERITS (public.uploadtree_777);",
        );
    let text = text.replace(
        "COPY public.uploadtree_old (uploadtree_pk) FROM stdin;\n9\n",
        "COPY public.\"Grand Child\" (ufile_name, ufile_mode, pfile_fk, upload_fk) FROM stdin;\nx\t0\t7\t1\n\\.
COPY public.uploadtree_20200101 (uploadtree_pk, parent, realparent, upload_fk, pfile_fk, ufile_mode, lft, rgt, ufile_name) FROM stdin;
1\t\\N\t\\N\t1\t2\t33188\t1\t4\tcopy\n",
    );
    let (rows, facts) = read_text(text).unwrap();
    assert_eq!(
        facts.tree_tables,
        ["Grand Child", "uploadtree", "uploadtree_777"]
    );
    assert_eq!(rows.tree.len(), 6);
}

#[test]
fn rows_that_cannot_be_understood_are_named() {
    for (from, to, message) in [
        (
            "\t1\t3\n",
            "\t1.5\t3\n",
            "table pfile, row 2: column pfile_size is not a whole number",
        ),
        (
            "\t1\t3\n",
            "\t1\n",
            "table pfile, row 2: it has 5 fields, not 6",
        ),
        (
            "1970-01-01 01:00:02+01",
            "yesterday",
            "table jobqueue, row 1: column jq_endtime is not a point in time",
        ),
        (
            "\tt\t",
            "\tyes\t",
            "table ununpack_ars, row 1: column ars_success is neither true nor false",
        ),
        (
            "3\tshort   ",
            "\\N\tshort",
            "table pfile, row 3: column pfile_pk is NULL",
        ),
        (
            "\tgone\t3",
            "\tgone\\\t3",
            "table upload, row 2: column upload_filename ends in the middle of an escape",
        ),
    ] {
        let text = small_dump();
        assert!(text.contains(from), "{from}");
        assert_eq!(
            refused(read_text(text.replacen(from, to, 1))),
            format!("a dump: {message}")
        );
    }
}

#[test]
fn a_dump_that_cannot_be_used_says_how_to_make_one() {
    let small = small_dump();
    let rest = |text: String| refused(read_text(text)).replace("a dump cannot be used: ", "");
    assert_eq!(
        rest([HEAD, TABLES, TAIL].concat()),
        "it holds no rows (made with --schema-only?)"
    );
    assert_eq!(
        rest([HEAD, TABLES, "INSERT INTO public.pfile VALUES (1);\n", TAIL].concat()),
        "it was made with --inserts; make it without"
    );
    assert_eq!(
        rest(
            [
                HEAD,
                TABLES,
                "INSERT INTO public.mimetype VALUES (1);\n",
                TAIL
            ]
            .concat()
        ),
        "it was made with --inserts; make it without"
    );
    for table in ["jobqueue", "uploadtree_a", "ununpack_ars"] {
        assert_eq!(
            rest(without(&small, &format!("COPY public.{table} "))),
            format!(
                "it holds no rows of table {table} (made with --exclude-table-data?); \
                 dump the whole database"
            )
        );
    }
    assert_eq!(
        rest(without(&data_only(), "COPY public.uploadtree_a ")),
        "it holds no table uploadtree_a, where upload 1 has its tree (made with \
         --exclude-table?); dump the whole database"
    );
    assert_eq!(
        rest(small.replace("mimetypefk) FROM", "mimetypefk) WITH OIDS FROM")),
        "it was made with --oids; make it without"
    );
    assert_eq!(
        rest([HEAD, TABLES, ROWS, TAIL, HEAD, ROWS, TAIL].concat()),
        "it holds table job twice (several dumps in one file?)"
    );
    let twice = gzipped(b"PGDMP\x01\x0e");
    assert!(rest(String::new()).contains("cut short"));
    assert!(refused(read_text(twice)).contains("decompress it first"));
    assert!(refused(read_text(b"BZh91AY&SY".to_vec())).contains("bzip2 -dc FILE"));
}

#[test]
fn what_is_no_dump_is_called_so() {
    for text in [
        &b"hello"[..],
        b"-- MySQL dump 10.13\nCREATE TABLE `pfile` (x int);\nINSERT INTO `pfile` VALUES (1);\n",
        b"\x7fELF\0\0",
        b"SELECT 1;\n",
        b"'",
    ] {
        assert_eq!(
            refused(read_text(text)),
            "a dump is neither a PostgreSQL dump nor a saved catalog",
            "{}",
            text.escape_ascii()
        );
    }
    let endless = std::io::repeat(b'x');
    assert!(refused(read_stream(endless)).contains("neither"));
}

#[test]
fn a_line_without_end_is_refused() {
    let start = small_dump();
    let at = start.find("odd\\\\name").unwrap();
    let endless = Cursor::new(start[..at].to_owned()).chain(std::io::repeat(b'x'));
    assert_eq!(
        refused(read_stream(endless)),
        "a dump: table upload, row 1: its line is longer than 67108864 bytes"
    );
}

#[test]
fn the_monitor_is_told_of_bytes_and_can_stop() {
    #[derive(Default)]
    struct Counter {
        bytes: std::sync::atomic::AtomicU64,
        stop: bool,
    }
    impl Monitor for Counter {
        fn advance(&self, _: u64, bytes: u64) {
            self.bytes
                .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        }
        fn stopped(&self) -> bool {
            self.stop
        }
    }
    let packed = gzipped(small_dump().as_bytes());
    let length = packed.len() as u64;
    let mut counter = Counter::default();
    let input = || Input::from_reader("a dump", Cursor::new(packed.clone()));
    let open = || Ok(Recorder::default());
    read(input(), &DumpOptions::default(), open, &counter).unwrap();
    assert_eq!(counter.bytes.into_inner(), length);
    counter = Counter {
        stop: true,
        ..Counter::default()
    };
    let stopped = read(input(), &DumpOptions::default(), open, &counter);
    assert!(matches!(stopped, Err(CatalogError::Stopped)));
}

#[test]
fn the_sinks_error_is_handed_on() {
    #[derive(Debug)]
    struct Full;
    impl RowSink for Full {
        fn pfile(&mut self, _: &PfileRow<'_>) -> Result<(), CatalogError> {
            Err(CatalogError::NoRoom {
                directory: "/scratch".into(),
                need: 2,
                free: 1,
            })
        }
        fn tree(&mut self, _: &TreeRow) -> Result<(), CatalogError> {
            Ok(())
        }
        fn upload(&mut self, _: &UploadRow<'_>) -> Result<(), CatalogError> {
            Ok(())
        }
        fn job(&mut self, _: &JobRow) -> Result<(), CatalogError> {
            Ok(())
        }
        fn jobqueue(&mut self, _: &JobqueueRow<'_>) -> Result<(), CatalogError> {
            Ok(())
        }
        fn ununpack_ars(&mut self, _: &UnunpackArsRow) -> Result<(), CatalogError> {
            Ok(())
        }
    }
    let input = Input::from_reader("a dump", Cursor::new(small_dump()));
    let outcome = read(input, &DumpOptions::default(), || Ok(Full), &Silent);
    assert!(matches!(outcome, Err(CatalogError::NoRoom { .. })));
}

proptest! {
    #[test]
    fn garbage_never_panics(
        front in 0_usize..4000,
        garbage in proptest::collection::vec(any::<u8>(), 0..300),
        piece in 1_usize..40,
    ) {
        let text = small_dump();
        // Behind the closing comment it would be a whole dump, with something after it.
        let front = front.min(text.len() - TAIL.len());
        prop_assert!(in_pieces(&garbage, piece).is_err());
        let mut damaged = text.as_bytes()[..front].to_vec();
        damaged.extend_from_slice(&garbage);
        prop_assert!(in_pieces(&damaged, piece).is_err());
        damaged.extend_from_slice(&text.as_bytes()[front..]);
        let _ = in_pieces(&damaged, piece);
    }

    #[test]
    fn garbage_of_any_form_never_panics(
        magic in proptest::sample::select(vec![&b"\x1f\x8b\x08\0"[..], b"\x28\xb5\x2f\xfd", b"PGDMP", b""]),
        garbage in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(read_text([magic, &garbage].concat()).is_err());
    }
}
