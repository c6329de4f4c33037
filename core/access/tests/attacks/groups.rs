//! Groups under attack: keepers that were taken out, grants through groups, cards with lost devices.

use stead_access::*;
use stead_base::{DeviceId, SpaceId};

use Role::{Manager, Owner, Writer};

use crate::world::*;

const GROUP: SpaceId = SpaceId::from_bytes([77; 32]);

fn part(i: u8, keeper: bool, rank: u32) -> GroupPart {
    GroupPart {
        party: Party::Device(record(i)),
        keeper,
        stay: 0,
        rank,
    }
}

fn group(parts: Vec<GroupPart>) -> Subject {
    Subject::Group {
        group: GROUP,
        parts,
    }
}

fn add(i: u8, stay: u32, keeper: bool) -> RosterOp {
    RosterOp::GroupAdd(GroupAdd {
        group: GROUP,
        party: Party::Device(record(i)),
        keeper,
        stay,
        since: Lengths::none(),
    })
}

fn take(i: u8, stay: u32, of: &[(u8, u64)]) -> RosterOp {
    RosterOp::GroupRemove(GroupRemove {
        group: GROUP,
        party: PartyId::Device(device(i)),
        stay,
        lengths: lengths(of),
    })
}

#[test]
fn a_group_holds_no_more_than_its_giver_and_nobody_grants_to_themselves_through_one() {
    let mut w = World::founded();
    w.grant(0, 1, Manager, "/notes");
    // A manager of one collection gives a group that it keeps itself more than it has.
    let too_much = w.say(1, to(group(vec![part(1, true, 0)]), Owner, "/notes"));
    let outside = w.say(1, to(group(vec![part(1, true, 0)]), Writer, "/"));
    assert!(!w.counts(too_much) && !w.counts(outside));
    let within = w.say(
        1,
        to(
            group(vec![part(1, true, 0), part(2, false, 1)]),
            Writer,
            "/notes",
        ),
    );
    w.claim(2);
    assert!(w.counts(within) && w.writes(2, 1, "/notes") && !w.writes(2, 1, "/other"));
    // A part of the group hands on nothing, whatever it calls the group.
    let on = w.say(2, to(group(vec![part(3, true, 0)]), Writer, "/notes"));
    assert!(!w.counts(on));
}

#[test]
fn a_keeper_that_was_taken_out_cannot_bring_others_or_itself_back() {
    let mut w = World::founded();
    let parts = vec![part(1, true, 0), part(2, true, 1)];
    w.say(0, to(group(parts), Writer, "/"));
    for i in 1..=4 {
        w.claim(i);
    }
    w.say(1, take(2, 0, &[(2, 1)]));
    // Whatever it says from here on lies beyond the length named.
    w.say(2, add(3, 0, true));
    w.say(2, add(2, 1, true));
    w.say(2, take(1, 0, &[]));
    assert!(!w.writes(3, 1, "/") && !w.writes(2, 4, "/") && w.writes(1, 9, "/"));
    // Said before, it would have stood; and a replay of the first stay revives nothing.
    w.say(1, add(2, 0, true));
    assert!(!w.writes(2, 9, "/"));
    w.say(1, add(2, 1, false));
    assert!(w.writes(2, 9, "/"));
    assert!(
        w.may(2, &add(4, 0, false)).is_err(),
        "it keeps the group no more"
    );
}

#[test]
fn a_removal_and_an_addition_of_the_same_stay_end_the_same_in_both_orders() {
    let ops = [
        (1, take(2, 0, &[(2, 1)])),
        (1, add(2, 1, false)),
        (1, take(2, 1, &[(2, 5)])),
    ];
    let end = |order: &[usize]| {
        let mut w = World::founded();
        w.say(
            0,
            to(
                group(vec![part(1, true, 0), part(2, false, 1)]),
                Writer,
                "/",
            ),
        );
        w.claim(1);
        w.claim(2);
        let start = w.len(1);
        for i in order {
            let (_, op) = &ops[*i];
            w.roster
                .insert(writer(1), start + *i as u64, vec![op.clone()]);
        }
        (0..8).map(|seq| w.writes(2, seq, "/")).collect::<Vec<_>>()
    };
    let first = end(&[0, 1, 2]);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(end(&order), first, "{order:?}");
    }
}

