//! What kind of thing stands at a place of a document: what decides how a person's change is said.

use super::Document;
use super::view::Visible;
use crate::dictionary::Dictionary;
use crate::path::PathRef;
use crate::rich::RichKind;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Nothing that is seen.
    Absent,
    /// A map of fields.
    Map,
    /// A set, whose elements are added and removed.
    Set,
    /// A counter, which is added to.
    Counter,
    /// A rich field.
    Rich(RichKind),
    /// Anything else: a value that is replaced as a whole.
    Value,
}

impl Document {
    /// What stands at a path.
    pub fn kind_at<D: Dictionary>(&self, path: PathRef<'_>, dictionary: &D) -> FieldKind {
        match self.visible(path, dictionary) {
            Visible::Absent => FieldKind::Absent,
            Visible::Map(_) => FieldKind::Map,
            Visible::Set(_) => FieldKind::Set,
            Visible::Number(_) => FieldKind::Counter,
            Visible::Rich(kind, _) => FieldKind::Rich(kind),
            _ => FieldKind::Value,
        }
    }
}
