//! A notice as a mail, through the mail program of the system.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use super::{Notice, command};
use crate::settings::Mail;

/// How long the mail program may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Lines of a mail are no longer (RFC 5322 has 998 bytes).
const LONGEST_LINE: usize = 900;

/// Says what to do where the mail program is not there.
pub fn can_be_sent(mail: &Mail) -> Result<(), String> {
    rustix::fs::access(&mail.sendmail, rustix::fs::Access::EXEC_OK).map_err(|error| {
        let error = std::io::Error::from(error);
        let program = mail.sendmail.display();
        format!("{program}: {error}; install a mail transport agent, or name its program (mail.sendmail)")
    })
}

/// Hands a mail over.
pub(super) fn send(mail: &Mail, notice: &Notice) -> Result<(), String> {
    // Who gets it stands in the headers; a line with a dot alone does not end it.
    let mut sendmail = Command::new(&mail.sendmail);
    sendmail.args(["-t", "-i"]);
    let sent = command::feed(&mut sendmail, message(mail, notice).into_bytes(), LIMIT);
    sent.map_err(|why| format!("{}: {why}", mail.sendmail.display()))
}

/// The mail, whose headers have no line that a text from outside could begin.
fn message(mail: &Mail, notice: &Notice) -> String {
    let verdict = &notice.verdict;
    let odd: Vec<&str> = verdict
        .steps
        .iter()
        .filter(|step| step.exit_status != Some(0))
        .map(|step| step.step.as_str())
        .collect();
    let odd = match odd.is_empty() {
        true => String::new(),
        false => format!(" ({})", odd.join(", ")),
    };
    let subject = format!("fogold on {}: {}{odd}", verdict.host, verdict.word());
    let mut text = String::new();
    let mut header = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}: {}", one_line(value));
    };
    header("To", &mail.to.join(", "));
    if let Some(from) = &mail.from {
        header("From", from);
    }
    header("Subject", &subject);
    header("Auto-Submitted", "auto-generated");
    header("MIME-Version", "1.0");
    header("Content-Type", "text/plain; charset=utf-8");
    header("Content-Transfer-Encoding", "8bit");
    text.push('\n');
    for line in notice.text.lines() {
        for part in pieces(line) {
            text.push_str(part);
            text.push('\n');
        }
    }
    text
}

/// A header's value: ASCII, without control characters.
fn one_line(value: &str) -> String {
    let fits = |c: char| c == ' ' || c.is_ascii_graphic();
    value
        .chars()
        .map(|c| if fits(c) { c } else { '?' })
        .collect()
}

/// A line in pieces that a mail can hold.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        if line.len() <= LONGEST_LINE {
            return Some(line);
        }
        let (head, tail) = line.split_at(line.floor_char_boundary(LONGEST_LINE));
        rest = Some(tail);
        Some(head)
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::nightly::Verdict;
    use crate::nightly::notify::Occasion;

    #[test]
    fn headers_end_where_they_should() {
        let mail = Mail {
            to: vec!["root".to_owned(), "A <a@b>".to_owned()],
            from: Some("c@d".to_owned()),
            sendmail: PathBuf::from("/bin/true"),
        };
        let mut verdict = Verdict::over(jiff::Timestamp::now(), Vec::new(), false);
        verdict.host = "h\nBcc: evil@x\u{fc}".to_owned();
        verdict.verdict = format!("long {}", "\u{fc}".repeat(1000));
        let notice = Notice::of(&verdict, None, &[Occasion::Always]).expect("an occasion");
        let message = message(&mail, &notice);
        let (head, body) = message.split_once("\n\n").expect("a body");
        let names: Vec<&str> = head
            .lines()
            .filter_map(|line| line.split(':').next())
            .collect();
        let wanted = [
            "To",
            "From",
            "Subject",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
        ];
        assert_eq!(names, wanted);
        assert!(
            head.starts_with(
                "To: root, A <a@b>\nFrom: c@d\nSubject: fogold on h?Bcc: evil@x?: GOOD\n"
            ),
            "{head}"
        );
        assert!(body.lines().all(|line| line.len() <= LONGEST_LINE));
        assert_eq!(body.matches('\u{fc}').count(), 1001);
    }
}
