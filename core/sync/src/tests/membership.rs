//! What a peer learns of spaces, and what it does not.

use super::net::{Dice, Net, secret, space, writer};
use crate::frontier::SpaceMembership;
use crate::io::{Input, Output};
use crate::limits::{TAGS_PER_FRAME_MIN, TAGS_PER_SESSION_MAX};
use crate::message::Message;
use crate::{PeerMisbehaved, Role, Session};
use std::collections::{BTreeMap, BTreeSet};
use stead_base::SpaceId;
use stead_crypt::Zeroizing;

fn shared(net: &Net, device: usize, link: usize) -> BTreeSet<SpaceId> {
    let events = net.events(device, link).into_iter();
    events
        .filter_map(|event| match event {
            Output::Shared { space } => Some(*space),
            _ => None,
        })
        .collect()
}

fn with_spaces(spaces: &[&[u8]]) -> Net {
    let mut net = Net::new(spaces.len());
    for (device, spaces) in spaces.iter().enumerate() {
        for n in *spaces {
            net.join(device, space(*n));
        }
    }
    net
}

fn offers(net: &Net, link: usize, side: usize) -> Vec<Vec<[u8; 32]>> {
    let messages = net.links[&link].ways[side].messages().into_iter();
    messages
        .filter_map(|message| match message {
            Message::Offer { tags } | Message::Accept { tags } => Some(tags),
            _ => None,
        })
        .collect()
}

/// Lets both hellos through.
fn hello(net: &mut Net, link: usize) {
    net.deliver(link, 0);
    net.deliver(link, 1);
}

#[test]
fn both_sides_find_exactly_the_spaces_they_have_in_common() {
    let mut net = with_spaces(&[&[1, 2, 3, 7], &[2, 3, 4, 5]]);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    let common = BTreeSet::from([space(2), space(3)]);
    assert_eq!(shared(&net, 0, link), common);
    assert_eq!(shared(&net, 1, link), common);
}

#[test]
fn a_peer_that_is_no_member_sees_only_a_padded_count() {
    for (spaces, tags) in [(0, 8), (1, 8), (8, 8), (9, 16), (17, 32)] {
        let mine: Vec<u8> = (1..=spaces).collect();
        let mut net = with_spaces(&[&mine, &[200]]);
        let link = net.connect(0, 1);
        hello(&mut net, link);
        let offered = offers(&net, link, 0);
        assert_eq!(offered.len(), 1);
        assert_eq!(offered[0].len(), tags);
        net.deliver(link, 0);
        // The answer of a stranger looks like the answer of any other stranger.
        assert_eq!(offers(&net, link, 1)[0].len(), TAGS_PER_FRAME_MIN);
        net.settle(&mut Dice::new(1));
        assert!(shared(&net, 0, link).is_empty() && shared(&net, 1, link).is_empty());
    }
}

#[test]
fn tags_of_one_space_differ_in_every_session_and_direction() {
    let mut net = with_spaces(&[&[1], &[1]]);
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let link = net.connect(0, 1);
        hello(&mut net, link);
        net.deliver(link, 0);
        for side in 0..2 {
            for tag in offers(&net, link, side).concat() {
                assert!(seen.insert(tag), "a tag or dummy came twice");
            }
        }
        net.cut(link);
    }
}

#[test]
fn tags_replayed_into_another_session_share_nothing() {
    let mut net = with_spaces(&[&[1], &[1], &[]]);
    let honest = net.connect(0, 1);
    hello(&mut net, honest);
    let offer = net.links[&honest].ways[0].frames[0].clone();
    // Device 2 is no member. It dials 1 and plays what 0 offered to 1.
    let stranger = net.connect(2, 1);
    hello(&mut net, stranger);
    let frames = &mut net.links.get_mut(&stranger).unwrap().ways[0].frames;
    frames.clear();
    frames.push_back(offer);
    net.deliver(stranger, 0);
    assert!(shared(&net, 1, stranger).is_empty());
}

#[test]
fn a_peer_that_echoes_the_offer_proves_nothing() {
    let mut net = with_spaces(&[&[1], &[]]);
    let link = net.connect(0, 1);
    hello(&mut net, link);
    let Message::Offer { tags } = Message::decode(&net.links[&link].ways[0].frames[0]).unwrap()
    else {
        panic!("the dialer offers first");
    };
    let echo = Message::Accept { tags }.encode().unwrap().to_vec();
    let echo = bytes::Bytes::copy_from_slice(&echo[4..]);
    net.input(link, 0, Input::Frame(echo));
    assert!(shared(&net, 0, link).is_empty());
}

