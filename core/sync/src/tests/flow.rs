//! Credit, fairness, pages and limits between honest peers.

use super::net::{Dice, Net, space, writer};
use crate::io::Input;
use crate::limits::{TIPS_PER_FRAME_MAX, WANTS_IN_FLIGHT_MAX, WINDOW_BYTES_MIN};
use crate::message::Message;
use std::collections::{BTreeSet, VecDeque};

static ENTRY: [u8; 60_000] = [9; 60_000];

fn two_members() -> Net {
    let mut net = Net::new(2);
    (0..2).for_each(|device| net.join(device, space(1)));
    net
}

#[test]
fn a_slow_store_holds_the_sender_at_the_window_and_loses_nothing() {
    let mut net = two_members();
    net.window_bytes = WINDOW_BYTES_MIN;
    net.devices[1].slow_store = Some(VecDeque::new());
    // 24 MB, three windows.
    net.write(0, space(1), writer(0), &[&ENTRY[..]; 400]);
    let link = net.connect(0, 1);
    let mut dice = Dice::new(1);
    let mut rounds = 0;
    loop {
        net.settle(&mut dice);
        let waiting = net.devices[1].slow_store.as_mut().unwrap();
        let held: u64 = waiting.iter().map(|(_, credit)| credit).sum();
        assert!(held <= WINDOW_BYTES_MIN);
        let Some((link, credit)) = waiting.pop_front() else {
            break;
        };
        rounds += 1;
        net.input(link, 1, Input::Stored { credit });
    }
    assert!(rounds > 90);
    net.assert_equal(&[0, 1]);
    assert!(net.closed(link, 0).is_none());
}

#[test]
fn a_range_taken_back_while_batches_wait_for_credit_ends_in_order() {
    let mut net = two_members();
    net.auto_fetch = false;
    net.devices[1].slow_store = Some(VecDeque::new());
    net.write(0, space(1), writer(0), &[&ENTRY[..]; 400]);
    let link = net.connect(0, 1);
    let mut dice = Dice::new(1);
    net.settle(&mut dice);
    // The window is used up, and more was read ahead.
    let (space, writer) = (space(1), writer(0));
    net.input(link, 1, Input::CancelFetch { space, writer });
    net.settle(&mut dice);
    while let Some(waiting) = &mut net.devices[1].slow_store
        && let Some((link, credit)) = waiting.pop_front()
    {
        net.input(link, 1, Input::Stored { credit });
        net.settle(&mut dice);
    }
    assert!(net.closed(link, 0).is_none() && net.closed(link, 1).is_none());
    net.assert_equal(&[0, 1]);
}

#[test]
fn small_frames_pass_a_store_that_stands_still() {
    let mut net = two_members();
    net.devices[1].slow_store = Some(VecDeque::new());
    net.write(0, space(1), writer(0), &[&ENTRY[..]; 400]);
    net.connect(0, 1);
    let mut dice = Dice::new(1);
    net.settle(&mut dice);
    net.write(0, space(1), writer(1), &[b"small"]);
    net.settle(&mut dice);
    assert_eq!(
        net.devices[1].spaces[&space(1)][&writer(1)].entries.len(),
        1
    );
    assert!(net.devices[1].spaces[&space(1)][&writer(0)].entries.len() < 400);
}

#[test]
fn a_live_change_waits_behind_one_queue_of_a_slow_link_at_most() {
    let mut net = two_members();
    net.queue_bytes = 1 << 20;
    net.write(0, space(1), writer(0), &[&ENTRY[..]; 300]);
    let link = net.connect(0, 1);
    while net.links[&link].ways[0].batches.len() < 8 {
        net.deliver(link, 0);
        net.deliver(link, 1);
    }
    net.write(0, space(1), writer(1), &[b"typed just now"]);
    let queued: usize = net.links[&link].ways[0]
        .frames
        .iter()
        .map(|f| f.len())
        .sum();
    assert!(queued < (1 << 20) + 5 * (256 << 10), "{queued} bytes");
    let last = net.links[&link].ways[0].messages().pop();
    assert!(matches!(last, Some(Message::Push { .. })));
}

#[test]
fn a_giant_log_does_not_hold_up_the_others() {
    let mut net = Net::new(2);
    net.queue_bytes = 1 << 20;
    for n in 1..=2 {
        (0..2).for_each(|device| net.join(device, space(n)));
    }
    net.write(0, space(1), writer(0), &[&ENTRY[..]; 1000]);
    for n in 1..=20 {
        net.write(0, space(1), writer(n), &[&ENTRY[..]; 3]);
    }
    net.write(0, space(2), writer(50), &[&ENTRY[..]; 3]);
    let link = net.connect(0, 1);
    let mut dice = Dice::new(1);
    let mut small_at = 0;
    for _ in 0..2_000 {
        let side = dice.below(2);
        net.deliver(link, side);
        let all = (1..=20).all(|n| {
            let logs = &net.devices[1].spaces[&space(1)];
            logs.get(&writer(n))
                .is_some_and(|log| log.entries.len() == 3)
        });
        if all && net.devices[1].spaces[&space(2)].contains_key(&writer(50)) {
            small_at = net.devices[1].spaces[&space(1)][&writer(0)].entries.len();
            break;
        }
    }
    assert!(small_at > 0, "the small logs never came");
    // A queue, a turn for each log, and what was read ahead; of a thousand entries.
    assert!(small_at < 60, "{small_at} entries of the giant came first");
    net.settle(&mut dice);
    net.assert_equal(&[0, 1]);
}

