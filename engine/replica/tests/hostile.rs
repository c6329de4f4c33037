//! Members who break the rules, against honest replicas: whatever they do, the honest end equal,
//! keep what was theirs, and show nothing to whom they put out.
//!
//! The hostile act with the product's own code: a copied disk, a node that takes up no removal, a
//! relay that hands on what it likes. What no honest code would write is signed here by hand.

mod people;
mod world;

use people::{
    assert_equal, found, held, let_in, own_logs, person, put, relay, revoke, share, target,
    three_people,
};
use serde_json::json;
use stead_access::{Party, Path, Role};
use stead_base::{Encoder, ScopeId, SpaceId, WriterId};
use stead_crypt::SigningKey;
use stead_log::{Batch, BatchBuilder, BatchEntries, Entry, Parcel, Tip};
use stead_replica::{ReceiveError, ReplicaError};
use world::{Device, settle_forks, sync};

/// A batch of all that `from` holds of one log.
fn batch_of(from: &Device, space: &SpaceId, writer: &WriterId, upto: u64) -> Vec<u8> {
    from.replica
        .read_batch(space, writer, 0, upto, usize::MAX)
        .unwrap()
        .unwrap()
}

/// As [`sync`], where one side refuses strangers.
fn sync_crowded(a: &mut Device, b: &mut Device, space: &SpaceId) {
    while relay(a, b, space, &[]) | relay(b, a, space, &[]) {
        a.replica.reconcile(a.now).unwrap();
        b.replica.reconcile(b.now).unwrap();
    }
}

/// Entries signed as a log of the writer with this seed.
fn signed_log(seed: &[u8; 32], space: &SpaceId, entries: &[Vec<u8>]) -> Vec<u8> {
    let key = SigningKey::from_seed(seed);
    let mut tip = Tip::default();
    let mut encoded = Encoder::new();
    for entry in entries {
        let leaf = stead_log::EntryRef::parse(entry).unwrap().leaf_hash();
        tip.append(leaf);
        encoded.bytes(entry);
    }
    let head = tip.sign(space, &key);
    BatchBuilder::encode(
        &WriterId::from_bytes(key.public()),
        0,
        entries.len(),
        head.len,
        &head.signature,
        &[],
        encoded.as_slice(),
    )
}

fn entries_of(batch: &[u8]) -> Vec<Vec<u8>> {
    let batch = Batch::decode(batch).unwrap();
    let mut entries = BatchEntries::new(batch.entries);
    let mut found = Vec::new();
    while let Some(entry) = entries.next_bytes().unwrap() {
        found.push(entry.to_vec());
    }
    found
}

#[test]
fn a_removed_manager_that_takes_up_no_removal_lets_nobody_in_and_writes_nothing() {
    let (mut a, mut b, mut c, space) = three_people(Role::Manager, Role::Writer);
    revoke(&mut a, &b, &space);
    // B never hears of it, sets its clock back, and brings an accomplice.
    let mut accomplice = person(4);
    b.now -= 1_000_000;
    b.write(&space, &[put("first", json!({"by": "b"}))]);
    share(&mut b, &mut accomplice, &space, Role::Writer);
    accomplice.write(&space, &[put("mine", json!({"by": "the accomplice"}))]);
    sync(&mut b, &mut accomplice);
    // C hears them before it hears of the removal.
    sync(&mut accomplice, &mut c);
    assert_eq!(
        c.get(&space, "notes", "mine").unwrap()["by"],
        "the accomplice"
    );
    relay(&a, &mut c, &space, &[]);
    c.replica.reconcile(c.now).unwrap();
    sync(&mut a, &mut c);
    assert_eq!(c.get(&space, "notes", "mine"), None);
    assert_eq!(c.get(&space, "notes", "first").unwrap()["by"], "a");
    assert_equal(&a, &c, &space);
    a.write(&space, &[put("later", json!({}))]);
    c.now += 100;
    c.write(&space, &[put("later too", json!({}))]);
    sync(&mut a, &mut c);
    for outsider in [&mut b, &mut accomplice] {
        relay(&c, outsider, &space, &[]);
        assert_eq!(outsider.get(&space, "notes", "later"), None);
        assert_eq!(outsider.get(&space, "notes", "later too"), None);
    }
    assert_equal(&a, &c, &space);
}

