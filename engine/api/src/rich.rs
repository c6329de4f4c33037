//! Texts, lists and trees that people edit together: their edits, what they show, places in them, and undo.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::documents::Path;

/// How positions in a text count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextUnit {
    /// Unicode scalar values: what Rust, Python and Go's runes count.
    #[default]
    Scalar,
    /// UTF-16 code units: what JavaScript, Java and Swift's NSString count.
    Utf16,
}

impl TextUnit {
    /// Whether positions count Unicode scalar values.
    pub fn is_scalar(&self) -> bool {
        *self == Self::Scalar
    }
}

/// An edit of a text. Positions are those of the text as the edits before this one leave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextEdit {
    /// Takes `delete` characters out at a position and puts text in there.
    Splice {
        /// Where.
        at: usize,
        /// How many characters go.
        #[serde(default)]
        delete: usize,
        /// What comes.
        #[serde(default)]
        insert: String,
    },
    /// Marks a part, or takes a mark off.
    Mark {
        /// Where it begins.
        start: usize,
        /// One behind its end.
        end: usize,
        /// Which mark: `bold`, `link`.
        mark: String,
        /// What the mark says; null takes it off.
        #[serde(default)]
        value: Value,
    },
}

/// An edit of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListEdit {
    /// Puts elements in.
    Insert {
        /// Before this position.
        at: usize,
        /// Any JSON values.
        values: Vec<Value>,
    },
    /// Takes elements out.
    Delete {
        /// The first one.
        at: usize,
        /// How many.
        count: usize,
    },
    /// Gives an element another value.
    Set {
        /// Which one.
        at: usize,
        /// Any JSON value.
        value: Value,
    },
    /// Moves an element.
    Move {
        /// Where it is.
        from: usize,
        /// Where it is afterwards.
        to: usize,
    },
}

/// An edit of a tree. Nodes are named by the `id` that they show with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeEdit {
    /// Makes a node; its id is in the commit.
    Create {
        /// Below which node; a root when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<String>,
        /// Before which of its siblings; the last when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<usize>,
        /// Its fields.
        #[serde(default)]
        fields: Map<String, Value>,
    },
    /// Moves a node with all below it.
    Move {
        /// Which one.
        node: String,
        /// Below which node; a root when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<String>,
        /// Before which of its siblings; the last when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<usize>,
    },
    /// Deletes a node with all below it.
    Delete {
        /// Which one.
        node: String,
    },
    /// Sets a field of a node.
    Set {
        /// Which one.
        node: String,
        /// The field.
        field: String,
        /// Any JSON value; null takes the field away.
        value: Value,
    },
}

/// `rich.show`: a text, list or tree as somebody who edits it needs it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RichShow {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// The field.
    pub path: Path,
    /// The revision of the collection's schema that the client speaks, as in [`crate::DocGet`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How positions count.
    #[serde(default, skip_serializing_if = "TextUnit::is_scalar")]
    pub unit: TextUnit,
    /// Named places to find; at most [`crate::PLACES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// Positions to name, so that they can be found again after edits; at most [`crate::PLACES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<usize>,
}

/// The answer to [`RichShow`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RichShown {
    /// `text`, `list` or `tree`; absent for a plain text or list that nobody has edited in parts yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The content as the document shows it.
    pub value: Value,
    /// A text in runs with their marks: `[{"insert": "now", "attributes": {"bold": true}}]`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub marked: Value,
    /// Where the places are, in the order asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<usize>,
    /// Names of the positions, in the order asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// `rich.watch`: a text, list or tree, and then what changes in it, as `rich.event` notifications until
/// `doc.unwatch`. Whoever applies each delta to what they have always has what the field holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RichWatch {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// The collection's name.
    pub collection: String,
    /// The document's id.
    pub id: String,
    /// The field.
    pub path: Path,
    /// The revision of the collection's schema that the client speaks, as in [`crate::DocGet`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How positions count.
    #[serde(default, skip_serializing_if = "TextUnit::is_scalar")]
    pub unit: TextUnit,
}

/// `rich.event`: what a field holds, or what changed in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RichEvent {
    /// From [`crate::Watching`].
    pub watch: u64,
    /// The field as it is: the first event, and later ones when there is no telling what changed (somebody
    /// assigned a new text in its place).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<RichShown>,
    /// What changed, in the order in which it is to be applied.
    ///
    /// A text: `{"retain": n}`, `{"insert": "text"}`, `{"delete": n}` from its beginning on; what is put in or
    /// retained may have `attributes`, where null takes a mark off. A list: the same with arrays to insert. A tree:
    /// `{"create": {"id", "parent", "at", "fields"}}`, `{"move": {"id", "parent", "at"}}` (`at` counts without the node
    /// itself), `{"set": {"id", "fields", "unset"}}`, `{"delete": {"id"}}` with all below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delta: Vec<Value>,
    /// Nothing is there (any more).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// `doc.undo`: takes back the person's latest transaction in a space that still counts, as far as nobody changed since
/// what it did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocUndo {
    /// Name, id, or the first digits of the id.
    pub space: String,
}

/// `doc.redo`: takes back the latest undo, if nothing was written since.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DocRedo {
    /// Name, id, or the first digits of the id.
    pub space: String,
}

/// What an undo or redo did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// The documents that it touched, as `collection/id`.
    pub documents: Vec<String>,
    /// Places that it left as they are, because somebody changed them since: `collection/id field`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Its position in this device's log of the space; absent when nothing was left to take back.
    pub entry: Option<u64>,
}
