//! Lenses: the steps that make one revision's fields from those of the one before it. Owns what they
//! are; what they do to fields and keys is the shape's business.

use serde_json::Value;

use crate::convert::Conversion;
use crate::kind::Field;
use crate::scalar::Scalar;

/// One reversible step between two revisions. Names are those of the revision before.
#[derive(Debug, Clone, PartialEq)]
pub enum Lens {
    /// A new field.
    Add {
        /// Its name.
        name: String,
        /// What it holds.
        field: Field,
        /// Whether it is the field that was last removed under that name, with all that it holds.
        restore: bool,
    },
    /// The field is seen no more. What documents hold in it stays.
    Remove {
        /// Its name.
        name: String,
        /// What apps of older revisions see in documents that lack it.
        default: Option<Value>,
    },
    /// The field has another name.
    Rename {
        /// The name before.
        from: String,
        /// The name after.
        to: String,
    },
    /// A field of a record moves up beside the record.
    Hoist {
        /// The record.
        from: String,
        /// The field.
        name: String,
    },
    /// A field moves into a record beside it, which is made if there is none.
    Plunge {
        /// The field.
        name: String,
        /// The record.
        into: String,
    },
    /// A single value becomes an array of it.
    Wrap {
        /// The field.
        name: String,
    },
    /// An array of single values becomes its first.
    Head {
        /// The field.
        name: String,
    },
    /// Lenses inside a record.
    In {
        /// The record.
        name: String,
        /// The steps.
        lenses: Vec<Lens>,
    },
    /// Lenses inside every value of a map, item of a list or element of a set.
    Map {
        /// The map, array, list or set.
        name: String,
        /// The steps.
        lenses: Vec<Lens>,
    },
    /// A single value becomes one of another type.
    Convert {
        /// The field; empty for the items themselves, inside [`Lens::Map`].
        name: String,
        /// The type after.
        to: Scalar,
        /// How.
        by: Conversion,
    },
    /// The rules of a field change: optional, default, range, length, pattern, values, references.
    Refine {
        /// The field; empty for the items themselves, inside [`Lens::Map`].
        name: String,
        /// The field with its new rules; its kind and type are as before.
        field: Field,
    },
}

impl Lens {
    /// How many lenses this is, those inside it included.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::In { lenses, .. } | Self::Map { lenses, .. } => {
                1 + lenses.iter().map(Self::count).sum::<usize>()
            }
            _ => 1,
        }
    }

    /// What it does, in words.
    pub fn in_words(&self) -> String {
        match self {
            Self::Add { name, restore, .. } if *restore => format!("brings back {name:?}"),
            Self::Add { name, .. } => format!("adds {name:?}"),
            Self::Remove { name, .. } => format!("removes {name:?}"),
            Self::Rename { from, to } => format!("renames {from:?} to {to:?}"),
            Self::Hoist { from, name } => format!("moves {name:?} out of {from:?}"),
            Self::Plunge { name, into } => format!("moves {name:?} into {into:?}"),
            Self::Wrap { name } => format!("makes {name:?} a list"),
            Self::Head { name } => format!("makes {name:?} a single value"),
            Self::In { name, lenses } | Self::Map { name, lenses } => {
                let inner: Vec<String> = lenses.iter().map(Self::in_words).collect();
                let place = match self {
                    Self::In { .. } => "in",
                    _ => "in each of",
                };
                format!("{place} {name:?} {}", inner.join(", "))
            }
            Self::Convert { name, to, .. } => format!("converts {name:?} to {}", to.expected()),
            Self::Refine { name, .. } => format!("changes the rules of {name:?}"),
        }
    }
}
