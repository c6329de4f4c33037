//! Rich fields: text with marks, lists and movable trees that people edit at the same time. Owns what
//! may be asked of such a field and the contract of whoever keeps its content; what is in it is never
//! looked into here.
//!
//! A rich field is an *instance*: it begins on the latest assignment at or above its path (its base)
//! and ends when a later one replaces it, exactly as a counter does. Its updates are opaque bytes that
//! the author's engine made.

use serde_json::{Map, Value};
use stead_base::{Stamp, WriterId};

use crate::path::{Path, PathRef};

/// Most bytes of updates in one operation.
pub const RICH_UPDATE_BYTES_MAX: usize = 768 << 10;

/// What a rich field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RichKind {
    /// Text with marks.
    Text = 1,
    /// A list whose elements can be moved.
    List = 2,
    /// A tree whose nodes can be moved, each with fields of its own.
    Tree = 3,
}

impl RichKind {
    /// Every kind, in the order of their tags.
    pub const ALL: [Self; 3] = [Self::Text, Self::List, Self::Tree];

    /// The kind of a tag.
    pub const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Self::Text),
            2 => Some(Self::List),
            3 => Some(Self::Tree),
            _ => None,
        }
    }

    /// Its number in operations, 1 to 3.
    pub const fn tag(self) -> u8 {
        self as u8
    }

    /// As it is named to people.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Text => "a text that people edit together",
            Self::List => "a list that people edit together",
            Self::Tree => "a tree",
        }
    }

    /// The tag where bytes are compared.
    pub(crate) const fn tag_bytes(self) -> &'static [u8] {
        match self {
            Self::Text => &[1],
            Self::List => &[2],
            Self::Tree => &[3],
        }
    }

    /// What shows where nothing was written yet.
    pub fn empty(self) -> Value {
        match self {
            Self::Text => Value::String(String::new()),
            Self::List | Self::Tree => Value::Array(Vec::new()),
        }
    }
}

/// The updates of one operation, in the order they were made: each a length and that many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RichUpdates<'a>(pub(crate) &'a [u8]);

impl<'a> RichUpdates<'a> {
    /// Each update.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let mut input = stead_base::Decoder::new(self.0);
        std::iter::from_fn(move || {
            let len = input.uint("update").ok()?;
            input
                .raw(usize::try_from(len).unwrap_or(usize::MAX), "update")
                .ok()
        })
    }
}

/// Which instance of a rich field is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RichPlace {
    /// The field.
    pub path: Path,
    /// What it is.
    pub kind: RichKind,
    /// The assignment it begins on; none if nothing was ever assigned there.
    pub base: Option<Stamp>,
}

impl RichPlace {
    /// The instance as a key of a store: tag, base, names of the path.
    pub fn key(&self) -> Vec<u8> {
        let mut key = vec![self.kind.tag()];
        match self.base {
            None => key.push(0),
            Some(base) => {
                key.push(1);
                key.extend_from_slice(&base.hlc.to_u64().to_be_bytes());
                key.extend_from_slice(base.writer.as_bytes());
            }
        }
        key.extend_from_slice(self.path.as_ref().0.as_bytes());
        key
    }
}

/// An instance that is alive in a document.
#[derive(Debug, Clone, PartialEq)]
pub struct RichField {
    /// Which one.
    pub place: RichPlace,
    /// The text or list that was assigned as its base: what it begins with, on every replica.
    pub seed: Option<Value>,
    /// Whether the document shows it, and not something that hides it.
    pub is_visible: bool,
}

/// How positions in a text count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextUnit {
    /// Unicode scalar values: what Rust and Python call characters.
    #[default]
    Scalar,
    /// UTF-16 code units: what JavaScript counts.
    Utf16,
}

/// A node of a tree: who made it, and the how manieth thing that was; written `17@9`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeName(pub String);

/// Operations that one author made in a field: `[start, end)` of its own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RichSpan {
    /// The author, as [`author_number`] has it.
    pub author: u64,
    /// The first operation.
    pub start: u32,
    /// One behind the last.
    pub end: u32,
}

/// One edit of a rich field.
#[derive(Debug, Clone, PartialEq)]
pub enum RichEdit {
    /// Replaces a part of a text.
    Splice {
        /// Where.
        at: usize,
        /// How much is taken out.
        delete: usize,
        /// What is put in.
        insert: String,
        /// How positions count.
        unit: TextUnit,
    },
    /// Marks a part of a text, or takes a mark off.
    Mark {
        /// Where it begins.
        start: usize,
        /// One behind its end.
        end: usize,
        /// Which mark: `bold`, `link`.
        mark: String,
        /// What the mark says; null takes it off.
        value: Value,
        /// How positions count.
        unit: TextUnit,
    },
    /// Makes a text or a list equal to a value with few changes.
    Become(Value),
    /// Inserts elements into a list.
    ListInsert {
        /// Before this position.
        at: usize,
        /// The elements.
        values: Vec<Value>,
    },
    /// Takes elements out of a list.
    ListDelete {
        /// The first one.
        at: usize,
        /// How many.
        count: usize,
    },
    /// Gives an element of a list another value; it stays the same element.
    ListSet {
        /// Which one.
        at: usize,
        /// Its value.
        value: Value,
    },
    /// Moves an element of a list.
    ListMove {
        /// Where it is.
        from: usize,
        /// Where it is afterwards.
        to: usize,
    },
    /// Makes a node.
    TreeCreate {
        /// Below which node; none makes a root.
        parent: Option<NodeName>,
        /// Before which of its new siblings; none puts it last.
        at: Option<usize>,
        /// Its fields.
        fields: Map<String, Value>,
    },
    /// Moves a node with all that is below it.
    TreeMove {
        /// Which one.
        node: NodeName,
        /// Below which node; none makes it a root.
        parent: Option<NodeName>,
        /// Before which of its new siblings; none puts it last.
        at: Option<usize>,
    },
    /// Deletes a node with all that is below it.
    TreeDelete {
        /// Which one.
        node: NodeName,
    },
    /// Sets a field of a node; null takes it away.
    TreeSet {
        /// Which one.
        node: NodeName,
        /// The field.
        field: String,
        /// Its value.
        value: Value,
    },
    /// Makes nodes as a tree showed them: an array of `{"fields", "children"}`. They get names of their own.
    TreeGrow(Value),
    /// Takes back what an author did, as far as nobody changed it since.
    Revert(RichSpan),
}

