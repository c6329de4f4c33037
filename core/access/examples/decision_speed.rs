//! Prints what one decision costs in a large space, and what taking up its roster does.
//!
//! Measures only; `cargo run -p stead-access --example decision_speed`.

use std::hint::black_box;

use stead_access::{
    Action, DeviceRecord, Grant, Lengths, Name, OpId, Party, Path, Remove, Role, Roster, RosterOp,
    Subject, sign_claim, sign_genesis,
};
use stead_base::{SpaceId, WriterId};
use stead_crypt::DeviceKeys;

const SPACE: SpaceId = SpaceId::from_bytes([42; 32]);
const MEMBERS: usize = 1_000;
const GRANTS: usize = 10_000;
const DECISIONS: usize = 1_000_000;

#[allow(clippy::disallowed_methods)] // An example that measures reads the clock.
fn timed<T>(what: &str, per: usize, unit: &str, act: impl FnOnce() -> T) -> T {
    let start = std::time::Instant::now();
    let out = act();
    let each = start.elapsed().as_nanos() as f64 / per as f64;
    println!("{what:<44} {each:>12.0} ns {unit}");
    out
}

fn writer(i: usize) -> WriterId {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&(i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    WriterId::from_bytes(id)
}

fn main() {
    let keys: Vec<DeviceKeys> = (0..MEMBERS)
        .map(|i| {
            let mut seed = [1; 32];
            seed[..8].copy_from_slice(&(i as u64).to_be_bytes());
            DeviceKeys::from_seed(&seed)
        })
        .collect();
    let record = |i: usize| DeviceRecord::of(&keys[i], Name::from_any("device"));
    let (name, nonce, founder) = (Name::from_any("large"), [7; 32], record(0));
    let key = keys[0].signing();
    let signature = sign_genesis(key, &writer(0), &nonce, &name, &founder, None);
    let genesis = RosterOp::Genesis {
        name,
        nonce,
        device: founder,
        card: None,
        signature,
    };
    let paths: Vec<Path> = (0..GRANTS / MEMBERS)
        .map(|i| Path::of(["notes", &format!("document {i}")]).expect("a short path"))
        .collect();
    let mut entries = Vec::new();
    for (i, keys) in keys.iter().enumerate().skip(1) {
        let claim = RosterOp::Claim {
            device: keys.id(),
            signature: sign_claim(keys.signing(), &SPACE, &writer(i)),
        };
        entries.push((writer(i), 0, vec![claim]));
    }
    for i in 0..GRANTS {
        let grant = RosterOp::Grant(Grant {
            subject: Subject::Party(Party::Device(record(i % (MEMBERS - 1) + 1))),
            role: Role::ALL[i % 2],
            path: paths[i % paths.len()].clone(),
            since: Lengths::none(),
        });
        entries.push((writer(0), i as u64 + 1, vec![grant]));
    }
    let founded = || {
        let mut roster = Roster::new(SPACE);
        roster
            .insert_genesis(writer(0), vec![genesis.clone()])
            .expect("a sound genesis");
        roster
    };
    let copy = entries.clone();
    let mut one_by_one = founded();
    timed("take up one by one", entries.len(), "an entry", || {
        for (writer, seq, ops) in copy {
            one_by_one.insert(writer, seq, ops);
        }
    });
    let count = entries.len();
    let mut roster = founded();
    timed("take up all at once", count, "an entry", || {
        roster.insert_all(entries)
    });
    assert_eq!(roster.members().len(), one_by_one.members().len());
    assert_eq!(roster.members().len(), GRANTS + 1);
    let asked = Path::of(["notes", "document 3", "title"]).expect("a short path");
    let writers: Vec<WriterId> = (0..MEMBERS).map(writer).collect();
    let allowed = timed(
        "decide whether a writer may write",
        DECISIONS,
        "a decision",
        || {
            let mut allowed = 0;
            for i in 0..DECISIONS {
                let writer = &writers[i * 7919 % MEMBERS];
                let may = roster.verdict(black_box(writer), i as u64, &asked, Action::Write);
                allowed += usize::from(may);
            }
            allowed
        },
    );
    println!("  ({allowed} of {DECISIONS} allowed)");
    let membership = OpId {
        log: writer(0),
        seq: 77,
        index: 0,
    };
    let remove = RosterOp::Remove(Remove {
        memberships: vec![membership],
        lengths: Lengths::none(),
        reason: None,
    });
    let end = GRANTS as u64 + 1;
    timed("take up a removal", 1, "", || {
        roster.insert(writer(0), end, vec![remove])
    });
    timed("list stale scopes", 1, "", || roster.stale_scopes());
}
