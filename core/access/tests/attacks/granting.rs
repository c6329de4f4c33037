//! Granting more than one may.

use stead_access::*;
use stead_base::{ScopeId, SpaceId};

use crate::world::{self, *};
use Role::{Manager, Owner, Reader, Writer};

#[test]
fn nobody_grants_above_their_level() {
    let mut w = World::founded();
    for (i, role) in [(1, Manager), (2, Writer), (3, Reader)] {
        w.grant(0, i, role, "/");
    }
    for (by, role) in [(1, Owner), (1, Manager), (2, Reader), (3, Reader)] {
        assert!(w.may(by, &grant(9, role, "/")).is_err());
        let id = w.say(by, grant(9, role, "/"));
        assert!(!w.counts(id), "{by} granted {role}");
    }
    let id = w.say(1, grant(9, Writer, "/"));
    assert!(w.counts(id));
}

#[test]
fn nobody_grants_outside_their_path() {
    let mut w = World::founded();
    w.grant(0, 1, Owner, "/notes");
    for at in ["/", "/other", "/notes2"] {
        assert!(w.may(1, &grant(9, Reader, at)).is_err());
        let id = w.say(1, grant(9, Reader, at));
        assert!(!w.counts(id));
    }
    let id = w.grant(1, 9, Owner, "/notes/7");
    assert!(w.counts(id));
    assert!(w.writes(9, 1, "/notes/7/title"));
    assert!(!w.writes(9, 1, "/notes/8"));
}

#[test]
fn nobody_promotes_themselves() {
    let mut w = World::founded();
    w.grant(0, 1, Manager, "/");
    for role in [Owner, Manager] {
        let id = w.say(1, grant(1, role, "/"));
        assert!(!w.counts(id));
    }
    // A ring of grants holds nothing up by itself.
    let ring = [
        w.say(7, grant(8, Owner, "/")),
        w.say(8, grant(7, Owner, "/")),
    ];
    assert!(ring.iter().all(|id| !w.counts(*id)));
    let (_, path) = (device(1), path("/"));
    assert!(!w.roster.can(&device(1), &path, Action::Grant(Manager)));
}

#[test]
fn a_removed_manager_cannot_backdate_a_grant() {
    let mut w = World::founded();
    let manager = w.grant(0, 1, Manager, "/");
    w.say(0, remove(&[manager], &[(1, 1)]));
    let id = w.say(1, grant(9, Writer, "/"));
    assert!(!w.counts(id));
    assert_eq!(w.may(1, &grant(9, Writer, "/")), Err(Refusal::NotAMember));
}

#[test]
fn claims_of_another_space_device_or_writer_are_refused() {
    let mut w = World::founded();
    let elsewhere = SpaceId::from_bytes([1; 32]);
    let signed = |signature| RosterOp::Claim {
        device: device(0),
        signature,
    };
    let forged = [
        signed(sign_claim(
            keys(0).signing(),
            &elsewhere,
            &world::writer(50),
        )),
        signed(sign_claim(keys(1).signing(), &SPACE, &world::writer(50))),
        claim(0, 51),
    ];
    w.roster.insert(world::writer(50), 0, forged.to_vec());
    assert_eq!(w.roster.device_of(&world::writer(50)), None);
}

#[test]
fn a_genesis_counts_only_for_the_writer_and_the_card_it_was_signed_for() {
    let mut roster = Roster::new(SPACE);
    let copied = roster.insert_genesis(world::writer(1), vec![genesis(0, None)]);
    assert_eq!(copied, Err(RosterError::ForgedGenesis));
    let without_device = card(0, &[(1, None)]);
    let strange = roster.insert_genesis(world::writer(0), vec![genesis(0, Some(without_device))]);
    assert_eq!(strange, Err(RosterError::ForgedGenesis));
    let late = vec![
        epoch(ScopeId::ROOT, 0, 0, Lengths::none()),
        genesis(0, None),
    ];
    assert_eq!(
        roster.insert_genesis(world::writer(0), late),
        Err(RosterError::NoGenesis)
    );
    let mut w = World::founded();
    w.say(1, genesis(1, None));
    assert!(!w.roster.is_admitted(&world::writer(1)));
}

#[test]
fn a_flood_from_a_stranger_is_bounded_and_read_again_should_they_be_let_in() {
    let mut w = World::founded();
    for _ in 0..STRANGER_OPS_MAX + 50 {
        w.say(5, grant(6, Reader, "/"));
    }
    let id = w.say(0, grant(5, Manager, "/"));
    assert!(w.counts(id));
    let from = STRANGER_OPS_MAX as u64;
    assert_eq!(w.last.reread.get(&world::writer(5)), Some(&from));
    assert_eq!(w.roster.members().len(), 2 + STRANGER_OPS_MAX - 1);
    w.roster
        .insert(world::writer(5), from, vec![grant(6, Reader, "/")]);
    assert_eq!(w.roster.members().len(), 2 + STRANGER_OPS_MAX);
}

#[test]
fn everyone_may_be_let_in_to_read_and_to_nothing_else() {
    let mut w = World::founded();
    let above = w.say(0, to(Subject::Everyone, Writer, "/"));
    assert!(!w.counts(above));
    let public = w.say(0, to(Subject::Everyone, Reader, "/posters"));
    assert!(w.roster.is_public(&path("/posters/1")) && !w.roster.is_public(&path("/notes")));
    assert!(w.roster.can(&device(9), &path("/posters/1"), Action::Read));
    assert!(!w.roster.can(&device(9), &path("/posters/1"), Action::Write));
    w.say(0, remove(&[public], &[]));
    assert!(!w.roster.is_public(&path("/posters/1")));
}