#[test]
fn no_more_ranges_than_the_limit_are_asked_for_at_once() {
    let mut net = two_members();
    for n in 0..WANTS_IN_FLIGHT_MAX as u16 * 3 {
        net.write(0, space(1), writer(n), &[b"entry"]);
    }
    let link = net.connect(0, 1);
    let mut most = 0;
    // Everything that the receiver says goes out before anything comes back.
    loop {
        let wants = net.links[&link].ways[1].messages();
        let wants = wants.iter().filter(|m| matches!(m, Message::Want { .. }));
        most = most.max(wants.count());
        if !(net.deliver(link, 0) || net.deliver(link, 1)) {
            break;
        }
    }
    assert_eq!(most, WANTS_IN_FLIGHT_MAX);
    net.assert_equal(&[0, 1]);
}

#[test]
fn a_frontier_longer_than_a_frame_is_listed_in_pages() {
    let mut net = two_members();
    let writers = TIPS_PER_FRAME_MAX as u16 * 2;
    for n in 0..writers {
        net.write(0, space(1), writer(n), &[b"entry"]);
        if n % 2 == 0 {
            net.write(1, space(1), writer(n), &[b"entry"]);
        }
    }
    let link = net.connect(0, 1);
    let mut pages = [0, 0];
    let mut lasts = [0, 0];
    let mut dice = Dice::new(4);
    loop {
        let side = dice.below(2);
        for side in [side, 1 - side] {
            if let Some(Message::Tips { last, .. }) = net.links[&link].ways[side].messages().first()
            {
                pages[side] += 1;
                lasts[side] += usize::from(*last);
            }
            net.deliver(link, side);
        }
        if net.links[&link].ways.iter().all(|w| w.frames.is_empty()) {
            break;
        }
    }
    assert_eq!(lasts, [1, 1]);
    // An exact multiple needs no empty page.
    assert_eq!(pages[0], 2);
    net.assert_equal(&[0, 1]);
}

#[test]
fn one_entry_larger_than_a_batch_still_travels() {
    let mut net = two_members();
    let largest = vec![5; stead_base::limits::ENTRY_BYTES_MAX];
    net.write(0, space(1), writer(0), &[b"a", &largest, b"b", &largest]);
    net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    net.assert_equal(&[0, 1]);
}

#[test]
fn a_log_is_sent_once_and_in_order() {
    let mut net = two_members();
    net.write(0, space(1), writer(0), &[&ENTRY[..]; 100]);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(8));
    let batches = &net.links[&link].ways[0].batches;
    let firsts: BTreeSet<u64> = batches.iter().map(|(from, _)| *from).collect();
    assert_eq!(firsts.len(), batches.len());
    assert!(batches.windows(2).all(|pair| pair[0].1 == pair[1].0));
    assert_eq!(batches.last().map(|(_, upto)| *upto), Some(100));
}

/// Run with `cargo test --release -p stead-sync -- --ignored --nocapture speed`.
#[test]
#[ignore = "a measurement, not a property"]
#[allow(clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn speed_of_batches_through_two_sessions() {
    use crate::frame::FrameReader;
    use crate::io::Output;
    use crate::{Role, Session, Tip};
    use bytes::{Bytes, BytesMut};
    const BATCH: usize = 256 << 10;
    const BATCHES: u64 = 16_384;
    let mut net = two_members();
    let (space, writer) = (space(1), writer(0));
    let mut to = Session::new(net.opening(Role::Listener, 1, 0, 0), net.memberships(1), 0);
    net.write(0, space, writer, &[b"x"]);
    let mut spaces = net.memberships(0);
    let tip = Tip::new(BATCHES, stead_crypt::hash::digest(b"root"));
    spaces[0].tips.insert(writer, tip);
    let mut from = Session::new(net.opening(Role::Dialer, 0, 1, 0), spaces, 0);
    let payload = Bytes::from(vec![1u8; BATCH]);
    let mut readers = [FrameReader::new(), FrameReader::new()];
    let (mut received, mut rest) = (0u64, [BytesMut::new(), BytesMut::new()]);
    let started = std::time::Instant::now();
    while received < BATCHES * BATCH as u64 {
        for side in 0..2 {
            let session = if side == 0 { &mut from } else { &mut to };
            let mut wire = std::mem::take(&mut rest[1 - side]);
            // The wire hands over pieces as a socket would.
            while !wire.is_empty() {
                let piece = wire.split_to(wire.len().min(64 << 10)).freeze();
                readers[side].push(piece);
                while let Some(frame) = readers[side].next_frame().unwrap() {
                    session.handle(Input::Frame(frame), 0).unwrap();
                }
            }
            while let Some(output) = session.poll_output() {
                match output {
                    Output::Send(frame) => {
                        rest[side].extend_from_slice(&frame.head);
                        rest[side].extend_from_slice(&frame.payload);
                    }
                    Output::Read(read) => session
                        .handle(
                            Input::ReadDone {
                                space,
                                writer,
                                from: read.from,
                                upto: read.from + 1,
                                batch: payload.clone(),
                            },
                            0,
                        )
                        .unwrap(),
                    Output::Batch { credit, batch, .. } => {
                        received += batch.len() as u64;
                        session.handle(Input::Stored { credit }, 0).unwrap();
                    }
                    _ => {}
                }
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{:.0} MB/s, the copy onto the wire included",
        received as f64 / 1e6 / seconds
    );
}
