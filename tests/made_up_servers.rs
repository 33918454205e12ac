//! Made-up servers with hundreds of damages of every kind: each is found once, and nothing else.

use fogold::fixtures::{DamagePlan, Server, ServerSpec, damage};
use serde_json::Value;

use crate::support::{Cluster, Fogold, MadeUp, agree};

fn spec(depth: usize, hosts: usize) -> ServerSpec {
    let host = |name: &str, line: &str| (name.to_owned(), line.to_owned());
    ServerSpec {
        seed: 10 * depth as u64 + hosts as u64,
        files: 3_000,
        bytes: 3_000_000,
        depth,
        per_upload: 40,
        version_control: true,
        hosts: match hosts {
            1 => vec![host("localhost", "* 00 ff")],
            _ => vec![host("north", "* 00 7f"), host("south", "* 80 ff")],
        },
        ..ServerSpec::default()
    }
}

fn findings(check: Fogold) -> Vec<Value> {
    let outcome = check.run();
    outcome.assert_code(1);
    assert_eq!(outcome.report()["complete"], true);
    outcome.findings()
}

/// Checks a server in every way; all of them must say the same.
fn play(depth: usize, hosts: usize, damages: usize) {
    let what = format!("depth {depth}, {hosts} hosts");
    let made_up = MadeUp::damaged(spec(depth, hosts), damages);
    made_up.go_live(
        Cluster::shared(),
        &format!("made_up_{depth}_{hosts}_{damages}"),
    );
    let live = || Fogold::check_configured(&made_up.sysconfdir());
    let dumped = || live().arg("--catalog").arg(made_up.dump());
    for (flags, verify, sha256) in [
        (&[][..], false, false),
        (&["--verify"], true, false),
        (&["--verify", "--sha256"], true, true),
    ] {
        let found = findings(live().args(flags));
        agree(
            &format!("{what}, {flags:?}"),
            &made_up.expected(verify, sha256),
            &found,
        );
        assert_eq!(found, findings(dumped().args(flags)), "{what}: dump");
    }
    let flags = ["--verify", "--sha256"];
    let one_thread = findings(dumped().args(flags).args(["-j", "1"]));
    assert_eq!(one_thread, findings(live().args(flags).args(["-j", "4"])));
}

#[test]
fn depth_one_on_one_host() {
    play(1, 1, 300);
}

#[test]
fn depth_one_on_two_hosts() {
    play(1, 2, 300);
}

#[test]
fn depth_two_on_one_host() {
    play(2, 1, 300);
}

#[test]
fn depth_two_on_two_hosts() {
    play(2, 2, 300);
}

#[test]
fn depth_three_on_one_host() {
    play(3, 1, 300);
}

#[test]
fn depth_three_on_two_hosts() {
    play(3, 2, 300);
}

#[test]
fn a_healthy_server_has_no_finding() {
    for depth in 1..=3 {
        let made_up = MadeUp::healthy(ServerSpec {
            version_control: false,
            ..spec(depth, 2)
        });
        let outcome = Fogold::check_configured(&made_up.sysconfdir())
            .args(["--verify", "--sha256", "--catalog"])
            .arg(made_up.dump())
            .run();
        outcome.assert_code(0);
        assert_eq!(outcome.lines().len(), 1, "{}", outcome.text());
    }
}

/// At depth 1 there are 256 directories at the most, and every one of a large server is in use by
/// some damage.
#[test]
fn damage_does_not_run_out_of_directories() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut server = Server::build(spec(1, 1), directory.path()).expect("a server");
    let plan = DamagePlan {
        seed: 1,
        count: 700,
    };
    let expected = damage::apply(&mut server, &plan).expect("damage");
    assert_eq!(expected.len(), 700);
}

/// Takes some minutes, and room for 200,000 files: `cargo test --test stories -- --ignored
/// two_hundred_thousand`.
#[test]
#[ignore = "takes minutes"]
fn two_hundred_thousand_files_with_a_thousand_damages() {
    for depth in [1, 3] {
        let made_up = MadeUp::damaged(
            ServerSpec {
                files: 200_000,
                bytes: 400_000_000,
                per_upload: 400,
                ..spec(depth, 2)
            },
            1_000,
        );
        let found = findings(
            Fogold::check_configured(&made_up.sysconfdir())
                .args(["--verify", "--sha256", "--catalog"])
                .arg(made_up.dump()),
        );
        agree("200,000 files", &made_up.expected(true, true), &found);
    }
}
