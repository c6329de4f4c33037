//! One side keeps a part of a space: nothing is fetched before the choice is told, what is asked for comes
//! thin, slices answer questions, and every rule about it is named when broken.

use super::hostile::{frame, live, space_number};
use super::net::{Dice, Net, space, writer};
use crate::PeerMisbehaved;
use crate::io::{Input, Output};
use crate::limits::{ASKS_IN_FLIGHT_MAX, SLICE_BYTES_MAX, SLICE_FRAME_BYTES_MAX};
use crate::message::{Message, WriterRef};
use bytes::Bytes;
use std::collections::BTreeMap;

fn settle(net: &mut Net) {
    net.settle(&mut Dice::new(1));
}

/// Device 1 keeps a part; device 0 has three entries of a log.
fn part() -> (Net, usize) {
    let mut net = Net::new(2);
    net.write(0, space(1), writer(0), &[b"a", b"b", b"c"]);
    net.join(1, space(1));
    let link = net.connect(0, 1);
    let thin = BTreeMap::from([(writer(0), 1)]);
    let part = Input::Part {
        space: space(1),
        thin,
    };
    net.input(link, 1, part);
    settle(&mut net);
    (net, link)
}

fn events(net: &mut Net, device: usize) -> Vec<Output> {
    let events = std::mem::take(&mut net.devices[device].events);
    events.into_iter().map(|(_, event)| event).collect()
}

fn choose(net: &mut Net, link: usize, revision: u64) {
    let choice = Bytes::from_static(b"choice");
    let choose = Input::Choose {
        space: space(1),
        revision,
        choice,
    };
    net.input(link, 1, choose);
    settle(net);
}

#[test]
fn nothing_is_fetched_before_the_choice_is_told_and_then_it_comes_thin() {
    let (mut net, link) = part();
    let told = events(&mut net, 1);
    let gives = Output::GivesParts {
        space: space(1),
        gives: true,
    };
    assert!(told.contains(&gives), "{told:?}");
    assert!(net.links[&link].ways[0].batches.is_empty());
    // What is said in several tellings counts with the last.
    choose(&mut net, link, 0);
    assert!(
        !events(&mut net, 0)
            .iter()
            .any(|it| matches!(it, Output::ReadThin(_)))
    );
    choose(&mut net, link, 7);
    let asked = events(&mut net, 0);
    let chosen = asked
        .iter()
        .filter(|it| matches!(it, Output::Chosen { .. }))
        .count();
    assert_eq!(chosen, 1, "the first was drained before");
    let Some(Output::ReadThin(read)) = asked.iter().find(|it| matches!(it, Output::ReadThin(_)))
    else {
        panic!("{asked:?}");
    };
    assert_eq!(
        (read.from, read.upto),
        (1, 3),
        "from where the thin log ends"
    );
    let done = Input::ReadDone {
        space: space(1),
        writer: writer(0),
        from: 1,
        upto: 3,
        batch: Bytes::from_static(b"thin"),
    };
    net.input(link, 0, done);
    settle(&mut net);
    let came = events(&mut net, 1);
    let thin = came.iter().find_map(|it| match it {
        Output::Thin {
            revision,
            from,
            upto,
            ..
        } => Some((*revision, *from, *upto)),
        _ => None,
    });
    assert_eq!(thin, Some((7, 1, 3)), "{came:?}");
}

#[test]
fn a_thin_log_is_not_told_to_peers_and_not_pushed() {
    let (mut net, link) = part();
    choose(&mut net, link, 1);
    events(&mut net, 1);
    net.write(0, space(1), writer(0), &[b"d"]);
    settle(&mut net);
    assert!(
        !events(&mut net, 1)
            .iter()
            .any(|it| matches!(it, Output::Batch { .. }))
    );
    let missing = net.links[&link].sessions[0].missing(&space(1)).unwrap();
    assert_eq!(missing.there, 0, "who keeps a part does not lack the rest");
}

#[test]
fn a_slice_of_several_frames_comes_whole() {
    let (mut net, link) = part();
    choose(&mut net, link, 1);
    let ask = Input::Ask {
        space: space(1),
        token: 5,
        ask: Bytes::from_static(b"what"),
    };
    net.input(link, 1, ask);
    settle(&mut net);
    let asked = events(&mut net, 0);
    assert!(
        asked
            .iter()
            .any(|it| matches!(it, Output::Asked { token: 5, .. })),
        "{asked:?}"
    );
    let slice: Bytes = (0..3 * SLICE_FRAME_BYTES_MAX).map(|n| n as u8).collect();
    let answer = Input::Sliced {
        space: space(1),
        token: 5,
        slice: Some(slice.clone()),
    };
    net.input(link, 0, answer);
    settle(&mut net);
    let came = events(&mut net, 1);
    let whole = Output::Slice {
        space: space(1),
        token: 5,
        slice: Some(slice),
    };
    assert!(came.contains(&whole));
}

