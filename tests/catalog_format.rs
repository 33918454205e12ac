//! The promise of `doc/catalog-format.md`: a catalog of format 1 that was once saved can be read for
//! ever, by this program and by a reader made after that page; and one that was damaged is refused.
//!
//! `fixtures/catalog-v1.fogold` is never made again. Should it ever be lost, `FOGOLD_BLESS=1` writes
//! it from the rows below, but only where no file stands.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use fogold::catalog::rows::{JobRow, JobqueueRow, PfileRow, TreeRow, UnunpackArsRow, UploadRow};
use fogold::catalog::{
    Builder, Catalog, CatalogError, Origin, Provenance, RowSink, Sha256, ShardPfiles, Summary,
    Usage,
};
use fogold::monitor::Silent;
use fogold::repository::{RepositoryName, Shard};

fn fixture() -> PathBuf {
    static FIXTURE: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/catalog-v1.fogold");
        let bless = std::env::var_os("FOGOLD_BLESS").is_some_and(|value| value == "1");
        if bless && !path.exists() {
            build(&path).unwrap();
        }
        path
    });
    FIXTURE.clone()
}

/// Rows of `pfile`: key, sha1, md5, sha256, size.
const PFILES: [(i64, &str, &str, Option<&str>, i64); 7] = [
    (
        11,
        "00AA11BB22CC33DD44EE55FF66007711882299AA",
        "0123456789ABCDEF0123456789ABCDEF",
        Some("0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"),
        1_048_576,
    ),
    (
        12,
        "00AA11BB22CC33DD44EE55FF66007711882299AB",
        "FEDCBA9876543210FEDCBA9876543210",
        None,
        0,
    ),
    (
        13,
        "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
        "00000000000000000000000000000000",
        Some("no digest"),
        9_223_372_036_854_775_807,
    ),
    // The same name twice, once without a sha256.
    (
        14,
        "FF00000000000000000000000000000000000001",
        "11111111111111111111111111111111",
        None,
        300,
    ),
    (
        2_147_483_647,
        "ff00000000000000000000000000000000000001",
        "11111111111111111111111111111111",
        Some("ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB"),
        300,
    ),
    // Nothing uses it.
    (
        16,
        "FF00000000000000000000000000000000000002",
        "22222222222222222222222222222222",
        None,
        128,
    ),
    // It names no file.
    (17, "nonsense", "33333333333333333333333333333333", None, 5),
];

/// Rows of trees: upload, pfile, whether it is a listing.
const TREE: [(i64, i64, bool); 8] = [
    (1, 11, false),
    (1, 0, false),
    (1, 12, false),
    (1, 14, true),
    (2, 2_147_483_647, false),
    (2, 17, false),
    (2, 4711, false),
    (3, 13, false),
];

