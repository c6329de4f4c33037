//! Scalar types and their rules. Owns what one value must be; what holds values is a [`Kind`].
//!
//! [`Kind`]: crate::Kind

use std::fmt;

use serde_json::Value;

use crate::limits::PATTERN_BYTES_MAX;

/// Largest compiled pattern, in bytes.
const PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Bytes of a date-time: `2026-11-27T02:37:59.000Z`.
const DATE_TIME_BYTES: usize = 24;

/// The least and the greatest that is allowed; nothing where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds<T> {
    /// The least.
    pub min: Option<T>,
    /// The greatest.
    pub max: Option<T>,
}

impl<T> Default for Bounds<T> {
    fn default() -> Self {
        Self {
            min: None,
            max: None,
        }
    }
}

impl<T: PartialOrd + Copy + fmt::Display> Bounds<T> {
    /// Whether a value lies inside.
    pub fn holds(&self, value: T) -> bool {
        self.min.is_none_or(|min| min <= value) && self.max.is_none_or(|max| value <= max)
    }

    /// Whether something can lie inside.
    pub(crate) fn is_possible(&self) -> bool {
        match (self.min, self.max) {
            (Some(min), Some(max)) => min <= max,
            _ => true,
        }
    }

    /// The words for it: ` of 1 to 9`; nothing when there is no limit.
    fn words(&self) -> String {
        match (self.min, self.max) {
            (None, None) => String::new(),
            (Some(min), None) => format!(" of at least {min}"),
            (None, Some(max)) => format!(" of at most {max}"),
            (Some(min), Some(max)) if min == max => format!(" of {min}"),
            (Some(min), Some(max)) => format!(" of {min} to {max}"),
        }
    }
}

/// A regular expression that a whole text must match.
///
/// Matching takes time that grows with the text times the pattern, never more.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    compiled: regex_lite::Regex,
}

impl Pattern {
    /// Compiles a pattern. The error says in words what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!(
                "a pattern has at most {PATTERN_BYTES_MAX} bytes, this one has {}",
                text.len()
            ));
        }
        let compiled = regex_lite::RegexBuilder::new(&format!("^(?:{text})$"))
            .size_limit(PATTERN_PROGRAM_BYTES_MAX)
            .build()
            .map_err(|error| format!("pattern {text:?}: {error}"))?;
        Ok(Self {
            text: text.to_owned(),
            compiled,
        })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

/// What one value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A truth value.
    Bool,
    /// A 64-bit integer.
    Int(Bounds<i64>),
    /// A finite number. A whole one may be written without a fraction.
    Float(Bounds<f64>),
    /// Text.
    String {
        /// How many characters.
        length: Bounds<u64>,
        /// What the whole text must match.
        pattern: Option<Pattern>,
    },
    /// Bytes as text: base64 with padding (RFC 4648, section 4).
    Bytes {
        /// How many bytes.
        length: Bounds<u64>,
    },
    /// A moment in UTC with milliseconds, `2026-11-27T02:37:59.000Z`: one form, so that texts sort like times.
    DateTime,
    /// One of these texts.
    Enum(Vec<String>),
    /// A blob, by the hash of its content: 64 hexadecimal digits.
    Blob,
    /// Another document: its id if the collection is named here, `collection/id` otherwise.
    Ref(Option<String>),
}

impl Scalar {
    /// What is needed, in words.
    pub fn expected(&self) -> String {
        match self {
            Self::Bool => "a truth value".to_owned(),
            Self::Int(range) => format!("an integer{}", range.words()),
            Self::Float(range) => format!("a number{}", range.words()),
            Self::String {
                length,
                pattern: None,
            } => match length.words() {
                words if words.is_empty() => "text".to_owned(),
                words => format!("text{words} characters"),
            },
            Self::String {
                length,
                pattern: Some(pattern),
            } => format!(
                "text{} that matches {:?}",
                match length.words() {
                    words if words.is_empty() => words,
                    words => format!("{words} characters"),
                },
                pattern.as_str()
            ),
            Self::Bytes { length } => match length.words() {
                words if words.is_empty() => "bytes in base64".to_owned(),
                words => format!("base64{words} bytes"),
            },
            Self::DateTime => {
                "a date-time such as 2026-11-27T02:37:59.000Z, in UTC with milliseconds".to_owned()
            }
            Self::Enum(values) => {
                let shown: Vec<&str> = values.iter().take(12).map(String::as_str).collect();
                let more = if values.len() > shown.len() {
                    ", …"
                } else {
                    ""
                };
                format!("one of {}{more}", shown.join(", "))
            }
            Self::Blob => "the hash of a blob, 64 hexadecimal digits".to_owned(),
            Self::Ref(Some(to)) => format!("the id of a document in {to:?}"),
            Self::Ref(None) => "a document such as collection/id".to_owned(),
        }
    }