#[test]
fn no_answer_is_an_answer_and_no_more_are_asked_at_once_than_allowed() {
    let (mut net, link) = part();
    choose(&mut net, link, 1);
    for token in 0..ASKS_IN_FLIGHT_MAX as u64 + 1 {
        let ask = Bytes::from_static(b"what");
        net.input(
            link,
            1,
            Input::Ask {
                space: space(1),
                token,
                ask,
            },
        );
    }
    settle(&mut net);
    let asked = |net: &mut Net| {
        let events = events(net, 0).into_iter();
        events
            .filter(|it| matches!(it, Output::Asked { .. }))
            .count()
    };
    assert_eq!(asked(&mut net), ASKS_IN_FLIGHT_MAX);
    let none = Input::Sliced {
        space: space(1),
        token: 0,
        slice: None,
    };
    net.input(link, 0, none);
    settle(&mut net);
    assert_eq!(asked(&mut net), 1);
    let refused = Output::Slice {
        space: space(1),
        token: 0,
        slice: None,
    };
    assert!(events(&mut net, 1).contains(&refused));
}

#[test]
fn answers_and_batches_that_were_not_asked_for_are_refused() {
    for (message, whole) in [
        (Message::Unsliced { space: 0, token: 1 }, true),
        (
            Message::Slice {
                space: 0,
                token: 1,
                last: true,
                piece: Bytes::new(),
            },
            true,
        ),
        (
            Message::Thin {
                space: 0,
                writer: WriterRef::New(writer(9)),
                from: 0,
                count: 1,
                revision: 1,
                batch: Bytes::new(),
            },
            false,
        ),
    ] {
        let (mut net, link, no) = live();
        let message = match message {
            Message::Unsliced { token, .. } => Message::Unsliced { space: no, token },
            Message::Slice {
                token, last, piece, ..
            } => Message::Slice {
                space: no,
                token,
                last,
                piece,
            },
            Message::Thin {
                writer,
                from,
                count,
                revision,
                batch,
                ..
            } => Message::Thin {
                space: no,
                writer,
                from,
                count,
                revision,
                batch,
            },
            other => other,
        };
        let refused = net.try_input(link, 1, frame(message)).unwrap_err();
        match whole {
            true => assert!(matches!(refused, PeerMisbehaved::SliceNotAskedFor { .. })),
            false => assert!(matches!(refused, PeerMisbehaved::BatchNotAskedFor { .. })),
        }
    }
}

#[test]
fn a_peer_that_asks_too_much_at_once_or_twice_is_refused() {
    let ask = |space, token| {
        frame(Message::Ask {
            space,
            token,
            ask: Bytes::new(),
        })
    };
    let (mut net, link, no) = live();
    net.try_input(link, 1, ask(no, 1)).unwrap();
    let twice = net.try_input(link, 1, ask(no, 1)).unwrap_err();
    assert_eq!(twice, PeerMisbehaved::TooManyAsks);
    let (mut net, link, no) = live();
    for token in 0..ASKS_IN_FLIGHT_MAX as u64 {
        net.try_input(link, 1, ask(no, token)).unwrap();
    }
    let more = net.try_input(link, 1, ask(no, 100)).unwrap_err();
    assert_eq!(more, PeerMisbehaved::TooManyAsks);
}

#[test]
fn a_slice_above_the_limit_is_refused() {
    let (mut net, link) = part();
    choose(&mut net, link, 1);
    let ask = Input::Ask {
        space: space(1),
        token: 5,
        ask: Bytes::new(),
    };
    net.input(link, 1, ask);
    let no = space_number(&net, link);
    let piece = Bytes::from(vec![0; SLICE_FRAME_BYTES_MAX]);
    let mut refused = None;
    for _ in 0..=SLICE_BYTES_MAX / SLICE_FRAME_BYTES_MAX {
        let message = Message::Slice {
            space: no,
            token: 5,
            last: false,
            piece: piece.clone(),
        };
        if let Err(error) = net.try_input(link, 1, frame(message)) {
            refused = Some(error);
            break;
        }
    }
    assert!(matches!(
        refused,
        Some(PeerMisbehaved::SliceNotAskedFor { .. })
    ));
}
