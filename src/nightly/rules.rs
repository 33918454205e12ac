//! What may be done after something has failed, and what the night as a whole is worth.

use super::{Step, StepVerdict};

/// What a step may end with and have done its work: it may have found something.
const WORKED: [u8; 2] = [0, 1];

impl Step {
    /// Why this step is not run after what has been `done`.
    ///
    /// Nothing stops a backup, a check or a verify: each says something by itself. No set is taken
    /// away in a night that failed to make one, or could not read the store.
    pub(super) fn refusal(&self, done: &[StepVerdict]) -> Option<String> {
        if self.command != "prune" {
            return None;
        }
        let failed = done.iter().find(|step| {
            matches!(step.step.as_str(), "backup" | "verify")
                && !step
                    .exit_status
                    .is_some_and(|status| WORKED.contains(&status))
        })?;
        Some(format!(
            "{} failed, and no set is removed in such a night",
            failed.step
        ))
    }
}

/// The exit status of a night.
///
/// 2 says that nothing was tried, so it is only for a night all of whose steps were refused: beside
/// a step that did its work, a refused one makes a night that was done in part.
pub(super) fn over_all(steps: &[StepVerdict], is_stopped: bool) -> u8 {
    let ended = || steps.iter().filter_map(|step| step.exit_status);
    let is_refused = ended().next().is_some() && ended().all(|status| status == 2);
    if is_stopped {
        3
    } else if is_refused {
        2
    } else if ended().any(|status| status > 1) || steps.iter().any(|it| it.exit_status.is_none()) {
        3
    } else {
        ended().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(ended: &[(&str, Option<u8>)]) -> Vec<StepVerdict> {
        let verdicts = ended.iter().map(|(name, status)| StepVerdict {
            exit_status: *status,
            ..StepVerdict::not_run(name, String::new())
        });
        verdicts.collect()
    }

    #[test]
    fn the_worst_counts() {
        for (ended, is_stopped, wanted) in [
            (vec![Some(0), Some(0)], false, 0),
            (vec![Some(0), Some(1)], false, 1),
            (vec![Some(3), Some(1), Some(0)], false, 3),
            (vec![Some(2), Some(1)], false, 3),
            (vec![Some(2), Some(2)], false, 2),
            (vec![Some(2), None], false, 2),
            (vec![Some(0), None], false, 3),
            (vec![None], false, 3),
            (vec![Some(0)], true, 3),
            (vec![], false, 0),
        ] {
            let named: Vec<_> = ended.iter().map(|status| ("check", *status)).collect();
            assert_eq!(over_all(&steps(&named), is_stopped), wanted, "{ended:?}");
        }
    }

    #[test]
    fn prune_runs_only_after_a_good_backup_and_a_store_that_could_be_read() {
        let refusal = |command: &str, done: &[(&str, Option<u8>)]| {
            let step = Step {
                command: command.to_owned(),
                words: Vec::new(),
                reports: Vec::new(),
                variables: Vec::new(),
                store: None,
            };
            step.refusal(&steps(done))
        };
        assert_eq!(
            refusal("prune", &[("backup", Some(1)), ("verify", Some(1))]),
            None
        );
        assert_eq!(refusal("prune", &[("check", Some(3))]), None);
        for done in [
            ("backup", Some(3)),
            ("backup", Some(2)),
            ("backup", None),
            ("verify", Some(3)),
        ] {
            let why = refusal("prune", &[("check", Some(0)), done]).expect("a refusal");
            assert!(why.starts_with(done.0), "{why}");
            assert_eq!(refusal("check", &[done]), None);
        }
    }
}
