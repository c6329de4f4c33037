//! Where people are: what crosses a session, and what does not.

use super::hostile::{frame, live, space_number};
use super::net::{Dice, Net, space, writer};
use crate::io::{Input, Output};
use crate::limits::{PRESENCE_BYTES_MAX, PRESENCE_WAITING_MAX, WINDOW_BYTES_MIN};
use crate::message::Message;
use bytes::Bytes;

fn packet(slot: u8, bytes: &[u8]) -> Input {
    Input::Presence {
        space: space(1),
        slot: [slot; 16],
        packet: Bytes::copy_from_slice(bytes),
    }
}

fn heard(net: &Net, device: usize, link: usize) -> Vec<Vec<u8>> {
    let heard = net
        .events(device, link)
        .into_iter()
        .filter_map(|event| match event {
            Output::Presence { packet, .. } => Some(packet.to_vec()),
            Output::PresenceLost { app, .. } => Some(format!("lost {app}").into_bytes()),
            _ => None,
        });
    heard.collect()
}

#[test]
fn packets_and_losses_reach_the_other_side_in_their_order() {
    let (mut net, link, _) = live();
    net.input(link, 0, packet(1, b"one"));
    net.input(link, 0, packet(2, b"two"));
    let lost = Input::PresenceLost {
        space: space(1),
        run: [1; 32],
        app: 7,
    };
    net.input(link, 0, lost);
    net.settle(&mut Dice::new(1));
    assert_eq!(heard(&net, 1, link), [&b"one"[..], b"two", b"lost 7"]);
}

#[test]
fn of_what_waits_for_credit_only_the_newest_of_each_slot_goes_out_and_not_without_bound() {
    let mut net = Net::new(2);
    net.window_bytes = WINDOW_BYTES_MIN;
    (0..2).for_each(|device| net.join(device, space(1)));
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    let large = vec![7; PRESENCE_BYTES_MAX];
    // Nothing is delivered: the window runs out, and what comes after waits.
    for slot in 0..=255 {
        for _ in 0..20 {
            net.input(link, 0, packet(slot, &large));
        }
    }
    let sent = net.links[&link].ways[0].frames.len();
    assert!(sent as u64 * (PRESENCE_BYTES_MAX as u64) < WINDOW_BYTES_MIN);
    for n in 0..50u8 {
        net.input(link, 0, packet(9, &[n]));
    }
    for app in 0..2 * PRESENCE_WAITING_MAX as u64 {
        let lost = Input::PresenceLost {
            space: space(1),
            run: [1; 32],
            app,
        };
        net.input(link, 0, lost);
    }
    net.settle(&mut Dice::new(1));
    let heard = heard(&net, 1, link);
    assert!(heard.len() <= sent + PRESENCE_WAITING_MAX);
    assert_eq!(
        heard.last().unwrap(),
        &format!("lost {}", 2 * PRESENCE_WAITING_MAX - 1).into_bytes()
    );
}

#[test]
fn a_peer_that_does_not_understand_presence_gets_none() {
    let mut net = Net::new(2);
    (0..2).for_each(|device| net.join(device, space(1)));
    let link = net.connect(0, 1);
    // The peer's Hello says nothing of it.
    let Some(Message::Hello {
        version_min,
        version_max,
        nonce,
        clock_ms,
        window,
        extension,
        ..
    }) = net.links[&link].ways[1].messages().first().cloned()
    else {
        panic!("a session begins with Hello");
    };
    let hello = Message::Hello {
        version_min,
        version_max,
        features: 1,
        nonce,
        clock_ms,
        window,
        extension,
    };
    net.links.get_mut(&link).unwrap().ways[1].frames.clear();
    net.input(link, 0, frame(hello));
    net.input(link, 0, packet(1, b"one"));
    let sent = net.links[&link].ways[0].messages();
    assert!(!sent.iter().any(|it| it.name() == "Presence"));
}

#[test]
fn nothing_of_a_space_that_is_not_shared_any_more_is_told_or_heard() {
    let (mut net, link, no) = live();
    assert_eq!(no, space_number(&net, link));
    net.leave(1, space(1));
    net.settle(&mut Dice::new(1));
    net.input(link, 0, packet(1, b"one"));
    let late = Message::Presence {
        space: no,
        packet: Bytes::from_static(b"late"),
    };
    net.input(link, 0, frame(late));
    net.settle(&mut Dice::new(1));
    assert_eq!(heard(&net, 1, link), Vec::<Vec<u8>>::new());
    assert_eq!(heard(&net, 0, link), Vec::<Vec<u8>>::new());
    let unknown = Message::Presence {
        space: 998,
        packet: Bytes::from_static(b"x"),
    };
    assert!(net.try_input(link, 0, frame(unknown)).is_err());
}

#[test]
fn a_packet_at_the_limit_is_sent_and_one_above_it_is_not() {
    let (mut net, link, _) = live();
    net.write(0, space(1), writer(0), &[b"d"]);
    net.input(link, 0, packet(1, &[1; PRESENCE_BYTES_MAX]));
    net.input(link, 0, packet(2, &[1; PRESENCE_BYTES_MAX + 1]));
    net.settle(&mut Dice::new(1));
    assert_eq!(heard(&net, 1, link).len(), 1);
    let long = Message::Presence {
        space: 0,
        packet: vec![1; PRESENCE_BYTES_MAX + 1].into(),
    };
    assert!(net.try_input(link, 0, frame(long)).is_err());
}
