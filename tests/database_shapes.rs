//! Databases of other shapes, as other releases, other settings and other hands leave them: the
//! findings are the same, live and in a dump.

use std::path::PathBuf;

use fogold::fixtures::{DbConf, ServerSpec};
use serde_json::{Value, json};

use crate::support::{Cluster, Encoding, Fogold, MadeUp, agree};

const FLAGS: [&str; 2] = ["--verify", "--sha256"];

/// A damaged server whose database is changed before it is looked at.
struct Shape {
    made_up: MadeUp,
    database: String,
}

impl Shape {
    fn new(database: &str, encoding: Encoding, change: &str) -> Shape {
        let cluster = Cluster::shared();
        let made_up = MadeUp::damaged(
            ServerSpec {
                seed: 77,
                files: 1_500,
                bytes: 1_500_000,
                per_upload: 30,
                ..ServerSpec::default()
            },
            120,
        );
        cluster.create_database_in(database, encoding);
        let mut client = cluster.connect(database);
        made_up
            .server
            .load_into(&mut client)
            .expect("rows in a database");
        client.batch_execute(change).expect("another shape");
        made_up.configure(cluster, database);
        Shape {
            made_up,
            database: database.to_owned(),
        }
    }

    fn live(&self) -> Vec<Value> {
        found(Fogold::check_configured(&self.made_up.sysconfdir()))
    }

    fn dumped(&self, form: &str) -> Vec<Value> {
        let file: PathBuf = self.made_up.directory().join(format!("shape{form}"));
        let status = Cluster::shared()
            .client("pg_dump", &self.database)
            .arg(form)
            .arg("--file")
            .arg(&file)
            .status();
        assert!(status.expect("pg_dump runs").success());
        found(Fogold::check(&self.made_up.repository(), file))
    }

    /// The findings must be these, however the rows are read.
    fn must_give(&self, expected: &[Value]) {
        let live = self.live();
        agree(&self.database, expected, &live);
        for form in ["-Fp", "-Fc"] {
            assert_eq!(self.dumped(form), live, "{}: pg_dump {form}", self.database);
        }
    }
}

fn found(check: Fogold) -> Vec<Value> {
    let outcome = check.args(FLAGS).run();
    outcome.assert_code(1);
    assert_eq!(outcome.report()["complete"], true);
    outcome.findings()
}

#[test]
fn names_without_an_encoding() {
    let shape = Shape::new(
        "shape_ascii",
        Encoding::SqlAscii,
        r"UPDATE upload SET upload_filename = E'gr\xfc\xdfe \xff\xfe\x80.tar', upload_desc = E'\xc3';
          UPDATE uploadtree_a SET ufile_name = E'\xff\xe9t\xe9.c' WHERE ufile_name LIKE 'source%';",
    );
    shape.must_give(&shape.made_up.expected(true, true));
}

#[test]
fn no_sha256() {
    let shape = Shape::new(
        "shape_no_sha256",
        Encoding::Utf8,
        "ALTER TABLE pfile DROP COLUMN pfile_sha256 CASCADE",
    );
    shape.must_give(&shape.made_up.expected(true, false));
}

#[test]
fn all_tree_rows_in_one_table() {
    let shape = Shape::new(
        "shape_one_table",
        Encoding::Utf8,
        "INSERT INTO uploadtree SELECT * FROM uploadtree_a;
         DROP TABLE uploadtree_a CASCADE;
         UPDATE upload SET uploadtree_tablename = 'uploadtree';",
    );
    shape.must_give(&shape.made_up.expected(true, true));
}

#[test]
fn tables_of_single_uploads() {
    let shape = Shape::new(
        "shape_own_table",
        Encoding::Utf8,
        "CREATE TABLE uploadtree_7 () INHERITS (uploadtree);
         CREATE TABLE uploadtree_7000000 () INHERITS (uploadtree);
         INSERT INTO uploadtree_7 SELECT * FROM uploadtree_a WHERE upload_fk = 7;
         DELETE FROM uploadtree_a WHERE upload_fk = 7;
         UPDATE upload SET uploadtree_tablename = 'uploadtree_7' WHERE upload_pk = 7;",
    );
    shape.must_give(&shape.made_up.expected(true, true));
}

#[test]
fn no_record_of_unpacking() {
    let shape = Shape::new(
        "shape_no_ars",
        Encoding::Utf8,
        "DROP TABLE ununpack_ars CASCADE",
    );
    // One of the two witnesses of a cut tree is gone with it.
    let mut expected = shape.made_up.expected(true, true);
    for each in &mut expected {
        if each["kind"] == "partial-tree" {
            each.as_object_mut().expect("an object").remove("severity");
        }
    }
    shape.must_give(&expected);
}

