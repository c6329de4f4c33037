//! Keys that did not come: who lacks one says so and gets it from another device than the one that should have sent
//! it, one after the other, and nobody gets one who may not read.

mod people;
mod world;

use people::{own_logs, person, put, relay, revoke, share, three_people};
use serde_json::json;
use stead_access::Role;
use stead_base::SpaceId;
use stead_replica::{HistoryQuery, Replica};
use world::{Device, link, sync};

const MINUTE_MS: u64 = 60_000;

fn revoke_itself(device: &mut Device, space: &SpaceId) {
    device.now += 10;
    let target = people::target(device);
    let left = device.replica.revoke(space, target, None, device.now);
    assert!(left.unwrap().took_effect);
}

/// All look again, a while later.
fn wait(devices: &mut [&mut Device], ms: u64) {
    let now = devices.iter().map(|device| device.now).max().unwrap() + ms;
    for device in devices {
        device.now = now;
        device.replica.reconcile(now).unwrap();
    }
}

fn entries(replica: &Replica, space: &SpaceId) -> u64 {
    let frontier = replica.frontier(space).unwrap();
    frontier.iter().map(|item| item.len).sum()
}

/// What is said of keys that lack, in words.
fn asks(device: &Device, space: &SpaceId) -> Vec<String> {
    let query = HistoryQuery {
        limit: 1_000,
        ..HistoryQuery::default()
    };
    let items = device.replica.history(space, &query).unwrap().into_iter();
    let words = items.flat_map(|item| item.roster);
    words
        .filter(|words| words.contains("key lacks") || words.contains("asked for"))
        .collect()
}

/// B manages the space and puts C out, which begins an epoch, knowing nothing of the phone that D linked. Its key is sent
/// to A and D; B is not heard of again.
struct Missed {
    a: Device,
    b: Device,
    c: Device,
    d: Device,
    phone: Device,
    space: SpaceId,
}

fn missed() -> Missed {
    let [mut a, mut b, mut c, mut d] = [1, 2, 3, 4].map(person);
    let space = a.replica.create_space("shared", a.now).unwrap();
    share(&mut a, &mut b, &space, Role::Manager);
    share(&mut b, &mut c, &space, Role::Writer);
    share(&mut a, &mut d, &space, Role::Writer);
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    let mut phone = Device::new(5);
    link(&mut d, &mut phone);
    sync(&mut d, &mut phone);
    revoke(&mut b, &c, &space);
    b.write(&space, &[put("after", json!({"by": "b"}))]);
    Missed {
        a,
        b,
        c,
        d,
        phone,
        space,
    }
}

#[test]
fn a_device_that_the_author_of_an_epoch_does_not_know_gets_its_key_from_its_own_person() {
    let Missed {
        b,
        mut d,
        mut phone,
        space,
        ..
    } = missed();
    relay(&b, &mut d, &space, &[]);
    sync(&mut d, &mut phone);
    assert_eq!(d.get(&space, "notes", "after"), Some(json!({"by": "b"})));
    assert_eq!(phone.get(&space, "notes", "after"), None);
    let said = entries(&phone.replica, &space);
    // The key may be on its way.
    wait(&mut [&mut phone], 1_000);
    assert_eq!(entries(&phone.replica, &space), said);
    let due = phone.replica.reconcile_due().unwrap();
    assert!(due > phone.now && due <= phone.now + MINUTE_MS);
    wait(&mut [&mut phone], MINUTE_MS);
    sync(&mut d, &mut phone);
    assert_eq!(
        phone.get(&space, "notes", "after"),
        Some(json!({"by": "b"}))
    );
    assert_eq!(asks(&d, &space).len(), 2, "{:?}", asks(&d, &space));
    // All is said, and it goes on as if nothing had been.
    phone.write(&space, &[put("more", json!({"by": "phone"}))]);
    sync(&mut d, &mut phone);
    let said = entries(&d.replica, &space);
    for _ in 0..5 {
        wait(&mut [&mut d, &mut phone], MINUTE_MS);
        sync(&mut d, &mut phone);
    }
    assert_eq!(entries(&d.replica, &space), said);
    assert_eq!(d.dump(&space), phone.dump(&space));
    assert_eq!(d.replica.reconcile_due(), None);
}