/// Makes a catalog of made-up rows.
fn build(path: &Path) -> Result<Catalog, CatalogError> {
    let scratch = tempfile::tempdir().unwrap();
    let builder = Builder::new("made-up rows", scratch.path())?;
    let mut writer = builder.writer();
    for (pk, sha1, md5, sha256, size) in PFILES {
        writer.pfile(&PfileRow {
            pk,
            sha1: sha1.as_bytes(),
            md5: md5.as_bytes(),
            sha256: sha256.map(str::as_bytes),
            size,
        })?;
    }
    for (upload, pfile, listing) in TREE {
        writer.tree(&TreeRow {
            upload,
            pfile,
            listing,
        })?;
    }
    let upload = |pk, filename, pfile, origin, expire_action| UploadRow {
        pk,
        filename,
        mode: 104,
        pfile,
        origin,
        uploaded: Some(1_700_000_000_000_000 + pk),
        user: Some(2),
        tree_table: None,
        expire_action,
    };
    let url: &[u8] = b"https://example.org/pub/a-1.0.zip";
    writer.upload(&upload(1, b"a-1.0.zip", 11, Some(url), None))?;
    writer.upload(&upload(
        2,
        b"latin-\xe9.tar",
        14,
        Some(b"latin-\xe9.tar"),
        None,
    ))?;
    writer.upload(&upload(3, b"gone.zip", 0, None, Some(b"d")))?;
    writer.upload(&upload(
        4,
        b"secret.zip",
        0,
        Some(b"http://u:p@example.org/secret.zip"),
        None,
    ))?;
    for (pk, upload) in [(101, 1), (102, 4)] {
        writer.job(&JobRow {
            pk,
            upload: Some(upload),
            queued: Some(1_700_000_000_000_000),
        })?;
    }
    for (pk, job, ended) in [(201, 101, Some(1_700_000_100_000_000)), (202, 102, None)] {
        writer.jobqueue(&JobqueueRow {
            pk,
            job,
            agent: b"ununpack",
            args: None,
            started: Some(1_700_000_050_000_000),
            ended,
            end_bits: i64::from(ended.is_some()),
            items: ended.map(|_| 4),
            cmd_args: None,
        })?;
    }
    writer.ununpack_ars(&UnunpackArsRow {
        upload: 2,
        success: false,
        ended: None,
    })?;
    writer.close()?;
    let provenance = Provenance {
        kind: "dump".to_owned(),
        origin: "made-up rows".to_owned(),
        database: Some("fossology".to_owned()),
        server_version: Some("15.14".to_owned()),
        taken: Some(1_700_000_200_000_000),
        made_by: "0.1.0".to_owned(),
    };
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .unwrap();
    builder.finish(provenance, Some((file, path)), 1, &Silent)
}

/// Everything that a catalog says.
fn everything(path: &Path) -> Result<(Summary, Vec<ShardPfiles>), CatalogError> {
    let catalog = Catalog::open(path)?;
    let shards: Result<Vec<_>, _> = Shard::all().map(|shard| catalog.shard(shard)).collect();
    Ok((catalog.summary().clone(), shards?))
}

/// A pfile on one line: name, usage, rows, uses.
fn lines(shards: &[ShardPfiles]) -> Vec<String> {
    let usage = |usage: Usage| {
        [
            (Usage::GOLD, "gold"),
            (Usage::TREE, "tree"),
            (Usage::LISTING, "listing"),
            (Usage::LEFT, "left"),
        ]
        .into_iter()
        .filter(|(bit, _)| usage.has(*bit))
        .map(|(_, name)| name)
        .collect::<Vec<_>>()
        .join("+")
    };
    let sha256 = |sha256| match sha256 {
        Sha256::Unknown => "-".to_owned(),
        Sha256::Malformed => "malformed".to_owned(),
        Sha256::Known(digest) => format!("{:02x}..{:02x}", digest[0], digest[31]),
    };
    let of_shard = |shard: &ShardPfiles| -> Vec<String> {
        shard
            .pfiles()
            .iter()
            .map(|pfile| {
                let rows: Vec<String> = shard
                    .rows(pfile)
                    .iter()
                    .map(|row| format!("{}:{}", row.pk, sha256(row.sha256)))
                    .collect();
                let uses: Vec<String> = shard
                    .uses(pfile)
                    .iter()
                    .map(|each| format!("{}:{}", each.upload, usage(each.usage)))
                    .collect();
                let (name, all) = (pfile.name, usage(pfile.usage));
                format!(
                    "{name} [{all}] rows {} uses {}",
                    rows.join(" "),
                    uses.join(" ")
                )
            })
            .collect()
    };
    shards.iter().flat_map(of_shard).collect()
}

/// What the fixture holds, for every reader.
const EXPECTED: [&str; 5] = [
    "00aa11bb22cc33dd44ee55ff66007711882299aa.0123456789abcdef0123456789abcdef.1048576 \
     [gold+tree] rows 11:01..ef uses 1:gold+tree",
    "00aa11bb22cc33dd44ee55ff66007711882299ab.fedcba9876543210fedcba9876543210.0 \
     [tree] rows 12:- uses 1:tree",
    "7fffffffffffffffffffffffffffffffffffffff.00000000000000000000000000000000.9223372036854775807 \
     [left] rows 13:malformed uses ",
    "ff00000000000000000000000000000000000001.11111111111111111111111111111111.300 \
     [gold+tree+listing] rows 14:- 2147483647:ab..ab uses 1:listing 2:gold+tree",
    "ff00000000000000000000000000000000000002.22222222222222222222222222222222.128 \
     [] rows 16:- uses ",
];