#[test]
fn a_member_who_knows_the_id_but_not_the_secret_shares_nothing() {
    let mut net = with_spaces(&[&[1], &[]]);
    let link = net.connect(0, 1);
    let guess = SpaceMembership {
        space: space(1),
        secret: Zeroizing::new(secret(space(2))),
        tips: BTreeMap::new(),
    };
    net.input(link, 1, Input::AddSpace(guess));
    net.settle(&mut Dice::new(1));
    assert!(shared(&net, 0, link).is_empty() && shared(&net, 1, link).is_empty());
}

#[test]
fn a_space_joined_on_a_live_connection_becomes_shared_whoever_was_first() {
    for late in 0..2 {
        let mut net = with_spaces(&[&[], &[]]);
        let link = net.connect(0, 1);
        net.settle(&mut Dice::new(1));
        net.join(1 - late, space(1));
        net.settle(&mut Dice::new(1));
        assert!(shared(&net, 0, link).is_empty());
        net.join(late, space(1));
        net.write(late, space(1), writer(1), &[b"first"]);
        net.settle(&mut Dice::new(1));
        assert!(shared(&net, 0, link).contains(&space(1)));
        net.assert_equal(&[0, 1]);
        assert_eq!(net.devices[1 - late].spaces[&space(1)].len(), 1);
    }
}

#[test]
fn offers_of_one_space_that_cross_share_it_once() {
    for seed in 0..50 {
        let mut net = with_spaces(&[&[], &[]]);
        let link = net.connect(0, 1);
        let mut dice = Dice::new(seed);
        net.settle(&mut dice);
        net.join(0, space(1));
        net.join(1, space(1));
        net.settle(&mut dice);
        for device in 0..2 {
            let events = net.events(device, link).into_iter();
            let count = events
                .filter(|event| matches!(event, Output::Shared { .. }))
                .count();
            assert_eq!(count, 1);
        }
    }
}

#[test]
fn a_space_that_is_left_and_joined_again_is_shared_again() {
    for seed in 0..50 {
        let mut net = with_spaces(&[&[1, 2], &[1, 2]]);
        let mut dice = Dice::new(seed);
        let link = net.connect(0, 1);
        if seed % 2 == 0 {
            net.settle(&mut dice);
        }
        net.leave(0, space(1));
        if seed % 3 == 0 {
            net.settle(&mut dice);
        }
        net.join(0, space(1));
        net.write(0, space(1), writer(1), &[b"again"]);
        net.settle(&mut dice);
        assert_eq!(
            net.devices[1].spaces[&space(1)][&writer(1)].entries.len(),
            1
        );
        assert!(net.closed(link, 0).is_none() && net.closed(link, 1).is_none());
    }
}

#[test]
fn tags_are_refused_one_frame_beyond_the_session_limit() {
    let net = with_spaces(&[&[], &[]]);
    let mut session = Session::new(net.opening(Role::Listener, 0, 1, 9), [], 0);
    let hello = Message::Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        nonce: [1; 32],
        clock_ms: 0,
        window: crate::limits::WINDOW_BYTES_MAX,
        extension: bytes::Bytes::new(),
    };
    let frame = |message: Message| {
        let wire = message.encode().unwrap().to_vec();
        Input::Frame(bytes::Bytes::copy_from_slice(&wire[4..]))
    };
    session.handle(frame(hello), 0).unwrap();
    let tags = |n: u64| {
        let tag = |i: u64| {
            let mut tag = [0; 32];
            tag[..8].copy_from_slice(&(n * 8192 + i).to_be_bytes());
            tag
        };
        Message::Offer {
            tags: (0..8192).map(tag).collect(),
        }
    };
    for n in 0..TAGS_PER_SESSION_MAX / 8192 {
        session.handle(frame(tags(n)), 0).unwrap();
    }
    assert!(matches!(
        session.handle(frame(tags(100)), 0),
        Err(PeerMisbehaved::TagFlood { .. })
    ));
    assert!(matches!(
        session.handle(Input::Tick, 0),
        Err(PeerMisbehaved::TagFlood { .. })
    ));
}

#[test]
fn four_thousand_spaces_fit_one_connection() {
    let mut net = Net::new(2);
    for device in 0..2 {
        for n in 0u16..4096 {
            let id = SpaceId::from_bytes(stead_crypt::hash::derive("many", &n.to_le_bytes()));
            net.devices[device].spaces.entry(id).or_default();
        }
    }
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    assert_eq!(shared(&net, 0, link).len(), 4096);
    assert_eq!(shared(&net, 1, link).len(), 4096);
}
