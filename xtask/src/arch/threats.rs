//! The threat model's tables: every threat names the test that covers it, and each of those tests is there, in the room
//! that is named before it.
//! It must not judge whether the test is a good one.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::RINGS;
use super::{TextFile, Violation};

/// The page with the tables.
const THREATS: &str = "docs/threat-model.md";
/// The head of the column that names tests.
const COLUMN: &str = "test";

/// Every row of the threat model that names no test, or one that is not there.
pub(crate) fn check(files: &[TextFile]) -> Vec<Violation> {
    let Some(page) = files.iter().find(|file| file.path == THREATS) else {
        return Vec::new();
    };
    let tests = tests(files);
    let mut violations = Vec::new();
    let mut in_table = false;
    for (number, line) in (1..).zip(page.text.lines()) {
        if !line.starts_with('|') {
            in_table = false;
            continue;
        }
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").collect();
        let Some(last) = cells.last().map(|cell| cell.trim()) else {
            continue;
        };
        if last == COLUMN {
            in_table = true;
            continue;
        }
        if !in_table || last.starts_with("---") {
            continue;
        }
        let place = || format!("{THREATS}:{number}");
        let mut room = None;
        let mut named = 0;
        for quote in last.split('`').skip(1).step_by(2) {
            if RINGS.contains(&quote.split('/').next().unwrap_or_default()) {
                room = Some(quote);
                continue;
            }
            named += 1;
            let found = tests.get(quote);
            let is_there = found.is_some_and(|paths| {
                room.is_none_or(|room| paths.iter().any(|path| path.starts_with(room)))
            });
            if !is_there {
                let within = room.map_or_else(String::new, |room| format!(" in {room}"));
                violations.push(Violation::new(
                    place(),
                    format!("names the test `{quote}`, and there is none{within}"),
                ));
            }
        }
        if named == 0 {
            violations.push(Violation::new(
                place(),
                "names no test for its threat".to_owned(),
            ));
        }
    }
    violations
}

/// The names of all tests, with the files that have one so called.
fn tests(files: &[TextFile]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        let mut is_test = false;
        for line in file.text.lines().map(str::trim) {
            if line.starts_with("#[") {
                is_test |= line.contains("test]") || line.contains("::test");
                continue;
            }
            if let (true, Some(name)) = (is_test, function(line)) {
                found.entry(name).or_default().insert(&file.path);
            }
            is_test &= line.is_empty() || line.starts_with("//");
        }
    }
    found
}

/// The name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_plain = before
        .split(' ')
        .all(|word| matches!(word, "" | "async" | "pub"));
    let end = after.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    is_plain.then(|| &after[..end.unwrap_or(after.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(row: &str) -> usize {
        let file = |path: &str, text: String| TextFile {
            path: path.into(),
            text,
        };
        let page =
            format!("| threat | against | test |\n| --- | --- | --- |\n{row}\n\n| a | b |\n");
        check(&[
            file(THREATS, page),
            file(
                "core/access/tests/x.rs",
                "#[test]\nfn a_thief_gets_nothing() {}\nfn helper() {}\n#[tokio::test]\nasync fn waits() {}".into(),
            ),
        ])
        .len()
    }

    #[test]
    fn every_threat_names_tests_that_are_there() {
        assert_eq!(
            complaints("| theft | locks | `core/access` `a_thief_gets_nothing`, `waits` |"),
            0
        );
        assert_eq!(complaints("| theft | locks | `a_thief_gets_nothing` |"), 0);
        assert_eq!(
            complaints("| theft | locks | `engine/node` `a_thief_gets_nothing` |"),
            1
        );
        assert_eq!(
            complaints("| theft | locks | `core/access` `helper`, `gone` |"),
            2
        );
        assert_eq!(complaints("| theft | locks | hope |"), 1);
    }
}