#[test]
fn a_catalog_of_format_1_says_what_it_always_said() {
    let path = fixture();
    assert!(fs::metadata(&path).unwrap().len() < 20_000);
    let (summary, shards) = everything(&path).unwrap();
    assert_eq!(lines(&shards), EXPECTED);

    assert_eq!(summary.provenance.origin, "made-up rows");
    assert_eq!(summary.provenance.taken, Some(1_700_000_200_000_000));
    assert_eq!(
        (summary.pfile_rows, summary.names, summary.tree_rows),
        (7, 5, 8)
    );
    assert_eq!((summary.gold.files, summary.gold.bytes), (2, 1_048_876));
    assert_eq!((summary.files.files, summary.files.bytes), (3, 1_048_876));
    assert_eq!(summary.last_unreferenced, Some(16));
    assert_eq!(
        summary.temporary_trees_in_use_since,
        Some(1_700_000_050_000_000)
    );
    let uploads: Vec<_> = summary
        .uploads
        .iter()
        .map(|upload| (upload.pk, upload.pfile, upload.tree_rows, upload.deleted))
        .collect();
    assert_eq!(
        uploads,
        [
            (1, 11, 4, false),
            (2, 14, 3, false),
            (3, 0, 1, true),
            (4, 0, 0, false)
        ]
    );
    let upload = |pk| summary.upload(pk).unwrap();
    assert_eq!(upload(1).url(), Some("https://example.org/pub/a-1.0.zip"));
    assert_eq!(upload(1).gold.map(|gold| gold.size), Some(1_048_576));
    assert_eq!(upload(1).unpacking.items, Some(4));
    assert_eq!(upload(2).filename, b"latin-\xe9.tar");
    assert!(upload(2).unpacking.killed);
    assert_eq!(upload(4).origin, Origin::Withheld);
    assert!(upload(4).unpacking.open_job);
    assert_eq!(summary.unusable.len(), 1);
    assert_eq!(
        (summary.unusable[0].pk, summary.unusable[0].uploads.total),
        (17, 1)
    );
    assert_eq!(summary.unusable[0].why, "its sha1 is \"nonsense\"");
    assert_eq!(summary.dangling.len(), 1);
    assert_eq!(
        (summary.dangling[0].pk, summary.dangling[0].is_gold),
        (4711, false)
    );
    assert_eq!(summary.dangling[0].uploads.first, [2]);
}

#[test]
fn the_same_rows_give_the_same_catalog_today() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("today.fogold");
    build(&path).unwrap();
    assert_eq!(everything(&path).unwrap(), everything(&fixture()).unwrap());
}

/// A reader that knows `doc/catalog-format.md` and nothing else.
struct PageReader<'a>(&'a [u8]);

