//! What taking roster entries changed, as the engine needs to hear it.
//!
//! Owns the report only.

use std::collections::{BTreeMap, BTreeSet};

use stead_base::WriterId;

use crate::Shift;

/// What became different by taking entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Writers that may do something now and could not do anything before.
    pub admitted: BTreeSet<WriterId>,
    /// Writers whose entries changed their verdict, the admitted included, and which entries.
    pub shifts: BTreeMap<WriterId, Shift>,
    /// Whether epochs, scopes or the name of the space changed.
    pub keys: bool,
    /// Whether any membership came, went or changed, and with it readers and stale scopes.
    pub members: bool,
    /// Logs of former strangers that said too much to keep: their entries from this number on
    /// must be inserted again.
    pub reread: BTreeMap<WriterId, u64>,
}

impl Change {
    /// Whether anything at all is different.
    pub fn is_empty(&self) -> bool {
        self.shifts.is_empty() && !self.keys && self.reread.is_empty() && !self.members
    }

    /// Whether entries that counted do not any more, so that what they did must be taken back.
    pub fn needs_rebuild(&self) -> bool {
        self.shifts.values().any(|shift| shift.lost)
    }

    /// The writers that lost something, and from which entry on.
    pub fn cut(&self) -> impl Iterator<Item = (&WriterId, u64)> {
        let lost = self.shifts.iter().filter(|(_, shift)| shift.lost);
        lost.map(|(writer, shift)| (writer, shift.from))
    }

    pub(crate) fn note(&mut self, writer: WriterId, had: bool, has: bool, shift: Option<Shift>) {
        let Some(shift) = shift else {
            return;
        };
        if has && !had {
            self.admitted.insert(writer);
        }
        let noted = self.shifts.entry(writer).or_insert(shift);
        noted.from = noted.from.min(shift.from);
        noted.to = noted.to.max(shift.to);
        noted.lost |= shift.lost;
        noted.gained |= shift.gained;
    }
}
