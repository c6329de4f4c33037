//! Inclusion and consistency proofs, as in RFC 9162 section 2.1.

use stead_base::Hash;
use stead_base::codec::{DecodeError, Decoder, Encoder};

use crate::tree::{TreeSource, node_hash, range_root};

const PATH_MAX: usize = 64;

/// Why a proof does not prove its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf or the shorter tree lies outside the longer tree.
    #[error("the proof speaks of a place outside the tree")]
    OutOfRange,
    /// The number of hashes does not fit the two lengths.
    #[error("the proof has the wrong number of hashes")]
    WrongLength,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    WrongRoot,
}

/// Proof that a leaf is in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InclusionProof(Vec<Hash>);

/// Proof that a tree starts with all leaves of a shorter one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsistencyProof(Vec<Hash>);

/// Largest power of two below `n`, for n > 1.
const fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

impl InclusionProof {
    /// Proves leaf `index` of the tree of `len` leaves; `index < len`.
    pub fn build<S: TreeSource>(source: &mut S, index: u64, len: u64) -> Result<Self, S::Error> {
        let mut path = Vec::new();
        let (mut from, mut to) = (0, len);
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                path.push(range_root(source, middle, to)?);
                to = middle;
            } else {
                path.push(range_root(source, from, middle)?);
                from = middle;
            }
        }
        path.reverse();
        Ok(Self(path))
    }

    /// Checks that `leaf` is leaf `index` of the tree of `len` leaves with root `root`.
    pub fn verify(&self, leaf: Hash, index: u64, len: u64, root: &Hash) -> Result<(), ProofError> {
        if index >= len {
            return Err(ProofError::OutOfRange);
        }
        let (mut node, mut index, mut last) = (leaf, index, len - 1);
        for hash in &self.0 {
            if last == 0 {
                return Err(ProofError::WrongLength);
            }
            if index & 1 == 1 || index == last {
                node = node_hash(hash, &node);
                while index & 1 == 0 && index != 0 {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                node = node_hash(&node, hash);
            }
            index >>= 1;
            last >>= 1;
        }
        match (last, node == *root) {
            (0, true) => Ok(()),
            (0, false) => Err(ProofError::WrongRoot),
            _ => Err(ProofError::WrongLength),
        }
    }

    /// The hashes, leaf end first.
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }

    /// Appends the proof.
    pub fn encode(&self, out: &mut Encoder) {
        encode_hashes(&self.0, out);
    }

    /// Reads a proof.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decode_hashes(input).map(Self)
    }
}

impl ConsistencyProof {
    /// Proves that the first `old` of `new` leaves are a prefix; `old <= new`.
    pub fn build<S: TreeSource>(source: &mut S, old: u64, new: u64) -> Result<Self, S::Error> {
        let mut path = Vec::new();
        if old == 0 || old == new {
            return Ok(Self(path));
        }
        let (mut from, mut to, mut whole) = (0, new, true);
        while to != old {
            let middle = from + split(to - from);
            if old <= middle {
                path.push(range_root(source, middle, to)?);
                to = middle;
            } else {
                path.push(range_root(source, from, middle)?);
                from = middle;
                whole = false;
            }
        }
        if !whole {
            path.push(range_root(source, from, to)?);
        }
        path.reverse();
        Ok(Self(path))
    }

    /// Checks that the tree of `new` leaves with root `new_root` starts with the tree of `old`
    /// leaves with root `old_root`. Any tree starts with the empty one.
    pub fn verify(
        &self,
        old: u64,
        old_root: &Hash,
        new: u64,
        new_root: &Hash,
    ) -> Result<(), ProofError> {
        if old > new {
            return Err(ProofError::OutOfRange);
        }
        if old == 0 || old == new {
            return match (self.0.is_empty(), old == 0 || old_root == new_root) {
                (false, _) => Err(ProofError::WrongLength),
                (true, false) => Err(ProofError::WrongRoot),
                (true, true) => Ok(()),
            };
        }
        let mut path = self.0.iter();
        let (mut index, mut last) = (old - 1, new - 1);
        while index & 1 == 1 {
            index >>= 1;
            last >>= 1;
        }
        let first = if old.is_power_of_two() {
            old_root
        } else {
            path.next().ok_or(ProofError::WrongLength)?
        };
        let (mut old_node, mut new_node) = (*first, *first);
        for hash in path {
            if last == 0 {
                return Err(ProofError::WrongLength);
            }
            if index & 1 == 1 || index == last {
                old_node = node_hash(hash, &old_node);
                new_node = node_hash(hash, &new_node);
                while index & 1 == 0 && index != 0 {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                new_node = node_hash(&new_node, hash);
            }
            index >>= 1;
            last >>= 1;
        }
        match (last, old_node == *old_root && new_node == *new_root) {
            (0, true) => Ok(()),
            (0, false) => Err(ProofError::WrongRoot),
            _ => Err(ProofError::WrongLength),
        }
    }

    /// The hashes, leaf end first.
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }

    /// Appends the proof.
    pub fn encode(&self, out: &mut Encoder) {
        encode_hashes(&self.0, out);
    }

    /// Reads a proof.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decode_hashes(input).map(Self)
    }
}

pub(crate) fn encode_hashes(hashes: &[Hash], out: &mut Encoder) {
    out.uint(hashes.len() as u64);
    for hash in hashes {
        out.raw(hash.as_bytes());
    }
}

pub(crate) fn decode_hashes(input: &mut Decoder<'_>) -> Result<Vec<Hash>, DecodeError> {
    let count = input.count(2 * PATH_MAX, 32, "hash count")?;
    (0..count)
        .map(|_| Ok(Hash::from_bytes(input.array("hash")?)))
        .collect()
}
