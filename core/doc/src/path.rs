//! Names and paths: which names a field may have, and how a path inside a document is written.
//!
//! The text of a path is its names joined by dots: `address.street`. A name that has a dot, a quote
//! or a backslash in it is written as a JSON string: `routes."a.b".hops`.

use std::fmt;

use stead_base::limits::{NAME_BYTES_MAX, PATH_DEPTH_MAX};

/// Joins the names of a path in memory. It sorts before every character a name may have, so that
/// paths sort name by name, and an ancestor before what is below it.
pub(crate) const SEPARATOR: char = '\0';

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or more than [`NAME_BYTES_MAX`] bytes.
    #[error("a name has 1 to {NAME_BYTES_MAX} bytes, this one has {len}")]
    Length {
        /// Bytes found.
        len: usize,
    },
    /// A control character, or a `/` in the name of a collection.
    #[error("a name has no {character:?} in it")]
    Character {
        /// The first one refused.
        character: char,
    },
}

/// Checks the name of a field: 1 to [`NAME_BYTES_MAX`] bytes and no control characters.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(NameError::Length { len: name.len() });
    }
    if name.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Ok(());
    }
    match name.chars().find(|c| c.is_control()) {
        Some(character) => Err(NameError::Character { character }),
        None => Ok(()),
    }
}

/// Checks the name of a collection: as a field's, and without `/`.
pub fn check_collection(name: &str) -> Result<(), NameError> {
    check_name(name)?;
    if name.contains('/') {
        return Err(NameError::Character { character: '/' });
    }
    Ok(())
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// One of its names is refused.
    #[error("path {path:?}: {source}")]
    Name {
        /// The text.
        path: String,
        /// What is wrong with the name.
        source: NameError,
    },
    /// A quoted name that does not end, or text right after one.
    #[error("path {path:?}: expected a dot or the end after a quoted name")]
    Quote {
        /// The text.
        path: String,
    },
    /// More than [`PATH_DEPTH_MAX`] names.
    #[error("path {path:?} has {depth} names, at most {PATH_DEPTH_MAX} are allowed")]
    TooDeep {
        /// The text.
        path: String,
        /// Names found.
        depth: usize,
    },
}

/// The place of a field in a document: 1 to [`PATH_DEPTH_MAX`] checked names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    joined: String,
}

impl Path {
    /// Reads the dotted text of a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = next_name(rest).ok_or_else(|| PathError::Quote {
                path: text.to_owned(),
            })?;
            names.push(name);
            match after {
                None => break,
                Some(after) => rest = after,
            }
        }
        Self::from_names(names.iter().map(String::as_str))
    }

    /// Joins names.
    pub fn from_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, PathError> {
        let mut joined = String::new();
        let mut depth = 0;
        let mut fault = None;
        for name in names {
            fault = fault.or(check_name(name).err());
            if depth > 0 {
                joined.push(SEPARATOR);
            }
            joined.push_str(name);
            depth += 1;
        }
        if depth == 0 {
            fault = Some(NameError::Length { len: 0 });
        }
        let path = || PathRef(&joined).to_string();
        if let Some(source) = fault {
            return Err(PathError::Name {
                path: path(),
                source,
            });
        }
        if depth > PATH_DEPTH_MAX {
            return Err(PathError::TooDeep {
                path: path(),
                depth,
            });
        }
        Ok(Self { joined })
    }

    /// Borrows the path.
    pub fn as_ref(&self) -> PathRef<'_> {
        PathRef(&self.joined)
    }
}

/// Splits off the first name; the second part is what follows its dot.
fn next_name(text: &str) -> Option<(String, Option<&str>)> {
    if !text.starts_with('"') {
        return Some(match text.split_once('.') {
            Some((name, rest)) => (name.to_owned(), Some(rest)),
            None => (text.to_owned(), None),
        });
    }
    let mut escaped = false;
    let end = text[1..].find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })? + 2;
    let name = serde_json::from_str(&text[..end]).ok()?;
    match text[end..].strip_prefix('.') {
        Some(rest) => Some((name, Some(rest))),
        None if text.len() == end => Some((name, None)),
        None => None,
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// A borrowed path; empty for the document itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathRef<'a>(pub(crate) &'a str);

impl<'a> PathRef<'a> {
    /// The document itself.
    pub const ROOT: Self = Self("");

    /// Whether this is the document itself.
    pub fn is_root(self) -> bool {
        self.0.is_empty()
    }

    /// The names from the root down.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        let skip = usize::from(self.is_root());
        self.0.split(SEPARATOR).skip(skip)
    }

    /// Copies the path; `None` for the document itself.
    pub fn to_path(self) -> Option<Path> {
        (!self.is_root()).then(|| Path {
            joined: self.0.to_owned(),
        })
    }
}

impl fmt::Display for PathRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            if name.is_empty() || name.contains(['.', '"', '\\']) {
                write!(f, "{}", serde_json::Value::from(name))?;
            } else {
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_text_of_a_path_reads_back(names in prop::collection::vec(r#"[a-z."\\é /]{1,6}"#, 1..5)) {
            let path = Path::from_names(names.iter().map(String::as_str)).unwrap();
            prop_assert_eq!(Path::parse(&path.to_string()), Ok(path.clone()));
            prop_assert!(path.as_ref().names().eq(names.iter().map(String::as_str)));
        }

        #[test]
        fn any_text_is_a_path_or_refused(text in ".{0,40}") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
            }
        }
    }

    #[test]
    fn names_and_depth_beyond_the_limits_are_refused() {
        assert!(Path::parse(&"x".repeat(NAME_BYTES_MAX)).is_ok());
        assert!(Path::parse(&"x".repeat(NAME_BYTES_MAX + 1)).is_err());
        assert!(Path::parse(&vec!["x"; PATH_DEPTH_MAX].join(".")).is_ok());
        assert!(matches!(
            Path::parse(&vec!["x"; PATH_DEPTH_MAX + 1].join(".")),
            Err(PathError::TooDeep { depth: 33, .. })
        ));
        for text in ["", "a..b", ".a", "a.", "\"a", "\"a\"b", "a\nb"] {
            assert!(Path::parse(text).is_err(), "{text:?}");
        }
    }
}
