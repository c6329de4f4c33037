//! Rich fields on their way into a checkpoint or a start, and out of one.
//!
//! Owns what of a field travels: the snapshot and the updates as they are stored, without the engine.
//! What they mean is found out when the field is opened, under the same guard as every update.

use stead_checkpoint::RichState;

use super::*;

/// The contents of a document's rich fields as they are stored, in the order of
/// [`Document::rich_fields`].
pub(crate) fn carried<R: Read>(
    store: &R,
    collection: CollectionNo,
    id: &DocId,
    document: &Document,
    numbers: &stead_doc::Numbers,
) -> Result<Vec<RichState>, ReplicaError> {
    let fields = document.rich_fields(numbers);
    let state = |field: &RichField| {
        let Some(row) = store.rich(collection, id, &field.place.key())? else {
            return Ok(RichState::default());
        };
        let (mut record, snapshot) =
            RichRecord::decode(&row.state).map_err(|_| damaged("the record"))?;
        let mut updates = Vec::new();
        for (_, row) in store.rich_updates(row.no)? {
            let (span, update) = decode_update(&row).map_err(|_| damaged("an update"))?;
            record.takes_again(span);
            updates.push((span, update.to_vec()));
        }
        Ok(RichState {
            authors: record.authors,
            snapshot: snapshot.to_vec(),
            updates,
        })
    };
    fields.iter().map(state).collect()
}

impl Writing<'_> {
    /// Puts the contents of a document's rich fields in place, in the order of
    /// [`Document::rich_fields`]. Fields that are there already stay as they are.
    pub(crate) fn take_carried(
        &mut self,
        collection: CollectionNo,
        id: &DocId,
        document: &Document,
        rich: &[RichState],
    ) -> Result<(), ReplicaError> {
        for (field, state) in document.rich_fields(self.numbers).iter().zip(rich) {
            let key = field.place.key();
            if *state == RichState::default() || self.tx.rich(collection, id, &key)?.is_some() {
                continue;
            }
            let record = RichRecord {
                authors: state.authors.clone(),
                ..RichRecord::default()
            };
            let row = record.encode(&state.snapshot);
            let no = self.tx.add_rich(collection, id, &key, &row)?;
            for (at, (span, update)) in (0..).zip(&state.updates) {
                self.tx
                    .add_rich_update(no, at, &encode_update(*span, update))?;
            }
        }
        Ok(())
    }

    /// Closes the rich fields of a space, whose documents are about to be built anew.
    pub(crate) fn close_rich(&mut self, space: stead_store::SpaceNo) -> Result<(), ReplicaError> {
        let of_space = self.tx.collections(space)?;
        let is_of_space = |no: CollectionNo| of_space.iter().any(|row| row.no == no);
        self.rich.open.retain(|key, _| !is_of_space(key.0));
        self.rich.touched.retain(|key| !is_of_space(key.0));
        self.rich.stale.retain(|(no, _)| !is_of_space(*no));
        Ok(())
    }
}
