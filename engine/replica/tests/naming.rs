//! What people call devices and each other: which names lead to whom, and that a name is one person's.

mod world;

use stead_access::{Action, IdentityId, Path, RemovalTarget, Role, Whom};
use stead_base::SpaceId;
use stead_replica::ReplicaError;
use world::{Device, link, sync};

fn person(seed: u8) -> Device {
    let mut device = Device::new(seed);
    device.replica.create_home(device.now).unwrap();
    device
}

fn share(from: &mut Device, to: &mut Device, space: &SpaceId) {
    world::let_in_on(from, to, space, Role::Writer, Path::whole_space());
    sync(from, to);
}

#[test]
fn a_device_keeps_its_new_name_on_all_devices_and_no_two_have_one() {
    let mut a = person(1);
    let mut b = Device::new(2);
    link(&mut a, &mut b);
    sync(&mut a, &mut b);
    let second = b.replica.device();
    a.replica.rename_device(&second, "mobile", a.now).unwrap();
    sync(&mut a, &mut b);
    for device in [&a, &b] {
        assert_eq!(device.replica.find_own_device("mobile").unwrap(), second);
        let digits = &second.to_string()[..8];
        assert_eq!(device.replica.find_own_device(digits).unwrap(), second);
    }
    let first = a.replica.device();
    let refused = b.replica.rename_device(&first, "mobile", b.now);
    assert!(matches!(refused, Err(ReplicaError::Refused(_))));
    assert!(a.replica.rename_device(&first, "", a.now).is_err());
    assert!(a.replica.find_own_device("").is_err());
}

#[test]
fn a_contacts_name_is_one_persons_and_never_ones_own() {
    let mut a = person(1);
    let (one, other) = (
        IdentityId::from_bytes([1; 32]),
        IdentityId::from_bytes([2; 32]),
    );
    a.replica.name_contact(one, "grace", a.now).unwrap();
    assert!(a.replica.name_contact(other, "grace", a.now).is_err());
    assert!(a.replica.name_contact(other, "me", a.now).is_err());
    let own = a.replica.identity().unwrap();
    assert!(a.replica.name_contact(own, "self", a.now).is_err());
    a.replica.verify_contact(one, a.now).unwrap();
    a.replica.name_contact(one, "grace hopper", a.now).unwrap();
    let found = a.replica.find_contact("grace hopper").unwrap().unwrap();
    assert_eq!((found.identity, found.verified_ms), (one, Some(a.now)));
    assert_eq!(
        a.replica.find_contact("0101").unwrap().unwrap().identity,
        one
    );
    assert_eq!(a.replica.find_contact("nobody").unwrap(), None);
}

#[test]
fn who_was_put_out_is_still_found_to_be_asked_about_but_not_to_be_removed() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("shared", a.now).unwrap();
    share(&mut a, &mut b, &space);
    let identity = b.replica.identity().unwrap();
    a.replica.name_contact(identity, "grace", a.now).unwrap();
    let target = a.replica.find_target(&space, "grace").unwrap();
    assert_eq!(target, RemovalTarget::Identity(identity));
    a.replica.revoke(&space, target, None, a.now).unwrap();
    let whom = a.replica.find_whom(&space, "grace").unwrap();
    assert_eq!(whom, Whom::Identity(identity));
    let path = Path::whole_space();
    let decision = a
        .replica
        .explain(&space, whom, Action::Read, &path)
        .unwrap();
    assert!(!decision.allowed && !decision.because.is_empty());
    let joined = a.replica.joined_by(&space).unwrap();
    assert_eq!(joined.len(), 1);
}

#[test]
fn everything_said_about_rights_comes_with_evidence_also_after_a_new_epoch() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("shared", a.now).unwrap();
    share(&mut a, &mut b, &space);
    let target = RemovalTarget::Identity(b.replica.identity().unwrap());
    a.replica.revoke(&space, target, None, a.now).unwrap();
    a.replica.flush().unwrap();
    let (items, more) = a.replica.rights_history(&space, 1000, true).unwrap();
    assert!(!more && items.len() >= 4, "{items:?}");
    let keys: std::collections::BTreeSet<_> = items
        .iter()
        .map(|item| item.evidence.as_ref().unwrap().key_id)
        .collect();
    assert!(!keys.is_empty());
    assert!(a.replica.rights_history(&space, 2, false).unwrap().1);
}
