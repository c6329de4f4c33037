//! People with several devices in spaces they share: who is let in and put out, and what that does to
//! keys and documents on every replica.

mod world;

use serde_json::json;
use stead_access::{
    AddedBy, Card, CardDevice, DeviceRecord, IdentityId, Name, Party, Path, RemovalTarget, Role,
    sign_identity_device,
};
use stead_base::{DocId, SpaceId};
use stead_crypt::{DeviceKeys, SigningKey};
use stead_replica::{Change, Edit, ReplicaError};
use world::{Device, link, sync};

fn put(id: &str, value: serde_json::Value) -> Edit {
    Edit {
        collection: "notes".to_owned(),
        id: Some(DocId::parse(id).unwrap()),
        change: Change::Put {
            value,
            replace: false,
        },
    }
}

/// A device of a person of their own.
fn person(seed: u8) -> Device {
    let mut device = Device::new(seed);
    device.replica.create_home(device.now).unwrap();
    device
}

/// Lets `to` into a space by an invite of `from`.
fn share(from: &mut Device, to: &mut Device, space: &SpaceId, role: Role) {
    world::let_in_on(from, to, space, role, Path::whole_space());
    sync(from, to);
}

fn two_people(role: Role) -> (Device, Device, SpaceId) {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("shared", a.now).unwrap();
    a.write(&space, &[put("first", json!({"by": "a"}))]);
    share(&mut a, &mut b, &space, role);
    (a, b, space)
}

fn target(device: &Device) -> RemovalTarget {
    RemovalTarget::Identity(device.replica.identity().unwrap())
}

#[test]
fn a_person_joins_by_an_invite_and_both_write() {
    let (mut a, mut b, space) = two_people(Role::Writer);
    assert_eq!(b.get(&space, "notes", "first").unwrap()["by"], "a");
    b.write(&space, &[put("second", json!({"by": "b"}))]);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "second").unwrap()["by"], "b");
    assert_eq!(a.dump(&space), b.dump(&space));
}

#[test]
fn all_devices_of_a_person_are_members_also_those_linked_later() {
    let (mut a, mut b, space) = two_people(Role::Writer);
    let mut phone = Device::new(3);
    link(&mut b, &mut phone);
    sync(&mut b, &mut phone);
    sync(&mut a, &mut b);
    sync(&mut b, &mut phone);
    phone.write(&space, &[put("third", json!({"by": "phone"}))]);
    sync(&mut b, &mut phone);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "third").unwrap()["by"], "phone");
}

#[test]
fn a_single_use_invite_lets_one_person_in() {
    let (mut a, mut b, mut c) = (person(1), person(2), person(3));
    let space = a.replica.create_space("shared", a.now).unwrap();
    let invite = a
        .replica
        .invite(
            &space,
            Role::Writer,
            Path::whole_space(),
            Some(1),
            a.now + 1000,
            a.now,
        )
        .unwrap();
    let join = invite.join(b.replica.card().unwrap());
    a.replica.admit(&space, join.clone(), a.now).unwrap();
    for again in [join, invite.join(c.replica.card().unwrap())] {
        let refused = a.replica.admit(&space, again, a.now);
        assert!(matches!(refused, Err(ReplicaError::Refused(_))));
    }
    let late = a
        .replica
        .invite(
            &space,
            Role::Writer,
            Path::whole_space(),
            None,
            a.now + 1000,
            a.now,
        )
        .unwrap();
    let join = late.join(c.replica.card().unwrap());
    let refused = a.replica.admit(&space, join, a.now + 1000);
    assert!(matches!(refused, Err(ReplicaError::Refused(_))));
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
}

#[test]
fn a_reader_reads_and_its_own_device_refuses_to_write() {
    let (_, mut b, space) = two_people(Role::Reader);
    assert_eq!(b.get(&space, "notes", "first").unwrap()["by"], "a");
    let refused = b.replica.transact(&space, &[put("x", json!({}))], b.now);
    assert!(
        matches!(refused, Err(ReplicaError::NoRight { .. })),
        "{refused:?}"
    );
    let refused = b.replica.invite(
        &space,
        Role::Reader,
        Path::whole_space(),
        None,
        b.now + 1,
        b.now,
    );
    assert!(matches!(refused, Err(ReplicaError::Refused(_))));
}

