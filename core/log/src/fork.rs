//! Fork proofs: two signed heads of one writer whose logs part ways, proven to anyone.
//!
//! ```text
//! fork   = common:uint common_root[32] branch branch
//! branch = head leaf[32] inclusion consistency
//! ```
//!
//! Both heads are shown to start with the same `common` entries and to hold different entries at
//! `common`. Whoever has checked that freezes the writer at that length.

use stead_base::codec::{DecodeError, Decoder, Encoder};
use stead_base::{Hash, SpaceId, WriterId};

use crate::head::SignedHead;
use crate::proof::{ConsistencyProof, InclusionProof, ProofError};
use crate::tree::{TreeSource, range_root};

/// Largest encoded fork proof, in bytes.
pub const FORK_PROOF_BYTES_MAX: usize = 16 * 1024;

/// Why a branch was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BranchError {
    /// The head is not signed by the writer.
    #[error("the head is not signed by the writer")]
    Signature,
    /// A hash path fails.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// Why a fork proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// The bytes are no fork proof.
    #[error("malformed fork proof: {0}")]
    Malformed(#[from] DecodeError),
    /// One of its branches proves nothing.
    #[error("fork proof: {0}")]
    Branch(#[from] BranchError),
    /// Both branches hold the same entry where they should part.
    #[error("the two branches do not part where the proof says")]
    SameLeaf,
}

/// One signed head opened at a place: the prefix before it and the entry at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The head; longer than the place.
    pub head: SignedHead,
    /// Leaf hash of the entry at the place.
    pub leaf: Hash,
    /// Shows that the entry is there.
    pub inclusion: InclusionProof,
    /// Leads from the prefix to the head.
    pub consistency: ConsistencyProof,
}

impl Branch {
    /// Opens the log behind `head` at entry `at < head.len`. Returns the branch and the root of
    /// the first `at` entries.
    pub fn build<S: TreeSource>(
        source: &mut S,
        head: SignedHead,
        at: u64,
    ) -> Result<(Self, Hash), S::Error> {
        let branch = Self {
            head,
            leaf: source.subtree(0, at)?,
            inclusion: InclusionProof::build(source, at, head.len)?,
            consistency: ConsistencyProof::build(source, at, head.len)?,
        };
        Ok((branch, range_root(source, 0, at)?))
    }

    /// Checks the signature, the entry at `at` and that the head starts with `prefix_root`.
    pub fn verify(
        &self,
        space: &SpaceId,
        writer: &WriterId,
        at: u64,
        prefix_root: &Hash,
    ) -> Result<(), BranchError> {
        self.head
            .verify(space, writer)
            .map_err(|_| BranchError::Signature)?;
        self.inclusion
            .verify(self.leaf, at, self.head.len, &self.head.root)?;
        self.consistency
            .verify(at, prefix_root, self.head.len, &self.head.root)?;
        Ok(())
    }

    /// Appends the branch.
    pub fn encode(&self, out: &mut Encoder) {
        self.head.encode(out);
        out.raw(self.leaf.as_bytes());
        self.inclusion.encode(out);
        self.consistency.encode(out);
    }

    /// Reads a branch.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            head: SignedHead::decode(input)?,
            leaf: Hash::from_bytes(input.array("leaf")?),
            inclusion: InclusionProof::decode(input)?,
            consistency: ConsistencyProof::decode(input)?,
        })
    }
}

/// Proof that a writer signed two histories that part after `common` entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkProof {
    /// Length of the common prefix: the writer is frozen here.
    pub common: u64,
    /// Root of the common prefix.
    pub common_root: Hash,
    /// The two histories.
    pub branches: [Branch; 2],
}

impl ForkProof {
    /// Checks everything the proof says about `writer` in `space`.
    pub fn verify(&self, space: &SpaceId, writer: &WriterId) -> Result<(), ForkError> {
        for branch in &self.branches {
            branch.verify(space, writer, self.common, &self.common_root)?;
        }
        if self.branches[0].leaf == self.branches[1].leaf {
            return Err(ForkError::SameLeaf);
        }
        Ok(())
    }

    /// Encodes the proof.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.uint(self.common).raw(self.common_root.as_bytes());
        for branch in &self.branches {
            branch.encode(&mut out);
        }
        out.finish()
    }

    /// Decodes a proof; [`ForkProof::verify`] says whether it holds.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let common = input.uint_max(stead_base::limits::LOG_LEN_MAX, "common length")?;
        let common_root = Hash::from_bytes(input.array("common root")?);
        let branches = [Branch::decode(&mut input)?, Branch::decode(&mut input)?];
        input.finish("fork proof")?;
        Ok(Self {
            common,
            common_root,
            branches,
        })
    }
}
