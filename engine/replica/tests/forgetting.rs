//! Removals from sets are forgotten, and nobody sees a difference: whatever arrives in whatever order, after
//! building again, and from a checkpoint.

mod people;
mod world;

use people::relay;
use proptest::prelude::*;
use serde_json::{Value, json};
use stead_base::{DocId, SpaceId};
use stead_replica::{Change, Edit};
use world::{Device, link, sync};

#[derive(Debug, Clone)]
enum Act {
    Include(&'static str, i64),
    Exclude(&'static str, i64),
    Put(&'static str, Value),
    Unset(&'static str),
    Delete,
    Restore,
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, Vec<Act>),
    /// From one to another, all logs but one.
    Send(usize, usize, usize),
    /// A device builds its documents again.
    Rebuild(usize),
}

const DEVICES: usize = 3;

fn any_act() -> impl Strategy<Value = Act> {
    let place = prop_oneof![2 => Just("tags"), 1 => Just("m.x")];
    let value = prop_oneof![Just(json!(1)), Just(json!({})), Just(json!([0, 1]))];
    let place = move || place.clone();
    prop_oneof![
        6 => (place(), 0i64..4).prop_map(|(place, elem)| Act::Include(place, elem)),
        6 => (place(), 0i64..4).prop_map(|(place, elem)| Act::Exclude(place, elem)),
        1 => (prop_oneof![Just("tags"), Just("m")], value).prop_map(|(at, value)| Act::Put(at, value)),
        1 => place().prop_map(Act::Unset),
        1 => Just(Act::Delete),
        1 => Just(Act::Restore),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..DEVICES, prop::collection::vec(any_act(), 1..4))
            .prop_map(|(at, acts)| Step::Write(at, acts)),
        4 => (0..DEVICES, 0..DEVICES, 0usize..8).prop_map(|(from, to, but)| Step::Send(from, to, but)),
        1 => (0..DEVICES).prop_map(Step::Rebuild),
    ]
}

fn edit_of(act: &Act) -> Edit {
    let path = |place: &str| place.split('.').map(str::to_owned).collect();
    let change = match act {
        Act::Include(place, elem) => Change::Include {
            path: path(place),
            element: json!(elem),
        },
        Act::Exclude(place, elem) => Change::Exclude {
            path: path(place),
            element: json!(elem),
        },
        Act::Put(field, value) => Change::Put {
            value: json!({*field: value}),
            replace: false,
        },
        Act::Unset(place) => Change::Unset { path: path(place) },
        Act::Delete => Change::Delete,
        Act::Restore => Change::Restore,
    };
    Edit {
        collection: "d".to_owned(),
        id: Some(DocId::parse("doc").unwrap()),
        change,
    }
}

/// One way, without one of the logs.
fn send(devices: &mut [Device], from: usize, to: usize, but: usize, space: &SpaceId) {
    let (low, high) = (from.min(to), from.max(to));
    let (left, right) = devices.split_at_mut(high);
    let (from, to) = match from == low {
        true => (&left[low], &mut right[0]),
        false => (&right[0], &mut left[low]),
    };
    let logs = from.replica.frontier(space).unwrap();
    let held_back: Vec<_> = logs.iter().map(|it| it.writer).skip(but).take(1).collect();
    relay(from, to, space, &held_back);
}

fn sync_all(devices: &mut [Device]) {
    for _ in 0..2 {
        for i in 1..devices.len() {
            let (left, right) = devices.split_at_mut(i);
            sync(&mut left[0], &mut right[0]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn who_forgot_removals_and_who_builds_again_show_the_same(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut devices: Vec<Device> = (1..=DEVICES as u8).map(Device::new).collect();
        let (first, others) = devices.split_at_mut(1);
        let space = first[0].replica.create_space("s", first[0].now).unwrap();
        for other in others {
            link(&mut first[0], other);
        }
        sync_all(&mut devices);
        for step in &steps {
            match step {
                Step::Write(at, acts) => {
                    let device = &mut devices[*at];
                    device.now += 10;
                    for act in acts {
                        // Some are refused: there is no set, or no document.
                        let _ = device.replica.transact(&space, &[edit_of(act)], device.now);
                    }
                }
                Step::Send(from, to, but) if from != to => {
                    send(&mut devices, *from, *to, *but, &space);
                }
                Step::Send(..) => {}
                Step::Rebuild(at) => {
                    let device = &mut devices[*at];
                    let before = device.dump(&space);
                    device.replica.rebuild(&space, device.now).unwrap();
                    prop_assert_eq!(device.dump(&space), before);
                }
            }
        }
        sync_all(&mut devices);
        let shown = devices[0].dump(&space);
        prop_assert_eq!(&devices[1].dump(&space), &shown);
        devices[2].now += 10;
        let now = devices[2].now;
        devices[2].replica.rebuild(&space, now).unwrap();
        prop_assert_eq!(&devices[2].dump(&space), &shown);

        // A newcomer with what was not forgotten, and nothing else.
        let mut newcomer = Device::new(9);
        link(&mut devices[0], &mut newcomer);
        let now = devices[0].now + 10;
        let log = devices[0].replica.make_checkpoint(&space, now).unwrap().log;
        let logs = devices[0].replica.frontier(&space).unwrap();
        let others: Vec<_> = logs.iter().map(|it| it.writer).filter(|it| *it != log).collect();
        relay(&devices[0], &mut newcomer, &space, &others);
        newcomer.replica.begin_from(&space, &log, now).unwrap();
        prop_assert_eq!(&newcomer.dump(&space), &shown);
        sync(&mut devices[0], &mut newcomer);
        prop_assert_eq!(&newcomer.dump(&space), &shown);
    }
}
