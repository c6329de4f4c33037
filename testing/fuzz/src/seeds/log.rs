//! A small log and everything that can be said about it.

use crate::targets::log::SPACE;
use stead_base::{Encoder, Hash, Hlc, ScopeId, WriterId};
use stead_crypt::SigningKey;
use stead_log::{
    BatchBuilder, Branch, ConsistencyProof, Dependency, Entry, EntryRef, Envelope, ForkProof,
    InclusionProof, Parcel, SignedHead, Tip, TreeSource,
};

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

/// The writer of all logs here.
pub fn writer() -> WriterId {
    WriterId::from_bytes(key().public())
}

pub(super) fn entry(n: u8) -> Vec<u8> {
    let sealed = |scope, bytes: usize| Parcel::Sealed {
        scope,
        epoch: u32::from(n) % 3,
        ciphertext: vec![n; bytes],
    };
    Entry {
        salt: [n; 4],
        envelope_epoch: u32::from(n),
        envelope: vec![n; 25 + usize::from(n)],
        parcels: match n % 4 {
            0 => vec![sealed(ScopeId::ROOT, 60)],
            1 => vec![sealed(ScopeId::ROSTER, 40), sealed(ScopeId::ROOT, 20)],
            2 => vec![Parcel::KeyBox(vec![n; 90]), sealed(ScopeId::ROSTER, 33)],
            _ => vec![],
        },
    }
    .encode()
}

/// Entries, whole and with parcels withheld.
pub fn entries() -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = (0..6).map(entry).collect();
    for n in 0..3 {
        if let Ok(whole) = EntryRef::parse(&entry(n)) {
            found.push(whole.withhold(|scope| scope == ScopeId::ROSTER));
        }
    }
    found
}

/// Envelopes with and without what their writer had seen.
pub fn envelopes() -> Vec<Vec<u8>> {
    let dependency = |n: u8| Dependency {
        writer: WriterId::from_bytes([n; 32]),
        len: u64::from(n) << (n % 30),
    };
    let mut found: Vec<Vec<u8>> = (0..4)
        .map(|n| {
            Envelope {
                hlc: Hlc::new(1_700_000_000_000, u16::from(n)),
                seen: (0..n).map(dependency).collect(),
                rosters: (n > 0).then_some(u64::from(n) * 100),
                by_itself: n == 2,
            }
            .encode()
        })
        .collect();
    found.push([&found[1][..], b"from a later version"].concat());
    found
}

pub(super) fn leaves(count: u8) -> Vec<Hash> {
    let leaf = |n| EntryRef::parse(&entry(n)).map(|entry| entry.leaf_hash());
    (0..count)
        .map(|n| leaf(n).expect("a seed entry is valid"))
        .collect()
}

fn tip_of(count: u8) -> Tip {
    let mut tip = Tip::default();
    for leaf in leaves(count) {
        tip.append(leaf);
    }
    if count > 0 {
        tip.sign(&SPACE, &key());
    }
    tip
}

pub(super) fn signed(count: u8) -> SignedHead {
    SignedHead::sign(&key(), &SPACE, count.into(), tip_of(count).root())
}

/// Signed heads.
pub fn heads() -> Vec<Vec<u8>> {
    let encode = |count| {
        let mut out = Encoder::new();
        signed(count).encode(&mut out);
        out.finish()
    };
    [1, 2, 7, 8].map(encode).to_vec()
}

/// Batches from the start of a log, some of which end before the signed head.
pub fn batches() -> Vec<Vec<u8>> {
    let batch = |(upto, of): (u8, u8)| {
        let mut entries = Encoder::new();
        for n in 0..upto {
            entries.bytes(&entry(n));
        }
        let all = leaves(of);
        let mut source = &all[..];
        let extension: Vec<Hash> = stead_log::subtree_places(upto.into(), of.into())
            .map(|(level, index)| {
                source
                    .subtree(level, index)
                    .expect("the leaves are in memory")
            })
            .collect();
        BatchBuilder::encode(
            &writer(),
            0,
            upto.into(),
            of.into(),
            &signed(of).signature,
            &extension,
            entries.as_slice(),
        )
    };
    [(1, 1), (3, 3), (5, 5), (3, 7), (4, 9)].map(batch).to_vec()
}

/// Tips of several lengths.
pub fn tips() -> Vec<Vec<u8>> {
    [0, 1, 2, 5, 8].map(|count| tip_of(count).encode()).to_vec()
}

/// Inclusion and consistency proofs with what they prove.
pub fn proofs() -> Vec<Vec<u8>> {
    let all = leaves(9);
    let root = |len: u8| tip_of(len).root();
    let with = |kind: u8, from: u64, to: u64, small: Hash, large: Hash| {
        let mut out = Encoder::new();
        out.byte(kind)
            .raw(&from.to_le_bytes())
            .raw(&to.to_le_bytes());
        out.raw(small.as_bytes()).raw(large.as_bytes());
        out
    };
    let mut found = Vec::new();
    for index in [0u8, 3, 8] {
        let mut out = with(0, index.into(), 9, all[usize::from(index)], root(9));
        let proof = InclusionProof::build(&mut &all[..], index.into(), 9);
        proof.expect("the leaves are in memory").encode(&mut out);
        found.push(out.finish());
    }
    for old in [0u8, 4, 7, 9] {
        let mut out = with(1, old.into(), 9, root(old), root(9));
        let proof = ConsistencyProof::build(&mut &all[..], old.into(), 9);
        proof.expect("the leaves are in memory").encode(&mut out);
        found.push(out.finish());
    }
    found
}

/// A proof that the log was forked after five entries.
pub fn forks() -> Vec<Vec<u8>> {
    let branch = |other: bool| {
        let mut all = leaves(7);
        if other {
            all[5] = Hash::from_bytes([0xee; 32]);
        }
        let mut tip = Tip::default();
        for leaf in &all {
            tip.append(*leaf);
        }
        let head = tip.sign(&SPACE, &key());
        Branch::build(&mut &all[..], head, 5).expect("the leaves are in memory")
    };
    let (first, common_root) = branch(false);
    let (second, _) = branch(true);
    let proof = ForkProof {
        common: 5,
        common_root,
        branches: [first, second],
    };
    assert_eq!(proof.verify(&SPACE, &writer()), Ok(()));
    vec![proof.encode()]
}
