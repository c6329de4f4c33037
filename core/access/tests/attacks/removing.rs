//! Removals: backdated, mutual, repeated, contradicting.

use stead_access::*;

use crate::world::{self, *};
use Role::{Manager, Owner, Writer};

#[test]
fn a_removed_manager_cannot_backdate_a_removal() {
    let mut w = World::founded();
    let manager = w.grant(0, 1, Manager, "/");
    let writer = w.grant(1, 2, Writer, "/");
    w.say(0, remove(&[manager], &[(1, 2)]));
    w.say(1, remove(&[writer], &[]));
    assert!(w.is_current(writer));
}

#[test]
fn a_removed_manager_cannot_remove_those_who_came_after() {
    let mut w = World::founded();
    let first = w.grant(0, 1, Manager, "/");
    w.say(0, remove(&[first], &[(1, 1)]));
    let second = w.grant(0, 2, Manager, "/");
    let third = w.grant(2, 3, Writer, "/");
    w.say(1, remove(&[second, third, founding()], &[]));
    assert!(w.is_current(second) && w.is_current(third) && w.is_current(founding()));
}

#[test]
fn what_a_removed_member_did_before_stands() {
    let mut w = World::founded();
    let manager = w.grant(0, 1, Manager, "/");
    let writer = w.grant(1, 2, Writer, "/");
    w.say(0, remove(&[manager], &[(1, 2)]));
    assert!(w.is_current(writer));
    assert!(w.writes(1, 1, "/notes") && !w.writes(1, 2, "/notes"));
    // Had the removal named a shorter length, the grant would be void with the rest.
    let mut w = World::founded();
    let manager = w.grant(0, 1, Manager, "/");
    let writer = w.grant(1, 2, Writer, "/");
    w.say(0, remove(&[manager], &[(1, 1)]));
    assert!(!w.counts(writer));
    assert!(w.last.needs_rebuild());
    let cut: Vec<_> = w.last.cut().map(|(writer, from)| (*writer, from)).collect();
    assert_eq!(cut, [(world::writer(1), 1), (world::writer(2), 0)]);
}

#[test]
fn a_cycle_of_removals_ends_at_the_most_senior() {
    let mut w = World::founded();
    let a = w.grant(0, 1, Owner, "/");
    let b = w.grant(1, 2, Owner, "/");
    let c = w.grant(2, 3, Owner, "/");
    w.say(3, remove(&[a], &[]));
    w.say(2, remove(&[c], &[(3, 1)]));
    w.say(1, remove(&[b], &[(2, 3)]));
    assert!(w.is_current(a) && !w.is_current(b) && !w.is_current(c));
}

#[test]
fn equals_cannot_duel() {
    let mut w = World::founded();
    let a = w.grant(0, 1, Manager, "/");
    let b = w.grant(0, 2, Manager, "/");
    w.say(1, remove(&[b], &[]));
    w.say(2, remove(&[a], &[]));
    assert!(w.is_current(a) && w.is_current(b));
}

#[test]
fn most_equals_put_one_out_whose_own_vote_does_not_count() {
    let mut w = World::founded();
    let members: Vec<_> = (1..=3).map(|i| w.grant(0, i, Manager, "/")).collect();
    w.say(1, remove(&[members[2]], &[(3, 1)]));
    w.say(1, remove(&[members[2]], &[(3, 1)]));
    assert!(w.is_current(members[2]), "one vote, cast twice");
    w.say(3, remove(&[members[0]], &[(1, 1)]));
    w.say(2, remove(&[members[2]], &[(3, 1)]));
    let ended = w.roster.members()[&members[2]].ended.clone().unwrap();
    assert_eq!((ended.how, ended.needed), (EndedBy::Equals, 2));
    assert!(w.is_current(members[0]));
    // A vote is not taken back by leaving.
    w.say(2, remove(&[members[1]], &[(2, 2)]));
    assert!(!w.is_current(members[2]));
}

