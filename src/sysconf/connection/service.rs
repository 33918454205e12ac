//! Service files: named sets of connection settings.
//!
//! Looked for, in this order: the file named by `servicefile` or `PGSERVICEFILE`, else
//! `~/.pg_service.conf`; then `pg_service.conf` in `PGSYSCONFDIR`, else in Debian's
//! `/etc/postgresql-common`. A file that does not exist is passed over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::settings::Settings;
use super::{ConnectionError, Environment};

const SYSTEM_DIRECTORY: &str = "/etc/postgresql-common";

/// The settings of the service `name`.
pub(super) fn lookup(
    name: &str,
    file: Option<&str>,
    environment: &Environment,
) -> Result<Settings, ConnectionError> {
    let own = file
        .map(PathBuf::from)
        .or_else(|| environment.in_home(".pg_service.conf"));
    let directory = environment
        .variable("PGSYSCONFDIR")
        .unwrap_or(SYSTEM_DIRECTORY);
    let system = Path::new(directory).join("pg_service.conf");
    for path in own.into_iter().chain([system]) {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(ConnectionError::Read { path, source }),
        };
        if let Some(settings) = parse(&String::from_utf8_lossy(&bytes), name, &path)? {
            return Ok(settings);
        }
    }
    Err(ConnectionError::NoService {
        name: name.to_owned(),
    })
}

/// The settings below `[name]`, when the file has that line.
fn parse(text: &str, name: &str, path: &Path) -> Result<Option<Settings>, ConnectionError> {
    let mut found: Option<Settings> = None;
    let numbered = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()));
    for (number, line) in numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if header.strip_suffix(']') == Some(name) {
                found = Some(Settings::default());
            }
            continue;
        }
        let Some(settings) = &mut found else { continue };
        let broken = |why| ConnectionError::ServiceLine {
            path: path.to_owned(),
            line: number,
            why,
        };
        let (keyword, value) = line
            .split_once('=')
            .ok_or_else(|| broken("it has no '='"))?;
        if matches!(keyword.trim(), "service" | "servicefile") {
            return Err(broken("a service cannot name another one"));
        }
        settings.set(
            keyword.trim(),
            value.trim(),
            &format!("{}, line {number}", path.display()),
        )?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# services\n[other]\nhost=o\n\n[fossology]\r\nhost=db\r\ndbname = f\npassword=a=b\n[fossology2]\nhost=2\n";

    fn error(text: &str) -> String {
        parse(text, "s", Path::new("/p")).err().unwrap().to_string()
    }

    #[test]
    fn one_section_of_a_file() {
        let settings = parse(TEXT, "fossology", Path::new("/p")).unwrap().unwrap();
        assert_eq!(settings.get("host"), Some("db"));
        assert_eq!(settings.get("dbname"), Some("f"));
        assert_eq!(settings.get("password"), Some("a=b"));
        assert!(parse(TEXT, "foss", Path::new("/p")).unwrap().is_none());
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(error("[s]\nhost"), "/p, line 2: it has no '='");
        assert_eq!(
            error("[s]\nservice=x"),
            "/p, line 2: a service cannot name another one"
        );
        assert_eq!(
            error("[s]\ncolour=red"),
            "/p, line 2: libpq has no keyword \"colour\""
        );
    }

    #[test]
    fn files_in_their_order() {
        let home = tempfile::tempdir().unwrap();
        let system = tempfile::tempdir().unwrap();
        let environment = Environment::empty()
            .with_home(home.path())
            .with_variable("PGSYSCONFDIR", system.path().to_str().unwrap());
        let host = |file: Option<&str>| {
            lookup("s", file, &environment)
                .map(|settings| settings.get("host").unwrap_or("").to_owned())
        };
        assert_eq!(
            host(None).unwrap_err().to_string(),
            "no service \"s\" in any pg_service.conf; define it, or name the database itself"
        );
        fs::write(system.path().join("pg_service.conf"), "[s]\nhost=system\n").unwrap();
        assert_eq!(host(None).unwrap(), "system");
        fs::write(home.path().join(".pg_service.conf"), "[s]\nhost=home\n").unwrap();
        assert_eq!(host(None).unwrap(), "home");
        let named = home.path().join("named");
        fs::write(&named, "[s]\nhost=named\n").unwrap();
        assert_eq!(host(named.to_str()).unwrap(), "named");
        fs::write(&named, "[t]\nhost=named\n").unwrap();
        assert_eq!(host(named.to_str()).unwrap(), "system");
    }
}
