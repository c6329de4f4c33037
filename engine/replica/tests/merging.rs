//! Merging much at once, where one thread reads and writes rows and another merges, gives what merging
//! little by little gives.

mod world;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use stead_base::{DocId, SpaceId, WriterId};
use stead_replica::{Change, Edit, RichEdit, RichKind, TextUnit};
use world::{Device, edit, link};

/// More than a thread is started for.
const CHANGES: usize = 24_000;
const DOCUMENTS: u32 = 700;

fn below(random: &mut ChaCha12Rng, limit: u32) -> u32 {
    random.next_u32() % limit
}

fn any_edit(random: &mut ChaCha12Rng) -> Edit {
    let on = ["notes", "things"][below(random, 2) as usize];
    let id = format!("n{}", below(random, DOCUMENTS));
    let path = |name: &str| vec![name.to_owned()];
    let number = below(random, 9);
    let element = json!(number);
    let change = match below(random, 400) {
        0..=199 => Change::Set {
            path: path(["a", "b", "c"][below(random, 3) as usize]),
            value: json!({ "v": below(random, 9999) }),
        },
        200..=259 => Change::Add {
            path: path("count"),
            delta: 1,
        },
        260..=299 => Change::Include {
            path: path("set"),
            element,
        },
        300..=329 => Change::Exclude {
            path: path("set"),
            element,
        },
        330..=339 => Change::Unset { path: path("a") },
        340 | 341 => Change::Delete,
        342..=369 => Change::Restore,
        370 => Change::Purge,
        _ => Change::Rich {
            path: path("body"),
            kind: RichKind::Text,
            edit: RichEdit::Splice {
                at: 0,
                delete: 0,
                insert: format!("{number}"),
                unit: TextUnit::Scalar,
            },
        },
    };
    edit(on, &id, change)
}

/// Hands on all that is there. Returns how often the receiver merged.
fn hand_on(from: &Device, to: &mut Device, space: &SpaceId, at_once: usize) -> usize {
    let (preparer, mut merged) = (to.replica.preparer(), 0);
    for log in from.replica.frontier(space).unwrap() {
        let (mut at, mut batches) = (held(to, space, &log.writer), Vec::new());
        while let Some(batch) = from
            .replica
            .read_batch(space, &log.writer, at, log.len, 16 << 10)
            .unwrap()
        {
            at = stead_log::Batch::decode(&batch).unwrap().end();
            batches.push(batch);
        }
        for some in batches.chunks(at_once) {
            let prepared = some.iter().map(|it| preparer.prepare(*space, it.clone()));
            for stored in to.replica.store_batches(prepared.collect(), to.now) {
                stored.unwrap();
            }
            to.replica.merge_pending(to.now).unwrap();
            merged += 1;
        }
    }
    merged
}

/// All that people and indexes are shown, what was deleted included.
fn shown(device: &Device, space: &SpaceId) -> Vec<String> {
    let mut all = Vec::new();
    for on in ["notes", "things"] {
        for number in 0..DOCUMENTS {
            let id = DocId::parse(&format!("n{number}")).unwrap();
            let found = device.replica.get(space, on, &id).unwrap();
            all.push(format!("{on}/{id} {found:?}"));
        }
    }
    all
}

#[test]
fn merging_much_on_two_threads_gives_what_merging_little_gives() {
    let (mut a, mut much, mut little) = (Device::new(1), Device::new(2), Device::new(3));
    link(&mut a, &mut much);
    link(&mut a, &mut little);
    let space = a.replica.create_space("s", a.now).unwrap();
    for device in [&mut much, &mut little] {
        let ticket = a.replica.ticket(&space).unwrap();
        device.replica.join_space(&ticket, false, a.now).unwrap();
    }
    let mut random = ChaCha12Rng::seed_from_u64(5);
    for _ in 0..CHANGES / 250 {
        let group: Vec<_> = (0..250)
            .map(|_| (space, vec![any_edit(&mut random)]))
            .collect();
        a.now += 10;
        // What says nothing new, or goes beyond a text, is refused.
        let _refused_or_done = a.replica.transact_many(&group, a.now).unwrap();
    }
    for device in [&mut much, &mut little] {
        device.now = a.now;
    }
    hand_on(&a, &mut much, &space, usize::MAX);
    assert!(hand_on(&a, &mut little, &space, 1) > 20);
    let lens = a
        .replica
        .frontier(&space)
        .unwrap()
        .into_iter()
        .map(|log| log.len);
    assert!(lens.sum::<u64>() > 16_000);
    let expected = shown(&a, &space);
    assert_eq!(shown(&much, &space), expected);
    assert_eq!(shown(&little, &space), expected);
    // Once more over rows that are there, and from nothing.
    let again = |random: &mut ChaCha12Rng| vec![any_edit(random)];
    let group: Vec<_> = (0..CHANGES / 2)
        .map(|_| (space, again(&mut random)))
        .collect();
    for some in group.chunks(250) {
        a.now += 10;
        let _refused_or_done = a.replica.transact_many(some, a.now).unwrap();
    }
    much.now = a.now;
    hand_on(&a, &mut much, &space, usize::MAX);
    assert_eq!(shown(&much, &space), shown(&a, &space));
    much.replica.rebuild(&space, much.now).unwrap();
    assert_eq!(shown(&much, &space), shown(&a, &space));
}

fn held(device: &Device, space: &SpaceId, writer: &WriterId) -> u64 {
    let logs = device.replica.frontier(space).unwrap();
    let log = logs.iter().find(|log| log.writer == *writer);
    log.map_or(0, |log| log.len)
}