#[test]
fn a_card_leaves_out_who_is_gone_and_keeps_every_chain_sound() {
    let by_chain = card(1, &[(1, None), (2, Some(0)), (3, Some(1))]);
    let by_root = card(1, &[(3, None)]);
    let both = Card::merged([&by_chain, &by_root]).unwrap();
    assert!(both.verify().is_ok());
    let names =
        |card: &Card| -> Vec<DeviceId> { card.devices.iter().map(|it| it.record.id).collect() };
    let is =
        |numbers: &'static [u8]| move |id: &DeviceId| numbers.iter().any(|i| device(*i) == *id);
    // What the third rests on stays, as long as nobody signed it otherwise.
    let alone = by_chain.without(&is(&[1, 2]));
    assert_eq!(names(&alone), [device(1), device(2), device(3)]);
    let newer = both.without(&is(&[1, 2]));
    assert_eq!(names(&newer), [device(3)]);
    let last = both.without(&is(&[3]));
    assert_eq!(names(&last), [device(1), device(2)]);
    assert!(alone.verify().is_ok() && newer.verify().is_ok() && last.verify().is_ok());
    assert_eq!(names(&both.without(&is(&[1, 2, 3]))), []);
    let of_another = card(2, &[(4, None)]);
    assert_eq!(Card::merged([&by_root, &of_another]).unwrap(), by_root);
}

#[test]
fn who_is_in_a_space_through_a_group_acts_with_all_their_devices_and_is_explained() {
    let mut w = World::founded();
    let bob = card(1, &[(1, None)]);
    let parts = vec![
        part(5, true, 0),
        GroupPart {
            party: Party::Identity(bob),
            keeper: false,
            stay: 0,
            rank: 1,
        },
    ];
    let membership = w.say(0, to(group(parts), Writer, "/"));
    for i in [1, 2, 5] {
        w.claim(i);
    }
    assert_eq!(w.may(1, &add_device(1, 2, 0)), Ok(()));
    w.say(1, add_device(1, 2, 0));
    assert!(w.writes(2, 1, "/"));
    let explained = w
        .roster
        .explain(Whom::Identity(identity(1)), Action::Write, &path("/"));
    assert!(explained.allowed && explained.because[0].membership == membership);
    w.say(
        5,
        RosterOp::GroupRemove(GroupRemove {
            group: GROUP,
            party: PartyId::Identity(identity(1)),
            stay: 0,
            lengths: lengths(&[(1, 2), (2, 1)]),
        }),
    );
    let explained = w
        .roster
        .explain(Whom::Identity(identity(1)), Action::Write, &path("/"));
    assert!(!explained.allowed);
    assert!(matches!(explained.because[0].why, Why::LeftGroup(_)));
    assert!(!w.writes(2, 1, "/"));
}

#[test]
fn what_is_missing_to_a_vote_is_told() {
    let mut w = World::founded();
    let ids: Vec<OpId> = (1..=4).map(|i| w.grant(0, i, Owner, "/")).collect();
    let votes = w.roster.votes(&ids[3]).unwrap();
    assert_eq!((votes.needed, votes.said), (3, 0));
    assert!(w.roster.ends_alone(&device(0), &ids[3]) && !w.roster.ends_alone(&device(1), &ids[3]));
    for i in 1..=2 {
        w.say(i, remove(&[ids[3]], &[(4, 1)]));
        // Twice is not two voices.
        w.say(i, remove(&[ids[3]], &[(4, 1)]));
        let votes = w.roster.votes(&ids[3]).unwrap();
        assert_eq!(
            (votes.said, votes.missing()),
            (usize::from(i), 3 - usize::from(i))
        );
        assert!(w.roster.has_voted(&device(i), &ids[3]));
    }
    w.say(3, remove(&[ids[3]], &[(4, 1)]));
    assert_eq!(w.roster.votes(&ids[3]), None);
    assert!(!w.is_current(ids[3]));
}
