//! Live changes, in pairs, chains and meshes, with links that come and go.

use std::collections::VecDeque;

use super::net::{Dice, Net, space, writer};
use crate::Tip;
use crate::io::{Input, Output};
use crate::limits::{CONFIRM_DELAY_MS, EAGER_BYTES_MAX};
use crate::message::Message;
use crate::session::Missing;
use proptest::prelude::*;

/// Devices that share space 1, without links.
fn members(devices: usize) -> Net {
    let mut net = Net::new(devices);
    (0..devices).for_each(|device| net.join(device, space(1)));
    net
}

fn entries(net: &Net, device: usize, of: u16) -> usize {
    let logs = &net.devices[device].spaces[&space(1)];
    logs.get(&writer(of)).map_or(0, |log| log.entries.len())
}

#[test]
fn a_small_change_reaches_a_live_peer_in_one_frame() {
    let mut net = members(2);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    net.write(0, space(1), writer(0), &[b"hello"]);
    let sent = net.links[&link].ways[0].messages();
    assert!(matches!(
        &sent[..],
        [Message::Push {
            from: 0,
            count: 1,
            ..
        }]
    ));
    net.deliver(link, 0);
    assert_eq!(entries(&net, 1, 0), 1);
    assert!(net.links[&link].ways[1].frames.is_empty(), "nothing echoes");
}

#[test]
fn a_second_small_change_names_its_writer_in_one_byte() {
    let mut net = members(2);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    let mut sizes = Vec::new();
    for n in 0..3u8 {
        let before = net.links[&link].ways[0].wire_bytes;
        net.write(0, space(1), writer(0), &[&[n; 10]]);
        sizes.push(net.links[&link].ways[0].wire_bytes - before);
        net.settle(&mut Dice::new(1));
    }
    // 43 bytes of model batch: root, length, entry. The rest is the frame: length 4, kind 1,
    // space 1, writer 1, range 2, check 8.
    assert_eq!(sizes, [43 + 17 + 32, 43 + 17, 43 + 17]);
}

#[test]
fn a_tail_of_the_eager_limit_is_pushed_and_a_larger_one_announced() {
    // A model batch is 32 bytes of root, a length of 2 bytes, and the entry.
    for (entry, pushed) in [(EAGER_BYTES_MAX - 34, true), (EAGER_BYTES_MAX - 33, false)] {
        let mut net = members(2);
        let link = net.connect(0, 1);
        net.settle(&mut Dice::new(1));
        net.write(0, space(1), writer(0), &[&vec![7; entry]]);
        let sent = net.links[&link].ways[0].messages();
        assert_eq!(matches!(sent[0], Message::Push { .. }), pushed);
        assert_eq!(sent.len(), 1);
        net.settle(&mut Dice::new(1));
        assert_eq!(entries(&net, 1, 0), 1);
    }
}

#[test]
fn a_tail_too_large_to_push_whole_is_pushed_in_part_and_announced() {
    let mut net = members(2);
    net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    let entry = vec![1; EAGER_BYTES_MAX / 3];
    net.write(0, space(1), writer(0), &[&entry, &entry, &entry, &entry]);
    net.settle(&mut Dice::new(1));
    assert_eq!(entries(&net, 1, 0), 4);
}

#[test]
fn what_was_stored_is_confirmed_a_moment_later() {
    let mut net = members(2);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    net.write(0, space(1), writer(0), &[b"a", b"b"]);
    net.settle(&mut Dice::new(1));
    let missing = |net: &Net| net.links[&link].sessions[0].missing(&space(1));
    assert_eq!(missing(&net), Some(Missing { here: 0, there: 2 }));
    net.pass(CONFIRM_DELAY_MS);
    net.settle(&mut Dice::new(1));
    assert_eq!(missing(&net), Some(Missing { here: 0, there: 0 }));
    let confirmed = Output::Confirmed {
        space: space(1),
        writer: writer(0),
        len: 2,
    };
    assert!(net.events(0, link).contains(&&confirmed));
}

