//! Logs that fork: found, bounded by a proof, and frozen everywhere at the common prefix.

use super::hostile::{frame, space_number};
use super::net::{Dice, Net, space, writer};
use crate::io::{Input, Output};
use crate::limits::{FORK_BYTES_MAX, PROBE_BYTES_MAX, PROBES_IN_FLIGHT_MAX};
use crate::message::{Message, WriterRef};
use crate::{PeerMisbehaved, Tip};
use bytes::Bytes;
use stead_base::{SpaceId, WriterId};

const PROOF: &[u8] = b"two heads that contradict each other";

/// Two devices whose copies of one log share three entries and then differ.
fn forked(tails: [usize; 2]) -> Net {
    let mut net = Net::new(2);
    for (device, tail) in tails.into_iter().enumerate() {
        net.write(device, space(1), writer(0), &[b"a", b"b", b"c"]);
        for n in 0..tail {
            net.write(device, space(1), writer(0), &[&[device as u8, n as u8]]);
        }
    }
    net
}

/// What a driver does once it has a proof: cuts the log back and tells all sessions.
fn freeze(net: &mut Net, device: usize, len: usize) {
    let log = net.devices[device]
        .spaces
        .get_mut(&space(1))
        .unwrap()
        .get_mut(&writer(0))
        .unwrap();
    let entries = log.entries[..len].to_vec();
    *log = Default::default();
    entries.into_iter().for_each(|entry| log.push(entry));
    log.frozen = true;
    let tip = log.tip();
    net.tell(device, frozen(tip));
}

fn frozen(tip: Tip) -> Input {
    Input::Frozen {
        space: space(1),
        writer: writer(0),
        tip,
        proof: Bytes::from_static(PROOF),
    }
}

fn diverged(net: &Net, device: usize, link: usize) -> bool {
    let events = net.events(device, link).into_iter();
    events
        .into_iter()
        .any(|event| matches!(event, Output::Diverged { .. }))
}

fn proof_event() -> Output {
    Output::ForkProof {
        space: space(1),
        writer: writer(0),
        proof: Bytes::from_static(PROOF),
    }
}

fn wanted() -> Output {
    Output::ForkProofWanted {
        space: space(1),
        writer: writer(0),
    }
}

fn log_of(event: &Output) -> Option<(SpaceId, WriterId, u64)> {
    match event {
        Output::ProbeAsked { space, writer, at } => Some((*space, *writer, *at)),
        _ => None,
    }
}

#[test]
fn equal_lengths_with_different_roots_are_noticed_on_both_sides() {
    let mut net = forked([2, 2]);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    assert!(diverged(&net, 0, link) && diverged(&net, 1, link));
    assert!(net.links[&link].ways.iter().all(|w| w.batches.is_empty()));
}

#[test]
fn equal_logs_are_not_taken_for_a_fork() {
    let mut net = forked([0, 0]);
    net.write(0, space(1), writer(1), &[b"only here"]);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    assert!(!diverged(&net, 0, link) && !diverged(&net, 1, link));
}

#[test]
fn a_fork_that_becomes_as_long_later_is_noticed_then() {
    let mut net = forked([1, 0]);
    let link = net.connect(0, 1);
    net.deliver(link, 0);
    net.deliver(link, 1);
    // The listener hears the dialer's length after it wrote another entry of the same log.
    net.write(1, space(1), writer(0), &[b"another fourth"]);
    net.settle(&mut Dice::new(1));
    assert!(diverged(&net, 0, link) || diverged(&net, 1, link));
}

#[test]
fn a_disputed_log_moves_no_more_entries_but_other_logs_do() {
    let mut net = forked([2, 2]);
    let link = net.connect(0, 1);
    let mut dice = Dice::new(1);
    net.settle(&mut dice);
    net.write(0, space(1), writer(0), &[b"more"]);
    net.write(0, space(1), writer(7), &[b"other"]);
    net.settle(&mut dice);
    let logs = &net.devices[1].spaces[&space(1)];
    assert_eq!(logs[&writer(0)].entries.len(), 5);
    assert_eq!(logs[&writer(7)].entries.len(), 1);
    assert!(net.closed(link, 1).is_none());
}

#[test]
fn a_contradicting_batch_stops_the_log_and_probes_find_the_prefix() {
    // Device 1 is behind, so only the batch shows the fork.
    let mut net = forked([5, 1]);
    let link = net.connect(0, 1);
    let mut dice = Dice::new(1);
    net.settle(&mut dice);
    let (space, writer) = (space(1), writer(0));
    let (mut same, mut different) = (0, 4);
    while different - same > 1 {
        let at = (same + different) / 2;
        net.input(link, 1, Input::Probe { space, writer, at });
        net.settle(&mut dice);
        let asked = net.events(0, link).into_iter().rev().find_map(log_of);
        assert_eq!(asked, Some((space, writer, at)));
        let root = net.devices[0].spaces[&space][&writer].root_at(at as usize);
        let reply = Bytes::copy_from_slice(root.as_bytes());
        net.input(
            link,
            0,
            Input::ProbeReply {
                space,
                writer,
                at,
                reply: reply.clone(),
            },
        );
        net.settle(&mut dice);
        let answer = Output::ProbeAnswered {
            space,
            writer,
            at,
            reply,
        };
        assert!(net.events(1, link).contains(&&answer));
        let here = net.devices[1].spaces[&space][&writer].root_at(at as usize);
        if here == root {
            same = at;
        } else {
            different = at;
        }
    }
    assert_eq!(same, 3);
    freeze(&mut net, 1, 3);
    net.settle(&mut dice);
    assert!(net.events(0, link).contains(&&proof_event()));
    freeze(&mut net, 0, 3);
    net.settle(&mut dice);
    net.assert_equal(&[0, 1]);
    assert!(
        !net.events(1, link).contains(&&proof_event()),
        "no proof goes back to where it came from"
    );
}

