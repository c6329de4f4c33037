//! Searches, page marks and questions as people and their apps ask them.

/// Words, phrases, beginnings, and what SQLite's own search language would take for its own.
pub fn search_texts() -> Vec<Vec<u8>> {
    [
        "sea wind",
        "\"dead sea\" win*",
        "sea -\"dead sea\" -wind",
        "NEAR(sea wind, 2) OR b : sea AND ^the + {a b} NOT x",
        "\"open",
        "sea* wind\"* -*é\u{301}",
        "a\u{0}b ⁂ ½ x\"y\"z '; --",
        "\"sea\"*\"wind\"* - sea",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Cursors, each behind the order that it is for.
pub fn cursors() -> Vec<Vec<u8>> {
    [
        (0, r#"["n3"]"#),
        (1, r#"["n3","i1"]"#),
        (1, r#"["n3","n"]"#),
        (5, r#"["n12","tsea"]"#),
        (2, r#"["n9","f3ff8000000000000","i-1"]"#),
        (3, r#"["n9","tx\u0000y","n","i9223372036854775807"]"#),
        (7, r#"["n9","t","t\"","f7ff0000000000000"]"#),
    ]
    .map(|(order, text)| [&[order], text.as_bytes()].concat())
    .to_vec()
}

/// Questions of every kind: the size of a page, an order, the filters.
pub fn questions() -> Vec<Vec<u8>> {
    [
        &[2, 0, 1, 0, 0, 0, 2, 2, 1][..],
        // In the order of b and a: a starts with "a", and not (b contains "sea" or c is missing).
        &[
            1, 2, 2, 1, 2, 0, 0, 0, 9, 1, 7, 6, 2, 0, 0, 1, 10, 6, 3, 0, 0, 2, 1,
        ],
        // a refers to people with a below 1815.
        &[3, 0, 1, 9, 0, 0, 0, 1, 0, 0, 0, 4, 2, 4],
        // a contains null; b between two texts.
        &[
            7, 1, 25, 3, 0, 0, 0, 10, 0, 0, 0, 1, 7, 6, 1, 0, 0, 1, 5, 6, 6,
        ],
        // a.0.b equals a float; c in four values.
        &[
            0, 1, 4, 2, 0, 6, 0, 4, 1, 2, 4, 3, 0, 0, 2, 8, 4, 0, 1, 0, 2, 5, 6, 3,
        ],
        // id starts with "n" in three bytes of its own.
        &[4, 1, 0, 1, 0, 0, 3, 9, 241, b'n'],
        // The element a contains "y", a zero and "z"; texts with zeros.
        &[
            4, 0, 2, 0, 0, 0, 10, 6, 243, b'Y', 0, b'z', 0, 0, 1, 10, 6, 12,
        ],
        // Negations in each other; any of nothing.
        &[4, 0, 2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 7, 6, 0],
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// Bodies of documents with every kind of value.
pub fn bodies() -> Vec<Vec<u8>> {
    crate::targets::query::bodies()
}