impl PageReader<'_> {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (head, rest) = self.0.split_at(count);
        self.0 = rest;
        head.to_vec()
    }

    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.bytes(1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn signed(&mut self) -> i64 {
        let zigzag = self.varint();
        (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
    }

    fn truth(&mut self) -> bool {
        match self.bytes(1)[0] {
            0 => false,
            1 => true,
            other => panic!("{other} is no truth"),
        }
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.truth().then(|| read(self))
    }

    /// The first ids, and how many there are.
    fn upload_ids(&mut self) -> (Vec<i64>, u64) {
        let shown = self.varint();
        ((0..shown).map(|_| self.signed()).collect(), self.varint())
    }

    /// offset, length, blake3
    fn section<'b>(&mut self, file: &'b [u8]) -> &'b [u8] {
        let (offset, length) = (self.varint() as usize, self.varint() as usize);
        let section = &file[offset..offset + length];
        assert_eq!(blake3::hash(section).as_bytes()[..], self.bytes(32));
        section
    }

    fn text(&mut self) -> String {
        let length = self.varint() as usize;
        String::from_utf8(self.bytes(length)).unwrap()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_page_suffices_to_write_a_reader() {
    let file = fs::read(fixture()).unwrap();
    let end = file.len();
    assert_eq!(&file[..12], b"FOGOLDCT\x01\0\0\0");
    assert_eq!(&file[end - 8..], b"FOGOLDCE");
    let length = u64::from_le_bytes(file[end - 48..end - 40].try_into().unwrap()) as usize;
    let table = &file[end - 48 - length..end - 48];
    assert_eq!(blake3::hash(table).as_bytes()[..], file[end - 40..end - 8]);

    let mut table = PageReader(table);
    assert_eq!(table.varint(), 256);
    let mut names = Vec::new();
    for shard in 0..=u8::MAX {
        let mut pfiles = PageReader(table.section(&file));
        while !pfiles.0.is_empty() {
            let sha1 = hex(&[vec![shard], pfiles.bytes(19)].concat());
            let md5 = hex(&pfiles.bytes(16));
            let size = pfiles.varint();
            let usage = pfiles.bytes(1)[0];
            let mut rows = Vec::new();
            for _ in 0..pfiles.varint() {
                rows.push(i32::from_le_bytes(pfiles.bytes(4).try_into().unwrap()));
                if pfiles.bytes(1)[0] == 1 {
                    pfiles.bytes(32);
                }
            }
            let mut upload = -(1 << 31);
            let mut uses = Vec::new();
            for _ in 0..pfiles.varint() {
                upload += pfiles.varint() as i64;
                uses.push((upload, pfiles.bytes(1)[0]));
            }
            names.push((format!("{sha1}.{md5}.{size}"), usage, rows, uses));
        }
    }
    let mut summary = PageReader(table.section(&file));
    assert!(table.0.is_empty());
    read_summary(&mut summary);
    assert!(summary.0.is_empty());

    let expected: Vec<&str> = EXPECTED
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let read: Vec<&str> = names.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(read, expected);
    let (_, usage, rows, uses) = &names[3];
    assert_eq!((*usage, &rows[..]), (1 | 2 | 4, &[14, i32::MAX][..]));
    assert_eq!(uses[..], [(1, 4), (2, 1 | 2)]);
    assert_eq!(names[2].1, 8);
}

/// Reads a summary field by field, and holds the fixture's against what went into it.
fn read_summary(summary: &mut PageReader<'_>) {
    assert_eq!(summary.text(), "dump");
    assert_eq!(summary.text(), "made-up rows");
    let fossology = summary.optional(PageReader::text);
    assert_eq!(fossology.as_deref(), Some("fossology"));
    let server = summary.optional(PageReader::text);
    assert_eq!(server.as_deref(), Some("15.14"));
    let taken = summary.optional(PageReader::signed);
    assert_eq!(taken, Some(1_700_000_200_000_000));
    assert_eq!(summary.text(), "0.1.0");
    let counts: Vec<u64> = (0..7).map(|_| summary.varint()).collect();
    assert_eq!(counts, [7, 5, 8, 2, 1_048_876, 3, 1_048_876]);

    let mut uploads = Vec::new();
    for _ in 0..summary.varint() {
        let pk = summary.signed();
        let length = summary.varint() as usize;
        let filename = summary.bytes(length);
        let (mode, pfile) = (summary.signed(), summary.signed());
        let gold = summary.optional(|gold| (gold.bytes(20), gold.bytes(16), gold.varint()));
        let origin = match summary.varint() {
            0 => "nowhere".to_owned(),
            1 => summary.text(),
            2 => "withheld".to_owned(),
            other => panic!("{other} is no origin"),
        };
        let deleted = summary.truth();
        let uploaded = summary.optional(PageReader::signed);
        let tree_rows = summary.varint();
        let (open, completed) = (summary.truth(), summary.truth());
        let items = summary.optional(PageReader::signed);
        let (without, killed) = (summary.truth(), summary.truth());
        assert_eq!((mode, uploaded), (104, Some(1_700_000_000_000_000 + pk)));
        assert!(!without);
        uploads.push((
            String::from_utf8_lossy(&filename).into_owned(),
            pfile,
            gold.map(|(sha1, _, size)| (sha1[0], size)),
            origin,
            (deleted, open, completed, killed),
            (tree_rows, items),
        ));
    }
    let upload = |name: &str, pfile, gold, origin: &str, state, tree| {
        (name.to_owned(), pfile, gold, origin.to_owned(), state, tree)
    };
    assert_eq!(
        uploads,
        [
            upload(
                "a-1.0.zip",
                11,
                Some((0x00, 1_048_576)),
                "https://example.org/pub/a-1.0.zip",
                (false, false, true, false),
                (4, Some(4))
            ),
            upload(
                "latin-\u{fffd}.tar",
                14,
                Some((0xff, 300)),
                "nowhere",
                (false, false, false, true),
                (3, None)
            ),
            upload(
                "gone.zip",
                0,
                None,
                "nowhere",
                (true, false, false, false),
                (1, None)
            ),
            upload(
                "(name withheld: it may hold a secret)",
                0,
                None,
                "withheld",
                (false, true, false, false),
                (0, None)
            ),
        ]
    );

    assert_eq!(summary.varint(), 1);
    assert_eq!((summary.signed(), summary.truth()), (4711, false));
    assert_eq!(summary.upload_ids(), (vec![2], 1));
    assert_eq!(summary.varint(), 1);
    assert_eq!(summary.signed(), 17);
    assert_eq!(summary.text(), "its sha1 is \"nonsense\"");
    assert_eq!(summary.upload_ids(), (vec![2], 1));
    assert_eq!(summary.optional(PageReader::signed), Some(16));
    let since = summary.optional(PageReader::signed);
    assert_eq!(since, Some(1_700_000_050_000_000));
}

/// Whether a damaged catalog is refused, or says exactly what the whole one says.
fn is_safe(path: &Path, whole: &(Summary, Vec<ShardPfiles>)) -> bool {
    everything(path).map_or(true, |read| read == *whole)
}

#[test]
fn no_changed_bit_goes_unnoticed() {
    let whole = everything(&fixture()).unwrap();
    let bytes = fs::read(fixture()).unwrap();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                use std::os::unix::fs::FileExt;
                let file = tempfile::NamedTempFile::new().unwrap();
                file.as_file().write_all_at(&bytes, 0).unwrap();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(byte) = bytes.get(at) else { break };
                    for mask in [1 << (at % 8), 0x80, 0xff] {
                        let changed = [byte ^ mask];
                        file.as_file().write_all_at(&changed, at as u64).unwrap();
                        assert!(is_safe(file.path(), &whole), "byte {at} ^ {mask:#x}");
                    }
                    file.as_file().write_all_at(&[*byte], at as u64).unwrap();
                }
                assert_eq!(everything(file.path()).unwrap(), whole);
            });
        }
    });
}

#[test]
fn no_cut_goes_unnoticed() {
    let bytes = fs::read(fixture()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &bytes).unwrap();
    for length in (0..bytes.len() as u64).rev() {
        file.as_file().set_len(length).unwrap();
        let refused = Catalog::open(file.path());
        assert!(refused.is_err(), "cut to {length} bytes");
    }
    for more in [&b"\0"[..], b"FOGOLDCE", &bytes] {
        fs::write(file.path(), [&bytes, more].concat()).unwrap();
        let whole = everything(&fixture()).unwrap();
        assert!(is_safe(file.path(), &whole), "{} bytes more", more.len());
    }
}

#[test]
fn the_names_are_names_of_files() {
    for line in EXPECTED {
        let name = line.split(' ').next().unwrap();
        assert!(name.parse::<RepositoryName>().is_ok(), "{name}");
    }
}