#[test]
fn columns_of_old_releases() {
    let shape = Shape::new(
        "shape_old",
        Encoding::SqlAscii,
        "DELETE FROM upload WHERE expire_action = 'd';
         ALTER TABLE upload DROP COLUMN expire_action CASCADE;
         ALTER TABLE upload DROP COLUMN expire_date CASCADE;
         ALTER TABLE upload DROP COLUMN uploadtree_tablename CASCADE;
         ALTER TABLE jobqueue DROP COLUMN jq_cmd_args CASCADE;
         ALTER TABLE pfile DROP COLUMN pfile_sha256 CASCADE;",
    );
    shape.must_give(&shape.made_up.expected(true, false));
}

/// Large tables are read in ranges of blocks, from PostgreSQL 14 on: here a row fills a block, and most
/// blocks hold what rows once were.
#[test]
fn tables_of_many_blocks() {
    let shape = Shape::new(
        "shape_blocks",
        Encoding::Utf8,
        "ALTER TABLE pfile ADD COLUMN pad text;
         ALTER TABLE pfile ALTER COLUMN pad SET STORAGE PLAIN;
         ALTER TABLE uploadtree_a ADD COLUMN pad text;
         ALTER TABLE uploadtree_a ALTER COLUMN pad SET STORAGE PLAIN;
         DO $$ BEGIN FOR round IN 1..6 LOOP
             UPDATE pfile SET pad = repeat('x', 7000) WHERE pfile_pk % 6 < round;
             UPDATE uploadtree_a SET pad = repeat('x', 7000) WHERE uploadtree_pk % 6 < round;
         END LOOP; END $$;",
    );
    let sql = "SELECT min(pg_relation_size(name::regclass)) / 8192 FROM unnest('{pfile, uploadtree_a}'::text[]) name";
    let row = Cluster::shared()
        .connect(&shape.database)
        .query_one(sql, &[])
        .expect("sizes");
    let blocks: i64 = row.get(0);
    assert!(blocks >= 2 * 2048, "{blocks} blocks are not cut");
    shape.must_give(&shape.made_up.expected(true, true));
}

/// The findings of a role that has these rights and no others.
fn of_a_reader(name: &str, rights: &str) {
    let change = format!(
        "CREATE ROLE {name} LOGIN;
         {rights};
         ALTER ROLE {name} SET default_transaction_read_only = on;
         REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC;"
    );
    let shape = Shape::new(name, Encoding::Utf8, &change);
    let cluster = Cluster::shared();
    let conf = DbConf {
        dbname: shape.database.clone(),
        host: cluster.socket_directory().display().to_string(),
        port: Some(cluster.port()),
        user: name.to_owned(),
        ..DbConf::default()
    };
    shape
        .made_up
        .server
        .write_sysconf(&conf)
        .expect("a configuration");
    agree(
        "a reader",
        &shape.made_up.expected(true, true),
        &shape.live(),
    );
}

#[test]
fn a_role_that_may_only_read() {
    of_a_reader(
        "shape_reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO shape_reader",
    );
}

/// FOSSology makes tables of trees as it goes, and nobody grants a right on each of them.
#[test]
fn a_role_that_may_read_the_parent_of_the_trees() {
    of_a_reader(
        "shape_heirs",
        "GRANT SELECT ON pfile, upload, uploadtree, job, jobqueue, ununpack_ars TO shape_heirs",
    );
}

#[test]
fn a_role_that_may_read_columns() {
    of_a_reader(
        "shape_columns",
        "GRANT SELECT ON pfile, upload, job, jobqueue, ununpack_ars TO shape_columns;
         GRANT SELECT (upload_fk, pfile_fk, ufile_mode, ufile_name) ON uploadtree TO shape_columns",
    );
}

/// Rows of one name share its file: what one of them says of it must not hide what another says.
#[test]
fn a_second_row_that_nothing_uses() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "shape_second_row");
    let path = made_up.files("gold").swap_remove(4);
    let name = path.rsplit('/').next().expect("a name");
    let parts: Vec<&str> = name.split('.').collect();
    std::fs::remove_file(made_up.repository().join(&path)).expect("it is there");
    let (sha1, md5) = (parts[0].to_uppercase(), parts[1].to_uppercase());
    let statement = format!(
        "INSERT INTO pfile (pfile_sha1, pfile_md5, pfile_size) VALUES \
         ('{sha1}', '{md5}', {size}), ('{sha1}', 'NO DIGEST', {size}), ('{sha1}', '', {size})",
        size = parts[2]
    );
    cluster
        .connect("shape_second_row")
        .batch_execute(&statement)
        .expect("rows");
    let wanted = [
        json!({"kind": "missing-gold", "severity": "recoverable", "name": name, "recovery": "copy"}),
        json!({"kind": "duplicate-pfile", "severity": "notice", "name": name}),
        json!({"kind": "unusable-pfile", "severity": "waste"}),
        json!({"kind": "unusable-pfile", "severity": "waste"}),
    ];
    let live = found(Fogold::check_configured(&made_up.sysconfdir()));
    agree("a second row", &wanted, &live);
}