#[test]
fn who_is_removed_reads_nothing_that_is_written_afterwards() {
    let (mut a, mut b, space) = two_people(Role::Writer);
    a.replica.revoke(&space, target(&b), None, a.now).unwrap();
    a.write(&space, &[put("later", json!({"secret": true}))]);
    // The removed device still gets the log from somewhere.
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "later").unwrap()["secret"], true);
    assert_eq!(b.get(&space, "notes", "later"), None);
    assert!(a.replica.was_removed(&space, &b.replica.device()));
    let refused = b.replica.transact(&space, &[put("x", json!({}))], b.now);
    assert!(refused.is_err());
}

#[test]
fn what_a_removed_person_writes_later_is_void_everywhere_in_any_order() {
    let (mut a, mut b, space) = two_people(Role::Writer);
    let mut c = person(4);
    share(&mut a, &mut c, &space, Role::Writer);
    b.write(&space, &[put("first", json!({"by": "b, in time"}))]);
    sync(&mut a, &mut b);
    a.replica.revoke(&space, target(&b), None, a.now).unwrap();
    // B does not know yet, and C hears B before it hears of the removal.
    b.now += 1000;
    b.write(&space, &[put("first", json!({"by": "b, too late"}))]);
    b.write(&space, &[put("new", json!({"by": "b, too late"}))]);
    sync(&mut b, &mut c);
    assert_eq!(
        c.get(&space, "notes", "first").unwrap()["by"],
        "b, too late"
    );
    sync(&mut a, &mut c);
    assert_eq!(c.get(&space, "notes", "first").unwrap()["by"], "b, in time");
    assert_eq!(c.get(&space, "notes", "new"), None);
    assert_eq!(a.dump(&space), c.dump(&space));
    // A gets the void entries from C, keeps them, and nothing changes.
    sync(&mut a, &mut c);
    assert_eq!(a.dump(&space), c.dump(&space));
    let held = |device: &Device| {
        let info = device.replica.space_info(&space).unwrap();
        (info.entries, info.waiting)
    };
    assert_eq!(held(&a), held(&c));
}

#[test]
fn concurrent_removals_leave_one_epoch_that_knows_both() {
    let (mut a, mut b, space) = two_people(Role::Owner);
    let (mut c, mut d) = (person(3), person(4));
    share(&mut a, &mut c, &space, Role::Writer);
    share(&mut b, &mut d, &space, Role::Writer);
    sync(&mut a, &mut b);
    a.replica.revoke(&space, target(&c), None, a.now).unwrap();
    b.replica.revoke(&space, target(&d), None, b.now).unwrap();
    a.write(&space, &[put("from a", json!({}))]);
    sync(&mut a, &mut b);
    sync(&mut a, &mut b);
    a.now += 1000;
    b.now += 1000;
    a.write(&space, &[put("secret", json!({"n": 1}))]);
    sync(&mut a, &mut b);
    b.write(&space, &[put("secret", json!({"m": 2}))]);
    for outsider in [&mut c, &mut d] {
        sync(&mut a, outsider);
        let seen = outsider.get(&space, "notes", "secret");
        assert_eq!(seen, None, "by {}", outsider.replica.device().short());
    }
    sync(&mut a, &mut b);
    assert_eq!(a.dump(&space), b.dump(&space));
    assert_eq!(
        a.get(&space, "notes", "secret").unwrap(),
        json!({"n": 1, "m": 2})
    );
}