#[test]
fn changes_reach_a_third_device_that_never_meets_the_writer() {
    let mut net = members(3);
    net.write(0, space(1), writer(0), &[b"before"]);
    net.connect(0, 1);
    net.connect(1, 2);
    let mut dice = Dice::new(3);
    net.settle(&mut dice);
    assert_eq!(entries(&net, 2, 0), 1);
    net.write(0, space(1), writer(0), &[b"live"]);
    net.write(2, space(1), writer(2), &[b"back"]);
    net.settle(&mut dice);
    net.assert_equal(&[0, 1, 2]);
    assert_eq!(entries(&net, 2, 0), 2);
    assert_eq!(entries(&net, 0, 2), 1);
}

#[test]
fn changes_travel_through_a_device_that_is_linked_to_one_side_at_a_time() {
    let mut net = members(3);
    let mut dice = Dice::new(3);
    net.write(0, space(1), writer(0), &[b"x", b"y"]);
    let link = net.connect(1, 0);
    net.settle(&mut dice);
    net.cut(link);
    net.connect(2, 1);
    net.settle(&mut dice);
    assert_eq!(entries(&net, 2, 0), 2);
}

#[test]
fn writing_faster_than_the_link_ends_equal_with_few_frames() {
    let mut net = members(2);
    let link = net.connect(0, 1);
    let mut dice = Dice::new(1);
    net.settle(&mut dice);
    for n in 0..1000u32 {
        net.write(0, space(1), writer(0), &[&n.to_le_bytes().repeat(100)]);
        if n % 50 == 0 {
            net.deliver(link, 0);
        }
    }
    net.settle(&mut dice);
    net.assert_equal(&[0, 1]);
    assert_eq!(entries(&net, 1, 0), 1000);
}

#[test]
fn growth_while_a_range_is_answered_is_told_when_the_range_ends() {
    let mut net = members(2);
    net.queue_bytes = 300_000;
    let entry = vec![1; 60_000];
    net.write(0, space(1), writer(0), &[&entry[..]; 40]);
    let link = net.connect(0, 1);
    while net.links[&link].ways[0].batches.is_empty() {
        net.deliver(link, 0);
        net.deliver(link, 1);
    }
    net.write(0, space(1), writer(0), &[&entry]);
    let told = net.links[&link].ways[0].messages();
    assert!(!matches!(told.last(), Some(Message::Tips { .. })));
    net.settle(&mut Dice::new(1));
    assert_eq!(entries(&net, 1, 0), 41);
}

#[test]
fn a_peer_that_was_told_of_more_is_not_sent_the_tail_as_well() {
    let mut net = members(2);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    net.write(0, space(1), writer(0), &[&vec![1; 60_000]]);
    net.write(0, space(1), writer(0), &[b"small"]);
    let sent = net.links[&link].ways[0].messages();
    assert!(matches!(
        sent[..],
        [Message::Tips { .. }, Message::Tips { .. }]
    ));
    net.settle(&mut Dice::new(1));
    assert_eq!(entries(&net, 1, 0), 2);
}

#[test]
fn a_range_asked_for_while_a_tail_is_being_read_is_answered_after_it() {
    let mut net = members(2);
    for device in 0..2 {
        net.write(device, space(1), writer(0), &[b"a", b"b", b"c"]);
    }
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    net.devices[0].slow_reads = Some(Default::default());
    net.write(0, space(1), writer(0), &[b"d"]);
    let again = Input::Fetch {
        space: space(1),
        writer: writer(0),
        from: 1,
        upto: 3,
    };
    net.input(link, 1, again);
    net.settle(&mut Dice::new(1));
    let open = |net: &Net| net.devices[0].slow_reads.as_ref().unwrap().len();
    assert_eq!(open(&net), 1, "one read of a log at a time");
    while net.answer_read(0) {
        net.settle(&mut Dice::new(1));
        assert!(open(&net) <= 1);
    }
    assert_eq!(net.links[&link].ways[0].batches[0], (1, 3));
    assert_eq!(entries(&net, 1, 0), 4);
}