#[test]
fn a_removed_manager_puts_out_nobody_who_stayed() {
    let (mut a, mut b, mut c, space) = three_people(Role::Owner, Role::Writer);
    let mut d = person(4);
    share(&mut b, &mut d, &space, Role::Writer);
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    revoke(&mut a, &b, &space);
    let d_out = target(&d);
    b.replica
        .revoke(&space, d_out, None, b.now - 9_000)
        .unwrap();
    sync(&mut b, &mut c);
    sync(&mut a, &mut c);
    sync(&mut a, &mut d);
    d.now += 1000;
    d.write(&space, &[put("still", json!({"in": true}))]);
    sync(&mut d, &mut a);
    sync(&mut a, &mut c);
    assert_eq!(c.get(&space, "notes", "still").unwrap()["in"], true);
    assert_equal(&a, &c, &space);
    assert_equal(&a, &d, &space);
}

#[test]
fn an_entry_without_what_it_says_of_the_roster_is_refused_and_its_log_goes_on() {
    for verifies in [false, true] {
        let (mut a, mut b) = (person(1), person(2));
        let space = a.replica.create_space("shared", a.now).unwrap();
        let_in(&mut a, &mut b, &space, Role::Writer);
        let of_a = own_logs(&a, &space)[0];
        let whole = batch_of(&a, &space, &of_a, u64::MAX);
        let entries = Batch::decode(&whole).unwrap().entries.len();
        let mut cut = Encoder::new();
        cut.raw(&whole[..whole.len() - entries]);
        for entry in entries_of(&whole) {
            let entry = stead_log::EntryRef::parse(&entry).unwrap();
            cut.bytes(&entry.withhold(|scope| scope != ScopeId::ROSTER));
        }
        let preparer = b.replica.preparer();
        let prepare = |batch| match verifies {
            true => preparer.verify(space, batch),
            false => preparer.prepare(space, batch),
        };
        let prepared = vec![prepare(cut.finish()), prepare(whole)];
        let mut stored = b.replica.store_batches(prepared, b.now).into_iter();
        let refused = stored.next().unwrap();
        assert!(
            matches!(refused, Err(ReceiveError::Misbehaved { .. })),
            "{refused:?}"
        );
        assert!(stored.next().unwrap().unwrap().len > 0);
        sync(&mut a, &mut b);
        assert_equal(&a, &b, &space);
    }
}

#[test]
fn a_member_who_tells_two_stories_is_frozen_and_the_honest_end_equal() {
    let (mut a, mut c) = (person(1), person(3));
    let mut b = found(Device::on_disk(2));
    let space = a.replica.create_space("shared", a.now).unwrap();
    share(&mut a, &mut b, &space, Role::Writer);
    share(&mut a, &mut c, &space, Role::Writer);
    b.write(&space, &[put("told", json!({"to": "both"}))]);
    sync(&mut a, &mut b);
    let disk = b.backup();
    let mut copy = Device::on_disk(2).restore(disk);
    copy.now = b.now;
    b.write(&space, &[put("story", json!({"told": "to a"}))]);
    copy.write(&space, &[put("story", json!({"told": "to c"}))]);
    relay(&b, &mut a, &space, &[]);
    relay(&copy, &mut c, &space, &[]);
    assert_eq!(a.get(&space, "notes", "story").unwrap()["told"], "to a");
    assert_eq!(c.get(&space, "notes", "story").unwrap()["told"], "to c");
    settle_forks(&mut [&mut a, &mut c]);
    for honest in [&a, &c] {
        assert_eq!(honest.get(&space, "notes", "story"), None);
        assert_eq!(honest.get(&space, "notes", "told").unwrap()["to"], "both");
        assert_eq!(honest.replica.space_info(&space).unwrap().frozen.len(), 1);
    }
    assert_equal(&a, &c, &space);
}

