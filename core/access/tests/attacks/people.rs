//! People, their devices and roots, and groups.

use stead_access::*;
use stead_base::{ScopeId, SpaceId};

use crate::world::*;
use Role::{Manager, Owner, Reader, Writer};

#[test]
fn a_root_statement_of_another_space_or_kind_is_refused_and_a_replay_changes_nothing() {
    let mut w = World::founded_by(Some(card(0, &[(0, None)])));
    let ops = encode_ops(&[grant(5, Owner, "/")]);
    let nonce = [1; 32];
    let elsewhere = SpaceId::from_bytes([1; 32]);
    let of_another_space = sign_root_statement(&root(0), &elsewhere, &identity(0), &nonce, &ops);
    let by_another_root = sign_root_statement(&root(1), &SPACE, &identity(0), &nonce, &ops);
    let of_another_kind = sign_identity_device(&root(0), &identity(0), &record(5), 0, None);
    for signature in [of_another_space, by_another_root, of_another_kind] {
        w.say(
            0,
            RosterOp::RootStatement {
                identity: identity(0),
                nonce,
                ops: ops.clone(),
                signature,
            },
        );
        assert_eq!(w.roster.members().len(), 1);
    }
    // Sound, it may be carried by anyone, even by someone who is in nobody's list.
    let sound = by_root(0, 1, &[grant(5, Owner, "/")]);
    w.say(9, sound.clone());
    let granted = *w
        .roster
        .members()
        .keys()
        .find(|id| **id != founding())
        .unwrap();
    assert_eq!(w.roster.members()[&granted].rank, 0);
    w.say(0, remove(&[granted], &[]));
    w.say(0, by_root(0, 2, &[remove(&[granted], &[])]));
    assert!(!w.is_current(granted));
    w.say(5, sound);
    assert!(!w.is_current(granted));
    assert_eq!(w.roster.members().len(), 2);
}

#[test]
fn the_root_of_a_member_who_does_not_own_the_space_speaks_for_that_member_only() {
    let mut w = World::founded();
    let bob = card(1, &[(1, None)]);
    let membership = w.say(0, to(Subject::Party(Party::Identity(bob)), Writer, "/"));
    w.claim(1);
    let before = w.roster.members().len();
    w.say(
        1,
        by_root(1, 1, &[grant(5, Reader, "/"), remove(&[founding()], &[])]),
    );
    assert_eq!(w.roster.members().len(), before);
    assert!(w.is_current(founding()));
    // All devices lost: the phrase adds a new one and puts out the old.
    w.say(
        4,
        by_root(1, 2, &[add_device(1, 4, 0), remove_device(1, 1, &[(1, 1)])]),
    );
    assert!(w.writes(4, 0, "/notes") && !w.writes(1, 1, "/notes"));
    w.say(4, by_root(1, 3, &[remove(&[membership], &[(4, 1)])]));
    assert!(!w.is_current(membership));
}

#[test]
fn a_stolen_device_that_was_removed_adds_no_other() {
    let mut w = World::founded();
    let bob = card(1, &[(1, None), (2, Some(0))]);
    w.say(0, to(Subject::Party(Party::Identity(bob)), Owner, "/"));
    for i in [1, 2] {
        w.claim(i);
    }
    w.say(1, remove_device(1, 2, &[(2, 1)]));
    w.say(2, add_device(1, 8, 0));
    w.say(2, add_device(1, 2, 1));
    w.claim(8);
    assert!(!w.writes(8, 1, "/") && !w.writes(2, 1, "/") && w.writes(1, 9, "/"));
    // Nor does it by an old card that a manager of a corner is talked into granting to.
    w.grant(1, 6, Owner, "/corner");
    let old = card(1, &[(1, None), (2, Some(0)), (8, Some(1))]);
    w.say(
        6,
        to(Subject::Party(Party::Identity(old)), Reader, "/corner"),
    );
    assert!(!w.writes(8, 1, "/"));
    assert!(!w.roster.can(&device(2), &path("/corner"), Action::Read));
    assert!(!w.roster.readers(ScopeId::ROOT).contains_key(&device(8)));
}

#[test]
fn a_younger_device_cannot_remove_an_older_one_and_equals_do_not_duel() {
    let mut w = World::founded();
    let bob = card(1, &[(1, None), (2, Some(0)), (3, Some(0))]);
    w.say(0, to(Subject::Party(Party::Identity(bob)), Owner, "/"));
    for i in 1..=3 {
        w.claim(i);
    }
    w.say(2, remove_device(1, 1, &[]));
    w.say(2, remove_device(1, 3, &[]));
    w.say(3, remove_device(1, 2, &[]));
    assert!((1..=3).all(|i| w.writes(i, 9, "/")));
    w.say(2, remove_device(1, 2, &[(2, 2)]));
    assert!(w.writes(2, 1, "/") && !w.writes(2, 2, "/"));
}

#[test]
fn a_forged_card_lets_nobody_in() {
    let mut w = World::founded();
    let sound = card(1, &[(1, None), (2, Some(0))]);
    let mut swapped = sound.clone();
    swapped.devices[1].record = record(8);
    let mut of_another = sound.clone();
    of_another.identity = identity(2);
    let mut circular = sound.clone();
    circular.devices[0].added_by = AddedBy::Device(1);
    for card in [swapped, of_another, circular] {
        assert!(card.verify().is_err());
        let id = w.say(0, to(Subject::Party(Party::Identity(card)), Writer, "/"));
        assert!(!w.counts(id));
    }
    let id = w.say(0, to(Subject::Party(Party::Identity(sound)), Writer, "/"));
    assert!(w.counts(id));
}

#[test]
fn a_keeper_rules_a_group_and_a_part_of_it_does_not() {
    let mut w = World::founded();
    let group = SpaceId::from_bytes([77; 32]);
    let part = |i: u8, keeper, rank| GroupPart {
        party: Party::Device(record(i)),
        keeper,
        stay: 0,
        rank,
    };
    let parts = vec![part(1, true, 0), part(2, false, 1)];
    let membership = w.say(0, to(Subject::Group { group, parts }, Manager, "/"));
    for i in 1..=4 {
        w.claim(i);
    }
    let add = |i, keeper| {
        RosterOp::GroupAdd(GroupAdd {
            group,
            party: Party::Device(record(i)),
            keeper,
            stay: 0,
            since: Lengths::none(),
        })
    };
    let take = |i, of: &[(u8, u64)]| {
        RosterOp::GroupRemove(GroupRemove {
            group,
            party: PartyId::Device(device(i)),
            stay: 0,
            lengths: lengths(of),
        })
    };
    assert_eq!(w.may(2, &add(3, false)), Err(Refusal::NotAKeeper { group }));
    w.say(2, add(3, false));
    assert!(!w.writes(3, 1, "/"));
    w.say(1, add(4, true));
    assert!(w.writes(4, 1, "/"));
    w.say(4, take(1, &[]));
    assert!(w.writes(1, 9, "/"));
    w.say(1, take(2, &[(2, 1)]));
    assert!(w.writes(2, 0, "/") && !w.writes(2, 1, "/"));
    // No part ends the membership of the whole group.
    w.say(4, remove(&[membership], &[]));
    assert!(w.is_current(membership));
    assert_eq!(w.roster.parts_of(&membership).len(), 3);
}
