//! Reports for programs.

use std::io::Write;

use super::{Report, ReportError};
use crate::check::Spool;

/// A line a finding, and the report object last: the only line without `kind`.
pub(super) fn write_lines(
    report: &Report,
    findings: Option<&Spool>,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    if let Some(findings) = findings {
        findings.for_each_piece(|lines| out.write_all(lines).map_err(ReportError::from))?;
    }
    serde_json::to_writer(&mut *out, report).map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// One object: the report, with all findings in `findings`.
pub(super) fn write_object(
    report: &Report,
    findings: Option<&Spool>,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    let object = serde_json::to_string_pretty(report).map_err(std::io::Error::from)?;
    let open = object.strip_suffix("\n}").unwrap_or(&object);
    out.write_all(open.as_bytes())?;
    out.write_all(b",\n  \"findings\": [")?;
    let mut is_first = true;
    if let Some(findings) = findings {
        findings.for_each_piece(|lines| -> Result<(), ReportError> {
            for line in lines
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                out.write_all(if is_first { b"\n    " } else { b",\n    " })?;
                out.write_all(line)?;
                is_first = false;
            }
            Ok(())
        })?;
    }
    out.write_all(if is_first { b"]\n}\n" } else { b"\n  ]\n}\n" })?;
    Ok(())
}
