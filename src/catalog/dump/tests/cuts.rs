//! A dump that is cut anywhere, or damaged in its compressed form, is never taken for a whole one.

use std::io::Write;

use super::forms::gzipped;
use super::*;

#[test]
fn every_cut_of_a_plain_dump_is_an_error() {
    let text = small_dump();
    for length in 0..text.len() {
        let message = refused(read_text(&text[..length]));
        assert!(
            message.starts_with("a dump is cut short: the dump stops "),
            "{length}: {message}"
        );
    }
}

#[test]
fn every_cut_of_an_older_dump_is_an_error() {
    let text = small_dump()
        .replace("\\restrict Key1\n\n", "")
        .replace("\\unrestrict Key1\n\n", "");
    assert!(read_text(text.clone()).is_ok());
    for length in 0..text.len() {
        refused(read_text(&text[..length]));
    }
}

#[test]
fn every_cut_of_a_compressed_dump_is_an_error() {
    let text = small_dump();
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let (front, back) = text.as_bytes().split_at(text.len() / 2);
    for (form, whole) in [
        ("gzip", gzipped(text.as_bytes())),
        ("members", [gzipped(front), gzipped(back)].concat()),
        ("zstd", zstd),
    ] {
        assert!(read_text(whole.clone()).is_ok());
        for length in 0..whole.len() {
            let outcome = read_text(&whole[..length]);
            let Err(error) = outcome else {
                panic!("{form} cut at {length} was read")
            };
            let is_cut = matches!(error, CatalogError::Cut { .. });
            assert!(is_cut || length < 4, "{form} cut at {length}: {error}");
        }
    }
}

#[test]
fn damage_in_compressed_data_is_said() {
    use std::error::Error;
    // Rows that compress badly, so that a block of compressed data ends within them.
    let mut noise = 1_u64;
    let rows: String = (0..20_000)
        .map(|row| {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            format!("{row}\t{noise:016x}\n")
        })
        .collect();
    let text = small_dump().replace("1\t\\\\.\\n\\\\.\n", &rows);
    // As the zstd program does, and the library does not by itself.
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zstd.include_checksum(true).unwrap();
    zstd.write_all(text.as_bytes()).unwrap();
    for packed in [gzipped(text.as_bytes()), zstd.finish().unwrap()] {
        let mut damaged = packed.clone();
        let middle = packed.len() / 2;
        damaged[middle..middle + 64].fill(0xff);
        let Err(error) = read_text(damaged) else {
            panic!("damaged data was read")
        };
        assert!(matches!(error, CatalogError::Cut { .. }), "{error}");
        let source = error.source().unwrap().to_string();
        assert!(source.contains("damaged"), "{source}");
        let Err(error) = read_text(&packed[..middle]) else {
            panic!("cut data was read")
        };
        assert!(error.to_string().ends_with("inside table page"), "{error}");
        assert!(error.source().unwrap().to_string().contains("ends early"));
    }
}

#[test]
fn the_place_of_a_cut_is_named() {
    let text = small_dump();
    let cut_in = |needle: &str| {
        let at = text.find(needle).unwrap() + needle.len() / 2;
        refused(read_text(&text[..at])).replace("a dump is cut short: the dump stops ", "")
    };
    assert_eq!(
        refused(read_text("")),
        "a dump is cut short: the dump stops before its first table"
    );
    assert_eq!(cut_in("-- PostgreSQL database"), "before its first table");
    assert_eq!(
        cut_in("CREATE TABLE public.pfile"),
        "inside a statement before its first table"
    );
    assert_eq!(cut_in("DA39A3EE5E6B4B0D"), "inside table pfile");
    assert_eq!(cut_in("\\\\.\\n\\\\.\n\\."), "inside table page");
    assert_eq!(
        cut_in("COPY public.ununpack_ars"),
        "inside a statement after table pfile"
    );
    assert_eq!(
        cut_in("PostgreSQL database dump complete"),
        "after table uploadtree_old"
    );
}

#[test]
fn text_that_looks_like_the_end_is_not_the_end() {
    let text = small_dump();
    let end = "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict Key1\n\n";
    for start in [
        "SELECT '\n",
        "SELECT $$\n",
        "/*\n",
        "COPY public.x (a) FROM stdin;\n",
    ] {
        let at = text.find("SELECT pg_catalog.setval").unwrap();
        let forged = [&text[..at], start, end].concat();
        refused(read_text(forged));
    }
}