#[test]
fn equal_frontiers_cost_one_digest_each_way() {
    let mut net = members(2);
    for device in 0..2 {
        for n in 0..500 {
            net.write(device, space(1), writer(n), &[b"same"]);
        }
    }
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    let ways = &net.links[&link].ways;
    // Hello 73 or 74, tags 262, digest 39 bytes, with their lengths.
    assert!(ways.iter().all(|way| way.wire_bytes < 400));
    let listed = Output::Listed { space: space(1) };
    assert!(net.events(0, link).contains(&&listed));
}

#[test]
fn a_change_made_between_digest_and_answer_is_not_lost() {
    for seed in 0..200 {
        let mut net = members(2);
        net.write(0, space(1), writer(0), &[b"one"]);
        net.write(1, space(1), writer(0), &[b"one"]);
        let link = net.connect(0, 1);
        let mut dice = Dice::new(seed);
        for _ in 0..dice.below(9) {
            let side = dice.below(2);
            net.deliver(link, side);
        }
        net.write(0, space(1), writer(0), &[b"two"]);
        net.write(1, space(1), writer(1), &[b"three"]);
        net.settle(&mut dice);
        net.assert_equal(&[0, 1]);
        assert_eq!(net.devices[1].spaces[&space(1)].len(), 2);
        assert_eq!(entries(&net, 1, 0), 2);
    }
}

#[test]
fn two_peers_are_not_asked_for_the_same_range_when_the_driver_decides() {
    let mut net = members(3);
    net.auto_fetch = false;
    for device in 0..2 {
        net.write(device, space(1), writer(0), &[b"a", b"b", b"c"]);
    }
    let links = [net.connect(2, 0), net.connect(2, 1)];
    for link in links {
        // The model driver fetches whatever is available: let the first end before the second.
        while net.deliver(link, 0) || net.deliver(link, 1) {}
    }
    let batches = links.map(|link| net.links[&link].ways[1].batches.len());
    assert_eq!(batches, [1, 0]);
    net.assert_equal(&[0, 1, 2]);
}

#[test]
fn a_range_that_the_peer_cannot_read_is_reported_and_may_be_had_elsewhere() {
    let mut net = members(3);
    net.auto_fetch = false;
    for device in 0..2 {
        net.write(device, space(1), writer(0), &[b"a", b"b"]);
    }
    let link = net.connect(2, 0);
    // Device 0 loses the entries after it listed them.
    for _ in 0..3 {
        net.deliver(link, 0);
        net.deliver(link, 1);
    }
    net.devices[0].spaces.get_mut(&space(1)).unwrap().clear();
    net.settle(&mut Dice::new(1));
    let unavailable = Output::Unavailable {
        space: space(1),
        writer: writer(0),
        from: 0,
    };
    assert!(net.events(2, link).contains(&&unavailable));
    let missing = net.links[&link].sessions[0].missing(&space(1)).unwrap();
    assert_eq!(missing.here, 0, "it is no longer on offer");
    net.connect(1, 2);
    net.settle(&mut Dice::new(1));
    assert_eq!(entries(&net, 2, 0), 2);
}

#[test]
fn what_follows_a_range_that_came_some_other_way_is_fetched_though_the_peer_has_no_such_range() {
    for auto_fetch in [true, false] {
        let mut net = members(3);
        net.auto_fetch = auto_fetch;
        net.write(0, space(1), writer(0), &[b"a", b"b", b"c"]);
        net.devices[0].slow_reads = Some(VecDeque::new());
        net.connect(2, 0);
        net.settle(&mut Dice::new(1));
        // Device 2 begins the log from a checkpoint while device 0 finds that it dropped its beginning.
        net.write(2, space(1), writer(0), &[b"a", b"b"]);
        let (_, _, read) = net.devices[0]
            .slow_reads
            .as_mut()
            .unwrap()
            .pop_front()
            .unwrap();
        assert_eq!(read.from, 0);
        let failed = Input::ReadFailed {
            space: space(1),
            writer: writer(0),
        };
        net.tell(0, failed);
        net.devices[0].slow_reads = None;
        net.settle(&mut Dice::new(1));
        net.assert_equal(&[0, 2]);
    }
}

