//! Paths that rights are given on: `/`, `/collection`, `/collection/document/field/...`.
//!
//! Owns their form, so that each subtree has one name, and what lies below what. It does not know
//! what stands at a path.

use std::fmt;

use stead_base::limits::PATH_DEPTH_MAX;
use stead_base::{DecodeError, DecodeFault, Decoder, Encoder};

/// Longest path of a right, in bytes of UTF-8.
pub const PATH_BYTES_MAX: usize = 4096;

/// Why text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`, ends with one, or has two in a row.
    #[error("a path is / or looks like /collection/document/field")]
    Form,
    /// Above [`PATH_BYTES_MAX`] bytes.
    #[error("a path of {len} bytes is longer than {PATH_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Below more parts than a collection, a document and [`PATH_DEPTH_MAX`] fields.
    #[error("a path has at most {} parts", PATH_DEPTH_MAX + 2)]
    TooDeep,
}

/// A place in a space; a right on it covers everything below it.
///
/// Parts are separated by `/`; inside a part `~1` stands for `/` and `~0` for `~` (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Box<str>);

impl Path {
    /// The whole space.
    pub fn whole_space() -> Self {
        Self("/".into())
    }

    /// Checks and takes a path.
    pub fn new(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong { len: text.len() });
        }
        let Some(parts) = text.strip_prefix('/') else {
            return Err(PathError::Form);
        };
        if !parts.is_empty() && parts.split('/').any(str::is_empty) {
            return Err(PathError::Form);
        }
        if parts.split('/').count() > PATH_DEPTH_MAX + 2 {
            return Err(PathError::TooDeep);
        }
        Ok(Self(text.into()))
    }

    /// The path made of these parts, which may hold any character.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<Self, PathError> {
        let mut text = String::new();
        for part in parts {
            text.push('/');
            text.push_str(&part.replace('~', "~0").replace('/', "~1"));
        }
        if text.is_empty() {
            text.push('/');
        }
        Self::new(&text)
    }

    /// The path's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts, from the outermost on, as they are called; none for the whole space.
    pub fn parts(&self) -> impl Iterator<Item = String> {
        let parts = self.0.split('/').filter(|part| !part.is_empty());
        parts.map(|part| part.replace("~1", "/").replace("~0", "~"))
    }

    /// Whether this is the whole space.
    pub fn is_whole_space(&self) -> bool {
        &*self.0 == "/"
    }

    /// Whether `other` is this path or lies below it.
    pub fn covers(&self, other: &Self) -> bool {
        let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.is_whole_space() || other.0.strip_prefix(&*self.0).is_some_and(below)
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.text(&self.0);
    }

    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let undefined = input.error("path", DecodeFault::Undefined);
        Self::new(input.text(PATH_BYTES_MAX, "path")?).map_err(|_| undefined)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_covers_what_is_below_it_and_not_what_begins_alike() {
        let path = |text| Path::new(text).unwrap();
        assert!(path("/").covers(&path("/notes")));
        assert!(path("/notes").covers(&path("/notes")));
        assert!(path("/notes").covers(&path("/notes/7/title")));
        assert!(!path("/notes").covers(&path("/notes2")));
        assert!(!path("/notes").covers(&path("/")));
        assert!(!path("/notes/7").covers(&path("/notes")));
    }

    #[test]
    fn a_place_has_one_name() {
        for text in ["", "notes", "/notes/", "//", "/a//b"] {
            assert_eq!(Path::new(text), Err(PathError::Form));
        }
        assert_eq!(Path::of([]), Ok(Path::whole_space()));
        assert_eq!(Path::of(["a/b", "~"]).unwrap().as_str(), "/a~1b/~0");
        let parts: Vec<String> = Path::of(["a/b", "~1"]).unwrap().parts().collect();
        assert_eq!(parts, ["a/b", "~1"]);
        let deep = "/a".repeat(PATH_DEPTH_MAX + 2);
        assert!(Path::new(&deep).is_ok());
        assert_eq!(Path::new(&format!("{deep}/a")), Err(PathError::TooDeep));
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        assert_eq!(Path::new(&long), Err(PathError::TooLong { len: 4097 }));
    }
}
