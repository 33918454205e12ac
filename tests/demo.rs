//! The demonstration, as a person reads it.

use crate::support::Fogold;

#[test]
fn it_finds_what_it_did_and_counts_as_people_do() {
    let outcome = Fogold::new(["demo"]).run();
    outcome.assert_code(0);
    let text = outcome.text();
    assert!(
        text.contains("\n44 of the 44 damages were found, each once; 0 of the "),
        "{text}"
    );
    let words: Vec<&str> = text.split_whitespace().collect();
    let things = [
        "files", "uploads", "pfiles", "rows", "unpacks", "listings", "findings",
    ];
    for pair in words.windows(2) {
        let thing = pair[1].trim_end_matches([',', ';', '.', ':']);
        assert!(
            pair[0] != "1" || !things.contains(&thing),
            "{pair:?}:\n{text}"
        );
    }
    assert!(text.contains(" but for 1 file. Check: "), "{text}");
    assert!(text.contains("\n  not had   1 file, "), "{text}");
}
