//! Nights of made-up steps: a shell takes the place of the program.

use std::cell::RefCell;

use super::*;

#[derive(Default)]
struct Diary {
    lines: RefCell<Vec<String>>,
    stop_after: Option<&'static str>,
}

impl Listener for Diary {
    fn begins(&self, step: &Step, number: usize, of: usize) {
        let line = format!("{} {number}/{of}", step.command);
        self.lines.borrow_mut().push(line);
    }
    fn at_work(&self, _: Option<u32>) {}
    fn said(&self, step: &Step, message: &str) {
        let line = format!("{} says {message}", step.command);
        self.lines.borrow_mut().push(line);
    }
    fn ended(&self, verdict: &StepVerdict) {
        let line = format!(
            "{} {:?} {}",
            verdict.step, verdict.exit_status, verdict.verdict
        );
        self.lines.borrow_mut().push(line);
    }
    fn tick(&self) {}
    fn stopped(&self) -> bool {
        let lines = self.lines.borrow();
        self.stop_after
            .is_some_and(|word| lines.iter().any(|line| line.contains(word)))
    }
}

fn step(command: &str, script: &str) -> Step {
    Step {
        command: command.to_owned(),
        words: vec!["-c".into(), script.into()],
        reports: Vec::new(),
        variables: vec![("X".to_owned(), "y".into())],
        store: None,
    }
}

fn night(steps: &[Step], diary: &Diary) -> Verdict {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let night = Night::begin(directory.path()).expect("a night");
    let verdict = night.run(Path::new("/bin/sh"), steps, diary);
    night.keep(&verdict).expect("kept");
    assert_eq!(night.last().expect("read"), Some(verdict.clone()));
    verdict
}

#[test]
fn each_step_runs_and_the_worst_counts() {
    let diary = Diary::default();
    let steps = [
        step("backup", "echo 'fogold: hm' >&2; exit 3"),
        step(
            "check",
            r#"echo '{"kind":"x"}'; echo '{"verdict":"DAMAGED: '$X'","counts":{"orphan":2}}'; exit 1"#,
        ),
        step("verify", "kill -9 $$"),
        step("prune", "echo no; exit 0"),
    ];
    let verdict = night(&steps, &diary);
    assert_eq!(verdict.exit_status, 3);
    assert_eq!(verdict.steps[1].counts["orphan"], 2);
    assert_eq!(verdict.steps[0].messages, ["hm"]);
    let wanted = [
        "backup 1/4",
        "backup says hm",
        "backup Some(3) hm",
        "check 2/4",
        "check Some(1) DAMAGED: y",
        "verify 3/4",
        "verify Some(3) died: signal: 9 (SIGKILL)",
        "prune None not run: backup failed, and no set is removed in such a night",
    ];
    assert_eq!(*diary.lines.borrow(), wanted);
    assert!(
        verdict
            .verdict
            .starts_with("FAILED: backup: hm; check: DAMAGED: y; verify: died")
    );
}

#[test]
fn a_pretty_report_is_read_whole() {
    let steps = [step(
        "prune",
        r#"printf '{\n "freed_bytes": 2048,\n "sets": [{"kept": true}, {"kept": false}]\n}\n'"#,
    )];
    let verdict = night(&steps, &Diary::default());
    assert_eq!(verdict.verdict, "GOOD: prune");
    let said = &verdict.steps[0].verdict;
    assert_eq!(said, "1 set removed, 1 kept, 2.0 KiB freed");
}

#[test]
fn a_signal_ends_the_night() {
    let diary = Diary {
        stop_after: Some("says ready"),
        ..Diary::default()
    };
    let steps = [
        step(
            "check",
            "trap 'exit 3' TERM; echo ready >&2; while :; do sleep 0.05; done",
        ),
        step("verify", "exit 0"),
    ];
    let verdict = night(&steps, &diary);
    assert_eq!(verdict.exit_status, 3);
    assert_eq!(verdict.steps[0].exit_status, Some(3));
    assert_eq!(
        verdict.steps[1].verdict,
        "not run: a signal has ended the night"
    );
}

#[test]
fn one_night_at_a_time() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = Night::begin(directory.path()).expect("a night");
    let said = Night::begin(directory.path())
        .expect_err("refused")
        .to_string();
    let process = format!("fogold nightly (process {} of ", std::process::id());
    assert!(said.contains(&process), "{said}");
    drop(first);
    Night::begin(directory.path()).expect("a night");
}

#[test]
fn what_makes_a_change() {
    let at = |status: u8, verdict: &str| {
        let report = serde_json::json!({ "verdict": verdict });
        let ended = std::process::Command::new("sh")
            .args(["-c", &format!("exit {status}")])
            .status();
        let step = StepVerdict::ran(
            "check",
            ended,
            std::time::Duration::ZERO,
            Some(&report),
            vec![],
        );
        Verdict::over(jiff::Timestamp::now(), vec![step], false)
    };
    let sound = at(0, "SOUND: 100 files");
    assert!(sound.differs_from(None));
    assert!(!at(0, "SOUND: 101 files").differs_from(Some(&sound)));
    assert!(!at(0, "2 sets removed").differs_from(Some(&at(0, "1 set removed"))));
    assert!(at(1, "DAMAGED: 1").differs_from(Some(&sound)));
    assert!(at(1, "LOSS: 1").differs_from(Some(&at(1, "DAMAGED: 1"))));
}
