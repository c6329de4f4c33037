//! Which removals from sets a replica may forget.
//!
//! Owns when nothing of a log is to come any more that is not later than a stamp. Times ascend along a
//! log, so that is so once it was merged that far; what counts differently afterwards has all of it built again.

use std::collections::BTreeMap;

use stead_base::{Hlc, Stamp, WriterId};
use stead_doc::{Document, Numbers};

use crate::space::{SpaceState, WriterState};

/// Up to when of each log nothing is to come any more; nothing where that is not known.
#[derive(Debug, Default)]
pub(crate) struct Settled(BTreeMap<WriterId, Hlc>);

impl Settled {
    /// Forgets removals from a document's sets that decide nothing any more. The document holds all that its
    /// space's logs say of it up to those times.
    pub(crate) fn forget_removals(&self, document: &mut Document, numbers: &Numbers) {
        if !self.0.is_empty() {
            let until = |stamp: Stamp| self.0.get(&stamp.writer);
            let is_settled = |stamp: Stamp| until(stamp).is_some_and(|until| stamp.hlc <= *until);
            document.forget_removals(&is_settled, numbers);
        }
    }
}

impl SpaceState {
    /// Forgets removals as [`Settled`] does, of one document.
    pub(crate) fn forget_removals(
        &self,
        document: &mut Document,
        until: impl Fn(&WriterState) -> Hlc,
        numbers: &Numbers,
    ) {
        if !self.roster.redactions().is_empty() {
            return;
        }
        let is_settled = |stamp: Stamp| {
            let log = self.writers.get(&stamp.writer);
            log.is_some_and(|log| stamp.hlc <= until(log))
        };
        document.forget_removals(&is_settled, numbers);
    }

    /// Up to when nothing of each log is to come: `until` tells what of a log the documents hold.
    ///
    /// Nothing where something was redacted: what stands in the place of a redacted entry comes with the entry's
    /// own stamps, in another log, at any time.
    pub(crate) fn settled(&self, until: impl Fn(&WriterState) -> Hlc) -> Settled {
        match self.roster.redactions().is_empty() {
            true => Settled(
                self.writers
                    .iter()
                    .map(|(id, log)| (*id, until(log)))
                    .collect(),
            ),
            false => Settled::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use stead_base::{DocId, Entropy, SpaceId};
    use stead_crypt::DeviceKeys;
    use stead_store::{Read, Store};

    use crate::{Change, Edit, Replica};

    struct Counter(u64);

    impl Entropy for Counter {
        fn fill(&mut self, buf: &mut [u8]) {
            for byte in buf {
                self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
                *byte = (self.0 >> 56) as u8;
            }
        }
    }

    const NOW: u64 = 1_800_000_000_000;

    fn write(replica: &mut Replica, space: &SpaceId, element: i64, is_in: bool, at: u64) {
        let (path, element) = (vec!["tags".to_owned()], serde_json::json!(element));
        let change = match is_in {
            true => Change::Include { path, element },
            false => Change::Exclude { path, element },
        };
        let edit = Edit {
            collection: "d".to_owned(),
            id: Some(DocId::parse("doc").unwrap()),
            change,
        };
        replica.transact(space, &[edit], NOW + at).unwrap();
    }

    fn row_bytes(replica: &Replica, space: &SpaceId) -> usize {
        let no = replica.space(space).unwrap().no;
        let collection = replica.store.collection(no, "d").unwrap().unwrap();
        let row = replica
            .store
            .doc_state(collection, &DocId::parse("doc").unwrap());
        row.unwrap().unwrap().len()
    }

    #[test]
    fn a_set_takes_the_room_of_what_is_in_it() {
        let store = Store::in_memory().unwrap();
        let keys = DeviceKeys::from_seed(&[1; 32]);
        let mut replica = Replica::open(store, keys, "one", Box::new(Counter(7)), NOW).unwrap();
        let home = replica.create_home(NOW).unwrap();
        write(&mut replica, &home, 1000, true, 0);
        let little = row_bytes(&replica, &home);
        let mut most = 0;
        for n in 0..200 {
            write(&mut replica, &home, n, true, 1 + n.unsigned_abs());
            most = row_bytes(&replica, &home).max(most);
        }
        for n in 0..200 {
            write(&mut replica, &home, n, false, 500 + n.unsigned_abs());
        }
        let left = row_bytes(&replica, &home);
        assert!(most > 1000, "{most}");
        // What is left beside the one element is the latest that was taken from it.
        assert!(
            left < little + 24,
            "{left} bytes after {most}, {little} at first"
        );
        // Building it again forgets as much.
        replica.rebuild(&home, NOW + 1000).unwrap();
        assert!(row_bytes(&replica, &home) <= left);
    }
}
