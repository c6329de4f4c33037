//! Properties of the roster: rights do not depend on the order of arrival, and nobody gains any
//! that a member did not give.

use super::*;
use crate::{sign_claim, sign_genesis};
use proptest::prelude::*;
use std::sync::LazyLock;
use stead_crypt::DeviceKeys;

const SPACE: SpaceId = SpaceId::from_bytes([42; 32]);
const DEVICES: usize = 5;
const WRITERS: usize = 7;

static KEYS: LazyLock<Vec<DeviceKeys>> = LazyLock::new(|| {
    (0..DEVICES)
        .map(|i| DeviceKeys::from_seed(&[i as u8 + 1; 32]))
        .collect()
});

fn writer(i: usize) -> WriterId {
    WriterId::from_bytes([i as u8 + 100; 32])
}

fn record(i: usize) -> DeviceRecord {
    DeviceRecord::of(&KEYS[i], Name::from_any(&format!("device {i}")))
}

fn claim(device: usize, of: usize) -> RosterOp {
    RosterOp::Claim {
        device: KEYS[device].id(),
        signature: sign_claim(KEYS[device].signing(), &SPACE, &writer(of)),
    }
}

fn grant(device: usize, role: Role, path: &str) -> RosterOp {
    RosterOp::Grant {
        device: record(device),
        role,
        path: path.to_owned(),
    }
}

fn epoch(generation: u32, key: u8) -> RosterOp {
    RosterOp::Epoch {
        scope: ScopeId::ROOT,
        generation,
        key: KeyId::from_bytes([key; 32]),
    }
}

fn genesis_by(device: usize, of: usize) -> RosterOp {
    let (nonce, name) = ([7; 32], Name::from_any("home"));
    let signature = sign_genesis(
        KEYS[device].signing(),
        &writer(of),
        &nonce,
        &name,
        &record(device),
    );
    RosterOp::Genesis {
        name,
        nonce,
        device: record(device),
        signature,
    }
}

/// A space founded by device 0 with writer 0.
fn founded() -> Roster {
    let mut roster = Roster::new(SPACE);
    let admitted = roster.insert_genesis(writer(0), vec![genesis_by(0, 0), epoch(0, 0)]);
    assert_eq!(admitted, Ok(BTreeSet::from([writer(0)])));
    roster
}

type Entry = (WriterId, u64, Vec<RosterOp>);

fn build(entries: &[Entry]) -> Roster {
    let mut roster = Roster::new(SPACE);
    for (writer, seq, ops) in entries {
        insert(&mut roster, *writer, *seq, ops.clone());
    }
    roster
}

fn insert(roster: &mut Roster, of: WriterId, seq: u64, ops: Vec<RosterOp>) -> BTreeSet<WriterId> {
    if (of, seq) == (writer(0), 0) {
        roster.insert_genesis(of, ops).unwrap()
    } else {
        roster.insert(of, seq, ops)
    }
}

fn all_rights(roster: &Roster) -> Vec<Option<Role>> {
    (0..WRITERS).map(|i| roster.rights(&writer(i))).collect()
}

fn op() -> impl Strategy<Value = (RosterOp, usize)> {
    let path = prop_oneof![4 => Just("/"), 1 => Just("/notes")];
    prop_oneof![
        // The number is the writer that a claim is valid for; others will carry it, too.
        3 => (0..DEVICES, 0..WRITERS).prop_map(|(device, of)| (claim(device, of), of)),
        4 => (0..DEVICES, 0usize..4, path, 0..WRITERS)
            .prop_map(|(device, role, path, of)| (grant(device, Role::ALL[role], path), of)),
        1 => (0u32..3, any::<u8>(), 0..WRITERS).prop_map(|(gen_, key, of)| (epoch(gen_, key), of)),
    ]
}

/// Entries of a space founded by device 0, most of them sound, in order of place.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let placed = (op(), prop::option::weighted(0.1, 0..WRITERS));
    prop::collection::vec(placed, 0..24).prop_map(|placed| {
        let mut next = [1u64; WRITERS];
        let mut entries = vec![(writer(0), 0, vec![genesis_by(0, 0), epoch(0, 0)])];
        for ((op, of), stolen_by) in placed {
            let of = stolen_by.unwrap_or(of);
            entries.push((writer(of), next[of], vec![op]));
            next[of] += 1;
        }
        entries
    })
}

fn shuffled() -> impl Strategy<Value = (Vec<Entry>, Vec<Entry>)> {
    entries().prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle()))
}

