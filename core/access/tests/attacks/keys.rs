//! Epochs and scopes: stale, forged, competing.

use stead_access::*;
use stead_base::ScopeId;
use stead_crypt::KeyId;

use crate::world::*;
use Role::{Manager, Reader, Writer};

#[test]
fn a_removed_manager_cannot_backdate_a_rotation() {
    let mut w = World::founded();
    w.say(0, epoch(ScopeId::ROOT, 0, 1, Lengths::none()));
    let manager = w.grant(0, 1, Manager, "/");
    w.say(0, remove(&[manager], &[(1, 1)]));
    w.say(
        1,
        epoch(ScopeId::ROOT, 1, 0, w.roster.known_removals(ScopeId::ROOT)),
    );
    assert_eq!(w.roster.current_epoch(ScopeId::ROOT).unwrap().generation, 0);
    let key = KeyId::from_bytes([0; 32]);
    assert!(!w.roster.declares(ScopeId::ROOT, 1, &key));
    // What honest members sealed under it before they knew must still open.
    assert!(w.roster.may_open_under(ScopeId::ROOT, 1, &key));
    w.say(9, epoch(ScopeId::ROOT, 1, 5, Lengths::none()));
    let strange = KeyId::from_bytes([5; 32]);
    assert!(!w.roster.may_open_under(ScopeId::ROOT, 1, &strange));
}

#[test]
fn an_epoch_that_misses_a_removal_is_stale_until_a_manager_repairs_it() {
    let mut w = World::founded();
    let mallory = w.grant(0, 1, Manager, "/");
    assert_eq!(w.roster.stale_scopes()[&ScopeId::ROOT], Stale::Missing);
    for scope in [ScopeId::ROSTER, ScopeId::ROOT] {
        w.say(0, epoch(scope, 0, 1, Lengths::none()));
    }
    assert!(w.roster.stale_scopes().is_empty());
    let removal = w.say(0, remove(&[mallory], &[(1, 1)]));
    let misses = Stale::Misses(vec![removal]);
    assert_eq!(w.roster.stale_scopes()[&ScopeId::ROOT], misses);
    assert_eq!(w.roster.stale_scopes()[&ScopeId::ROSTER], misses);
    // An epoch started without knowing of it, whatever its generation, repairs nothing.
    w.say(0, epoch(ScopeId::ROOT, 1, 2, Lengths::none()));
    assert_eq!(w.roster.stale_scopes()[&ScopeId::ROOT], misses);
    let knows = w.roster.known_removals(ScopeId::ROOT);
    w.say(0, epoch(ScopeId::ROOT, 2, 3, knows.clone()));
    w.say(0, epoch(ScopeId::ROSTER, 1, 3, knows));
    assert!(w.roster.stale_scopes().is_empty());
    assert!(!w.roster.readers(ScopeId::ROOT).contains_key(&device(1)));
}

#[test]
fn what_everyone_read_is_stale_once_they_do_not_and_nothing_else_is() {
    let mut w = World::founded();
    w.say(0, scope("/posters"));
    let posters = scope_at(&SPACE, &path("/posters"));
    for scope in [ScopeId::ROSTER, ScopeId::ROOT, posters] {
        w.say(0, epoch(scope, 0, 1, Lengths::none()));
    }
    let public = w.say(0, to(Subject::Everyone, Reader, "/posters"));
    assert!(w.roster.is_sealed_to_everyone(posters));
    assert!(w.roster.is_sealed_to_everyone(ScopeId::ROSTER));
    assert!(!w.roster.is_sealed_to_everyone(ScopeId::ROOT));
    assert!(w.roster.readers(posters).len() == 1 && w.roster.stale_scopes().is_empty());
    let plan = w.roster.plan_removal(RemovalTarget::Everyone);
    assert_eq!(plan.memberships, [public]);
    assert_eq!(plan.scopes, [ScopeId::ROSTER, posters].into());
    let removal = w.say(0, remove(&[public], &[]));
    let misses = Stale::Misses(vec![removal]);
    let stale = w.roster.stale_scopes();
    assert_eq!(
        (&stale[&ScopeId::ROSTER], &stale[&posters]),
        (&misses, &misses)
    );
    assert!(!stale.contains_key(&ScopeId::ROOT));
    assert!(!w.roster.is_sealed_to_everyone(posters) && !w.roster.has_public());
    assert!(w.roster.was_public());
    for scope in [ScopeId::ROSTER, posters] {
        let knows = w.roster.known_removals(scope);
        w.say(0, epoch(scope, 1, 2, knows));
    }
    assert!(w.roster.stale_scopes().is_empty());
}

