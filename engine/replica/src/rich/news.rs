//! What readers ask of a rich field, and what they are told.

use serde_json::Value;
use stead_doc::{RichKind, TextUnit};

/// What a rich field shows to somebody who edits it.
#[derive(Debug, Clone, PartialEq)]
pub struct RichShown {
    /// What it is; none for a plain text or list that nobody has edited as a rich field yet.
    pub kind: Option<RichKind>,
    /// Its content as the document shows it.
    pub value: Value,
    /// A text with its marks; the same as the value for others.
    pub marked: Value,
    /// Positions asked for: of the named places, in their order.
    pub places: Vec<usize>,
    /// Names of the positions asked for, in their order.
    pub names: Vec<String>,
}

/// Where places of a rich field are, and what places are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RichPlaces {
    /// Positions of the named places, in their order; none for one that is not in the field, or not yet.
    pub places: Vec<Option<usize>>,
    /// Names of the positions asked for, in their order.
    pub names: Vec<String>,
}

/// What is new about a rich field to somebody who follows it.
#[derive(Debug, Clone, PartialEq)]
pub enum RichNews {
    /// Nothing.
    Same,
    /// A text changed so: see `text_delta` of `RichContent`.
    Delta {
        /// Of which instance, at which version it is now.
        at: RichVersion,
        /// What changed.
        delta: Value,
    },
    /// It holds this.
    Whole {
        /// Of which instance, at which version it is now.
        at: RichVersion,
        /// What it is; none for a plain text or list that nobody has edited as a rich field yet.
        kind: Option<RichKind>,
        /// Its content as the document shows it.
        value: Value,
        /// A text with its marks; the same as the value for others.
        marked: Value,
    },
}

/// One state of one instance of a rich field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RichVersion {
    pub(super) instance: Vec<u8>,
    pub(super) version: Vec<u8>,
}

/// What somebody wants to know of a rich field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RichAsk {
    /// How positions count.
    pub unit: TextUnit,
    /// Named places to find.
    pub places: Vec<String>,
    /// Positions to name.
    pub positions: Vec<usize>,
}
