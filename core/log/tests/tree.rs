//! Properties of the tree, proofs and tips, against the recursive definitions of RFC 6962.

use proptest::prelude::*;
use stead_base::{Hash, SpaceId, WriterId};
use stead_crypt::{SigningKey, hash};
use stead_log::{
    Batch, BatchBuilder, BatchError, Branch, ConsistencyProof, Entry, EntryRef, ForkError,
    ForkProof, InclusionProof, Parcel, ParcelRef, Peaks, SignedHead, Tip, range_root, subtree_root,
};

fn leaf(i: usize) -> Hash {
    hash::keyed(&[7; 32], &i.to_be_bytes())
}

fn leaves(n: usize) -> Vec<Hash> {
    (0..n).map(leaf).collect()
}

/// MTH of RFC 6962 section 2.1, to the letter.
fn reference_root(leaves: &[Hash]) -> Hash {
    match leaves.len() {
        1 => leaves[0],
        n => {
            let k = n.next_power_of_two() / 2;
            let mut pair = reference_root(&leaves[..k]).as_bytes().to_vec();
            pair.extend_from_slice(reference_root(&leaves[k..]).as_bytes());
            hash::keyed(b"stead/log/1 merkle node         ", &pair)
        }
    }
}

fn space() -> SpaceId {
    SpaceId::from_bytes([9; 32])
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn writer(seed: u8) -> WriterId {
    WriterId::from_bytes(key(seed).public())
}

fn entry(i: usize, tag: u8) -> Vec<u8> {
    Entry {
        salt: (i as u32).to_be_bytes(),
        envelope_epoch: 0,
        envelope: vec![tag; 30],
        parcels: vec![Parcel::Sealed {
            scope: stead_base::ScopeId::ROOT,
            epoch: 1,
            ciphertext: vec![i as u8; i % 90 + 16],
        }],
    }
    .encode()
}

struct Log {
    tip: Tip,
    entries: Vec<Vec<u8>>,
    heads: Vec<SignedHead>,
}

impl Log {
    fn new() -> Self {
        Self {
            tip: Tip::default(),
            entries: Vec::new(),
            heads: Vec::new(),
        }
    }

    fn extend(&mut self, seed: u8, n: usize, tag: u8) {
        for _ in 0..n {
            let bytes = entry(self.entries.len(), tag);
            self.tip
                .append(EntryRef::parse(&bytes).unwrap().leaf_hash());
            self.entries.push(bytes);
            self.heads.push(self.tip.sign(&space(), &key(seed)));
        }
    }

    fn leaves(&self) -> Vec<Hash> {
        self.entries
            .iter()
            .map(|e| EntryRef::parse(e).unwrap().leaf_hash())
            .collect()
    }

    /// A batch of `from..to` under the head of length `head`.
    fn batch(&self, seed: u8, from: usize, to: usize, head: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in &self.entries[from..to] {
            stead_base::codec::put_uint(&mut bytes, entry.len() as u64);
            bytes.extend_from_slice(entry);
        }
        let all = self.leaves();
        let mut extension = Vec::new();
        let (mut at, end) = (to as u64, head as u64);
        while at < end {
            let fits = 63 - (end - at).leading_zeros();
            let level = fits.min(if at == 0 { 63 } else { at.trailing_zeros() });
            extension.push(subtree_root(
                &all[at as usize..(at + (1 << level)) as usize],
            ));
            at += 1 << level;
        }
        let signature = self.heads[head - 1].signature;
        BatchBuilder::encode(
            &writer(seed),
            from as u64,
            to - from,
            end,
            &signature,
            &extension,
            &bytes,
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn roots_are_those_of_rfc_6962(n in 1usize..300) {
        let leaves = leaves(n);
        let mut peaks = Peaks::empty();
        for leaf in &leaves {
            peaks.push(*leaf);
        }
        prop_assert_eq!(peaks.root(), reference_root(&leaves));
        let mut out = stead_base::Encoder::new();
        peaks.encode(&mut out);
        prop_assert_eq!(Peaks::decode(&mut stead_base::Decoder::new(out.as_slice())).unwrap(), peaks);
        prop_assert_eq!(range_root(&mut &leaves[..], 0, n as u64).unwrap(), reference_root(&leaves));
    }

    #[test]
    fn every_leaf_is_proven_and_no_other_passes(n in 1usize..200, at: prop::sample::Index, other: prop::sample::Index) {
        let leaves = leaves(n);
        let (at, other) = (at.index(n), other.index(n));
        let root = reference_root(&leaves);
        let proof = InclusionProof::build(&mut &leaves[..], at as u64, n as u64).unwrap();
        prop_assert!(proof.verify(leaf(at), at as u64, n as u64, &root).is_ok());
        if other != at {
            prop_assert!(proof.verify(leaf(other), at as u64, n as u64, &root).is_err());
            prop_assert!(proof.verify(leaf(at), other as u64, n as u64, &root).is_err());
        }
        prop_assert!(proof.verify(leaf(at), n as u64, n as u64, &root).is_err());
    }

    #[test]
    fn every_prefix_is_proven_and_no_other_root_passes(new in 1usize..200, old: prop::sample::Index) {
        let leaves = leaves(new);
        let old = old.index(new) + 1;
        let (old_root, new_root) = (reference_root(&leaves[..old]), reference_root(&leaves));
        let proof = ConsistencyProof::build(&mut &leaves[..], old as u64, new as u64).unwrap();
        prop_assert!(proof.verify(old as u64, &old_root, new as u64, &new_root).is_ok());
        prop_assert!(proof.verify(old as u64, &leaf(9999), new as u64, &new_root).is_err());
        prop_assert!(proof.verify(old as u64, &old_root, new as u64, &leaf(9999)).is_err());
    }

    #[test]
    fn batches_of_any_cut_under_any_later_head_lead_to_the_same_tip(
        n in 1usize..120,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        overlap in 0usize..5,
    ) {
        let mut log = Log::new();
        log.extend(1, n, 0);
        let mut ends: Vec<usize> = cuts.iter().map(|c| c.index(n) + 1).collect();
        ends.push(n);
        ends.sort_unstable();
        ends.dedup();
        let mut tip = Tip::default();
        for (i, &end) in ends.iter().enumerate() {
            let from = (tip.len() as usize).saturating_sub(overlap);
            let head = ends[(i + 1).min(ends.len() - 1)];
            let bytes = log.batch(1, from, end, head);
            let batch = Batch::decode(&bytes).unwrap();
            let verified = tip.verify(&space(), &batch).unwrap();
            prop_assert_eq!(verified.start, tip.len());
            prop_assert_eq!(verified.entries.len() as u64, end as u64 - tip.len());
            tip = verified.tip;
            prop_assert_eq!(Tip::decode(&tip.encode()).unwrap(), tip.clone());
        }
        prop_assert_eq!(tip.len(), log.tip.len());
        prop_assert_eq!(tip.root(), log.tip.root());
    }

    #[test]
    fn a_batch_with_any_changed_byte_is_refused(at: prop::sample::Index, flip in 1u8..=255) {
        let mut log = Log::new();
        log.extend(1, 7, 0);
        let mut bytes = log.batch(1, 0, 5, 7);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let accepted = Batch::decode(&bytes).is_ok_and(|b| Tip::default().verify(&space(), &b).is_ok());
        prop_assert!(!accepted, "byte {at} changed by {flip:#x} was accepted");
    }

    #[test]
    fn decoders_never_panic_on_hostile_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = EntryRef::parse(&bytes).map(|e| (e.leaf_hash(), e.parcels().count()));
        let _ = Batch::decode(&bytes).map(|b| Tip::default().verify(&space(), &b).is_ok());
        let _ = ForkProof::decode(&bytes).map(|p| p.verify(&space(), &writer(1)).is_ok());
        let _ = Tip::decode(&bytes);
    }

    #[test]
    fn two_histories_of_one_writer_are_proven_to_anyone(
        common in 0usize..40, left in 1usize..20, right in 1usize..20
    ) {
        let (mut a, mut b) = (Log::new(), Log::new());
        a.extend(1, common, 0);
        b.extend(1, common, 0);
        a.extend(1, left, 1);
        b.extend(1, right, 2);
        let at = common as u64;
        let open = |log: &Log| Branch::build(&mut &log.leaves()[..], *log.tip.head().unwrap(), at).unwrap();
        let ((left, root), (right, other_root)) = (open(&a), open(&b));
        prop_assert_eq!(root, other_root);
        let proof = ForkProof { common: at, common_root: root, branches: [left.clone(), right] };
        let proof = ForkProof::decode(&proof.encode()).unwrap();
        prop_assert_eq!(proof.verify(&space(), &writer(1)), Ok(()));
        prop_assert!(proof.verify(&space(), &writer(2)).is_err());
        prop_assert!(proof.verify(&SpaceId::from_bytes([8; 32]), &writer(1)).is_err());
        let same = ForkProof { branches: [left.clone(), left], ..proof };
        prop_assert_eq!(same.verify(&space(), &writer(1)), Err(ForkError::SameLeaf));
        let batch = b.batch(1, 0, b.entries.len(), b.entries.len());
        let batch = Batch::decode(&batch).unwrap();
        if batch.end() > a.tip.len() {
            prop_assert_eq!(
                a.tip.verify(&space(), &batch).unwrap_err(),
                BatchError::Contradiction { len: batch.head_len }
            );
        }
    }
}

#[test]
fn withholding_a_parcel_keeps_the_leaf_hash() {
    let bytes = entry(50, 3);
    let whole = EntryRef::parse(&bytes).unwrap();
    let without = whole.withhold(|_| false);
    let without = EntryRef::parse(&without).unwrap();
    assert!(matches!(
        without.parcels().next(),
        Some(ParcelRef::Withheld { .. })
    ));
    assert_eq!(whole.leaf_hash(), without.leaf_hash());
    assert_eq!(whole.withhold(|_| true), bytes);
    assert_eq!(without.withhold(|_| true), without.bytes());
}

#[test]
fn a_batch_for_another_space_is_refused() {
    let mut log = Log::new();
    log.extend(1, 3, 0);
    let bytes = log.batch(1, 0, 3, 3);
    let batch = Batch::decode(&bytes).unwrap();
    let other = SpaceId::from_bytes([1; 32]);
    assert_eq!(
        Tip::default().verify(&other, &batch).unwrap_err(),
        BatchError::Contradiction { len: 3 }
    );
}

#[test]
fn a_batch_that_starts_after_what_is_held_is_refused() {
    let mut log = Log::new();
    log.extend(1, 5, 0);
    let bytes = log.batch(1, 3, 5, 5);
    let err = Tip::default()
        .verify(&space(), &Batch::decode(&bytes).unwrap())
        .unwrap_err();
    assert_eq!(err, BatchError::Gap { held: 0, start: 3 });
}
