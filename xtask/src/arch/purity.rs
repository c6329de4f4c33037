//! What source may say: core's purity, where `unsafe` may stand, how a file opens and how long it may be.
//! It must judge text only; what a crate links is `graph.rs`'s to judge, and clippy and the wasm32 build stand behind both.

use super::code::{code_only, line_naming, test_files, without_tests};
use super::{TextFile, Violation};

/// The longest a source file may be.
const FILE_LINES_MAX: usize = 800;

/// The one room where `unsafe` may be written.
const UNSAFE_ROOM: &str = "testing/disk/";

/// The program's one file that runs a node; the rest is a client and names the message protocol only.
const RUNS_THE_NODE: &str = "bin/stead/src/serve.rs";

/// The crates behind the message protocol.
const BEHIND_THE_API: &[&str] = &[
    "stead_node",
    "stead_replica",
    "stead_store",
    "stead_net",
    "stead_keys",
    "stead_sync",
    "stead_log",
    "stead_doc",
];

/// What core's own code may not name, and what it takes instead.
const NOT_IN_CORE: &[(&str, &str)] = &[
    ("std::fs", "files belong to adapters"),
    ("std::net", "sockets belong to adapters"),
    ("std::os", "the system belongs to adapters"),
    ("std::process", "processes belong to bin"),
    ("std::env", "the environment belongs to bin"),
    ("std::thread", "threads belong to the engine"),
    ("stdin", "the terminal belongs to bin"),
    ("stdout", "the terminal belongs to bin"),
    ("stderr", "the terminal belongs to bin"),
    ("println!", "the terminal belongs to bin"),
    ("print!", "the terminal belongs to bin"),
    ("eprintln!", "the terminal belongs to bin"),
    ("eprint!", "the terminal belongs to bin"),
    ("SystemTime", "time comes in as an argument"),
    ("Instant", "time comes in as an argument"),
    ("getrandom", "randomness comes in as an argument"),
    ("OsRng", "randomness comes in as an argument"),
    ("SysRng", "randomness comes in as an argument"),
    ("thread_rng", "randomness comes in as an argument"),
    ("rand::", "randomness comes in as an argument"),
    ("async", "core is driven from outside and never waits"),
    (".await", "core is driven from outside and never waits"),
    ("tokio", "core is driven from outside and never waits"),
    ("HashMap", "its order differs from run to run; use BTreeMap"),
    ("HashSet", "its order differs from run to run; use BTreeSet"),
    ("RandomState", "its order differs from run to run"),
    (
        "clippy::disallowed_methods",
        "core's own code asks for no exception",
    ),
    (
        "clippy::disallowed_types",
        "core's own code asks for no exception",
    ),
];

/// The children of `std` that core may not import inside braces either.
const NOT_OF_STD: &[&str] = &["fs", "net", "os", "process", "env", "thread"];

/// Every file that breaks a rule about source.
pub(crate) fn check(files: &[TextFile]) -> Vec<Violation> {
    let tests = test_files(files);
    let mut violations = Vec::new();
    for file in files {
        if file.path.ends_with("Cargo.toml") && file.path.contains('/') {
            check_manifest(file, &mut violations);
        }
        if !file.path.ends_with(".rs") {
            continue;
        }
        let code = code_only(&file.text);
        if !file.text.starts_with("//!") {
            violations.push(Violation::new(
                &file.path,
                "must open with a `//!` line that says what it owns and what it must not do",
            ));
        }
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            violations.push(Violation::new(
                &file.path,
                format!("has {lines} lines, {FILE_LINES_MAX} at most: give each job its own file, long tests too"),
            ));
        }
        if !file.path.starts_with(UNSAFE_ROOM)
            && let Some(line) =
                line_naming(&code, "unsafe").or_else(|| line_naming(&code, "allow(unsafe_code)"))
        {
            violations.push(at(
                file,
                line,
                format!("`unsafe` may stand in {UNSAFE_ROOM} only"),
            ));
        }
        for word in [["TO", "DO"].concat(), ["FIX", "ME"].concat()] {
            if let Some(line) = line_naming(&file.text, &word) {
                violations.push(at(file, line, format!("a {word} belongs in an issue")));
            }
        }
        if file.path.starts_with("bin/stead/src/") && file.path != RUNS_THE_NODE {
            for name in BEHIND_THE_API {
                if let Some(line) = line_naming(&code, name) {
                    violations.push(at(
                        file,
                        line,
                        format!("{name} may be named in {RUNS_THE_NODE} only"),
                    ));
                }
            }
        }
        if file.path.starts_with("core/") && !tests.contains(&file.path) {
            check_core(file, &without_tests(&code).0, &mut violations);
        }
    }
    violations
}

fn check_manifest(file: &TextFile, violations: &mut Vec<Violation>) {
    let inherits = file
        .text
        .split_once("[lints]")
        .is_some_and(|(_, rest)| rest.trim_start().starts_with("workspace = true"));
    // A manifest that is a workspace of its own stands outside this one.
    if !inherits && file.text.contains("[package]") && !file.text.contains("\n[workspace]\n") {
        violations.push(Violation::new(
            &file.path,
            "must inherit the workspace's lints: `[lints]` with `workspace = true`",
        ));
    }
}