#[test]
fn who_hears_of_a_fork_before_it_holds_what_is_common_gets_that_and_ends_equal() {
    // The rest comes from somebody who froze the log, or from who forked it, with more than is common.
    for comes_with_more in [false, true] {
        let (mut a, mut c, mut d) = (person(1), person(3), person(4));
        let mut b = found(Device::on_disk(2));
        let space = a.replica.create_space("shared", a.now).unwrap();
        for other in [&mut b, &mut c, &mut d] {
            share(&mut a, other, &space, Role::Writer);
        }
        b.write(&space, &[put("early", json!({"by": "b"}))]);
        sync(&mut a, &mut b);
        sync(&mut a, &mut d);
        for n in 0..5 {
            b.write(&space, &[put(&format!("common {n}"), json!({}))]);
        }
        let disk = b.backup();
        let mut copy = Device::on_disk(2).restore(disk);
        copy.now = b.now;
        b.write(&space, &[put("story", json!({"told": "to a"}))]);
        copy.write(&space, &[put("story", json!({"told": "to c"}))]);
        relay(&b, &mut a, &space, &[]);
        relay(&copy, &mut c, &space, &[]);
        settle_forks(&mut [&mut a, &mut c]);
        let frontier = a.replica.frontier(&space).unwrap();
        let forked = frontier.iter().find(|item| item.frozen).unwrap().writer;
        let proof = a.replica.fork_proof(&space, &forked).unwrap().unwrap();
        let heeded = d.replica.accept_fork(&space, &forked, &proof, d.now);
        assert!(heeded.unwrap());
        assert_eq!(d.replica.fork_proof(&space, &forked).unwrap(), None);
        assert_eq!(d.get(&space, "notes", "common 4"), None);
        let from = if comes_with_more { &b } else { &a };
        relay(from, &mut d, &space, &[]);
        assert_eq!(d.replica.fork_proof(&space, &forked).unwrap(), Some(proof));
        assert!(d.get(&space, "notes", "common 4").is_some());
        assert_eq!(d.get(&space, "notes", "story"), None);
        assert_equal(&a, &d, &space);
        let held = d.replica.frontier(&space).unwrap();
        assert!(frontier.iter().all(|item| held.contains(item)));
    }
}

#[test]
fn what_was_sealed_under_a_key_that_a_fork_takes_away_opens_for_all() {
    // C may declare keys or not; A may have declared another of the generation; C's log may be at A
    // before the proof or after.
    for case in 0..8 {
        let role = if case & 1 == 0 {
            Role::Writer
        } else {
            Role::Manager
        };
        let (renews, early) = (case & 2 != 0, case & 4 != 0);
        let (mut a, mut c, mut d) = (person(1), person(3), person(4));
        let mut b = found(Device::on_disk(2));
        let space = a.replica.create_space("shared", a.now).unwrap();
        share(&mut a, &mut b, &space, Role::Manager);
        share(&mut a, &mut c, &space, role);
        share(&mut b, &mut d, &space, Role::Reader);
        sync(&mut a, &mut b);
        sync(&mut a, &mut c);
        let disk = b.backup();
        let mut copy = Device::on_disk(2).restore(disk);
        copy.now = b.now;
        copy.write(&space, &[put("story", json!({"told": "to a"}))]);
        relay(&copy, &mut a, &space, &[]);
        // B puts D out and renews the keys in the story that it tells to C.
        revoke(&mut b, &d, &space);
        relay(&b, &mut c, &space, &[]);
        c.write(&space, &[put("kept", json!({"by": "c"}))]);
        if renews {
            revoke(&mut a, &d, &space);
        }
        if early {
            relay(&c, &mut a, &space, &own_logs(&b, &space));
            assert_eq!(a.get(&space, "notes", "kept"), None);
        }
        settle_forks(&mut [&mut a, &mut c]);
        let author = |device: &Device, name| Some(device.get(&space, "notes", name)?["by"].clone());
        assert_eq!(author(&a, "kept"), Some(json!("c")), "case {case}");
        assert_eq!(a.get(&space, "notes", "story"), None);
        assert_equal(&a, &c, &space);
        // All go on, and who comes later reads it too.
        c.write(&space, &[put("after", json!({"by": "c"}))]);
        let mut e = person(5);
        share(&mut a, &mut e, &space, Role::Reader);
        sync(&mut a, &mut c);
        sync(&mut a, &mut e);
        for name in ["kept", "after"] {
            assert_eq!(author(&a, name), Some(json!("c")), "case {case}");
        }
        assert_equal(&a, &c, &space);
        assert_equal(&a, &e, &space);
        // What was put out stays out.
        a.write(&space, &[put("later", json!({}))]);
        relay(&a, &mut d, &space, &own_logs(&b, &space));
        assert_eq!(d.get(&space, "notes", "later").is_none(), renews);
    }
}

