//! The statements that requeue runs, and how a dry run shows them.

/// A statement and the name of its file in `sql/`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! statements {
    ($($constant:ident = $name:literal;)*) => {
        $(pub(super) const $constant: Statement = Statement {
            name: $name,
            text: include_str!(concat!("../../../sql/", $name, ".sql")),
        };)*
    };
}

statements! {
    LIMITS = "requeue-limits";
    LOCK = "requeue-lock";
    RIGHTS = "requeue-rights";
    COLUMNS = "requeue-columns";
    UPLOADS = "requeue-uploads";
    QUEUE = "requeue-queue";
    FORGET = "requeue-forget";
    PROGRESS = "requeue-progress";
    MARK = "requeue-mark";
    CUT_TREES = "requeue-cut-trees";
    TREE_REFERENCES = "requeue-tree-references";
    TREE_REFERENCED = "requeue-tree-referenced";
    FELL_TREE = "requeue-fell-tree";
    CLEAR_ARS = "requeue-clear-ars";
    RESTART = "requeue-restart";
    NUMBER_TREE = "requeue-number-tree";
    UNFINISHED = "requeue-unfinished";
    CLEAN_LOCK = "requeue-clean-lock";
    PFILE_REFERENCES = "requeue-pfile-references";
    UNUSED = "requeue-unused";
    DROP_ROWS = "requeue-drop-rows";
}

impl Statement {
    /// The statement with its parameters filled in, as it could be given to `psql`. Parameters are
    /// numbers, lists of numbers, or what stands for a key that is not known yet.
    pub(super) fn shown(&self, parameters: &[String]) -> String {
        let code: Vec<&str> = self
            .text
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect();
        let mut text = code.join("\n");
        for (index, value) in parameters.iter().enumerate().rev() {
            text = text.replace(&format!("${}", index + 1), value);
        }
        text.push(';');
        text
    }
}

/// A list of keys as PostgreSQL writes it.
pub(super) fn array(keys: &[i32]) -> String {
    let keys: Vec<String> = keys.iter().map(i32::to_string).collect();
    format!("'{{{}}}'", keys.join(","))
}

/// A name as an identifier, whatever it holds.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_statement_has_its_values_and_no_comment() {
        let shown = QUEUE.shown(&["7".to_owned(), "3".to_owned(), array(&[7, 9])]);
        assert!(!shown.contains('$') && !shown.contains("--"), "{shown}");
        assert!(
            shown.contains("job_upload_fk = ANY ('{7,9}'::int4[])"),
            "{shown}"
        );
        assert!(shown.contains("WHERE upload_fk = 7 AND EXISTS"), "{shown}");
    }

    #[test]
    fn an_identifier_stays_one() {
        assert_eq!(identifier("a\"; DROP TABLE b"), "\"a\"\"; DROP TABLE b\"");
    }
}
