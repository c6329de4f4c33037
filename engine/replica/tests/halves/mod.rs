//! What a device that keeps a part of a space and one that has all of it say to each other.
#![allow(dead_code, missing_docs, unreachable_pub)]

use stead_base::{DocId, SpaceId};
use stead_replica::{Chosen, Follower, Units};

use crate::people;
use crate::world::Device;

pub fn name(collection: &str, id: &str) -> (String, DocId) {
    (collection.to_owned(), DocId::parse(id).unwrap())
}

pub fn collections(names: &[&str]) -> Chosen {
    Chosen {
        units: Units {
            collections: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Units::default()
        },
        ..Chosen::default()
    }
}

/// What a peer knows of a choice.
pub fn follower(part: &Device, space: &SpaceId) -> Follower {
    let mut follower = Follower::default();
    for told in part.replica.told_choice(space) {
        follower.choose(told);
    }
    follower
}

/// Thin batches of all logs. Returns the bytes that moved.
pub fn thin(whole: &Device, part: &mut Device, space: &SpaceId) -> usize {
    let (mut bytes, peer) = (0, whole.replica.device());
    for log in whole.replica.frontier(space).unwrap() {
        loop {
            let thin = part.replica.thin_lengths(space).unwrap();
            let held = thin.get(&log.writer).copied().unwrap_or(0);
            let own = part.replica.frontier(space).unwrap();
            if own.iter().any(|own| own.writer == log.writer) {
                break;
            }
            let follower = follower(part, space);
            let range = (held, log.len);
            let batch = whole
                .replica
                .read_thin(space, &log.writer, range, 4096, &follower)
                .unwrap();
            let Some(batch) = batch else { break };
            bytes += batch.len();
            let revision = part.replica.part_revision(space).unwrap();
            let got = part
                .replica
                .receive_thin(space, &batch, revision, &peer, part.now);
            assert!(got.unwrap().len > held);
        }
    }
    bytes
}

/// Questions and their answers, until nothing is left to ask. Returns the bytes that moved.
pub fn fill(whole: &mut Device, part: &mut Device, space: &SpaceId) -> usize {
    let (mut bytes, peer, asker) = (0, whole.replica.device(), part.replica.device());
    part.replica.logs_have_come(space, part.now).unwrap();
    for _ in 0..100 {
        let asks = part.replica.part_asks(space);
        if asks.is_empty() {
            break;
        }
        for ask in asks {
            let follower = follower(part, space);
            let slice = whole
                .replica
                .slice(space, &asker, &follower, &ask, whole.now)
                .unwrap();
            let Some(slice) = slice else { continue };
            bytes += slice.len();
            part.replica
                .take_slice(space, &peer, &ask, &slice, part.now)
                .unwrap();
        }
        bytes += thin(whole, part, space);
        part.replica.take_parked(space, part.now).unwrap();
    }
    bytes
}

/// The part's own log goes to the whole, and what it follows comes.
pub fn meet(whole: &mut Device, part: &mut Device, space: &SpaceId) -> usize {
    let mut bytes = 0;
    for _ in 0..3 {
        for log in part.replica.frontier(space).unwrap() {
            let held = people::held(whole, space, &log.writer);
            let batch = part
                .replica
                .read_batch(space, &log.writer, held, log.len, usize::MAX)
                .unwrap();
            if let Some(batch) = batch {
                whole.replica.receive(space, &batch, whole.now).unwrap();
            }
        }
        whole.replica.reconcile(whole.now).unwrap();
        bytes += thin(whole, part, space);
        bytes += fill(whole, part, space);
        part.replica.reconcile(part.now).unwrap();
    }
    bytes
}

pub fn assert_same(whole: &Device, part: &Device, space: &SpaceId) {
    let all = whole.dump(space);
    let held = part.dump(space);
    for (collection, id, json) in &held {
        let doc = DocId::parse(id).unwrap();
        if part.replica.has_document(space, collection, &doc) {
            let found = all.iter().find(|it| it.0 == *collection && it.1 == *id);
            assert_eq!(found.map(|it| &it.2), Some(json), "{collection}/{id}");
        }
    }
    for (collection, id, _) in &all {
        let doc = DocId::parse(id).unwrap();
        if part.replica.has_document(space, collection, &doc) {
            let found = held.iter().any(|it| it.0 == *collection && it.1 == *id);
            assert!(found, "{collection}/{id} is missing");
        }
    }
}