#[test]
fn a_withheld_removal_only_delays_it() {
    let (mut a, mut b, mut c, space) = three_people(Role::Writer, Role::Writer);
    let of_a = own_logs(&a, &space);
    revoke(&mut a, &b, &space);
    b.write(&space, &[put("void", json!({"by": "b"}))]);
    // B is the only one whom C meets, and keeps A's log to itself.
    relay(&b, &mut c, &space, &of_a);
    c.write(&space, &[put("not knowing", json!({"by": "c"}))]);
    relay(&c, &mut b, &space, &[]);
    assert_eq!(c.get(&space, "notes", "void").unwrap()["by"], "b");
    // What C writes once it knows is sealed to those who stayed.
    sync(&mut a, &mut c);
    assert_eq!(c.get(&space, "notes", "void"), None);
    c.write(&space, &[put("knowing", json!({"by": "c"}))]);
    sync(&mut a, &mut c);
    relay(&c, &mut b, &space, &[]);
    assert_eq!(b.get(&space, "notes", "knowing"), None);
    assert_eq!(a.get(&space, "notes", "knowing").unwrap()["by"], "c");
    assert_equal(&a, &c, &space);
}

#[test]
fn a_relay_that_alters_a_batch_is_refused_whatever_it_changes() {
    let (mut a, b, mut c, space) = three_people(Role::Writer, Role::Writer);
    a.write(&space, &[put("first", json!({"by": "a again"}))]);
    let log = own_logs(&a, &space)[0];
    let from = held(&c, &space, &log);
    let fresh = a
        .replica
        .read_batch(&space, &log, from, u64::MAX, usize::MAX);
    let honest = fresh.unwrap().unwrap();
    let before = c.dump(&space);
    let len = honest.len();
    for at in (0..len).step_by(len / 211 + 1).chain([len - 1]) {
        let mut altered = honest.clone();
        altered[at] ^= 0x20;
        let taken = c.replica.receive(&space, &altered, c.now);
        assert!(taken.is_err(), "byte {at}: {taken:?}");
        assert_eq!(c.dump(&space), before, "byte {at}");
    }
    sync(&mut a, &mut c);
    assert_eq!(c.get(&space, "notes", "first").unwrap()["by"], "a again");
    drop(b);
}

#[test]
fn entries_taken_from_another_log_or_space_say_nothing() {
    let (mut a, b, mut c, space) = three_people(Role::Writer, Role::Writer);
    let other = a.replica.create_space("other", a.now).unwrap();
    let_in(&mut a, &mut c, &other, Role::Writer);
    sync(&mut a, &mut c);
    a.write(&other, &[put("secret", json!({"of": "other"}))]);
    let log = own_logs(&a, &other)[0];
    let batch = batch_of(&a, &other, &log, u64::MAX);
    let before = c.dump(&space);
    // As it is: no signature of that writer is for this space.
    let refused = c.replica.receive(&space, &batch, c.now);
    assert!(
        matches!(
            refused,
            Err(ReceiveError::Misbehaved { .. } | ReceiveError::Contradiction { .. })
        ),
        "{refused:?}"
    );
    // Signed anew by whoever took them: a stranger's log, which opens for nobody.
    for (n, to) in [space, other].into_iter().enumerate() {
        let stolen = signed_log(&[60 + n as u8; 32], &to, &entries_of(&batch));
        c.replica.receive(&to, &stolen, c.now).unwrap();
    }
    assert_eq!(c.dump(&space), before);
    assert_eq!(c.get(&other, "notes", "secret"), None);
    sync(&mut a, &mut c);
    assert_equal(&a, &c, &space);
    assert_equal(&a, &c, &other);
    drop(b);
}

