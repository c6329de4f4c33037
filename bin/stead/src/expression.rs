//! Conditions as one expression: `region = "Europe" and (area > 1000 or not landlocked)`.

use std::str::FromStr;

use serde_json::Value;
use stead_api::{Filter, Predicate, Where};

use crate::query::{path_of, value_of};

/// How deep brackets may be nested.
const DEPTH_MAX: usize = 32;

/// A whole expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FilterArg(pub(crate) Where);

impl FromStr for FilterArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = Reader {
            tokens: tokens(text)?,
            at: 0,
        };
        let filter = reader.any(0)?;
        match reader.next() {
            None => Ok(Self(filter)),
            Some(token) => Err(format!(
                "there is {} where the expression should end",
                token.shown()
            )),
        }
    }
}

/// Where a value goes on as an expression, if it does: behind it stand `and` or `or` and what can only be meant as a
/// comparison with a sign. A value in quotes is none that goes on, and neither is `Trinidad and Tobago`.
pub(crate) fn goes_on(value: &str) -> Option<&str> {
    // What is JSON as a whole was meant so.
    if serde_json::from_str::<Value>(value).is_ok() {
        return None;
    }
    let words = value.match_indices(char::is_whitespace);
    let mut places = words.map(|(at, _)| value[at..].trim_start());
    places.find(|rest| {
        let joined = rest.split_once(char::is_whitespace);
        let behind = joined.filter(|(word, _)| {
            word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or")
        });
        behind.is_some_and(|(_, behind)| is_comparing(behind))
    })
}

/// Whether a text is an expression that begins with a comparison of a field with a value.
fn is_comparing(text: &str) -> bool {
    let Ok(tokens) = tokens(text) else {
        return false;
    };
    let opening = |token: &&Token| {
        matches!(token, Token::Sign("(" | "!"))
            || matches!(token, Token::Word(word) if word == "not")
    };
    let mut rest = tokens.iter().skip_while(opening);
    let compares = matches!(rest.next(), Some(Token::Word(_)))
        && matches!(
            rest.next(),
            Some(Token::Sign(
                "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "^="
            ))
        );
    compares && text.parse::<FilterArg>().is_ok()
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A field, a value or a word such as `and`.
    Word(String),
    /// A text in double quotes.
    Text(String),
    /// `=`, `->`, `(` ...
    Sign(&'static str),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(word) => format!("{word:?}"),
            Self::Text(text) => format!("the text {text:?}"),
            Self::Sign(sign) => format!("{sign:?}"),
        }
    }
}

