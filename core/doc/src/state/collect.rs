//! Forgetting deletions that no change still to come can be older than. Owns which cells those are.

use stead_base::Hlc;

use super::{Cell, Document, value_in};
use crate::value::View;

impl Document {
    /// Drops what only remembers a deletion made before `horizon`: deleted fields, elements that
    /// were removed from sets, and, of a deleted document, everything. Returns whether anything of
    /// the document is left.
    ///
    /// What is shown stays the same. Merging stays the same as well, as long as every change that
    /// is still to come was made at `horizon` or later by someone who had seen all that is older.
    pub fn collect(&mut self, horizon: Hlc) -> bool {
        if let Some(lifecycle) = self.lifecycle
            && !lifecycle.alive
            && lifecycle.stamp.hlc < horizon
            && is_older(&self.cells, horizon)
        {
            self.clear();
            return false;
        }
        // A document of which every field was deleted is still a document.
        let may_vanish = self.lifecycle.is_none() && self.cells.iter().all(is_spare);
        let before = may_vanish.then(|| self.cells.clone());
        collect_cells(&mut self.cells, &self.heap, horizon);
        if self.cells.is_empty()
            && let Some(before) = before
        {
            self.cells = before;
        }
        self.lifecycle.is_some() || !self.cells.is_empty()
    }
}

/// Whether a cell may be gone after collecting.
fn is_spare(cell: &Cell) -> bool {
    cell.counter().is_none() && cell.members().is_empty()
}

/// Whether nothing in the cells is as young as the horizon.
fn is_older(cells: &[Cell], horizon: Hlc) -> bool {
    cells.iter().all(|cell| {
        cell.assigned().is_none_or(|stamp| stamp.hlc < horizon)
            && cell.members().iter().all(|it| it.stamp.hlc < horizon)
            && is_older(cell.cells(), horizon)
    })
}

fn collect_cells(cells: &mut Vec<Cell>, heap: &[u8], horizon: Hlc) {
    cells.retain_mut(|cell| {
        if let Some(more) = &mut cell.more {
            // A set without elements shows as such, so something of it must stay.
            if more.members.iter().any(|member| member.present) {
                more.members
                    .retain(|member| member.present || member.stamp.hlc >= horizon);
            }
            collect_cells(&mut more.cells, heap, horizon);
            if more.is_empty() {
                cell.more = None;
            }
        }
        let is_deletion = cell.assign.is_some_and(|assign| {
            assign.stamp.hlc < horizon
                && matches!(value_in(heap, assign.value).view(), View::Deleted)
        });
        cell.more.is_some() || cell.assign.is_some() && !is_deletion
    });
}
