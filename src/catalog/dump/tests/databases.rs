//! Dumps of several databases, and of databases that are not FOSSology's.

use super::*;

const WIKI: &str = r"
COPY public.page (id, body) FROM stdin;
1	\\connect x
\.

COPY public.pfile (id, name) FROM stdin;
1	a
\.

COPY public.upload (upload_pk, title) FROM stdin;
1	COPY public.job FROM stdin;
\.

";

/// One database as `pg_dumpall` writes it.
fn database(name: &str, text: &str) -> String {
    let head = HEAD.replace("\\restrict Key1\n", "");
    let tail = TAIL.replace("\\unrestrict Key1\n\n", "");
    format!("--\n-- Database \"{name}\" dump\n--\n\n\\connect {name}\n\n{head}{text}{tail}")
}

fn cluster(databases: &[String]) -> String {
    let head = "--\n-- PostgreSQL database cluster dump\n--\n\nSET standard_conforming_strings = on;\nCREATE ROLE fossy;\n\n";
    let tail = "--\n-- PostgreSQL database cluster dump complete\n--\n\n";
    format!("{head}{}{tail}", databases.concat())
}

fn ours(name: &str) -> String {
    database(name, &[TABLES, ROWS].concat())
}

#[test]
fn the_one_of_fossology_is_found() {
    let text = cluster(&[
        database("template1", ""),
        database("\"A wiki\"", WIKI),
        ours("fossology"),
        database("zoo", WIKI),
    ]);
    let (rows, facts) = read_text(text.clone()).unwrap();
    assert_eq!(facts.database.as_deref(), Some("fossology"));
    assert_eq!(rows, read_text(small_dump()).unwrap().0);
    for length in 0..text.len() {
        refused(read_text(&text[..length]));
    }
}

#[test]
fn of_two_the_one_that_is_asked_for_is_taken() {
    let other = ours("old").replace("\todd\t", "\teven\t");
    for text in [
        cluster(&[ours("fossology"), other.clone()]),
        cluster(&[other.clone(), ours("fossology")]),
    ] {
        assert_eq!(
            refused(read_text(text.clone())).replace("old, fossology", "fossology, old"),
            "a dump holds several FOSSology databases (fossology, old); dump one of them alone"
        );
        for (name, sha1) in [("fossology", "odd"), ("old", "even")] {
            let options = DumpOptions {
                database: Some(name.to_owned()),
                ..DumpOptions::default()
            };
            let input = Input::from_reader("a dump", Cursor::new(text.clone()));
            let (rows, facts) = read_input(input, &options).unwrap();
            assert_eq!(facts.database.as_deref(), Some(name));
            assert!(rows.pfiles[2].contains(sha1));
        }
        let options = DumpOptions {
            database: Some("third".to_owned()),
            ..DumpOptions::default()
        };
        let input = Input::from_reader("a dump", Cursor::new(text));
        assert!(refused(read_input(input, &options)).contains("several"));
    }
    let options = DumpOptions {
        database: Some("fossology".to_owned()),
        ..DumpOptions::default()
    };
    let input = Input::from_reader("a dump", Cursor::new(cluster(&[other])));
    assert_eq!(
        read_input(input, &options).unwrap().1.database.as_deref(),
        Some("old")
    );
}

#[test]
fn what_is_missing_is_named() {
    let lacks = |text: String| {
        refused(read_text(text)).replace("a dump is not a FOSSology database: it has no ", "")
    };
    assert_eq!(lacks(cluster(&[database("postgres", "")])), "table pfile");
    assert_eq!(lacks([HEAD, WIKI, TAIL].concat()), "column pfile.pfile_pk");
    let without_job = without(
        &without(&small_dump(), "COPY public.job "),
        "CREATE TABLE public.job ",
    );
    assert_eq!(lacks(without_job.clone()), "table job");
    let body = without_job.replace(HEAD, "").replace(TAIL, "");
    assert_eq!(
        lacks(cluster(&[
            database("wiki", WIKI),
            database("x", &body),
            database("z", "")
        ])),
        "table job",
        "that of the database which has most"
    );
    assert_eq!(
        lacks(small_dump().replace("ars_success", "ars_result")),
        "column ununpack_ars.ars_success"
    );
}

#[test]
fn other_schemas_do_not_count() {
    let text = small_dump().replace(
        "COPY public.pfile",
        "COPY backup.pfile (x) FROM stdin;\n\\.\nCOPY public.pfile",
    );
    assert!(read_text(text).is_ok());
    let text = small_dump().replace("public.pfile", "backup.pfile");
    assert!(refused(read_text(text)).ends_with("it has no table pfile"));
}

#[test]
fn sinks_are_opened_only_for_what_may_be_fossologys() {
    let text = cluster(&[
        database("template1", ""),
        database("wiki", WIKI),
        ours("fossology"),
    ]);
    let mut opened = 0;
    let input = Input::from_reader("a dump", Cursor::new(text));
    let open = || {
        opened += 1;
        Ok(Recorder::default())
    };
    read(input, &DumpOptions::default(), open, &Silent).unwrap();
    assert_eq!(opened, 1);
}