fn check_core(file: &TextFile, code: &str, violations: &mut Vec<Violation>) {
    for (name, instead) in NOT_IN_CORE {
        if let Some(line) = line_naming(code, name) {
            violations.push(at(
                file,
                line,
                format!("core may not name `{name}`: {instead}"),
            ));
        }
    }
    // `use std::{fs, io}` names the same things by halves.
    let mut from = 0;
    while let Some(found) = code[from..].find("std::{") {
        let begin = from + found + "std::{".len();
        let end = code[begin..]
            .find(';')
            .map_or(code.len(), |length| begin + length);
        let mut depth = 0usize;
        let mut child = String::new();
        for letter in code[begin..end].chars() {
            match letter {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ if depth == 0 => child.push(letter),
                _ => {}
            }
        }
        for part in child.split(',') {
            let root = part.trim().split("::").next().unwrap_or_default();
            if NOT_OF_STD.contains(&root) {
                let line = code[..begin].matches('\n').count() + 1;
                violations.push(at(file, line, format!("core may not name `std::{root}`")));
            }
        }
        from = end;
    }
}

fn at(file: &TextFile, line: usize, what: String) -> Violation {
    Violation::new(format!("{}:{line}", file.path), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        check(&[TextFile {
            path: path.into(),
            text: text.into(),
        }])
        .iter()
        .map(Violation::to_string)
        .collect()
    }

    #[test]
    fn a_clean_core_file_breaks_no_rule() {
        let clean = "//! Owns a thing.\nuse std::time::Duration;\nuse std::{cmp, fmt};\n/// Not `std::fs`.\nfn now(now_ms: u64, rand: [u8; 10]) {}\n#[cfg(test)]\nmod tests {\n    use std::collections::HashMap;\n}\n";
        assert_eq!(
            complaints("core/doc/src/lib.rs", clean),
            Vec::<String>::new()
        );
    }

    #[test]
    fn every_impurity_is_seen_in_core_and_nowhere_else() {
        for line in [
            "fn f() { std::fs::read(p); }",
            "use std::net::TcpStream;",
            "use std::{fmt, fs};",
            "use std::{collections::BTreeMap, net::{TcpStream}};",
            "fn f() { std::thread::spawn(g); }",
            "fn f() { let now = std::time::SystemTime::now(); }",
            "use std::time::{Duration, Instant};",
            "async fn f() {}",
            "fn f() { println!(); }",
            "use std::collections::HashMap;",
            "fn f() { let x = rand::random(); }",
            "fn f() { getrandom::fill(b); }",
            "fn f() { std::env::var(n); }",
            "#![allow(clippy::disallowed_methods)]",
        ] {
            let text = format!("//! Owns a thing.\n{line}\n");
            assert_eq!(complaints("core/doc/src/lib.rs", &text).len(), 1, "{line}");
            assert_eq!(
                complaints("adapters/store/src/lib.rs", &text).len(),
                0,
                "{line}"
            );
            assert_eq!(
                complaints("core/doc/tests/vectors.rs", &text).len(),
                0,
                "{line}"
            );
        }
    }

    #[test]
    fn unsafe_is_refused_outside_its_room() {
        let text = "//! Owns a thing.\nfn f() { unsafe { g() } }\n";
        assert_eq!(complaints("engine/node/src/lib.rs", text).len(), 1);
        assert_eq!(complaints("testing/disk/src/lib.rs", text).len(), 0);
        assert_eq!(
            complaints("bin/stead/src/x.rs", "//! Owns.\n#![allow(unsafe_code)]\n").len(),
            1
        );
    }

    #[test]
    fn the_programs_client_side_never_reaches_behind_the_message_protocol() {
        let text = "//! Owns a thing.\nuse stead_node::Node;\n";
        assert_eq!(complaints("bin/stead/src/commands/read.rs", text).len(), 1);
        assert_eq!(complaints(RUNS_THE_NODE, text).len(), 0);
    }

    #[test]
    fn a_file_without_its_opening_line_is_refused() {
        assert_eq!(
            complaints("bin/stead/src/main.rs", "fn main() {}\n").len(),
            1
        );
    }

    #[test]
    fn a_file_that_grew_too_long_is_refused() {
        let lines =
            |count: usize| format!("//! Owns a thing.\n{}", "fn f() {}\n".repeat(count - 1));
        assert_eq!(
            complaints("bin/stead/src/x.rs", &lines(FILE_LINES_MAX)).len(),
            0
        );
        assert_eq!(
            complaints("bin/stead/src/x.rs", &lines(FILE_LINES_MAX + 1)).len(),
            1
        );
    }

    #[test]
    fn a_note_to_do_later_is_refused() {
        let note = ["TO", "DO"].concat();
        assert_eq!(
            complaints(
                "bin/stead/src/x.rs",
                &format!("//! Owns.\n// {note}: later\n")
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_manifest_must_inherit_the_lints() {
        assert_eq!(
            complaints("core/doc/Cargo.toml", "[package]\nname = \"x\"\n").len(),
            1
        );
        assert_eq!(
            complaints(
                "core/doc/Cargo.toml",
                "[package]\nname = \"x\"\n[lints]\nworkspace = true\n"
            )
            .len(),
            0
        );
    }
}
