//! What a replica tells whoever drives it.

use stead_base::{DocId, Hash, SpaceId, WriterId};
use stead_checkpoint::Choose;

/// A document that a commit touched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocChange {
    /// Its collection.
    pub collection: String,
    /// Its id.
    pub id: DocId,
}

/// Something that happened; drained with [`crate::Replica::drain_events`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A log is longer than before.
    Advanced {
        /// In which space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Entries held that count.
        len: u64,
        /// Root over them.
        root: Hash,
    },
    /// A log of a space of which a part is kept goes further than before, or was emptied.
    ThinAdvanced {
        /// In which space.
        space: SpaceId,
        /// Whose log.
        writer: WriterId,
        /// Entries that are held or stood for.
        len: u64,
    },
    /// What is kept of a space is another part.
    PartChanged {
        /// Which space.
        space: SpaceId,
        /// What peers are to be told; none if the space is to be shared with them anew.
        told: Option<Choose>,
        /// The edition of the choice that this makes, or leaves.
        revision: u64,
    },
    /// Something of a part is to be asked for.
    PartAsks {
        /// In which space.
        space: SpaceId,
    },
    /// Documents changed, all of them by transactions that are now visible as a whole.
    DocsChanged {
        /// In which space.
        space: SpaceId,
        /// Which; empty with `many` set when there are too many to list.
        docs: Vec<DocChange>,
        /// Too many to list: look at everything again.
        many: bool,
    },
    /// Members, devices or keys of a space changed, or what was redacted in it went from its documents.
    RosterChanged {
        /// Which space.
        space: SpaceId,
    },
    /// A space is new on this device.
    SpaceAdded {
        /// Which space.
        space: SpaceId,
    },
    /// This device left a space.
    SpaceLeft {
        /// Which space.
        space: SpaceId,
    },
    /// A writer was found to have signed two histories; its log, held up to where they part, is frozen
    /// there.
    Forked {
        /// In which space.
        space: SpaceId,
        /// Which writer.
        writer: WriterId,
        /// Entries that still count.
        len: u64,
    },
    /// This store started to write a space as a new writer, because its old log was found to go
    /// on elsewhere (a restored backup or a copied disk).
    WriterRetired {
        /// In which space.
        space: SpaceId,
        /// The writer it no longer uses.
        writer: WriterId,
    },
}
