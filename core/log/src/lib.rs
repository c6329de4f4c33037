//! Signed append-only Merkle logs: one writer's history in one space.
//!
//! Owns the bytes of an entry, the tree over entries, signed heads, batches and the proofs about
//! them (`docs/formats/log.md`). It never opens a sealed part, knows no document and no right, and
//! stores nothing: callers hand it bytes and the [`Tip`] they kept.

mod batch;
mod entry;
mod envelope;
mod fork;
mod head;
mod proof;
mod runs;
mod skeleton;
mod thin;
mod tip;
mod tree;

pub use batch::{Batch, BatchBuilder, BatchEntries, BatchError};
pub use entry::{Entry, EntryRef, Parcel, ParcelRef, SealedPart};
pub use envelope::{Dependency, Envelope};
pub use fork::{Branch, BranchError, FORK_PROOF_BYTES_MAX, ForkError, ForkProof};
pub use head::SignedHead;
pub use proof::{ConsistencyProof, InclusionProof, ProofError};
pub use runs::{KEPT_ENTRIES_MAX, KeptEntry, VerifiedRuns};
pub use skeleton::{Skeleton, SkeletonError, SkeletonTree};
pub use thin::ThinBatch;
pub use tip::{Tip, VerifiedBatch};
pub use tree::{
    NODE_LEVEL, Peaks, TreeSource, parent_hash, range_root, subtree_places, subtree_root,
};
