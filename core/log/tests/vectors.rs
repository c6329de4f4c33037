//! The vectors of `docs/formats/log.md`: written with `STEAD_WRITE_VECTORS=1`, checked otherwise.
#![allow(
    clippy::disallowed_methods,
    reason = "a test reads its vectors; the crate itself never does"
)]

use std::fmt::Write as _;

use stead_base::{Encoder, Hash, Hlc, ScopeId, SpaceId, WriterId};
use stead_crypt::SigningKey;
use stead_log::{
    Batch, BatchBuilder, Branch, ConsistencyProof, Dependency, Entry, EntryRef, Envelope,
    ForkProof, InclusionProof, Parcel, Tip,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn entry(i: u8) -> Vec<u8> {
    let mut parcels = vec![Parcel::Sealed {
        scope: ScopeId::ROOT,
        epoch: 0,
        ciphertext: vec![i; 20],
    }];
    if i == 0 {
        parcels.insert(
            0,
            Parcel::Sealed {
                scope: ScopeId::ROSTER,
                epoch: 3,
                ciphertext: vec![0xaa; 17],
            },
        );
        parcels.push(Parcel::KeyBox(vec![0xbb; 5]));
    }
    Entry {
        salt: [i, 1, 2, 3],
        envelope_epoch: 3,
        envelope: vec![0xcc; 25],
        parcels,
    }
    .encode()
}

fn encoded(put: impl FnOnce(&mut Encoder)) -> String {
    let mut out = Encoder::new();
    put(&mut out);
    hex(out.as_slice())
}

fn vectors() -> String {
    let space = SpaceId::from_bytes([9; 32]);
    let key = SigningKey::from_seed(&[1; 32]);
    let writer = WriterId::from_bytes(key.public());
    let entries: Vec<Vec<u8>> = (0..5).map(entry).collect();
    let leaves: Vec<Hash> = entries
        .iter()
        .map(|e| EntryRef::parse(e).unwrap().leaf_hash())
        .collect();
    let mut tip = Tip::default();
    let mut heads = Vec::new();
    for leaf in &leaves {
        tip.append(*leaf);
        heads.push(tip.sign(&space, &key));
    }
    let mut bytes = Vec::new();
    for entry in &entries[..3] {
        stead_base::codec::put_uint(&mut bytes, entry.len() as u64);
        bytes.extend_from_slice(entry);
    }
    let extension = [leaves[3], leaves[4]];
    let batch = BatchBuilder::encode(&writer, 0, 3, 5, &heads[4].signature, &extension, &bytes);
    assert!(
        Tip::default()
            .verify(&space, &Batch::decode(&batch).unwrap())
            .is_ok()
    );

    let other_leaf = EntryRef::parse(&entry(9)).unwrap().leaf_hash();
    let other_leaves = [leaves[0], leaves[1], other_leaf];
    let mut other = Tip::default();
    for leaf in &other_leaves {
        other.append(*leaf);
    }
    let other_head = other.sign(&space, &key);
    let (left, root) = Branch::build(&mut &leaves[..], heads[4], 2).unwrap();
    let (right, _) = Branch::build(&mut &other_leaves[..], other_head, 2).unwrap();
    let fork = ForkProof {
        common: 2,
        common_root: root,
        branches: [left, right],
    };
    assert_eq!(fork.verify(&space, &writer), Ok(()));

    let envelope = Envelope {
        hlc: Hlc::new(1_700_000_000_000, 7),
        seen: vec![Dependency {
            writer: WriterId::from_bytes([4; 32]),
            len: 300,
        }],
        rosters: Some(2),
        by_itself: false,
    };
    let inclusion = InclusionProof::build(&mut &leaves[..], 2, 5).unwrap();
    let consistency = ConsistencyProof::build(&mut &leaves[..], 3, 5).unwrap();
    let mut out = String::new();
    let mut line = |name: &str, value: String| writeln!(out, "{name} = {value}").unwrap();
    line("writer", writer.to_string());
    line("envelope", hex(&envelope.encode()));
    let by_itself = Envelope {
        by_itself: true,
        ..envelope
    };
    line("envelope by itself", hex(&by_itself.encode()));
    line("entry 0", hex(&entries[0]));
    line(
        "entry 0 withheld",
        hex(&EntryRef::parse(&entries[0]).unwrap().withhold(|_| false)),
    );
    for (i, leaf) in leaves.iter().enumerate() {
        line(&format!("leaf {i}"), leaf.to_string());
    }
    for head in &heads {
        line(&format!("root {}", head.len), head.root.to_string());
    }
    line("head 5", encoded(|out| heads[4].encode(out)));
    line("batch 0..3 under head 5", hex(&batch));
    line("inclusion of 2 in 5", encoded(|out| inclusion.encode(out)));
    line(
        "consistency of 3 in 5",
        encoded(|out| consistency.encode(out)),
    );
    line("fork at 2", hex(&fork.encode()));
    out
}

#[test]
fn the_format_is_the_one_that_was_published() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/log.txt");
    let vectors = vectors();
    if std::env::var_os("STEAD_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")).unwrap();
        std::fs::write(path, &vectors).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap();
    for (ours, theirs) in vectors.lines().zip(published.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(vectors.lines().count(), published.lines().count());
}