#[test]
fn a_device_taken_from_a_person_makes_what_it_read_stale() {
    let mut w = World::founded_by(Some(card(0, &[(0, None), (1, Some(0))])));
    w.claim(1);
    for scope in [ScopeId::ROSTER, ScopeId::ROOT] {
        w.say(0, epoch(scope, 0, 1, Lengths::none()));
    }
    assert_eq!(w.roster.readers(ScopeId::ROOT).len(), 2);
    let lost = w.say(0, remove_device(0, 1, &[(1, 1)]));
    assert_eq!(
        w.roster.stale_scopes()[&ScopeId::ROOT],
        Stale::Misses(vec![lost])
    );
    assert_eq!(w.roster.readers(ScopeId::ROOT).len(), 1);
}

#[test]
fn nobody_seals_under_an_epoch_of_their_own() {
    let mut w = World::founded();
    w.grant(0, 1, Writer, "/");
    w.grant(0, 2, Manager, "/notes");
    w.say(0, epoch(ScopeId::ROOT, 0, 1, Lengths::none()));
    for by in [1, 2, 9] {
        w.say(by, epoch(ScopeId::ROOT, 1, by, Lengths::none()));
        assert!(
            !w.roster
                .declares(ScopeId::ROOT, 1, &KeyId::from_bytes([by; 32]))
        );
    }
    let notes = scope_at(&SPACE, &path("/notes"));
    w.say(
        2,
        RosterOp::Scope {
            path: path("/notes"),
        },
    );
    w.say(2, epoch(notes, 0, 5, Lengths::none()));
    assert_eq!(w.roster.current_epoch(notes).unwrap().generation, 0);
    assert_eq!(w.roster.scope_of(&path("/notes/7")), notes);
    assert_eq!(w.roster.scope_of(&path("/other")), ScopeId::ROOT);
    assert_eq!(w.roster.parent_of(notes), Some(ScopeId::ROOT));
}

#[test]
fn members_given_different_keys_find_out_for_one_id_is_current_for_all() {
    let mut w = World::founded();
    w.grant(0, 1, Manager, "/");
    w.say(0, epoch(ScopeId::ROOT, 0, 9, Lengths::none()));
    w.say(1, epoch(ScopeId::ROOT, 1, 7, Lengths::none()));
    w.say(1, epoch(ScopeId::ROOT, 1, 6, Lengths::none()));
    let current = w.roster.current_epoch(ScopeId::ROOT).unwrap();
    assert_eq!(
        (current.generation, current.key),
        (1, KeyId::from_bytes([6; 32]))
    );
    assert!(
        !w.roster
            .declares(ScopeId::ROOT, 1, &KeyId::from_bytes([5; 32]))
    );
}

#[test]
fn a_leap_to_the_last_generation_there_is_locks_nobody_out() {
    let mut w = World::founded();
    w.grant(0, 1, Manager, "/");
    w.say(0, epoch(ScopeId::ROOT, 0, 9, Lengths::none()));
    w.say(1, epoch(ScopeId::ROOT, u32::MAX, 1, Lengths::none()));
    assert_eq!(w.roster.current_epoch(ScopeId::ROOT).unwrap().generation, 0);
    w.say(0, epoch(ScopeId::ROOT, 1, 8, Lengths::none()));
    assert_eq!(w.roster.current_epoch(ScopeId::ROOT).unwrap().generation, 1);
}

#[test]
fn what_strangers_declare_fills_no_gap_before_a_generation() {
    let mut w = World::founded();
    w.say(0, epoch(ScopeId::ROOT, 1, 9, Lengths::none()));
    w.say(5, epoch(ScopeId::ROOT, 0, 1, Lengths::none()));
    assert_eq!(w.roster.current_epoch(ScopeId::ROOT), None);
    // Neither when all is worked out anew, as after a removal.
    let id = w.grant(0, 1, Reader, "/");
    w.say(0, remove(&[id], &[]));
    assert_eq!(w.roster.current_epoch(ScopeId::ROOT), None);
}

fn scope(at: &str) -> RosterOp {
    RosterOp::Scope { path: path(at) }
}

