//! A browser, where one is installed.

use std::path::Path;
use std::process::Command;

use super::skipped;

/// What a browser has made of a page, as HTML; nothing, and it is said, when none is installed.
pub(crate) fn opened(page: &Path) -> Option<String> {
    let installed = Command::new("chromium").arg("--version").output();
    if !installed.is_ok_and(|output| output.status.success()) {
        skipped("chromium is not installed");
        return None;
    }
    let profile = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new("timeout")
        .args(["90", "chromium", "--headless", "--no-sandbox"])
        .args(["--disable-gpu", "--disable-quic", "--no-first-run"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args(["--disable-sync", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("a browser");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    Some(String::from_utf8(output.stdout).expect("HTML"))
}