#[test]
fn a_proof_reaches_a_device_that_connects_later_and_a_newcomer_gets_the_prefix() {
    let mut net = forked([2, 0]);
    net.devices.push(Default::default());
    net.join(2, space(1));
    freeze(&mut net, 0, 3);
    for peer in 1..3 {
        let link = net.connect(0, peer);
        net.settle(&mut Dice::new(1));
        assert!(net.events(0, link).contains(&&wanted()));
        let tip = net.devices[0].spaces[&space(1)][&writer(0)].tip();
        net.input(link, 0, frozen(tip));
        net.settle(&mut Dice::new(1));
        assert!(net.events(peer, link).contains(&&proof_event()));
        assert_eq!(
            net.devices[peer].spaces[&space(1)][&writer(0)]
                .entries
                .len(),
            3
        );
    }
}

#[test]
fn two_devices_that_both_froze_a_log_need_no_proof() {
    let mut net = forked([2, 2]);
    freeze(&mut net, 0, 3);
    freeze(&mut net, 1, 3);
    net.write(0, space(1), writer(1), &[b"so that they list"]);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    assert!(!net.events(0, link).contains(&&wanted()));
    assert!(!net.events(1, link).contains(&&wanted()));
    assert!(!diverged(&net, 0, link));
}

fn live() -> (Net, usize) {
    let mut net = forked([0, 0]);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    (net, link)
}

#[test]
fn probes_are_refused_one_beyond_the_limit() {
    let (mut net, link) = live();
    let no = space_number(&net, link);
    let probe = |n: u16| {
        frame(Message::Probe {
            space: no,
            writer: WriterRef::New(writer(100 + n)),
            at: 0,
        })
    };
    for n in 0..PROBES_IN_FLIGHT_MAX as u16 {
        net.input(link, 1, probe(n));
    }
    assert_eq!(
        net.try_input(link, 1, probe(99)),
        Err(PeerMisbehaved::TooManyProbes)
    );
}

#[test]
fn an_answer_without_a_question_and_a_second_proof_are_refused() {
    let (mut net, link) = live();
    let no = space_number(&net, link);
    let reply = Message::ProbeReply {
        space: no,
        writer: WriterRef::New(writer(100)),
        at: 0,
        reply: Bytes::new(),
    };
    let refused = net.try_input(link, 1, frame(reply));
    assert!(matches!(
        refused,
        Err(PeerMisbehaved::ProbeReplyNotAskedFor { .. })
    ));
    let (mut net, link) = live();
    let proof = |writer| {
        frame(Message::Fork {
            space: no,
            writer,
            proof: Bytes::from(vec![0; FORK_BYTES_MAX]),
        })
    };
    net.input(link, 1, proof(WriterRef::New(writer(100))));
    assert!(matches!(
        net.try_input(link, 1, proof(WriterRef::Known(0))),
        Err(PeerMisbehaved::ForkProofTwice { .. })
    ));
}

#[test]
fn payloads_of_probes_and_proofs_are_bounded_in_both_directions() {
    let over = |bytes: usize| Bytes::from(vec![0; bytes]);
    for message in [
        Message::ProbeReply {
            space: 0,
            writer: WriterRef::Known(0),
            at: 0,
            reply: over(PROBE_BYTES_MAX + 1),
        },
        Message::Fork {
            space: 0,
            writer: WriterRef::Known(0),
            proof: over(FORK_BYTES_MAX + 1),
        },
    ] {
        let wire = message.encode().unwrap().to_vec();
        assert!(Message::decode(&Bytes::copy_from_slice(&wire[4..])).is_err());
    }
    // A driver's reply that no frame can carry goes out empty instead of breaking the rule.
    let (mut net, link) = live();
    let (space, writer, at) = (space(1), writer(0), 2);
    net.input(link, 1, Input::Probe { space, writer, at });
    net.settle(&mut Dice::new(1));
    let reply = over(PROBE_BYTES_MAX + 1);
    net.input(
        link,
        0,
        Input::ProbeReply {
            space,
            writer,
            at,
            reply,
        },
    );
    net.settle(&mut Dice::new(1));
    let answer = Output::ProbeAnswered {
        space,
        writer,
        at,
        reply: Bytes::new(),
    };
    assert!(net.events(1, link).contains(&&answer));
}