#[test]
fn a_lost_device_is_removed_from_every_space_of_its_person() {
    let (mut a, mut b, space) = two_people(Role::Writer);
    let mut phone = Device::new(3);
    link(&mut b, &mut phone);
    sync(&mut b, &mut phone);
    sync(&mut a, &mut b);
    sync(&mut b, &mut phone);
    phone.write(&space, &[put("third", json!({"by": "phone"}))]);
    sync(&mut b, &mut phone);
    let lost = phone.replica.device();
    b.replica.remove_device(&lost, None, b.now).unwrap();
    sync(&mut a, &mut b);
    // A owns the space and renews the keys that B may not.
    sync(&mut a, &mut b);
    a.write(&space, &[put("later", json!({"secret": true}))]);
    phone.write(&space, &[put("stolen", json!({"by": "thief"}))]);
    sync(&mut a, &mut phone);
    sync(&mut a, &mut b);
    assert_eq!(phone.get(&space, "notes", "later"), None);
    assert_eq!(a.get(&space, "notes", "stolen"), None);
    assert_eq!(a.get(&space, "notes", "third").unwrap()["by"], "phone");
    assert_eq!(b.get(&space, "notes", "later").unwrap()["secret"], true);
    assert_eq!(a.dump(&space), b.dump(&space));
}

#[test]
fn a_device_removes_its_elder_only_with_the_recovery_words() {
    let mut a = person(1);
    let space = a.replica.create_space("own", a.now).unwrap();
    let phrase = a.replica.recovery_phrase().unwrap().unwrap();
    a.replica.forget_recovery_phrase(a.now).unwrap();
    assert!(a.replica.recovery_phrase().unwrap().is_none());
    let mut b = Device::new(2);
    link(&mut a, &mut b);
    sync(&mut a, &mut b);
    let elder = a.replica.device();
    let refused = b.replica.remove_device(&elder, None, b.now);
    assert!(matches!(refused, Err(ReplicaError::Refused(_))));
    let stranger = stead_crypt::recovery::RecoveryPhrase::from_entropy(&[9; 32]).root();
    assert!(
        b.replica
            .remove_device(&elder, Some(&stranger), b.now)
            .is_err()
    );
    b.replica
        .remove_device(&elder, Some(&phrase.root()), b.now)
        .unwrap();
    b.write(&space, &[put("mine", json!({"alone": true}))]);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "mine"), None);
    assert!(
        a.replica
            .transact(&space, &[put("x", json!({}))], a.now)
            .is_err()
    );
    let current: Vec<_> = b.replica.own_devices().unwrap();
    let current = current.iter().filter(|device| device.is_current);
    assert_eq!(current.count(), 1);
}

#[test]
fn a_writer_of_one_collection_changes_nothing_else() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("shared", a.now).unwrap();
    let card = b.replica.card().unwrap();
    for (role, path) in [(Role::Reader, "/"), (Role::Writer, "/notes")] {
        a.replica
            .grant(
                &space,
                Party::Identity(card.clone()),
                role,
                Path::new(path).unwrap(),
                a.now,
            )
            .unwrap();
    }
    let ticket = a.replica.ticket(&space).unwrap();
    b.replica.join_space(&ticket, false, b.now).unwrap();
    sync(&mut a, &mut b);
    b.write(&space, &[put("mine", json!({"by": "b"}))]);
    let elsewhere = Edit {
        collection: "accounts".to_owned(),
        ..put("x", json!({}))
    };
    let refused = b.replica.transact(&space, &[elsewhere], b.now);
    assert!(
        matches!(refused, Err(ReplicaError::NoRight { .. })),
        "{refused:?}"
    );
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "mine").unwrap()["by"], "b");
}

#[test]
fn rights_are_the_same_after_the_store_is_opened_again() {
    let mut a = Device::on_disk(1);
    a.replica.create_home(a.now).unwrap();
    let mut b = person(2);
    let space = a.replica.create_space("shared", a.now).unwrap();
    share(&mut a, &mut b, &space, Role::Writer);
    b.write(&space, &[put("in time", json!({}))]);
    sync(&mut a, &mut b);
    a.replica
        .revoke(&space, target(&b), Some("left".to_owned()), a.now)
        .unwrap();
    b.write(&space, &[put("late", json!({}))]);
    sync(&mut a, &mut b);
    let (before, members) = (a.dump(&space), a.replica.members(&space).unwrap());
    let mut a = a.reopen();
    assert_eq!(a.dump(&space), before);
    assert_eq!(a.replica.members(&space).unwrap(), members);
    a.write(&space, &[put("on", json!({}))]);
    a.replica.rebuild(&space, a.now).unwrap();
    assert_eq!(a.dump(&space).len(), before.len() + 1);
}