#[test]
fn a_flood_of_strangers_is_bounded_and_keeps_no_member_out() {
    let (mut a, mut b, mut c, space) = three_people(Role::Manager, Role::Writer);
    let garbage = |n: u32| {
        Entry {
            salt: n.to_le_bytes(),
            envelope_epoch: 0,
            envelope: vec![7; 40],
            parcels: vec![Parcel::Sealed {
                scope: stead_base::ScopeId::ROSTER,
                epoch: 0,
                ciphertext: vec![8; 60],
            }],
        }
        .encode()
    };
    let mut refused = 0;
    for n in 0..300u32 {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&(n + 1000).to_le_bytes());
        let flood = signed_log(&seed, &space, &[garbage(n), garbage(n + 1)]);
        match a.replica.receive(&space, &flood, a.now) {
            Ok(_) => {}
            Err(ReceiveError::NotAdmitted { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "nothing bounds the flood");
    b.write(&space, &[put("of b", json!({"by": "b"}))]);
    sync(&mut b, &mut c);
    // A newcomer whose log comes before the grant that lets it in.
    let mut d = person(4);
    share(&mut b, &mut d, &space, Role::Writer);
    d.now += 10;
    d.write(&space, &[put("of d", json!({"by": "d"}))]);
    let log = own_logs(&d, &space)[0];
    let early = batch_of(&d, &space, &log, u64::MAX);
    let refused = a.replica.receive(&space, &early, a.now);
    assert!(matches!(refused, Err(ReceiveError::NotAdmitted { .. })));
    for _ in 0..2 {
        for other in [&mut b, &mut c, &mut d] {
            sync_crowded(&mut a, other, &space);
        }
    }
    assert_eq!(a.get(&space, "notes", "of d").unwrap()["by"], "d");
    assert_equal(&a, &c, &space);
    assert_equal(&a, &d, &space);
    assert_eq!(a.get(&space, "notes", "of b").unwrap()["by"], "b");
    let frontier = a.replica.frontier(&space).unwrap();
    assert!(frontier.len() < 300, "{}", frontier.len());
}

#[test]
fn two_who_put_each_other_out_end_as_the_founder_says() {
    let (mut a, mut b, mut c, space) = three_people(Role::Owner, Role::Owner);
    sync(&mut b, &mut c);
    let (b_out, c_out) = (target(&b), target(&c));
    b.replica.revoke(&space, c_out, None, b.now).unwrap();
    c.replica.revoke(&space, b_out, None, c.now).unwrap();
    b.write(&space, &[put("of b", json!({}))]);
    c.write(&space, &[put("of c", json!({}))]);
    sync(&mut b, &mut c);
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    // One voice of two equals is none: both are still in, and nothing they wrote is lost.
    for replica in [&a, &b, &c] {
        assert!(replica.get(&space, "notes", "of b").is_some());
        assert!(replica.get(&space, "notes", "of c").is_some());
    }
    revoke(&mut a, &c, &space);
    sync(&mut a, &mut b);
    a.write(&space, &[put("later", json!({}))]);
    sync(&mut a, &mut b);
    relay(&a, &mut c, &space, &[]);
    assert_eq!(c.get(&space, "notes", "later"), None);
    assert_equal(&a, &b, &space);
}

#[test]
fn who_left_writes_no_more_and_comes_back_only_when_let_in_again() {
    let (mut a, mut b, mut c, space) = three_people(Role::Writer, Role::Writer);
    b.write(&space, &[put("before", json!({"by": "b"}))]);
    let own = target(&b);
    sync(&mut a, &mut b);
    b.replica.revoke(&space, own, None, b.now).unwrap();
    let refused = b.replica.transact(&space, &[put("x", json!({}))], b.now);
    assert!(refused.is_err());
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    a.now += 100;
    a.write(&space, &[put("while away", json!({"by": "a"}))]);
    relay(&a, &mut b, &space, &[]);
    assert_eq!(b.get(&space, "notes", "while away"), None);
    assert_eq!(a.get(&space, "notes", "before").unwrap()["by"], "b");
    let card = Party::Identity(b.replica.card().unwrap());
    a.replica
        .grant(&space, card, Role::Writer, Path::whole_space(), a.now)
        .unwrap();
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "notes", "while away").unwrap()["by"], "a");
    b.now += 1000;
    b.write(&space, &[put("again", json!({"by": "b"}))]);
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    assert_eq!(c.get(&space, "notes", "again").unwrap()["by"], "b");
    assert_equal(&a, &b, &space);
    assert_equal(&a, &c, &space);
}

#[test]
fn a_single_use_invite_is_not_good_with_another_manager() {
    let (mut a, mut b, c, space) = three_people(Role::Manager, Role::Writer);
    let (mut d, e) = (person(4), person(5));
    let (whole, expires) = (Path::whole_space(), a.now + 60_000);
    let invite = a
        .replica
        .invite(&space, Role::Reader, whole, Some(1), expires, a.now)
        .unwrap();
    sync(&mut a, &mut b);
    let join = |who: &Device| invite.join(who.replica.card().unwrap());
    // B did not make it: were B to admit by it, two could come in on one use.
    let refused = b.replica.admit(&space, join(&e), b.now);
    assert!(
        matches!(refused, Err(ReplicaError::Refused(_))),
        "{refused:?}"
    );
    let ticket = a.replica.admit(&space, join(&d), a.now).unwrap();
    d.replica.join_space(&ticket, false, d.now).unwrap();
    sync(&mut a, &mut d);
    assert!(d.get(&space, "notes", "first").is_some());
    sync(&mut a, &mut b);
    assert!(b.replica.admit(&space, join(&d), b.now).is_err());
    assert_equal(&a, &b, &space);
    drop(c);
}