/// Longer signs stand before the ones they start with.
const SIGNS: &[&str] = &[
    "->", "!=", "<=", ">=", "^=", "=", "<", ">", "~", "(", ")", ",", "!",
];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            // A JSON text, with its escapes.
            let mut read = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let text = match read.next() {
                Some(Ok(text)) => text,
                _ => {
                    return Err("a text is not closed, or not written as JSON writes it".to_owned());
                }
            };
            rest = &rest[read.byte_offset()..];
            found.push(Token::Text(text));
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            rest = &rest[sign.len()..];
            found.push(Token::Sign(sign));
        } else {
            let ends = |(at, c): (usize, char)| {
                let sign = SIGNS.iter().any(|sign| rest[at..].starts_with(*sign));
                (c.is_whitespace() || c == '"' || sign).then_some(at)
            };
            let end = rest.char_indices().find_map(ends).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is =
            matches!(self.peek(), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        self.at += usize::from(is);
        is
    }

    fn takes(&mut self, sign: &'static str) -> bool {
        let is = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        match self.takes(sign) {
            true => Ok(()),
            false => Err(format!("there should be a {sign:?} {}", self.place())),
        }
    }

    fn place(&self) -> String {
        match self.peek() {
            Some(token) => format!("before {}", token.shown()),
            None => "at the end".to_owned(),
        }
    }

    fn any(&mut self, depth: usize) -> Result<Where, String> {
        if depth > DEPTH_MAX {
            return Err(format!("brackets are nested more than {DEPTH_MAX} deep"));
        }
        let mut any = vec![self.all(depth)?];
        while self.takes_word("or") {
            any.push(self.all(depth)?);
        }
        match any.len() {
            1 => Ok(any.remove(0)),
            _ => Ok(Where::Any { any }),
        }
    }

    fn all(&mut self, depth: usize) -> Result<Where, String> {
        let mut all = vec![self.one(depth)?];
        while self.takes_word("and") {
            all.push(self.one(depth)?);
        }
        match all.len() {
            1 => Ok(all.remove(0)),
            _ => Ok(Where::All { all }),
        }
    }

    fn one(&mut self, depth: usize) -> Result<Where, String> {
        if depth > DEPTH_MAX {
            return Err(format!("brackets are nested more than {DEPTH_MAX} deep"));
        }
        if self.takes("!") || self.takes_word("not") {
            let not = Box::new(self.one(depth + 1)?);
            return Ok(Where::Not { not });
        }
        if self.takes("(") {
            let inner = self.any(depth + 1)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let field = match self.next() {
            Some(Token::Word(word)) => word,
            Some(token) => {
                return Err(format!(
                    "there is {} where a field should be named",
                    token.shown()
                ));
            }
            None => return Err("a field should be named at the end".to_owned()),
        };
        let path = path_of(&field).ok_or_else(|| format!("{field:?} is no field"))?;
        if self.takes("->") {
            let to = match self.next() {
                Some(Token::Word(word) | Token::Text(word)) => word,
                _ => {
                    return Err(format!(
                        "behind {field} -> there should be a collection's name"
                    ));
                }
            };
            let mut filters = Vec::new();
            if self.takes("(") {
                filters.push(self.any(depth + 1)?);
                self.expect(")")?;
            }
            return Ok(Where::Refers {
                refers: path,
                to,
                filters,
            });
        }
        let sign = match self.peek() {
            Some(Token::Sign(sign)) => *sign,
            _ => "",
        };
        let compare = match sign {
            "=" => Some(Predicate::Eq),
            "!=" => Some(Predicate::Ne),
            "<" => Some(Predicate::Lt),
            "<=" => Some(Predicate::Le),
            ">" => Some(Predicate::Gt),
            ">=" => Some(Predicate::Ge),
            "~" => Some(Predicate::Contains),
            "^=" => Some(Predicate::Prefix),
            _ => None,
        };
        let (is, value) = if let Some(is) = compare {
            self.at += 1;
            (is, self.value(&field)?)
        } else if self.takes_word("in") {
            self.expect("(")?;
            let mut values = vec![self.value(&field)?];
            while self.takes(",") {
                values.push(self.value(&field)?);
            }
            self.expect(")")?;
            (Predicate::In, Value::Array(values))
        } else if self.takes_word("between") {
            let least = self.value(&field)?;
            if !self.takes_word("and") {
                return Err(format!("write {field} between LEAST and GREATEST"));
            }
            let greatest = self.value(&field)?;
            (Predicate::Between, Value::Array(vec![least, greatest]))
        } else if self.takes_word("is") {
            match (self.takes_word("missing"), self.takes_word("null")) {
                (true, _) => (Predicate::Missing, Value::Null),
                (_, true) => (Predicate::Eq, Value::Null),
                _ => return Err(format!("write {field} is missing, or {field} is null")),
            }
        } else {
            (Predicate::Exists, Value::Null)
        };
        Ok(Where::Is(Filter { path, is, value }))
    }

    fn value(&mut self, field: &str) -> Result<Value, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text.into()),
            Some(Token::Word(word)) => Ok(value_of(&word)),
            Some(token) => Err(format!(
                "there is {} where {field} should be compared with a value",
                token.shown()
            )),
            None => Err(format!(
                "{field} should be compared with a value at the end"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// What an expression is made of, in any order.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(SIGNS).prop_map(str::to_owned),
            prop::sample::select(
                &[
                    "and", "or", "not", "in", "is", "between", "missing", "a", "b.c", "1.5", "null"
                ][..]
            )
            .prop_map(str::to_owned),
            ".{0,4}",
        ];
        let gap = prop::sample::select(&["", " "][..]);
        prop::collection::vec((piece, gap), 0..24)
            .prop_map(|pieces| pieces.into_iter().map(|(piece, gap)| piece + gap).collect())
    }

    proptest! {
        #[test]
        fn any_text_is_an_expression_or_an_error_that_says_something(text in pieces()) {
            match text.parse::<FilterArg>() {
                Ok(FilterArg(filter)) => {
                    let sent = serde_json::to_string(&filter).unwrap();
                    prop_assert_eq!(serde_json::from_str::<Where>(&sent).unwrap(), filter);
                }
                Err(error) => prop_assert!(!error.is_empty()),
            }
        }
    }

    fn read(text: &str) -> Value {
        let FilterArg(filter) = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        serde_json::to_value(filter).unwrap()
    }

    #[test]
    fn and_binds_closer_than_or_and_brackets_closer_than_both() {
        let is = |field: &str| json!({"path": [field], "is": "exists", "value": null});
        assert_eq!(
            read("a or b and c"),
            json!({"any": [is("a"), {"all": [is("b"), is("c")]}]})
        );
        assert_eq!(
            read("(a or b) and not c"),
            json!({"all": [{"any": [is("a"), is("b")]}, {"not": is("c")}]})
        );
        assert_eq!(read("!(a)"), json!({"not": is("a")}));
    }

    #[test]
    fn comparisons_read_as_people_write_them() {
        let is = |text: &str| {
            let read = read(text);
            (
                read["path"].clone(),
                read["is"].clone(),
                read["value"].clone(),
            )
        };
        assert_eq!(
            is("name.common=\"a and (b\""),
            (json!(["name", "common"]), json!("eq"), json!("a and (b"))
        );
        assert_eq!(is("area>=1.5"), (json!(["area"]), json!("ge"), json!(1.5)));
        assert_eq!(
            is("x in (1, \"two\",three)"),
            (json!(["x"]), json!("in"), json!([1, "two", "three"]))
        );
        assert_eq!(
            is("x between 1 and 5"),
            (json!(["x"]), json!("between"), json!([1, 5]))
        );
        assert_eq!(
            is("x is missing"),
            (json!(["x"]), json!("missing"), json!(null))
        );
        assert_eq!(is("x ^= ab"), (json!(["x"]), json!("prefix"), json!("ab")));
        assert_eq!(
            read("author -> people (born < 1900 or name ~ a)")["where"][0]["any"][0]["is"],
            json!("lt")
        );
    }

    #[test]
    fn what_is_no_expression_is_said() {
        for wrong in [
            "",
            "=",
            "a =",
            "a = 1 b",
            "(a",
            "a)",
            "a in ()",
            "a in (1",
            "\"a\"",
            "a between 1",
            "x = \"open",
            "a ->",
            "a and",
            &"(".repeat(1000),
            &"! ".repeat(1000),
        ] {
            let error = wrong.parse::<FilterArg>().expect_err(wrong);
            assert!(!error.is_empty());
        }
    }
}
