//! What a check should have found, held against what it did find.

use std::collections::BTreeMap;

use fogold::fixtures::Expected;
use serde_json::{Value, json};

/// Panics unless every expected finding is there once and nothing else is.
///
/// A field of an expectation must be that of the finding; a field that is absent is not laid down.
/// Besides the fields of findings there are `path_begins`, `recovery_one_of` and `first_upload`;
/// `verify` and `sha256` say what the check must have done to see it.
pub(crate) fn agree(what: &str, expected: &[Value], found: &[Value]) {
    let mut rest: Vec<&Value> = found.iter().collect();
    let mut unmet: Vec<&Value> = Vec::new();
    // Those that lay down more come first: one that lays down little must not take their finding.
    let mut ordered: Vec<&Value> = expected.iter().collect();
    ordered.sort_by_key(|each| std::cmp::Reverse(each.as_object().map_or(0, serde_json::Map::len)));
    for wanted in ordered {
        match rest.iter().position(|finding| meets(finding, wanted)) {
            Some(at) => {
                rest.remove(at);
            }
            None => unmet.push(wanted),
        }
    }
    assert!(
        unmet.is_empty() && rest.is_empty(),
        "{what}: {} of {} expected findings are not there:\n{}\nand {} are that nobody expects:\n{}",
        unmet.len(),
        expected.len(),
        listed(&unmet),
        rest.len(),
        listed(&rest)
    );
}

fn listed(values: &[&Value]) -> String {
    let lines: Vec<String> = values.iter().take(20).map(ToString::to_string).collect();
    lines.join("\n")
}

fn meets(finding: &Value, wanted: &Value) -> bool {
    let fields = wanted.as_object().expect("an expectation is an object");
    fields.iter().all(|(field, value)| match field.as_str() {
        "verify" | "sha256" => true,
        "path_begins" => finding["path"]
            .as_str()
            .is_some_and(|path| path.starts_with(value.as_str().expect("a path"))),
        "recovery_one_of" => value
            .as_array()
            .expect("a list")
            .contains(&finding["recovery"]),
        "first_upload" => &finding["uploads"][0] == value,
        _ => finding.get(field) == Some(value),
    })
}

/// The expectation of damage to a made-up server.
pub(crate) fn expectation(expected: &Expected) -> Value {
    let mut fields = serde_json::Map::new();
    let mut lay_down = |field: &str, value: Value| {
        if !value.is_null() {
            fields.insert(field.to_owned(), value);
        }
    };
    lay_down("kind", json!(expected.kind));
    lay_down("severity", json!(expected.severity));
    lay_down("type", json!(expected.ty));
    lay_down("path", json!(expected.path));
    lay_down("name", json!(expected.name));
    lay_down("pfile", json!(expected.pfile));
    lay_down("first_upload", json!(expected.upload));
    Value::Object(fields)
}

/// How many findings there are of each kind.
pub(crate) fn kinds(findings: &[Value]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for finding in findings {
        let kind = finding["kind"].as_str().expect("a kind").to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}
