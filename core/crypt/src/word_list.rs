//! The 2048 English words of BIP 39: what a phrase or a code is made of when people copy or say it.
//!
//! Owns the list and how a word is found in it, typing mistakes included. What the words stand
//! for is for others to say. A look-up takes a time that depends on the word: it happens on the
//! device of the person who typed it, and nowhere else.

/// How many words there are.
pub(crate) const WORDS: usize = 2048;
/// Bits that one word stands for.
pub(crate) const WORD_BITS: usize = 11;
/// So many letters name a word: no two begin with the same four.
const PREFIX_LETTERS: usize = 4;
/// Longer texts are no attempt at a word (the longest has eight letters).
const ATTEMPT_BYTES_MAX: usize = 24;
/// Most words that are offered for a wrong one.
pub(crate) const NEAREST_MAX: usize = 3;
/// Most mistakes that a word may be away to be offered.
const DISTANCE_MAX: usize = 2;

static LIST: [&str; WORDS] = split(include_str!("../words/english.txt"));

/// The word with that number, which is taken modulo [`WORDS`].
pub(crate) const fn word(number: usize) -> &'static str {
    LIST[number % WORDS]
}

/// The number of a word in lower case, given whole or by its first four letters or more.
pub(crate) fn find(text: &str) -> Option<usize> {
    match LIST.binary_search(&text) {
        Ok(number) => Some(number),
        Err(_) if text.len() < PREFIX_LETTERS => None,
        Err(next) => LIST
            .get(next)
            .filter(|word| word.starts_with(text))
            .map(|_| next),
    }
}

/// The words most like `text`, the likest first; none for what is no attempt at a word.
pub(crate) fn nearest(text: &str) -> Vec<&'static str> {
    if text.len() > ATTEMPT_BYTES_MAX {
        return Vec::new();
    }
    // People seldom get the first letter wrong.
    let first = |word: &str| word.chars().next();
    let mut near: Vec<_> = LIST
        .iter()
        .map(|word| (distance(text, word), first(text) != first(word), *word))
        .filter(|(distance, ..)| *distance <= DISTANCE_MAX)
        .collect();
    near.sort();
    near.truncate(NEAREST_MAX);
    near.into_iter().map(|(.., word)| word).collect()
}

/// The end of a sentence that says a word is wrong.
pub(crate) fn offer(nearest: &[&str]) -> String {
    match nearest {
        [] => String::new(),
        words => format!(" (perhaps {})", words.join(" or ")),
    }
}

/// Reads the 11 bits from bit `at`, the most significant first.
pub(crate) fn bits(packed: &[u8], at: usize) -> usize {
    (at..at + WORD_BITS).fold(0, |value, i| {
        value << 1 | usize::from(packed[i / 8] >> (7 - i % 8) & 1)
    })
}

/// Writes 11 bits at bit `at` of a field of zeros.
pub(crate) fn put_bits(packed: &mut [u8], at: usize, value: usize) {
    for i in 0..WORD_BITS {
        let bit = (value >> (WORD_BITS - 1 - i) & 1) as u8;
        packed[(at + i) / 8] |= bit << (7 - (at + i) % 8);
    }
}

/// Splits what a person typed into words: lower case, without numbering, blanks and commas.
pub(crate) fn words_of(lower_case: &str) -> impl Iterator<Item = &str> {
    lower_case
        .split(|c: char| c.is_whitespace() || ",;.:-_()".contains(c))
        .map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
}

/// Letters to insert, drop, replace or swap with a neighbour to get from one text to the other
/// (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j - 1] + changed)
                .min(rows[i - 1][j] + 1)
                .min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

/// Splits the file into its lines while the program is compiled.
const fn split(text: &'static str) -> [&'static str; WORDS] {
    let mut out = [""; WORDS];
    let (mut rest, mut number) = (text, 0);
    while number < WORDS {
        let mut end = 0;
        while rest.as_bytes()[end] != b'\n' {
            end += 1;
        }
        let (word, after) = rest.split_at(end);
        out[number] = word;
        rest = after.split_at(1).1;
        number += 1;
    }
    assert!(rest.is_empty(), "the list has more words than it should");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_list_is_the_published_one() {
        let hash = Sha256::digest(include_bytes!("../words/english.txt"));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hash,
            "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
        );
    }

    #[test]
    fn four_letters_name_every_word_and_no_other() {
        assert!(LIST.is_sorted());
        for (number, word) in LIST.iter().enumerate() {
            assert_eq!(find(word), Some(number));
            for len in PREFIX_LETTERS..word.len() {
                assert_eq!(find(&word[..len]), Some(number), "{word}");
            }
        }
        assert_eq!(find("zeb"), None, "three letters are too few");
        assert_eq!(find("abandonment"), None);
        assert_eq!(find(""), None);
        assert_eq!(find("zzzz"), None);
    }

    #[test]
    fn a_slip_of_the_finger_is_set_right() {
        assert_eq!(nearest("abadnon"), ["abandon"]);
        assert_eq!(nearest("zoom")[0], "zoo");
        assert_eq!(nearest("brigde")[0], "bridge");
        assert!(nearest("qqqqqqqq").is_empty());
        assert!(nearest(&"a".repeat(1000)).is_empty());
    }

    #[test]
    fn numbering_blanks_and_commas_are_passed_over() {
        let typed = "1. zoo,\n2) wrong\t 3abandon - (about)";
        assert!(words_of(typed).eq(["zoo", "wrong", "abandon", "about"]));
    }
}
