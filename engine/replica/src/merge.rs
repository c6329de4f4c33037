//! Merging gathered operations into document rows: each document is read and written once.

use stead_base::SpaceId;
use stead_doc::{Changes, Document};

use crate::ReplicaError;
use crate::writing::Writing;

/// Gathered operations are merged once they take this many bytes in memory. The more is gathered,
/// the more changes of one document share a read and a write of its row.
const GATHERED_BYTES_MAX: usize = 128 << 20;

impl Writing<'_> {
    /// Merges everything gathered so far.
    pub(crate) fn merge_all(&mut self) -> Result<(), ReplicaError> {
        for (space, changes) in std::mem::take(&mut self.changes) {
            self.merge(&space, &changes)?;
        }
        Ok(())
    }

    /// Merges what was gathered if it takes much memory.
    pub(crate) fn merge_if_much(&mut self) -> Result<(), ReplicaError> {
        let gathered: usize = self.changes.values().map(Changes::bytes).sum();
        if gathered > GATHERED_BYTES_MAX {
            self.merge_all()?;
        }
        Ok(())
    }

    fn merge(&mut self, space: &SpaceId, changes: &Changes) -> Result<(), ReplicaError> {
        let order = changes.by_document();
        let (mut state, mut body) = (Vec::new(), Vec::new());
        let mut ops = order
            .iter()
            .filter_map(|&index| changes.doc(index as usize))
            .peekable();
        let mut document = Document::default();
        while let Some(first) = ops.next() {
            let (name, id) = (first.collection(), first.id());
            let collection = self.collection_no(space, name)?;
            let loaded = self.tx.with_doc_state(collection, id, |row| {
                document.decode_into(row, self.numbers)
            })?;
            match loaded {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    return Err(ReplicaError::Refused(format!(
                        "the row of document {name}/{id} cannot be read ({error}); run `stead doctor --rebuild`"
                    )));
                }
                None => document.clear(),
            }
            document.apply(first, self.numbers);
            while let Some(next) = ops.next_if(|next| next.id() == id && next.collection() == name)
            {
                document.apply(next, self.numbers);
            }
            state.clear();
            body.clear();
            document.encode(&mut state);
            document.project_jsonb(self.numbers, &mut body);
            self.tx
                .put_doc(collection, id, &state, &body, document.is_deleted())?;
            self.touch(space, name, id);
        }
        Ok(())
    }
}