/// The same interleaving of authors, with the entries of each in the order of its log.
fn in_log_order(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut logs: BTreeMap<WriterId, Vec<Entry>> = BTreeMap::new();
    for entry in &entries {
        logs.entry(entry.0).or_default().push(entry.clone());
    }
    for log in logs.values_mut() {
        log.sort_by_key(|entry| std::cmp::Reverse(entry.1));
    }
    for entry in &mut entries {
        *entry = logs.get_mut(&entry.0).and_then(Vec::pop).unwrap();
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn rights_are_the_same_for_every_order_of_arrival((one, other) in shuffled()) {
        let (one, other) = (build(&one), build(&other));
        prop_assert_eq!(one.devices(), other.devices());
        prop_assert_eq!(all_rights(&one), all_rights(&other));
        prop_assert_eq!(one.epochs(ScopeId::ROOT), other.epochs(ScopeId::ROOT));
        prop_assert_eq!(one.grants(), other.grants());
        prop_assert_eq!(one.genesis(), other.genesis());
    }

    #[test]
    fn taking_entries_twice_changes_nothing((one, other) in shuffled()) {
        let twice = build(&[one.clone(), other].concat());
        let once = build(&one);
        prop_assert_eq!(once.devices(), twice.devices());
        prop_assert_eq!(once.epochs(ScopeId::ROOT), twice.epochs(ScopeId::ROOT));
        prop_assert_eq!(once.grants(), twice.grants());
    }

    #[test]
    fn what_the_unadmitted_write_changes_no_right(entries in entries()) {
        let all = build(&entries);
        let kept: Vec<_> = entries
            .into_iter()
            .filter(|(writer, _, _)| all.is_admitted(writer))
            .collect();
        let admitted_only = build(&kept);
        prop_assert_eq!(all.devices(), admitted_only.devices());
        prop_assert_eq!(all_rights(&all), all_rights(&admitted_only));
        prop_assert_eq!(all.epochs(ScopeId::ROOT), admitted_only.epochs(ScopeId::ROOT));
    }

    #[test]
    fn every_member_was_let_in_by_a_member_who_may((_, entries) in shuffled()) {
        let roster = build(&entries);
        for (id, member) in roster.devices() {
            let Some((author, seq)) = member.granted_by else {
                prop_assert_eq!(*id, KEYS[0].id());
                prop_assert_eq!(member.role, Role::Owner);
                continue;
            };
            prop_assert!(roster.rights(&author).unwrap().may_grant(member.role));
            prop_assert!(roster.grants().iter().any(|grant| grant.at == (author, seq)
                && grant.device == member.record
                && grant.role == member.role
                && grant.path == "/"));
        }
    }

    #[test]
    fn while_logs_arrive_in_order_rights_only_grow_and_admissions_are_reported_once((_, entries) in shuffled()) {
        let mut roster = Roster::new(SPACE);
        let mut reported = BTreeSet::new();
        for (writer, seq, ops) in in_log_order(entries) {
            let before = all_rights(&roster);
            for admitted in insert(&mut roster, writer, seq, ops) {
                prop_assert!(reported.insert(admitted));
            }
            let grew = before.iter().zip(all_rights(&roster)).all(|(old, new)| *old <= new);
            prop_assert!(grew);
        }
        let admitted = (0..WRITERS).map(writer).filter(|w| roster.is_admitted(w)).collect();
        prop_assert_eq!(reported, admitted);
    }

    #[test]
    fn a_writer_belongs_to_the_device_of_its_earliest_valid_claim((_, entries) in shuffled()) {
        let roster = build(&entries);
        for of in 1..WRITERS {
            let mut claims: Vec<_> = entries
                .iter()
                .filter(|(author, _, _)| *author == writer(of))
                .filter_map(|(_, seq, ops)| match ops[0] {
                    RosterOp::Claim { device, .. } => (0..DEVICES)
                        .find(|d| claim(*d, of) == ops[0])
                        .map(|_| (*seq, device)),
                    _ => None,
                })
                .collect();
            claims.sort();
            let expected = claims.first().map(|(_, device)| *device);
            prop_assert_eq!(roster.device_of(&writer(of)), expected);
        }
    }
}

#[test]
fn a_granted_device_writes_once_it_claims_its_writer() {
    let mut roster = founded();
    assert!(roster.insert(writer(1), 0, vec![claim(1, 1)]).is_empty());
    assert_eq!(roster.rights(&writer(1)), None);
    let admitted = roster.insert(writer(0), 1, vec![grant(1, Role::Owner, "/")]);
    assert_eq!(admitted, BTreeSet::from([writer(1)]));
    assert_eq!(roster.rights(&writer(1)), Some(Role::Owner));
    assert_eq!(
        roster.devices()[&KEYS[1].id()].granted_by,
        Some((writer(0), 1))
    );
}

#[test]
fn a_device_may_have_several_writers_over_time() {
    let mut roster = founded();
    roster.insert(writer(3), 0, vec![claim(0, 3)]);
    assert_eq!(roster.rights(&writer(3)), Some(Role::Owner));
    assert_eq!(
        roster.devices()[&KEYS[0].id()].claims,
        BTreeSet::from([writer(0), writer(3)])
    );
}

#[test]
fn forged_claims_are_refused() {
    let mut roster = founded();
    let for_another_space = RosterOp::Claim {
        device: KEYS[0].id(),
        signature: sign_claim(KEYS[0].signing(), &SpaceId::from_bytes([1; 32]), &writer(1)),
    };
    let by_another_device = RosterOp::Claim {
        device: KEYS[0].id(),
        signature: sign_claim(KEYS[1].signing(), &SPACE, &writer(1)),
    };
    let of_another_writer = claim(0, 2);
    let ops = vec![for_another_space, by_another_device, of_another_writer];
    roster.insert(writer(1), 0, ops);
    assert_eq!(roster.device_of(&writer(1)), None);
    assert_eq!(roster.rights(&writer(1)), None);
}

#[test]
fn a_genesis_counts_only_from_the_writer_it_was_signed_for() {
    let mut roster = Roster::new(SPACE);
    let copied = roster.insert_genesis(writer(1), vec![genesis_by(0, 0)]);
    assert_eq!(copied, Err(RosterError::ForgedGenesis));
    let none = roster.insert_genesis(writer(0), vec![epoch(0, 0), genesis_by(0, 0)]);
    assert_eq!(none, Err(RosterError::NoGenesis));
    assert!(roster.devices().is_empty());
}

#[test]
fn a_genesis_that_is_not_the_spaces_gives_nothing() {
    let mut roster = founded();
    roster.insert(writer(1), 0, vec![genesis_by(1, 1)]);
    assert_eq!(roster.rights(&writer(1)), None);
    assert_eq!(roster.genesis().unwrap().writer, writer(0));
}

#[test]
fn a_genesis_with_an_altered_name_is_forged() {
    let RosterOp::Genesis {
        nonce,
        device,
        signature,
        ..
    } = genesis_by(0, 0)
    else {
        unreachable!();
    };
    let altered = RosterOp::Genesis {
        name: Name::from_any("house"),
        nonce,
        device,
        signature,
    };
    let taken = Roster::new(SPACE).insert_genesis(writer(0), vec![altered]);
    assert_eq!(taken, Err(RosterError::ForgedGenesis));
}

#[test]
fn grants_above_ones_own_role_give_nothing() {
    let mut roster = founded();
    let ops = [Role::Manager, Role::Writer, Role::Reader];
    for (i, role) in (1..).zip(ops) {
        roster.insert(writer(0), i as u64, vec![grant(i, role, "/")]);
        roster.insert(writer(i), 0, vec![claim(i, i)]);
    }
    for (giver, role, granted) in [
        (1, Role::Owner, None),
        (1, Role::Manager, None),
        (2, Role::Reader, None),
        (3, Role::Reader, None),
        (1, Role::Writer, Some(Role::Writer)),
    ] {
        roster.insert(writer(giver), 10 + role as u64, vec![grant(4, role, "/")]);
        let member = roster.devices().get(&KEYS[4].id());
        assert_eq!(member.map(|member| member.role), granted);
    }
    roster.insert(writer(2), 20, vec![grant(2, Role::Owner, "/")]);
    assert_eq!(roster.rights(&writer(2)), Some(Role::Writer));
}

#[test]
fn a_grant_below_the_root_gives_no_right_to_the_whole_space() {
    let mut roster = founded();
    roster.insert(writer(1), 0, vec![claim(1, 1)]);
    roster.insert(writer(0), 1, vec![grant(1, Role::Owner, "/notes")]);
    assert_eq!(roster.rights(&writer(1)), None);
    assert_eq!(roster.grants().len(), 1);
}

#[test]
fn only_managers_and_owners_start_epochs() {
    let mut roster = founded();
    roster.insert(writer(1), 0, vec![claim(1, 1), epoch(9, 9)]);
    roster.insert(writer(0), 1, vec![grant(1, Role::Writer, "/")]);
    assert_eq!(roster.epochs(ScopeId::ROOT).len(), 1);
    assert!(!roster.declares(ScopeId::ROOT, 9, &KeyId::from_bytes([9; 32])));
    roster.insert(writer(0), 2, vec![grant(1, Role::Manager, "/")]);
    assert_eq!(roster.current_epoch(ScopeId::ROOT).unwrap().generation, 9);
    assert!(roster.declares(ScopeId::ROOT, 9, &KeyId::from_bytes([9; 32])));
    assert_eq!(roster.current_epoch(ScopeId::ROSTER), None);
}

#[test]
fn of_two_epochs_begun_at_once_all_choose_the_same() {
    let mut roster = founded();
    roster.insert(writer(0), 1, vec![epoch(1, 5)]);
    roster.insert(writer(0), 2, vec![epoch(1, 4)]);
    let current = roster.current_epoch(ScopeId::ROOT).unwrap();
    assert_eq!(current.key, KeyId::from_bytes([4; 32]));
}