#[test]
fn a_manager_hands_a_key_on_after_the_devices_before_it_had_their_turn_and_once() {
    let Missed {
        mut a,
        b,
        d,
        mut phone,
        space,
        ..
    } = missed();
    // D told A of the phone and is away: A is asked, but its turn is later.
    relay(&d, &mut a, &space, &[]);
    a.replica.reconcile(a.now).unwrap();
    relay(&b, &mut a, &space, &[]);
    relay(&a, &mut phone, &space, &[]);
    wait(&mut [&mut phone], 1_000);
    wait(&mut [&mut phone], MINUTE_MS);
    relay(&phone, &mut a, &space, &[]);
    let said = entries(&a.replica, &space);
    wait(&mut [&mut a], 10);
    assert_eq!(entries(&a.replica, &space), said, "D may answer before");
    let due = a.replica.reconcile_due().unwrap();
    assert!(due > a.now && due < a.now + MINUTE_MS);
    wait(&mut [&mut a], MINUTE_MS);
    assert_eq!(entries(&a.replica, &space), said + 1);
    wait(&mut [&mut a], 10 * MINUTE_MS);
    assert_eq!(entries(&a.replica, &space), said + 1);
    relay(&a, &mut phone, &space, &[]);
    assert_eq!(
        phone.get(&space, "notes", "after"),
        Some(json!({"by": "b"}))
    );
}

#[test]
fn nobody_hands_a_key_on_once_it_came() {
    let Missed {
        mut a,
        b,
        mut d,
        mut phone,
        space,
        ..
    } = missed();
    relay(&b, &mut d, &space, &[]);
    relay(&b, &mut a, &space, &[]);
    relay(&d, &mut phone, &space, &[]);
    wait(&mut [&mut phone], 1_000);
    wait(&mut [&mut phone], MINUTE_MS);
    relay(&phone, &mut a, &space, &[]);
    relay(&phone, &mut d, &space, &[]);
    // Both know of it, and the device of the same person answers at once.
    wait(&mut [&mut a, &mut d], 10);
    relay(&d, &mut phone, &space, &[]);
    wait(&mut [&mut phone], 10);
    relay(&phone, &mut a, &space, &[]);
    relay(&d, &mut a, &space, &[]);
    let said = entries(&a.replica, &space);
    for _ in 0..5 {
        wait(&mut [&mut a], MINUTE_MS);
    }
    assert_eq!(entries(&a.replica, &space), said);
    assert_eq!(
        phone.get(&space, "notes", "after"),
        Some(json!({"by": "b"}))
    );
}

#[test]
fn who_was_put_out_asks_in_vain() {
    let Missed {
        mut a,
        b,
        mut c,
        space,
        ..
    } = missed();
    relay(&b, &mut c, &space, &[]);
    let said = entries(&c.replica, &space);
    wait(&mut [&mut c], 1_000);
    wait(&mut [&mut c], MINUTE_MS);
    assert_eq!(entries(&c.replica, &space), said, "it knows that it is out");
    relay(&b, &mut a, &space, &[]);
    for _ in 0..3 {
        relay(&c, &mut a, &space, &[]);
        wait(&mut [&mut a], MINUTE_MS);
        relay(&a, &mut c, &space, &[]);
    }
    assert_eq!(c.get(&space, "notes", "after"), None);
}

#[test]
fn a_key_is_not_handed_to_who_left_by_who_has_not_heard_of_that() {
    let (mut a, mut b, mut c, space) = three_people(Role::Manager, Role::Manager);
    let (mut t, mut other) = (person(4), Device::new(5));
    share(&mut a, &mut t, &space, Role::Writer);
    link(&mut t, &mut other);
    sync(&mut t, &mut other);
    t.write(&space, &[put("theirs", json!({}))]);
    sync(&mut a, &mut t);
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    // T leaves on one of two devices, B begins an epoch for that, and neither the other device nor C hears why.
    let of_t = own_logs(&t, &space);
    revoke_itself(&mut t, &space);
    relay(&t, &mut b, &space, &[]);
    b.replica.reconcile(b.now).unwrap();
    b.write(&space, &[put("after", json!({"by": "b"}))]);
    relay(&b, &mut c, &space, &of_t);
    relay(&b, &mut other, &space, &of_t);
    assert_eq!(c.get(&space, "notes", "after"), Some(json!({"by": "b"})));
    for _ in 0..4 {
        wait(&mut [&mut c, &mut other], MINUTE_MS);
        relay(&other, &mut c, &space, &of_t);
        relay(&c, &mut other, &space, &of_t);
    }
    assert_eq!(asks(&c, &space).len(), 1, "{:?}", asks(&c, &space));
    assert_eq!(other.get(&space, "notes", "after"), None);
}
