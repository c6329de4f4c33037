//! People for tests: who shares a space with whom, in a line each, over the devices of `world`.
#![allow(dead_code, missing_docs, unreachable_pub)]

use serde_json::json;
use stead_access::{Path, RemovalTarget, Role};
use stead_base::{SpaceId, WriterId};
use stead_replica::{Compaction, Edit, ReceiveError};

use crate::world::{Device, let_in_on, sync};

/// All history that a checkpoint covers and every device has.
pub const ALL: Compaction = Compaction {
    made_before_ms: u64::MAX,
    even_if_unseen: false,
};
/// What some device may not have, too.
pub const BY_FORCE: Compaction = Compaction {
    even_if_unseen: true,
    ..ALL
};

pub fn checkpoint(device: &mut Device, space: &SpaceId) -> WriterId {
    device.now += 10;
    let made = device.replica.make_checkpoint(space, device.now).unwrap();
    assert!(made.is_whole && made.counts);
    made.log
}

pub fn put(id: &str, value: serde_json::Value) -> Edit {
    crate::world::put("notes", id, value)
}

pub fn person(seed: u8) -> Device {
    found(Device::new(seed))
}

pub fn found(mut device: Device) -> Device {
    device.replica.create_home(device.now).unwrap();
    device
}

/// Lets `to` into a space by an invite of `from`, without letting the two meet.
pub fn let_in(from: &mut Device, to: &mut Device, space: &SpaceId, role: Role) {
    let_in_on(from, to, space, role, Path::whole_space());
}

pub fn share(from: &mut Device, to: &mut Device, space: &SpaceId, role: Role) {
    let_in(from, to, space, role);
    sync(from, to);
}

/// A founded the space, B and C have the roles given.
pub fn three_people(b: Role, c: Role) -> (Device, Device, Device, SpaceId) {
    people_from(1, b, c)
}

/// As [`three_people`], with keys of their own for each first seed.
pub fn people_from(seed: u8, b: Role, c: Role) -> (Device, Device, Device, SpaceId) {
    let (mut one, mut two, mut three) = (person(seed), person(seed + 1), person(seed + 2));
    let space = one.replica.create_space("shared", one.now).unwrap();
    one.write(&space, &[put("first", json!({"by": "a"}))]);
    share(&mut one, &mut two, &space, b);
    share(&mut one, &mut three, &space, c);
    sync(&mut one, &mut two);
    (one, two, three, space)
}

pub fn target(device: &Device) -> RemovalTarget {
    RemovalTarget::Identity(device.replica.identity().unwrap())
}

pub fn revoke(by: &mut Device, whom: &Device, space: &SpaceId) {
    by.now += 10;
    let target = target(whom);
    let revoked = by.replica.revoke(space, target, None, by.now).unwrap();
    assert!(revoked.took_effect);
}

/// What two replicas that may both read must have in common.
pub fn assert_equal(one: &Device, two: &Device, space: &SpaceId) {
    assert_eq!(one.dump(space), two.dump(space));
    let members = |device: &Device| -> Vec<_> {
        let members = device.replica.members(space).unwrap().into_iter();
        members
            .map(|member| (member.id, member.role, member.rank, member.has_ended))
            .collect()
    };
    assert_eq!(members(one), members(two));
}

/// The logs in which a device writes a space.
pub fn own_logs(device: &Device, space: &SpaceId) -> Vec<WriterId> {
    let own = device.replica.device();
    let info = device.replica.space_info(space).unwrap();
    let own = info.devices.into_iter().find(|other| other.id == own);
    own.map(|own| own.writers).unwrap_or_default()
}

/// Hands on all logs but the ones withheld, until nothing moves. Returns whether anything did.
pub fn relay(from: &Device, to: &mut Device, space: &SpaceId, withheld: &[WriterId]) -> bool {
    let mut moved = false;
    loop {
        let mut again = false;
        for log in from.replica.frontier(space).unwrap() {
            if withheld.contains(&log.writer) {
                continue;
            }
            let held = held(to, space, &log.writer);
            let batch = from
                .replica
                .read_batch(space, &log.writer, held, log.len, usize::MAX)
                .unwrap();
            let Some(batch) = batch else {
                continue;
            };
            match to.replica.receive(space, &batch, to.now) {
                Ok(received) => again |= received.len > held,
                Err(ReceiveError::NotAdmitted { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        if !again {
            return moved;
        }
        moved = true;
    }
}

pub fn held(device: &Device, space: &SpaceId, writer: &WriterId) -> u64 {
    let frontier = device.replica.frontier(space).unwrap();
    let log = frontier.iter().find(|log| log.writer == *writer);
    log.map_or(0, |log| log.len)
}