#[test]
fn a_log_that_was_emptied_is_fetched_whole() {
    for auto_fetch in [true, false] {
        for seed in 0..50 {
            let mut net = members(2);
            net.auto_fetch = auto_fetch;
            net.write(0, space(1), writer(0), &[b"a", b"b", b"c"]);
            net.write(1, space(1), writer(0), &[b"a", b"b"]);
            net.connect(0, 1);
            let mut dice = Dice::new(seed);
            for _ in 0..dice.below(16) {
                let side = dice.below(2);
                net.deliver(0, side);
            }
            net.devices[1].spaces.get_mut(&space(1)).unwrap().clear();
            let emptied = Input::LocalAdvanced {
                space: space(1),
                writer: writer(0),
                tip: Tip::EMPTY,
                eager: false,
            };
            net.tell(1, emptied);
            net.settle(&mut dice);
            net.assert_equal(&[0, 1]);
        }
    }
}

#[test]
fn a_fetch_taken_back_and_made_again_ends_complete() {
    for seed in 0..100 {
        let mut net = members(2);
        net.auto_fetch = false;
        let entry = vec![3; 60_000];
        net.write(0, space(1), writer(0), &[&entry[..]; 40]);
        let link = net.connect(0, 1);
        let mut dice = Dice::new(seed);
        for _ in 0..5 + dice.below(12) {
            let side = dice.below(2);
            net.deliver(link, side);
        }
        let (space, writer) = (space(1), writer(0));
        net.input(link, 1, Input::CancelFetch { space, writer });
        let from = net.devices[1].spaces[&space]
            .get(&writer)
            .map_or(0, |log| log.entries.len() as u64);
        let again = Input::Fetch {
            space,
            writer,
            from,
            upto: 40,
        };
        net.input(link, 1, again);
        net.settle(&mut dice);
        net.assert_equal(&[0, 1]);
        assert!(net.closed(link, 0).is_none() && net.closed(link, 1).is_none());
    }
}

#[test]
fn a_batch_that_was_dropped_is_offered_again() {
    for auto_fetch in [true, false] {
        let mut net = members(2);
        net.auto_fetch = auto_fetch;
        let entry = vec![3; 60_000];
        net.write(0, space(1), writer(0), &[&entry[..]; 40]);
        net.devices[1].drops = 3;
        let link = net.connect(0, 1);
        let mut dice = Dice::new(1);
        net.settle(&mut dice);
        assert_eq!(net.devices[1].drops, 0);
        net.assert_equal(&[0, 1]);
        // The same for a tail that was pushed.
        net.devices[1].drops = 1;
        net.write(0, space(1), writer(0), &[b"small"]);
        net.settle(&mut dice);
        net.assert_equal(&[0, 1]);
        assert!(net.closed(link, 0).is_none() && net.closed(link, 1).is_none());
    }
}

/// One thing that happens in a random history.
#[derive(Debug, Clone)]
enum Event {
    Write(usize, u8, usize),
    Connect(usize, usize),
    Cut(usize),
    Join(usize, u8),
    Deliver(usize),
    Read(usize),
    Pass(u64),
}

fn event(devices: usize) -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..devices, 1u8..4, 1usize..6).prop_map(|(d, s, n)| Event::Write(d, s, n)),
        2 => (0..devices, 0..devices).prop_map(|(a, b)| Event::Connect(a, b)),
        1 => (0usize..8).prop_map(Event::Cut),
        1 => (0..devices, 1u8..4).prop_map(|(d, s)| Event::Join(d, s)),
        8 => (1usize..30).prop_map(Event::Deliver),
        4 => (0..devices).prop_map(Event::Read),
        1 => (1u64..400).prop_map(Event::Pass),
    ]
}

