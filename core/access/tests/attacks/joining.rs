//! Invites used twice, withdrawn, forged or carried elsewhere.

use stead_access::*;
use stead_base::SpaceId;

use crate::world::*;
use Role::{Manager, Writer};

#[test]
fn who_joins_twice_on_one_invite_is_in_once_and_the_second_guest_is_not() {
    let mut w = World::founded();
    w.grant(0, 1, Manager, "/");
    let invite = w.say(1, invite(60, Some(1), Writer, "/notes"));
    let first = w.say(1, join(invite, 60, 5));
    let same_again = w.say(1, join(invite, 60, 5));
    let second = w.say(1, join(invite, 60, 6));
    assert!(w.counts(first) && !w.counts(same_again) && !w.counts(second));
    assert_eq!(w.roster.members()[&first].joined_by, Some(invite));
    assert_eq!(
        w.may(1, &join(invite, 60, 6)),
        Err(Refusal::UsedUp { membership: invite })
    );
    // Another device cannot admit a second guest in a log of its own.
    let elsewhere = w.say(0, join(invite, 60, 6));
    assert!(!w.counts(elsewhere));
    let refused = Refusal::NotItsMaker { membership: invite };
    assert_eq!(w.may(0, &join(invite, 60, 6)), Err(refused));
}

#[test]
fn an_invite_for_any_number_is_admitted_by_any_manager_and_nobody_else() {
    let mut w = World::founded();
    w.grant(0, 1, Manager, "/");
    w.grant(0, 2, Writer, "/");
    let invite = w.say(0, invite(60, None, Writer, "/"));
    let by_manager = w.say(1, join(invite, 60, 5));
    let by_writer = w.say(2, join(invite, 60, 6));
    let by_guest = w.say(7, join(invite, 60, 7));
    let with_another_key = w.say(1, join(invite, 61, 8));
    assert!(w.counts(by_manager));
    assert!(
        ![by_writer, by_guest, with_another_key]
            .iter()
            .any(|id| w.counts(*id))
    );
}

#[test]
fn an_invite_that_was_withdrawn_lets_nobody_in() {
    let mut w = World::founded();
    let invite = w.say(0, invite(60, None, Writer, "/"));
    let before = w.say(0, join(invite, 60, 5));
    w.say(0, remove(&[invite], &[(0, w.len(0))]));
    let after = w.say(0, join(invite, 60, 6));
    assert!(w.counts(before) && !w.counts(after));
}

#[test]
fn a_join_signed_for_another_space_invite_or_guest_is_refused() {
    let mut w = World::founded();
    let invite = w.say(0, invite(60, None, Writer, "/"));
    let RosterOp::Join(sound) = join(invite, 60, 5) else {
        unreachable!()
    };
    let key = stead_crypt::SigningKey::from_seed(&[60; 32]);
    let elsewhere = SpaceId::from_bytes([1; 32]);
    let other = OpId { seq: 9, ..invite };
    let forged = [
        Join {
            signature: sign_join(&key, &elsewhere, &invite, &sound.joiner),
            ..sound.clone()
        },
        Join {
            signature: sign_join(&key, &SPACE, &other, &sound.joiner),
            ..sound.clone()
        },
        Join {
            joiner: Party::Device(record(6)),
            ..sound
        },
    ];
    for join in forged {
        let id = w.say(0, RosterOp::Join(join));
        assert!(!w.counts(id));
    }
}