fn start(at: &str, turn: u32, covers: &[(u8, u64)]) -> RosterOp {
    RosterOp::Start(ScopeStart {
        scope: scope_at(&SPACE, &path(at)),
        turn,
        covers: lengths(covers),
        first: 0,
        hash: stead_base::Hash::from_bytes([turn as u8; 32]),
    })
}

#[test]
fn a_start_by_who_does_not_manage_its_scope_counts_for_nothing() {
    let mut w = World::founded();
    w.say(0, scope("/notes"));
    w.grant(0, 1, Writer, "/notes");
    w.grant(0, 2, Manager, "/notes/x");
    w.grant(0, 3, Manager, "/notes");
    let notes = scope_at(&SPACE, &path("/notes"));
    for by in [1, 2, 9] {
        w.say(by, start("/notes", 0, &[]));
        assert_eq!(w.roster.start_of(notes), None);
    }
    let told = w.say(3, start("/notes", 0, &[]));
    assert_eq!(w.roster.start_of(notes).unwrap().at, told);
    // Said for one scope, it says nothing of another.
    w.say(0, scope("/diary"));
    let diary = scope_at(&SPACE, &path("/diary"));
    assert_eq!(w.roster.start_of(diary), None);
}

#[test]
fn a_removed_managers_start_counts_no_more_and_uses_up_no_turns() {
    let mut w = World::founded();
    w.say(0, scope("/notes"));
    let notes = scope_at(&SPACE, &path("/notes"));
    let first = w.say(0, start("/notes", 0, &[]));
    let mallory = w.grant(0, 1, Manager, "/notes");
    w.say(1, start("/notes", 1, &[]));
    w.say(1, start("/notes", u32::MAX, &[]));
    assert_eq!(w.roster.start_of(notes).unwrap().said.turn, 1);
    w.say(0, remove(&[mallory], &[(1, 1)]));
    assert_eq!(w.roster.start_of(notes).unwrap().at, first);
    let turn = w.roster.next_turn(notes);
    assert_eq!(turn, 2);
    let second = w.say(0, start("/notes", turn, &[]));
    assert_eq!(w.roster.start_of(notes).unwrap().at, second);
}

#[test]
fn who_reads_a_part_is_sealed_the_keys_of_that_part_only() {
    let mut w = World::founded();
    for at in ["/notes", "/notes/x", "/diary"] {
        w.say(0, scope(at));
    }
    let at = |text| scope_at(&SPACE, &path(text));
    w.grant(0, 1, Reader, "/notes/x");
    w.grant(0, 2, Writer, "/notes");
    let reads = |i: u8, scope| w.roster.readers(scope).contains_key(&device(i));
    assert!(reads(1, at("/notes/x")) && reads(2, at("/notes/x")));
    assert!(!reads(1, at("/notes")) && reads(2, at("/notes")));
    for i in [1, 2] {
        assert!(!reads(i, at("/diary")) && !reads(i, ScopeId::ROOT));
        assert!(reads(i, ScopeId::ROSTER));
    }
    assert_eq!(w.roster.reading_roots(&device(1)), [at("/notes/x")].into());
    assert_eq!(w.roster.reading_roots(&device(2)), [at("/notes")].into());
    assert_eq!(w.roster.reading_roots(&device(0)), [ScopeId::ROOT].into());
}

#[test]
fn a_removal_below_leaves_what_is_around_it_fresh() {
    let mut w = World::founded();
    let at = |text| scope_at(&SPACE, &path(text));
    for text in ["/notes", "/notes/x"] {
        w.say(0, scope(text));
    }
    for scope in [ScopeId::ROSTER, ScopeId::ROOT, at("/notes"), at("/notes/x")] {
        w.say(0, epoch(scope, 0, 1, Lengths::none()));
    }
    let member = w.grant(0, 1, Reader, "/notes");
    w.say(0, remove(&[member], &[(1, 1)]));
    let stale: Vec<ScopeId> = w.roster.stale_scopes().into_keys().collect();
    let mut renewed = vec![ScopeId::ROSTER, at("/notes"), at("/notes/x")];
    renewed.sort();
    assert_eq!(stale, renewed);
}

#[test]
fn a_path_that_was_given_away_without_keys_of_its_own_is_named() {
    let mut w = World::founded();
    w.grant(0, 1, Reader, "/notes");
    assert_eq!(w.roster.unscoped_paths(), [&path("/notes")].into());
    w.say(0, scope("/notes"));
    assert!(w.roster.unscoped_paths().is_empty());
}