#[test]
fn equals_put_nobody_out_alone_but_most_of_them_do() {
    let (mut a, mut b, space) = two_people(Role::Owner);
    let (mut c, mut d) = (person(3), person(4));
    share(&mut a, &mut c, &space, Role::Owner);
    share(&mut a, &mut d, &space, Role::Owner);
    sync(&mut a, &mut b);
    let revoked = b.replica.revoke(&space, target(&d), None, b.now).unwrap();
    assert!(!revoked.took_effect);
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    d.now += 1000;
    d.write(&space, &[put("still", json!({"in": true}))]);
    sync(&mut a, &mut d);
    sync(&mut a, &mut c);
    let revoked = c.replica.revoke(&space, target(&d), None, c.now).unwrap();
    assert!(revoked.took_effect);
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    a.now += 2000;
    a.write(&space, &[put("later", json!({}))]);
    sync(&mut a, &mut d);
    assert_eq!(d.get(&space, "notes", "later"), None);
    assert_eq!(a.get(&space, "notes", "still").unwrap()["in"], true);
}

#[test]
fn a_device_that_gives_up_its_blank_identity_keeps_no_words_of_it() {
    let (mut a, mut b) = (person(1), person(2));
    assert!(b.replica.recovery_phrase().unwrap().is_some());
    assert!(b.replica.home_is_blank().unwrap());
    b.replica.abandon_blank_home(b.now).unwrap();
    assert!(b.replica.recovery_phrase().unwrap().is_none());
    link(&mut a, &mut b);
    sync(&mut a, &mut b);
    assert_eq!(a.replica.identity(), b.replica.identity());
    assert!(b.replica.recovery_phrase().unwrap().is_none());
    assert_eq!(b.replica.card().unwrap().devices.len(), 2);
}

/// A person who is let in and never heard of.
fn silent_person(number: u64) -> Card {
    let seed = |kind: u8| {
        let mut seed = [kind; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        seed
    };
    let root = SigningKey::from_seed(&seed(1));
    let identity = IdentityId::from_bytes(root.public());
    let keys = DeviceKeys::from_seed(&seed(2));
    let record = DeviceRecord::of(&keys, Name::from_any("silent"));
    let signature = sign_identity_device(&root, &identity, &record, 0, None);
    Card {
        identity,
        devices: vec![CardDevice {
            record,
            stay: 0,
            added_by: AddedBy::Root,
            signature,
        }],
    }
}

#[test]
fn a_removal_renews_the_keys_of_more_members_than_one_entry_has_room_for() {
    let (mut a, mut b, space) = two_people(Role::Writer);
    let mut others: Vec<Device> = (3..7).map(person).collect();
    for other in &mut others {
        share(&mut a, other, &space, Role::Reader);
    }
    let whole = Path::whole_space;
    for number in 0..300 {
        let party = Party::Identity(silent_person(number));
        a.replica
            .grant(&space, party, Role::Reader, whole(), a.now)
            .unwrap();
    }
    let out = RemovalTarget::Identity(silent_person(7).identity);
    a.replica.revoke(&space, out, None, a.now).unwrap();
    a.write(&space, &[put("later", json!({"n": 1}))]);
    others.push(b);
    for other in &mut others {
        sync(&mut a, other);
        assert_eq!(other.get(&space, "notes", "later"), Some(json!({"n": 1})));
    }
    b = others.pop().unwrap();
    b.now += 1000;
    b.write(&space, &[put("later", json!({"n": 2}))]);
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "notes", "later"), Some(json!({"n": 2})));
}
