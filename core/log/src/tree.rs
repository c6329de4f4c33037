//! The Merkle tree over a log's entries, shaped as in RFC 6962 and RFC 9162, hashed with BLAKE3.
//!
//! A tree of any length is a row of complete subtrees of falling size, its *peaks*; appending
//! needs nothing else. Complete subtrees of [`NODE_LEVEL`] are worth storing: any root or proof
//! follows from them and at most two runs of leaves.

use stead_base::Hash;
use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_base::limits::LOG_LEN_MAX;
use stead_crypt::hash;

const NODE_KEY: &[u8; 32] = b"stead/log/1 merkle node         ";
const EMPTY_KEY: &[u8; 32] = b"stead/log/1 merkle empty        ";

/// Level of the subtrees that stores keep: 2^10 = 1024 entries each.
pub const NODE_LEVEL: u32 = 10;

/// Hash of a node above two others.
pub fn parent_hash(left: &Hash, right: &Hash) -> Hash {
    node_hash(left, right)
}

pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut pair = [0; 64];
    pair[..32].copy_from_slice(left.as_bytes());
    pair[32..].copy_from_slice(right.as_bytes());
    hash::keyed(NODE_KEY, &pair)
}

/// The complete subtrees that make up a tree, largest first: one for each 1 bit of its length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peaks {
    len: u64,
    hashes: Vec<Hash>,
}

impl Peaks {
    /// The tree without entries.
    pub const fn empty() -> Self {
        Self {
            len: 0,
            hashes: Vec::new(),
        }
    }

    /// Number of leaves.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no leaves.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a leaf. Returns the root of the subtree of [`NODE_LEVEL`] that it completes, if any.
    pub fn push(&mut self, leaf: Hash) -> Option<(u64, Hash)> {
        let mut completed = None;
        self.push_subtree(0, leaf, |level, index, hash| {
            if level == NODE_LEVEL {
                completed = Some((index, hash));
            }
        });
        completed
    }

    /// Appends a complete subtree of 2^`level` leaves; the length must be a multiple of that.
    pub fn push_complete(&mut self, level: u32, root: Hash) {
        self.push_subtree(level, root, |_, _, _| {});
    }

    pub(crate) fn push_subtree(
        &mut self,
        level: u32,
        root: Hash,
        mut on_node: impl FnMut(u32, u64, Hash),
    ) {
        debug_assert_eq!(self.len & ((1 << level) - 1), 0);
        let (mut node, mut at) = (root, level);
        on_node(at, self.len >> at, node);
        while self.len >> at & 1 == 1 {
            let Some(left) = self.hashes.pop() else { break };
            node = node_hash(&left, &node);
            at += 1;
            on_node(at, self.len >> at, node);
        }
        self.hashes.push(node);
        self.len += 1 << level;
    }

    /// Root of the whole tree.
    pub fn root(&self) -> Hash {
        let mut peaks = self.hashes.iter().rev();
        let Some(last) = peaks.next() else {
            return hash::keyed(EMPTY_KEY, &[]);
        };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The peaks after `extension`, the subtrees that [`extension_levels`] names, up to `len`.
    pub(crate) fn extended(&self, len: u64, extension: &[Hash]) -> Option<Self> {
        let mut peaks = self.clone();
        let mut hashes = extension.iter();
        for level in extension_levels(self.len, len) {
            peaks.push_subtree(level, *hashes.next()?, |_, _, _| {});
        }
        (hashes.next().is_none() && peaks.len == len).then_some(peaks)
    }

    /// Appends length and peaks.
    pub fn encode(&self, out: &mut Encoder) {
        out.uint(self.len);
        for hash in &self.hashes {
            out.raw(hash.as_bytes());
        }
    }

    /// Reads what [`Peaks::encode`] wrote.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let len = input.uint_max(LOG_LEN_MAX, "log length")?;
        let hashes = (0..len.count_ones())
            .map(|_| Ok(Hash::from_bytes(input.array("peak")?)))
            .collect::<Result<_, DecodeError>>()?;
        Ok(Self { len, hashes })
    }
}

/// Levels of the complete subtrees that lead from length `from` to length `to`, in order.
pub(crate) fn extension_levels(from: u64, to: u64) -> impl Iterator<Item = u32> {
    let mut at = from;
    std::iter::from_fn(move || {
        if at >= to {
            return None;
        }
        let fits = 63 - (to - at).leading_zeros();
        let level = fits.min(if at == 0 { 63 } else { at.trailing_zeros() });
        at += 1 << level;
        Some(level)
    })
}

/// Level and index of the complete subtrees that lead from length `from` to length `to`.
pub fn subtree_places(from: u64, to: u64) -> impl Iterator<Item = (u32, u64)> {
    let mut at = from;
    extension_levels(from, to).map(move |level| {
        let place = (level, at >> level);
        at += 1 << level;
        place
    })
}

/// Where the hashes of complete subtrees come from: a store, or leaves in memory.
pub trait TreeSource {
    /// What can go wrong while reading.
    type Error;

    /// Root of the complete subtree of 2^`level` leaves that starts at leaf `index << level`.
    /// It lies within the log.
    fn subtree(&mut self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// Leaves in memory, from leaf 0.
impl TreeSource for &[Hash] {
    type Error = DecodeError;

    fn subtree(&mut self, level: u32, index: u64) -> Result<Hash, DecodeError> {
        let first = (index << level) as usize;
        let leaves = self.get(first..first + (1 << level)).ok_or(DecodeError {
            what: "leaf",
            offset: first,
            fault: DecodeFault::Truncated,
        })?;
        Ok(subtree_root(leaves))
    }
}

/// Root over `leaves` alone, as RFC 6962 defines it for any number of them.
pub fn subtree_root(leaves: &[Hash]) -> Hash {
    let mut peaks = Peaks::empty();
    for leaf in leaves {
        peaks.push_subtree(0, *leaf, |_, _, _| {});
    }
    peaks.root()
}

/// Root over leaves `from..to`, where `from` is aligned as in a walk from the top of a tree.
pub fn range_root<S: TreeSource>(source: &mut S, from: u64, to: u64) -> Result<Hash, S::Error> {
    let mut hashes = subtree_places(from, to)
        .map(|(level, index)| source.subtree(level, index))
        .collect::<Result<Vec<_>, _>>()?;
    let mut right = hashes.pop().unwrap_or_else(|| hash::keyed(EMPTY_KEY, &[]));
    while let Some(left) = hashes.pop() {
        right = node_hash(&left, &right);
    }
    Ok(right)
}