#[test]
fn two_who_remove_each_other_do_not_brick_the_space() {
    let mut w = World::founded();
    let a = w.grant(0, 1, Owner, "/");
    let b = w.grant(0, 2, Owner, "/");
    w.say(1, remove(&[b, founding()], &[]));
    w.say(2, remove(&[a, founding()], &[]));
    assert!([a, b, founding()].iter().all(|id| w.is_current(*id)));
    let still = w.grant(0, 3, Owner, "/");
    assert!(w.counts(still));
}

#[test]
fn removers_who_name_different_lengths_are_settled_the_same_way_everywhere() {
    let mut w = World::founded();
    w.grant(0, 1, Owner, "/");
    w.grant(0, 2, Owner, "/");
    let target = w.grant(1, 3, Writer, "/");
    w.say(1, remove(&[target], &[(3, 5)]));
    w.say(2, remove(&[target], &[(3, 9)]));
    assert!(w.writes(3, 8, "/notes") && !w.writes(3, 9, "/notes"));
    // Who is more senior decides, whether they name more or less.
    w.say(0, remove(&[target], &[(3, 2)]));
    assert!(w.writes(3, 1, "/notes") && !w.writes(3, 2, "/notes"));
    let helper = w.grant(1, 4, Owner, "/");
    assert!(w.counts(helper));
    w.say(4, remove(&[target], &[(3, 1 << 30)]));
    assert!(
        !w.writes(3, 2, "/notes"),
        "a junior removal must not undo a senior one"
    );
}

#[test]
fn who_left_does_not_come_back_by_leaving_again() {
    let mut w = World::founded();
    let target = w.grant(0, 1, Manager, "/");
    w.say(1, remove(&[target], &[(1, 2)]));
    w.say(1, remove(&[target], &[(1, 1 << 30)]));
    assert!(w.writes(1, 1, "/notes") && !w.writes(1, 2, "/notes"));
}

#[test]
fn a_late_vote_with_a_great_length_does_not_undo_what_the_majority_said() {
    let mut w = World::founded();
    let members: Vec<_> = (1..=4).map(|i| w.grant(0, i, Manager, "/")).collect();
    for (voter, len) in [(1, 5), (2, 5), (3, 5)] {
        w.say(voter, remove(&[members[3]], &[(4, len)]));
    }
    assert!(!w.writes(4, 5, "/notes"));
    w.say(3, remove(&[members[3]], &[(4, 1 << 30)]));
    assert!(w.writes(4, 4, "/notes") && !w.writes(4, 5, "/notes"));
}

#[test]
fn leaving_with_a_great_length_does_not_ward_off_a_removal() {
    let mut w = World::founded();
    let target = w.grant(0, 1, Manager, "/");
    w.say(1, remove(&[target], &[(1, 1 << 30)]));
    w.say(0, remove(&[target], &[(1, 1)]));
    assert!(!w.writes(1, 1, "/notes"));
}

#[test]
fn a_log_that_a_removal_does_not_name_is_void_whole() {
    let mut w = World::founded();
    let target = w.grant(0, 1, Writer, "/");
    assert!(w.writes(1, 5, "/notes"));
    w.say(0, remove(&[target], &[(1, 3)]));
    w.roster.insert(world::writer(50), 0, vec![claim(1, 50)]);
    assert_eq!(w.roster.device_of(&world::writer(50)), Some(device(1)));
    assert!(!w.writes(50, 0, "/notes"));
    assert!(w.writes(1, 2, "/notes"));
}

#[test]
fn coming_back_revives_nothing_that_was_void() {
    let mut w = World::founded();
    let first = w.grant(0, 1, Writer, "/");
    w.say(0, remove(&[first], &[(1, 3)]));
    let again = Grant {
        subject: Subject::Party(Party::Device(record(1))),
        role: Writer,
        path: path("/"),
        since: lengths(&[(1, 7)]),
    };
    w.say(0, RosterOp::Grant(again));
    let counts: Vec<u64> = (0..9).filter(|seq| w.writes(1, *seq, "/")).collect();
    assert_eq!(counts, [0, 1, 2, 7, 8]);
}