    /// Whether a JSON value is one of these.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool, Value::Bool(_)) => true,
            (Self::Int(range), Value::Number(number)) => {
                number.as_i64().is_some_and(|int| range.holds(int))
            }
            (Self::Float(range), Value::Number(number)) => {
                number.as_f64().is_some_and(|float| range.holds(float))
            }
            (_, Value::String(text)) => self.holds_text(text),
            _ => false,
        }
    }

    fn holds_text(&self, text: &str) -> bool {
        match self {
            Self::String { length, pattern } => {
                (*length == Bounds::default() || length.holds(text.chars().count() as u64))
                    && pattern
                        .as_ref()
                        .is_none_or(|pattern| pattern.compiled.is_match(text))
            }
            Self::Bytes { length } => {
                base64_len(text).is_some_and(|bytes| length.holds(bytes as u64))
            }
            Self::DateTime => is_date_time(text),
            Self::Enum(values) => values.iter().any(|value| value == text),
            Self::Blob => {
                text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            }
            Self::Ref(Some(_)) => stead_base::DocId::parse(text).is_ok(),
            Self::Ref(None) => text.split_once('/').is_some_and(|(collection, id)| {
                stead_doc::check_collection(collection).is_ok()
                    && stead_base::DocId::parse(id).is_ok()
            }),
            Self::Bool | Self::Int(_) | Self::Float(_) => false,
        }
    }

    /// Whether both are of one type, whatever their rules.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// What is wrong with the rules themselves, in words.
    pub(crate) fn fault(&self) -> Option<String> {
        let possible = match self {
            Self::Int(range) => range.is_possible(),
            Self::Float(range) => range.is_possible(),
            Self::String { length, .. } | Self::Bytes { length } => length.is_possible(),
            _ => true,
        };
        if !possible {
            return Some(format!("nothing can be {}", self.expected()));
        }
        match self {
            Self::Enum(values) if values.is_empty() => Some("an enum needs values".to_owned()),
            Self::Enum(values) if values.len() > crate::limits::VALUES_MAX => Some(format!(
                "an enum has at most {} values",
                crate::limits::VALUES_MAX
            )),
            Self::Enum(values) => {
                let mut sorted: Vec<&String> = values.iter().collect();
                sorted.sort_unstable();
                let twice = sorted.windows(2).find(|pair| pair[0] == pair[1])?;
                Some(format!("the enum names {:?} twice", twice[0]))
            }
            Self::Ref(Some(to)) => stead_doc::check_collection(to)
                .err()
                .map(|error| format!("collection {to:?}: {error}")),
            _ => None,
        }
    }
}

/// How a value is named in a refusal.
pub(crate) fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => format!("the truth value {truth}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => match text.char_indices().nth(40) {
            Some((end, _)) => format!("the text {:?}…", &text[..end]),
            None => format!("the text {text:?}"),
        },
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// Bytes that base64 text stands for; `None` if it is none.
fn base64_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let padding = bytes
        .iter()
        .rev()
        .take(2)
        .take_while(|b| **b == b'=')
        .count();
    let digits = &bytes[..bytes.len() - padding];
    let value = |byte: &u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    if !digits.iter().all(|byte| value(byte).is_some()) {
        return None;
    }
    // The bits that padding leaves over are zero: one text for the same bytes.
    let spare = [0, 0b11, 0b1111][padding];
    if digits
        .last()
        .and_then(value)
        .is_some_and(|last| last & spare != 0)
    {
        return None;
    }
    Some(bytes.len() / 4 * 3 - padding)
}

fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let marks = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
        (23, b'Z'),
    ];
    if bytes.len() != DATE_TIME_BYTES || marks.iter().any(|&(at, mark)| bytes[at] != mark) {
        return false;
    }
    let digits = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0u32, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + u32::from(byte - b'0'))
        })
    };
    let parts = [
        (0, 4),
        (5, 7),
        (8, 10),
        (11, 13),
        (14, 16),
        (17, 19),
        (20, 23),
    ];
    let Some(parts) = parts
        .iter()
        .map(|&(from, to)| digits(from, to))
        .collect::<Option<Vec<u32>>>()
    else {
        return false;
    };
    let [year, month, day, hour, minute, second, _] = parts[..] else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_date_time_has_one_form_and_exists() {
        for text in ["2026-11-27T02:37:59.000Z", "2024-02-29T23:59:59.999Z"] {
            assert!(Scalar::DateTime.holds(&json!(text)), "{text}");
        }
        for text in [
            "2026-11-27",
            "2026-11-27T02:37:59Z",
            "2026-11-27T02:37:59.000+01:00",
            "2023-02-29T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:00:0x.000Z",
        ] {
            assert!(!Scalar::DateTime.holds(&json!(text)), "{text}");
        }
    }

    #[test]
    fn base64_has_one_form_and_its_length_is_that_of_the_bytes() {
        for (text, len) in [
            ("", 0),
            ("AA==", 1),
            ("AAA=", 2),
            ("AAAA", 3),
            ("+/+/AA==", 7),
        ] {
            let found = base64_len(text);
            assert_eq!(found, Some(if len == 7 { 4 } else { len }), "{text}");
        }
        for text in ["A", "AB==", "AAB=", "A===", "AA=A", "AA-_"] {
            assert_eq!(base64_len(text), None, "{text}");
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_text() {
        let scalar = Scalar::String {
            length: Bounds::default(),
            pattern: Some(Pattern::new("[a-z]+|[0-9]+").unwrap()),
        };
        assert!(scalar.holds(&json!("abc")));
        assert!(scalar.holds(&json!("12")));
        assert!(!scalar.holds(&json!("abc1")));
        assert!(!scalar.holds(&json!("12a")));
    }

    #[test]
    fn patterns_beyond_their_limits_are_refused() {
        assert!(Pattern::new(&"a".repeat(PATTERN_BYTES_MAX)).is_ok());
        assert!(Pattern::new(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
        assert!(Pattern::new("(").is_err());
        assert!(Pattern::new("(((a{1000}){1000}){1000})").is_err());
    }

    #[test]
    fn lengths_count_characters_and_ranges_include_their_ends() {
        let text = Scalar::String {
            length: Bounds {
                min: Some(2),
                max: Some(3),
            },
            pattern: None,
        };
        assert!(text.holds(&json!("éé")));
        assert!(!text.holds(&json!("é")));
        let int = Scalar::Int(Bounds {
            min: Some(-1),
            max: Some(1),
        });
        assert!(int.holds(&json!(1)) && int.holds(&json!(-1)));
        assert!(!int.holds(&json!(2)) && !int.holds(&json!(1.0)));
        assert_eq!(int.expected(), "an integer of -1 to 1");
    }
}
