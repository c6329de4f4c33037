//! One revision of a collection's schema: what it is made from, its lenses, and its identity.

use std::fmt;
use std::str::FromStr;

use stead_base::Hash;

use crate::codec;
use crate::error::SchemaError;
use crate::lens::Lens;
use crate::limits::{INDEX_FIELDS_MAX, INDEXES_MAX, LENSES_MAX, REVISION_BYTES_MAX};

/// Separates the hash of a revision from every other hash.
const ID_CONTEXT: &str = "stead/schema/revision/1";

/// The hash of a revision's encoding: the same revision made on two devices is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionId(Hash);

impl RevisionId {
    /// Takes the 32 bytes as they are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Hash::from_bytes(bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The first eight hexadecimal digits, for people's eyes.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevisionId({})", self.0.short())
    }
}

impl FromStr for RevisionId {
    type Err = stead_base::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// One field of an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexField {
    /// The names that lead to it, as the revision names them.
    pub path: Vec<String>,
    /// Greatest first.
    pub descending: bool,
}

/// The fields of one index, the most telling first.
pub type Index = Vec<IndexField>;

/// One revision of a collection's schema.
///
/// The first has no parent and lenses that add its fields; every other is made from its parent by its
/// lenses. It is never changed: another revision is made from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// The collection.
    pub collection: String,
    /// The revision it was made from.
    pub parent: Option<RevisionId>,
    /// The steps from there.
    pub lenses: Vec<Lens>,
    /// The indexes of this revision, whole.
    pub indexes: Vec<Index>,
    /// The fields that are searched as text, whole.
    pub search: Vec<Vec<String>>,
}

impl Revision {
    /// Its identity.
    pub fn id(&self) -> RevisionId {
        RevisionId::from_bytes(blake3::derive_key(ID_CONTEXT, &self.encode()))
    }

    /// Its canonical bytes, as `docs/formats/schema.md` describes them.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads canonical bytes. Whether the lenses fit their parent only a [`Chain`] knows.
    ///
    /// [`Chain`]: crate::Chain
    pub fn decode(bytes: &[u8]) -> Result<Self, SchemaError> {
        codec::decode(bytes)
    }

    /// Checks what can be checked without the parent.
    pub(crate) fn check(&self) -> Result<(), SchemaError> {
        stead_doc::check_collection(&self.collection).map_err(|source| SchemaError::Invalid {
            collection: self.collection.clone(),
            what: source.to_string(),
        })?;
        let too_many = |what, found, max| SchemaError::TooMany {
            collection: self.collection.clone(),
            what,
            found,
            max,
        };
        let lenses = self.lenses.iter().map(Lens::count).sum::<usize>();
        if lenses > LENSES_MAX {
            return Err(too_many("lenses of a revision", lenses, LENSES_MAX));
        }
        if self.indexes.len() > INDEXES_MAX {
            return Err(too_many("indexes", self.indexes.len(), INDEXES_MAX));
        }
        let longest = self.indexes.iter().map(Vec::len).chain([self.search.len()]);
        if let Some(found) = longest.filter(|len| *len > INDEX_FIELDS_MAX).max() {
            return Err(too_many("fields of an index", found, INDEX_FIELDS_MAX));
        }
        if self.indexes.iter().any(Vec::is_empty) {
            return Err(SchemaError::Invalid {
                collection: self.collection.clone(),
                what: "an index needs a field".to_owned(),
            });
        }
        let bytes = self.encode().len();
        if bytes > REVISION_BYTES_MAX {
            return Err(too_many("bytes of a revision", bytes, REVISION_BYTES_MAX));
        }
        Ok(())
    }
}
