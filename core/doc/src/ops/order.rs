//! The order of many operations by document. A million of them are sorted in a fraction of the time that merging
//! them takes, because what is compared are three numbers, and no document is looked at.

use std::ops::Range;

use stead_base::DocId;

/// Collection, document and arrival, to be compared as one number: the collection's rank; generated before
/// named; the id, or the first 16 bytes of its name; the position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u64; 3]);

impl Key {
    pub(super) fn new(collection: u32, id: &DocId, position: u32) -> Self {
        let (is_named, id) = match id {
            DocId::Generated(bytes) => (0, *bytes),
            DocId::Named(name) => {
                let mut start = [0; 16];
                let len = name.as_str().len().min(start.len());
                start[..len].copy_from_slice(&name.as_str().as_bytes()[..len]);
                (1, start)
            }
        };
        let id = u128::from_be_bytes(id);
        let place = u64::from(collection << 1 | is_named);
        Self([
            place << 32 | (id >> 96) as u64,
            (id >> 32) as u64,
            (id as u64) << 32 | u64::from(position),
        ])
    }

    pub(super) const fn position(self) -> u32 {
        self.0[2] as u32
    }

    const fn is_named(self) -> bool {
        self.0[0] >> 32 & 1 == 1
    }

    /// Whether nothing but the rest of a name could tell two documents apart.
    const fn starts_like(self, other: Self) -> bool {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        a == x && b == y && c >> 32 == z >> 32
    }
}

/// Positions for [`Changes::doc`](super::Changes::doc), by collection and document and, for one document, in
/// the order of pushing.
#[derive(Debug, Clone, Default)]
pub struct Order {
    positions: Vec<u32>,
    /// Where each document's positions begin, and where the last one's end.
    bounds: Vec<u32>,
}

impl Order {
    /// Sorts. `id` is that of the document at a position.
    pub(super) fn sorted<'d>(mut keys: Vec<Key>, id: impl Fn(u32) -> &'d DocId) -> Self {
        keys.sort_unstable();
        let mut bounds = vec![0];
        let mut end = 0;
        for alike in keys.chunk_by_mut(|a, b| a.starts_like(*b)) {
            if alike.len() > 1 && alike[0].is_named() {
                alike.sort_unstable_by(|a, b| {
                    let [a, b] = [a, b].map(|key| key.position());
                    id(a).cmp(id(b)).then(a.cmp(&b))
                });
                for same in alike.chunk_by(|a, b| id(a.position()) == id(b.position())) {
                    end += same.len() as u32;
                    bounds.push(end);
                }
            } else {
                end += alike.len() as u32;
                bounds.push(end);
            }
        }
        let positions = keys.into_iter().map(Key::position).collect();
        Self { positions, bounds }
    }

    /// All positions.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// How many documents there are.
    pub const fn documents(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }

    /// Where the positions of the `index`-th document are among all; empty behind the last.
    pub fn document(&self, index: usize) -> Range<usize> {
        let bound = |index: usize| {
            let bound = self.bounds.get(index).or(self.bounds.last());
            bound.map_or(0, |bound| *bound as usize)
        };
        bound(index)..bound(index.saturating_add(1))
    }
}