fn happen(net: &mut Net, dice: &mut Dice, event: Event) {
    match event {
        Event::Write(device, n, count) => {
            if net.devices[device].spaces.contains_key(&space(n)) {
                let entries: Vec<Vec<u8>> = (0..count)
                    .map(|i| vec![i as u8; 1 + dice.below(9_000)])
                    .collect();
                let entries: Vec<&[u8]> = entries.iter().map(|e| &e[..]).collect();
                net.write(device, space(n), writer(device as u16), &entries);
            }
        }
        // Several connections between the same two devices are allowed.
        Event::Connect(a, b) if a != b => {
            net.connect(a, b);
        }
        Event::Connect(..) => {}
        Event::Cut(nth) => {
            let link = net.links.keys().nth(nth).copied();
            link.into_iter().for_each(|link| net.cut(link));
        }
        Event::Join(device, n) => {
            if !net.devices[device].spaces.contains_key(&space(n)) {
                net.join(device, space(n));
            }
        }
        Event::Deliver(frames) => {
            for _ in 0..frames {
                let links: Vec<usize> = net.links.keys().copied().collect();
                if let Some(link) = links.get(dice.below(links.len())) {
                    let side = dice.below(2);
                    net.deliver(*link, side);
                }
            }
        }
        Event::Read(device) => {
            net.answer_read(device);
        }
        Event::Pass(ms) => net.pass(ms),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn devices_converge_after_any_history(
        events in prop::collection::vec(event(4), 1..120),
        seed: u64,
        auto_fetch: bool,
    ) {
        let mut net = Net::new(4);
        net.auto_fetch = auto_fetch;
        net.devices[0].slow_reads = Some(Default::default());
        net.devices[1].slow_reads = Some(Default::default());
        let mut dice = Dice::new(seed);
        for event in events {
            happen(&mut net, &mut dice, event);
        }
        for device in 0..4 {
            for n in 1..4 {
                if !net.devices[device].spaces.contains_key(&space(n)) {
                    net.join(device, space(n));
                }
            }
        }
        (0..3).for_each(|device| { net.connect(device, device + 1); });
        net.settle(&mut dice);
        while net.answer_read(0) || net.answer_read(1) {
            net.settle(&mut dice);
        }
        net.pass(CONFIRM_DELAY_MS);
        net.settle(&mut dice);
        net.assert_equal(&[0, 1, 2, 3]);
        for link in net.links.values() {
            for n in 1..4 {
                for session in &link.sessions {
                    prop_assert_eq!(session.missing(&space(n)), Some(Missing::default()));
                }
            }
        }
    }

    #[test]
    fn devices_that_stay_connected_end_equal_without_another_connection(
        events in prop::collection::vec(event(4), 1..120),
        seed: u64,
        auto_fetch: bool,
    ) {
        let mut net = Net::new(4);
        net.auto_fetch = auto_fetch;
        net.queue_bytes = 30_000;
        net.devices[1].slow_reads = Some(Default::default());
        let mut dice = Dice::new(seed);
        for device in 0..3 {
            net.connect(device, device + 1);
        }
        for event in events {
            if !matches!(event, Event::Connect(..) | Event::Cut(_)) {
                happen(&mut net, &mut dice, event);
            }
        }
        for device in 0..4 {
            for n in 1..4 {
                if !net.devices[device].spaces.contains_key(&space(n)) {
                    net.join(device, space(n));
                }
            }
        }
        net.settle(&mut dice);
        while net.answer_read(1) {
            net.settle(&mut dice);
        }
        net.assert_equal(&[0, 1, 2, 3]);
        net.pass(CONFIRM_DELAY_MS);
        net.settle(&mut dice);
        for link in net.links.values() {
            for n in 1..4 {
                for session in &link.sessions {
                    prop_assert_eq!(session.missing(&space(n)), Some(Missing::default()));
                }
            }
        }
    }
}
