//! Entries, envelopes, heads, batches, tips and proofs.

use stead_base::{Decoder, Encoder, Hash, ScopeId, SpaceId, WriterId};
use stead_log::{
    Batch, BatchBuilder, BatchEntries, ConsistencyProof, EntryRef, Envelope, ForkProof,
    InclusionProof, ParcelRef, SignedHead, Tip,
};

/// The space that everything is checked in.
pub const SPACE: SpaceId = SpaceId::from_bytes([5; 32]);

/// One entry: withholding parcels must not change what the log commits to.
pub fn entry(data: &[u8]) -> bool {
    let Ok(entry) = EntryRef::parse(data) else {
        return false;
    };
    assert_eq!(entry.bytes(), data);
    assert_eq!(entry.salt()[..], data[..4]);
    let parcels = entry.parcels().count();
    let leaf = entry.leaf_hash();
    for keep in [ScopeId::ROSTER, ScopeId::ROOT] {
        let withheld = entry.withhold(|scope| scope == keep);
        match EntryRef::parse(&withheld) {
            Ok(less) => {
                assert_eq!(less.leaf_hash(), leaf, "withholding changed the leaf");
                assert_eq!(less.parcels().count(), parcels);
                let sealed = less.parcels().all(|parcel| match parcel {
                    ParcelRef::Sealed { scope, .. } => scope == keep,
                    ParcelRef::Withheld { .. } | ParcelRef::KeyBox(_) => true,
                });
                assert!(sealed, "a parcel was not withheld");
            }
            // A hash may be longer than the parcel it stands for.
            Err(err) => assert!(withheld.len() > data.len(), "{err}"),
        }
    }
    true
}

/// An opened envelope.
pub fn envelope(data: &[u8]) -> bool {
    let hlc = Envelope::decode_hlc(data);
    let Ok(envelope) = Envelope::decode(data) else {
        return false;
    };
    assert_eq!(hlc.ok(), Some(envelope.hlc));
    // What a later version appends is allowed after it.
    assert!(data.starts_with(&envelope.encode()));
    true
}

/// A signed head.
pub fn head(data: &[u8]) -> bool {
    let mut input = Decoder::new(data);
    let Ok(head) = SignedHead::decode(&mut input) else {
        return false;
    };
    let mut out = Encoder::new();
    head.encode(&mut out);
    assert_eq!(out.as_slice(), &data[..input.offset()]);
    let writer = WriterId::from_bytes(*head.root.as_bytes());
    let _ = head.verify(&SPACE, &writer);
    true
}

/// A batch, verified against an empty log.
pub fn batch(data: &[u8]) -> bool {
    let Ok(batch) = Batch::decode(data) else {
        return false;
    };
    let again = BatchBuilder::encode(
        &batch.writer,
        batch.start,
        batch.count,
        batch.head_len,
        &batch.signature,
        &batch.extension,
        batch.entries,
    );
    assert_eq!(again, data);
    let mut entries = BatchEntries::new(batch.entries);
    while let Ok(Some(entry)) = entries.next_entry() {
        entry.leaf_hash();
    }
    if let Ok(verified) = Tip::default().verify(&SPACE, &batch) {
        assert_eq!(verified.tip.len(), batch.end());
        assert_eq!(verified.leaves.len(), batch.count);
        // What was verified verifies again on top, and changes nothing.
        let again = verified.tip.verify(&SPACE, &batch);
        assert!(again.is_ok_and(|again| again.entries.is_empty()));
    }
    true
}

/// A tip from a store.
pub fn tip(data: &[u8]) -> bool {
    let Ok(mut tip) = Tip::decode(data) else {
        return false;
    };
    assert_eq!(tip.encode(), data);
    tip.root();
    if tip.len() < stead_base::limits::LOG_LEN_MAX {
        tip.append(Hash::from_bytes([1; 32]));
        tip.root();
    }
    true
}

/// An inclusion proof, or a consistency proof, and what it is said to prove.
///
/// Layout: kind (1), three numbers (8 each, little-endian), two hashes, the proof.
pub fn proof(data: &[u8]) -> bool {
    let mut input = Decoder::new(data);
    let mut read = || {
        let kind = input.byte("kind").ok()?;
        let mut number = || input.array::<8>("number").ok().map(u64::from_le_bytes);
        let (from, to) = (number()?, number()?);
        let mut hash = || input.array("hash").ok().map(Hash::from_bytes);
        Some((kind & 1, from, to, hash()?, hash()?))
    };
    let Some((kind, from, to, small, large)) = read() else {
        return false;
    };
    let start = input.offset();
    let mut out = Encoder::new();
    if kind == 0 {
        let Ok(proof) = InclusionProof::decode(&mut input) else {
            return false;
        };
        let _ = proof.verify(small, from, to, &large);
        proof.encode(&mut out);
    } else {
        let Ok(proof) = ConsistencyProof::decode(&mut input) else {
            return false;
        };
        let _ = proof.verify(from, &small, to, &large);
        proof.encode(&mut out);
    }
    assert_eq!(out.as_slice(), &data[start..input.offset()]);
    true
}

/// A fork proof.
pub fn fork(data: &[u8]) -> bool {
    let Ok(proof) = ForkProof::decode(data) else {
        return false;
    };
    assert_eq!(proof.encode(), data);
    let _ = proof.verify(&SPACE, &crate::seeds::log::writer());
    true
}