impl RichEdit {
    /// What the edited field must be.
    pub fn kind(&self) -> Option<RichKind> {
        match self {
            Self::Splice { .. } | Self::Mark { .. } => Some(RichKind::Text),
            Self::ListInsert { .. }
            | Self::ListDelete { .. }
            | Self::ListSet { .. }
            | Self::ListMove { .. } => Some(RichKind::List),
            Self::TreeCreate { .. }
            | Self::TreeMove { .. }
            | Self::TreeDelete { .. }
            | Self::TreeSet { .. }
            | Self::TreeGrow(_) => Some(RichKind::Tree),
            Self::Become(Value::String(_)) => Some(RichKind::Text),
            Self::Become(Value::Array(_)) => Some(RichKind::List),
            Self::Become(_) | Self::Revert(_) => None,
        }
    }
}

/// Why a rich field did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RichError {
    /// The edit does not fit what is there.
    #[error("{what}")]
    Refused {
        /// What is wrong, in plain words.
        what: String,
    },
    /// An update is not what an honest author makes. It counts on no replica.
    #[error("an update of a rich field breaks the rules: {what}")]
    Hostile {
        /// What is wrong with it.
        what: String,
    },
    /// The engine failed; the field must be opened again from what is stored.
    #[error("the engine of rich fields failed: {what}")]
    Broken {
        /// What it said.
        what: String,
    },
}

/// The content of one open rich field. After [`RichError::Broken`] it must be dropped.
pub trait RichContent: Send {
    /// Makes an edit. Answers the node that it made, if it made one.
    fn edit(&mut self, edit: &RichEdit) -> Result<Option<NodeName>, RichError>;
    /// What was edited since the last call, as an update for others and the span of its operations; none
    /// if nothing was.
    fn take_update(&mut self) -> Result<Option<(RichSpan, Vec<u8>)>, RichError>;
    /// Takes up updates: each with its author's number. They are taken to be checked
    /// ([`RichEngine::check`]) and may come in any order.
    fn import(&mut self, updates: &[(u64, &[u8])]) -> Result<(), RichError>;
    /// The content as JSON: a text, an array, or an array of roots with `id`, `fields`, `children`.
    fn value(&self) -> Result<Value, RichError>;
    /// A text with its marks: an array of `{"insert": text, "attributes": {mark: value}}`.
    fn marked(&self) -> Result<Value, RichError>;
    /// Everything, for a later [`RichEngine::open`].
    fn snapshot(&mut self) -> Result<Vec<u8>, RichError>;
    /// A name for the place before a position of a text or list that survives edits.
    fn cursor(&self, at: usize, unit: TextUnit) -> Result<String, RichError>;
    /// Where a named place is now.
    fn find_cursor(&self, cursor: &str, unit: TextUnit) -> Result<usize, RichError>;
    /// Names what it holds now, for a later [`RichContent::text_delta`].
    fn version(&self) -> Result<Vec<u8>, RichError>;
    /// What changed in a text since a version: an array of `{"retain": n}`, `{"insert": text}` and
    /// `{"delete": n}`, with `attributes` where marks were put or (null) taken off; positions count Unicode
    /// scalars. None if it is no text or never was at that version.
    fn text_delta(&self, since: &[u8]) -> Result<Option<Value>, RichError>;
    /// How much of others' updates waits for updates that have not come.
    fn waits(&self) -> bool;
    /// About as many bytes as it takes in memory.
    fn bytes(&self) -> usize;
}

/// Keeps the content of rich fields.
pub trait RichEngine: Send {
    /// Opens a field for edits of an author: an empty one, or what a snapshot holds.
    fn open(
        &self,
        kind: RichKind,
        author: u64,
        snapshot: Option<&[u8]>,
    ) -> Result<Box<dyn RichContent>, RichError>;
    /// Puts what was assigned as a field's base into it, the same way on every replica.
    fn seed(&self, kind: RichKind, seed: &Value) -> Result<Vec<u8>, RichError>;
    /// Checks an update by itself, so that every replica comes to the same answer: it is well formed and has
    /// operations of its author alone. Answers their span.
    fn check(&self, author: u64, update: &[u8]) -> Result<RichSpan, RichError>;
}

/// The author whose updates are seeds.
pub const SEED_AUTHOR: u64 = 0;

/// The number under which a writer edits rich fields.
pub fn author_number(writer: &WriterId) -> u64 {
    let mut start = [0; 8];
    start.copy_from_slice(&writer.as_bytes()[..8]);
    // 0 makes seeds, and engines keep the greatest number for themselves.
    u64::from_le_bytes(start).clamp(1, u64::MAX - 1)
}

/// Where a projection takes the content of rich fields from.
pub trait RichValues {
    /// The content of an instance; none if it is not known, which shows as null.
    fn value(&self, path: PathRef<'_>, kind: RichKind, base: Option<Stamp>) -> Option<Value>;
}

/// Knows no content.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRichValues;

impl RichValues for NoRichValues {
    fn value(&self, _: PathRef<'_>, _: RichKind, _: Option<Stamp>) -> Option<Value> {
        None
    }
}
