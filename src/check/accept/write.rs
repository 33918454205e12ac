//! A file of accepted findings, begun from what a run has found.

use std::io::Write;

use serde::Serialize;
use toml::ser::ValueSerializer;

use super::identity::Identity;
use super::{AcceptError, LONGEST};
use crate::check::kind::Kind;
use crate::check::spool::Spool;

/// What a person is told at the top.
const HEAD: &str = "\
# Findings that somebody has seen and accepted, for --accept: see fogold-check(1).
#
# They are counted apart, and a run does not fail for them. Say in 'reason' why they are no fault,
# and take out what is one. With until = 2027-01-31 a group holds up to that day. With 'severity', a
# finding that becomes worse than that counts again.
";

/// Writes every finding that counts as an accepted one, a group a severity and kind; `reason` stands
/// in each group until a person has a better one.
pub fn write(findings: &Spool, reason: &str, out: &mut dyn Write) -> Result<(), AcceptError> {
    let mut text = String::from(HEAD);
    let mut written = 0;
    for (severity, kind, _) in findings.tallies() {
        // What was deleted while a run was at work is no finding of the next one.
        if kind == Kind::DeletedMeanwhile {
            continue;
        }
        text.push_str(&format!(
            "\n[[accept]]\nkind = {}\nseverity = {}\nreason = {}\nfindings = [\n",
            value(&kind)?,
            value(&severity)?,
            value(reason)?
        ));
        findings.for_each(severity, kind, |finding| -> Result<(), AcceptError> {
            text.push_str(&format!("  {},\n", value(&Identity::of(&finding))?));
            written += text.len() as u64;
            if written > LONGEST {
                return Err(AcceptError::TooMany);
            }
            out.write_all(text.as_bytes())?;
            text.clear();
            Ok(())
        })?;
        text.push_str("]\n");
    }
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// A value as TOML, on one line.
fn value(value: &(impl Serialize + ?Sized)) -> Result<String, AcceptError> {
    let mut text = String::new();
    value
        .serialize(ValueSerializer::new(&mut text))
        .map_err(|error| AcceptError::Output(std::io::Error::other(error)))?;
    Ok(text)
}
