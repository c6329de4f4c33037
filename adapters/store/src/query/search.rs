//! What a person types to search texts: words, "phrases", beginnings*, -without. It always reads as
//! something; nothing of it reaches SQLite's own search language unquoted.

use std::fmt;
use std::str::FromStr;

use super::QueryError;

/// Most words and phrases in one search.
pub const SEARCH_WORDS_MAX: usize = 32;

/// A search, read: all words must stand in the texts of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchText {
    wanted: Vec<Piece>,
    without: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    text: String,
    prefix: bool,
}

impl FromStr for SearchText {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let (mut wanted, mut without) = (Vec::new(), Vec::new());
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let negated = rest.starts_with('-');
            rest = rest.strip_prefix('-').unwrap_or(rest);
            let (piece, behind) = match rest.strip_prefix('"') {
                Some(phrase) => phrase.split_once('"').unwrap_or((phrase, "")),
                None => match rest.find(char::is_whitespace) {
                    Some(at) => rest.split_at(at),
                    None => (rest, ""),
                },
            };
            let behind_star = behind.strip_prefix('*');
            let (piece, prefix) = match piece.strip_suffix('*') {
                Some(start) => (start, true),
                None => (piece, behind_star.is_some()),
            };
            // A piece without a letter or digit has no word for SQLite to look for.
            if piece.chars().any(char::is_alphanumeric) {
                let piece = Piece {
                    text: piece.to_owned(),
                    prefix,
                };
                match negated {
                    true => without.push(piece),
                    false => wanted.push(piece),
                }
            }
            rest = behind_star.unwrap_or(behind).trim_start();
        }
        if wanted.len() + without.len() > SEARCH_WORDS_MAX {
            return Err(QueryError::ManyWords);
        }
        match wanted.is_empty() {
            true => Err(QueryError::NoWords),
            false => Ok(Self { wanted, without }),
        }
    }
}

impl SearchText {
    /// In SQLite's search language, every piece quoted.
    pub(super) fn to_match(&self) -> String {
        let join = |pieces: &[Piece], with: &str| {
            let quoted: Vec<String> = pieces.iter().map(Piece::quoted).collect();
            quoted.join(with)
        };
        let wanted = join(&self.wanted, " AND ");
        match self.without.is_empty() {
            true => wanted,
            false => format!("({wanted}) NOT ({})", join(&self.without, " OR ")),
        }
    }
}

impl Piece {
    fn quoted(&self) -> String {
        // SQLite ends a text at a zero byte.
        let text: String = self.text.chars().filter(|c| *c != '\0').collect();
        let star = if self.prefix { "*" } else { "" };
        format!("\"{}\"{star}", text.replace('"', "\"\""))
    }
}

impl fmt::Display for SearchText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_match())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_phrases_beginnings_and_exclusions_are_read() {
        let read = |text: &str| text.parse::<SearchText>().map(|search| search.to_match());
        assert_eq!(read("sea  wind").as_deref(), Ok("\"sea\" AND \"wind\""));
        assert_eq!(
            read("\"open sea\" win*").as_deref(),
            Ok("\"open sea\" AND \"win\"*")
        );
        assert_eq!(
            read("sea -\"dead sea\" -salt").as_deref(),
            Ok("(\"sea\") NOT (\"dead sea\" OR \"salt\")")
        );
        assert_eq!(
            read("NEAR(a) OR \"x").as_deref(),
            Ok("\"NEAR(a)\" AND \"OR\" AND \"x\"")
        );
        assert_eq!(read(" -- * "), Err(QueryError::NoWords));
        assert_eq!(read("-only"), Err(QueryError::NoWords));
        assert_eq!(
            read(&"a ".repeat(SEARCH_WORDS_MAX + 1)),
            Err(QueryError::ManyWords)
        );
    }
}
