//! Reads Rust source just closely enough to tell code from comments and strings, and tests from the rest.
//! It must not try to be a parser: what it cannot tell apart it keeps, so that a rule errs on the strict side.

use std::collections::BTreeSet;

use super::TextFile;

/// The source with comments, strings and character literals blanked out; lines keep their numbers.
pub(crate) fn code_only(source: &str) -> String {
    let letters: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < letters.len() {
        let end = literal_end(&letters, at);
        if end > at {
            for letter in &letters[at..end] {
                code.push(if *letter == '\n' { '\n' } else { ' ' });
            }
            at = end;
        } else {
            code.push(letters[at]);
            at += 1;
        }
    }
    code
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(letters: &[char], at: usize) -> usize {
    let next = |ahead: usize| letters.get(at + ahead).copied().unwrap_or('\0');
    let after_word = at > 0 && is_word(letters[at - 1]);
    match letters[at] {
        '/' if next(1) == '/' => find(letters, at, |rest| rest[0] == '\n').unwrap_or(letters.len()),
        '/' if next(1) == '*' => block_comment_end(letters, at),
        '"' => string_end(letters, at),
        'r' | 'b' | 'c' if !after_word => {
            let prefix = if next(1) == 'r' { 2 } else { 1 };
            let raw = letters[at] == 'r' || next(1) == 'r';
            let hashes = letters[at + prefix..]
                .iter()
                .take_while(|letter| **letter == '#')
                .count();
            if raw && next(prefix + hashes) == '"' {
                let closing: Vec<char> = std::iter::once('"')
                    .chain(std::iter::repeat_n('#', hashes))
                    .collect();
                find(letters, at + prefix + hashes + 1, |rest| {
                    rest.starts_with(&closing)
                })
                .map_or(letters.len(), |end| end + closing.len())
            } else {
                at
            }
        }
        '\'' if !after_word || letters[at - 1] == 'b' => {
            if next(1) == '\\' {
                find(letters, at + 3, |rest| rest[0] == '\'').map_or(letters.len(), |end| end + 1)
            } else if next(2) == '\'' {
                at + 3
            } else {
                at // a lifetime
            }
        }
        _ => at,
    }
}

fn block_comment_end(letters: &[char], at: usize) -> usize {
    let mut depth = 0usize;
    let mut end = at;
    while end < letters.len() {
        if letters[end..].starts_with(&['/', '*']) {
            depth += 1;
            end += 2;
        } else if letters[end..].starts_with(&['*', '/']) {
            depth -= 1;
            end += 2;
            if depth == 0 {
                break;
            }
        } else {
            end += 1;
        }
    }
    end
}

fn string_end(letters: &[char], at: usize) -> usize {
    let mut end = at + 1;
    while end < letters.len() {
        match letters[end] {
            '\\' => end += 2,
            '"' => return end + 1,
            _ => end += 1,
        }
    }
    letters.len()
}

fn find(letters: &[char], from: usize, matches: impl Fn(&[char]) -> bool) -> Option<usize> {
    (from..letters.len()).find(|at| matches(&letters[*at..]))
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The code with every item under `#[cfg(test)]` blanked out, and the names of the modules it declared in other files.
pub(crate) fn without_tests(code: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = code.to_owned();
    let mut modules = Vec::new();
    while let Some(begin) = kept.find(MARK) {
        let end = begin + MARK.len() + item_length(&kept[begin + MARK.len()..]);
        let item: Vec<&str> = kept[begin + MARK.len()..end].split_whitespace().collect();
        if let Some(at) = item.iter().position(|word| *word == "mod")
            && let Some(name) = item.get(at + 1)
            && let Some(name) = name.strip_suffix(';')
        {
            modules.push(name.to_owned());
        }
        let blank: String = kept[begin..end]
            .chars()
            .map(|letter| if letter == '\n' { '\n' } else { ' ' })
            .collect();
        kept.replace_range(begin..end, &blank);
    }
    (kept, modules)
}

/// How long the item is that this text begins with: to its `;`, or to the end of its braces.
fn item_length(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The paths of the files that only tests compile: under a `tests` folder, or declared beneath `#[cfg(test)]`.
pub(crate) fn test_files(files: &[TextFile]) -> BTreeSet<String> {
    let sources = || files.iter().filter(|file| file.path.ends_with(".rs"));
    let mut tests: BTreeSet<String> = BTreeSet::new();
    for file in sources() {
        if file.path.contains("/tests/")
            || file.path.contains("/benches/")
            || file.path.contains("/examples/")
        {
            tests.insert(file.path.clone());
        }
        let (_, modules) = without_tests(&code_only(&file.text));
        let folder = module_folder(&file.path);
        for module in modules {
            let under = format!("{folder}/{module}/");
            for other in sources() {
                if other.path == format!("{folder}/{module}.rs") || other.path.starts_with(&under) {
                    tests.insert(other.path.clone());
                }
            }
        }
    }
    tests
}

/// The folder in which a file's child modules live.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name.trim_end_matches(".rs") {
        "lib" | "main" | "mod" => folder.to_owned(),
        stem => format!("{folder}/{stem}"),
    }
}

/// The number of the first line on which the code names this word or path, by whole words.
pub(crate) fn line_naming(code: &str, name: &str) -> Option<usize> {
    let starts_a_word = name.starts_with(is_word);
    let ends_a_word = name.ends_with(is_word);
    let mut from = 0;
    while let Some(found) = code[from..].find(name) {
        let begin = from + found;
        let end = begin + name.len();
        let free_before = !starts_a_word || !code[..begin].ends_with(is_word);
        let free_after = !ends_a_word || !code[end..].starts_with(is_word);
        if free_before && free_after {
            return Some(code[..begin].matches('\n').count() + 1);
        }
        from = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let code = code_only(
            "let a = \"std::fs \\\" unsafe\"; // unsafe\n/* unsafe /* nested */ unsafe */ let b = r#\"unsafe \"quoted\" \"#;\nlet c = b\"unsafe\"; let d = '\"'; let e: &'static str = br\"unsafe\";",
        );
        assert_eq!(line_naming(&code, "unsafe"), None);
        assert_eq!(line_naming(&code, "let e"), Some(3));
        assert_eq!(line_naming(&code, "'static"), Some(3));
    }

    #[test]
    fn code_after_a_character_or_a_lifetime_is_still_code() {
        for source in [
            "let q = '\\''; unsafe {}",
            "let q = '\"'; unsafe {}",
            "fn f<'a>(x: &'a str) { unsafe {} }",
            "let b = b'\"'; unsafe {}",
        ] {
            assert_eq!(
                line_naming(&code_only(source), "unsafe"),
                Some(1),
                "{source}"
            );
        }
    }

    #[test]
    fn test_items_are_left_out_and_their_files_named() {
        let (kept, modules) = without_tests(
            "use a;\n#[cfg(test)]\nmod tests {\n fn f() { std::fs::read(); }\n}\n#[cfg(test)]\nmod more;\nfn g() {}",
        );
        assert!(!kept.contains("std::fs"));
        assert_eq!(line_naming(&kept, "fn g"), Some(8));
        assert_eq!(modules, ["more"]);
    }

    #[test]
    fn files_of_test_modules_are_found() {
        let file = |path: &str, text: &str| TextFile {
            path: path.into(),
            text: text.into(),
        };
        let found = test_files(&[
            file("core/doc/src/lib.rs", "mod cell;\n#[cfg(test)]\nmod laws;"),
            file("core/doc/src/laws.rs", ""),
            file("core/doc/src/cell.rs", "#[cfg(test)]\nmod tests;"),
            file("core/doc/src/cell/tests.rs", ""),
            file("core/doc/src/tests.rs", ""),
            file("core/doc/tests/vectors.rs", ""),
        ]);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(
            found,
            [
                "core/doc/src/cell/tests.rs",
                "core/doc/src/laws.rs",
                "core/doc/tests/vectors.rs"
            ]
        );
    }

    #[test]
    fn names_are_whole_words() {
        assert_eq!(line_naming("let instant_ms = Instantly;", "Instant"), None);
        assert_eq!(
            line_naming("\nstd::time::Instant::now()", "Instant"),
            Some(2)
        );
        assert_eq!(line_naming("operand::x", "rand::"), None);
        assert_eq!(line_naming("x.0.await", ".await"), Some(1));
    }
}
