//! Groups: people let into spaces together, managed in one place; every space follows, in whatever
//! order things are heard.

mod world;

use serde_json::{Value, json};
use stead_access::{IdentityId, MemberSubject, Path, RemovalTarget, Role, Whom};
use stead_base::{DocId, SpaceId};
use stead_replica::{Change, Edit};
use world::{Device, link, sync};

fn put(id: &str, value: Value) -> Edit {
    Edit {
        collection: "notes".to_owned(),
        id: Some(DocId::parse(id).unwrap()),
        change: Change::Put {
            value,
            replace: false,
        },
    }
}

fn person(seed: u8) -> Device {
    let mut device = Device::new(seed);
    device.replica.create_home(device.now).unwrap();
    device
}

fn identity(device: &Device) -> IdentityId {
    device.replica.identity().unwrap()
}

/// Lets `to` into a space by an invite of `from`.
fn share(from: &mut Device, to: &mut Device, space: &SpaceId, role: Role) {
    let ticket = world::admit(from, to, space, role, Path::whole_space());
    to.replica.join_shared(&ticket, to.now).unwrap();
    sync(from, to);
}

/// A keeper and two others in a group, and a space where the group writes.
fn team() -> (Device, Device, Device, SpaceId, SpaceId) {
    let (mut a, mut b, mut c) = (person(1), person(2), person(3));
    let group = a.replica.create_group("team", a.now).unwrap();
    share(&mut a, &mut b, &group, Role::Writer);
    share(&mut a, &mut c, &group, Role::Writer);
    let space = a.replica.create_space("plans", a.now).unwrap();
    a.write(&space, &[put("first", json!({"by": "a"}))]);
    let whole = Path::whole_space();
    a.replica
        .grant_group(&space, &group, Role::Writer, whole, a.now)
        .unwrap();
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    (a, b, c, group, space)
}

fn may_write(of: &Device, space: &SpaceId, who: &Device) -> bool {
    let whole = Path::whole_space();
    let action = stead_access::Action::Write;
    let whom = Whom::Device(who.replica.device());
    let decided = of.replica.explain(space, whom, action, &whole).unwrap();
    decided.allowed
}

#[test]
fn a_space_shared_with_a_group_opens_for_everyone_in_it() {
    let (mut a, mut b, mut c, group, space) = team();
    for member in [&mut b, &mut c] {
        assert_eq!(member.get(&space, "notes", "first").unwrap()["by"], "a");
        let id = member.replica.device().short();
        member.write(&space, &[put(&id, json!({}))]);
        sync(&mut a, member);
    }
    assert_eq!(a.dump(&space).len(), 3);
    let known = a.replica.group(&group).unwrap();
    assert_eq!(known.members.len(), 3);
    assert!(known.keeps && !b.replica.group(&group).unwrap().keeps);
    assert!(
        known
            .holds
            .iter()
            .any(|held| held.0 == space && held.2 == Role::Writer)
    );
    let roles = a.replica.members(&space).unwrap();
    let held = roles
        .iter()
        .find(|it| it.subject == MemberSubject::Group(group));
    assert_eq!(held.unwrap().devices.len(), 3);
}

#[test]
fn one_change_of_a_group_reaches_every_space_it_is_used_in() {
    let (mut a, mut b, mut c, group, space) = team();
    let mut d = person(4);
    let other = b.replica.create_space("songs", b.now).unwrap();
    b.write(&other, &[put("tune", json!({"by": "b"}))]);
    let notes = Path::new("/notes").unwrap();
    for path in [Path::whole_space(), notes] {
        b.replica
            .grant_group(&other, &group, Role::Reader, path, b.now)
            .unwrap();
    }
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    sync(&mut b, &mut c);
    assert_eq!(c.get(&other, "notes", "tune").unwrap()["by"], "b");
    // One joins, one is taken out: said in the group alone.
    share(&mut a, &mut d, &group, Role::Writer);
    a.replica
        .remove_from_group(&group, RemovalTarget::Identity(identity(&c)), None, a.now)
        .unwrap();
    sync(&mut a, &mut d);
    sync(&mut a, &mut b);
    sync(&mut b, &mut d);
    sync(&mut a, &mut b);
    a.write(&space, &[put("later", json!({"n": 1}))]);
    b.write(&other, &[put("later", json!({"n": 2}))]);
    sync(&mut a, &mut b);
    for peer in [&mut a, &mut b] {
        sync(peer, &mut d);
    }
    for peer in [&mut a, &mut b, &mut d] {
        sync(peer, &mut c);
    }
    assert_eq!(d.get(&space, "notes", "later").unwrap()["n"], 1);
    assert_eq!(d.get(&other, "notes", "later").unwrap()["n"], 2);
    for space in [&space, &other] {
        assert_eq!(
            c.get(space, "notes", "later"),
            None,
            "keys are new for who is out"
        );
        assert!(!may_write(&a, space, &c) && !may_write(&b, space, &c));
    }
    assert!(may_write(&a, &space, &d) && !may_write(&b, &other, &d));
}

#[test]
fn a_removal_and_a_grant_that_know_nothing_of_each_other_end_without_the_removed() {
    for grant_is_heard_first in [true, false] {
        let (mut a, mut b, mut c, group, _) = team();
        // B lets the group into a space of its own while A takes C out of the group.
        let mine = b.replica.create_space("songs", b.now).unwrap();
        b.replica
            .grant_group(&mine, &group, Role::Writer, Path::whole_space(), b.now)
            .unwrap();
        if grant_is_heard_first {
            sync(&mut b, &mut c);
            c.write(&mine, &[put("in time", json!({}))]);
            sync(&mut b, &mut c);
        }
        a.replica
            .remove_from_group(&group, RemovalTarget::Identity(identity(&c)), None, a.now)
            .unwrap();
        sync(&mut a, &mut b);
        sync(&mut a, &mut b);
        assert!(!may_write(&b, &mine, &c) && !may_write(&a, &mine, &c));
        b.write(&mine, &[put("secret", json!({}))]);
        sync(&mut b, &mut c);
        sync(&mut a, &mut c);
        let seen = c.replica.space_ids().contains(&mine);
        assert!(!seen || c.get(&mine, "notes", "secret").is_none());
        let kept = b.get(&mine, "notes", "in time").is_some();
        assert_eq!(
            kept, grant_is_heard_first,
            "what was written in time stands"
        );
        sync(&mut a, &mut b);
        assert_eq!(a.dump(&mine), b.dump(&mine));
    }
}

#[test]
fn a_keeper_without_rights_of_its_own_carries_a_removal_and_a_manager_renews_the_keys() {
    let (mut a, mut b, mut c) = (person(1), person(2), person(3));
    let group = b.replica.create_group("team", b.now).unwrap();
    share(&mut b, &mut c, &group, Role::Writer);
    share(&mut b, &mut a, &group, Role::Writer);
    let space = a.replica.create_space("plans", a.now).unwrap();
    a.replica
        .grant_group(&space, &group, Role::Reader, Path::whole_space(), a.now)
        .unwrap();
    sync(&mut a, &mut b);
    sync(&mut b, &mut c);
    sync(&mut a, &mut c);
    b.replica
        .remove_from_group(&group, RemovalTarget::Identity(identity(&c)), None, b.now)
        .unwrap();
    // B only reads the space, and keeps the group: it says who is out, A's device makes the keys.
    sync(&mut a, &mut b);
    a.write(&space, &[put("later", json!({}))]);
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    assert!(b.get(&space, "notes", "later").is_some());
    assert!(c.get(&space, "notes", "later").is_none());
}

#[test]
fn all_devices_of_someone_in_a_group_take_part_also_when_the_first_is_lost() {
    let (mut a, mut b, _, group, space) = team();
    let mut phone = Device::new(7);
    link(&mut b, &mut phone);
    sync(&mut b, &mut phone);
    sync(&mut a, &mut b);
    sync(&mut b, &mut phone);
    phone.write(&space, &[put("phone", json!({}))]);
    sync(&mut a, &mut phone);
    assert!(a.get(&space, "notes", "phone").is_some());
    let phrase = b.replica.recovery_phrase().unwrap().unwrap();
    let lost = b.replica.device();
    let root = phrase.root();
    phone
        .replica
        .remove_device(&lost, Some(&root), phone.now)
        .unwrap();
    sync(&mut a, &mut phone);
    assert!(!may_write(&a, &space, &b) && may_write(&a, &space, &phone));
    // A space that the group is let into afterwards opens on the device that is left.
    let next = a.replica.create_space("next", a.now).unwrap();
    a.write(&next, &[put("x", json!({}))]);
    a.replica
        .grant_group(&next, &group, Role::Writer, Path::whole_space(), a.now)
        .unwrap();
    sync(&mut a, &mut phone);
    sync(&mut a, &mut phone);
    assert!(phone.get(&next, "notes", "x").is_some());
    assert!(
        !may_write(&a, &next, &b),
        "the lost device has no part in it"
    );
}

#[test]
fn someone_is_added_by_name_through_a_space_that_both_share() {
    let (mut a, mut b) = (person(1), person(2));
    let common = a.replica.create_space("common", a.now).unwrap();
    share(&mut a, &mut b, &common, Role::Reader);
    let group = a.replica.create_group("team", a.now).unwrap();
    a.replica
        .add_to_group(&group, identity(&b), false, a.now)
        .unwrap();
    sync(&mut a, &mut b);
    sync(&mut a, &mut b);
    assert_eq!(b.replica.groups().unwrap().len(), 1);
    assert!(
        a.replica
            .add_to_group(&group, identity(&b), false, a.now)
            .is_err()
    );
    // Made a keeper, B adds others; the space follows.
    let space = a.replica.create_space("plans", a.now).unwrap();
    a.replica
        .grant_group(&space, &group, Role::Writer, Path::whole_space(), a.now)
        .unwrap();
    a.replica
        .add_to_group(&group, identity(&b), true, a.now)
        .unwrap();
    sync(&mut a, &mut b);
    let mut c = person(3);
    share(&mut b, &mut c, &group, Role::Writer);
    sync(&mut b, &mut c);
    assert!(may_write(&b, &space, &c));
    let stranger = identity(&person(9));
    let refused = a.replica.add_to_group(&group, stranger, false, a.now);
    assert!(refused.unwrap_err().to_string().contains("invite"));
}

#[test]
fn who_leaves_a_group_leaves_every_space_they_were_in_through_it() {
    let (mut a, mut b, _, group, space) = team();
    let own = RemovalTarget::Identity(identity(&b));
    b.replica
        .remove_from_group(&group, own, None, b.now)
        .unwrap();
    sync(&mut a, &mut b);
    sync(&mut a, &mut b);
    assert!(!may_write(&a, &space, &b));
    a.write(&space, &[put("later", json!({}))]);
    sync(&mut a, &mut b);
    assert!(b.get(&space, "notes", "later").is_none());
    // Let in again, they are in everything again, and revive nothing.
    share(&mut a, &mut b, &group, Role::Writer);
    sync(&mut a, &mut b);
    assert!(may_write(&a, &space, &b));
    assert!(b.get(&space, "notes", "later").is_some());
}

#[test]
fn a_group_that_is_deleted_holds_no_right_anywhere_and_a_new_name_reaches_all() {
    let (mut a, mut b, mut c, group, space) = team();
    let mine = b.replica.create_space("songs", b.now).unwrap();
    b.replica
        .grant_group(&mine, &group, Role::Writer, Path::whole_space(), b.now)
        .unwrap();
    sync(&mut a, &mut b);
    sync(&mut b, &mut c);
    a.replica.rename_space(&group, "crew", a.now).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(b.replica.groups().unwrap()[0].name, "crew");
    assert!(b.replica.delete_group(&group, b.now).is_err());
    a.replica.delete_group(&group, a.now).unwrap();
    sync(&mut a, &mut b);
    sync(&mut b, &mut c);
    sync(&mut a, &mut b);
    for (of, space) in [(&a, &space), (&b, &mine)] {
        assert!(!may_write(of, space, &c));
        let members = of.replica.members(space).unwrap();
        let group = members
            .iter()
            .find(|it| it.subject == MemberSubject::Group(group));
        assert!(group.unwrap().has_ended);
    }
    assert!(a.replica.groups().unwrap().is_empty());
    assert!(may_write(&a, &space, &a) && may_write(&b, &mine, &b));
}

#[test]
fn what_a_device_wrote_before_it_was_taken_out_stands_when_its_person_is_put_out_later() {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.replica.create_space("shared", a.now).unwrap();
    share(&mut a, &mut b, &space, Role::Writer);
    let mut phone = Device::new(3);
    link(&mut b, &mut phone);
    sync(&mut b, &mut phone);
    sync(&mut a, &mut b);
    sync(&mut b, &mut phone);
    phone.write(&space, &[put("by phone", json!({}))]);
    sync(&mut b, &mut phone);
    sync(&mut a, &mut b);
    let lost = phone.replica.device();
    b.replica.remove_device(&lost, None, b.now).unwrap();
    sync(&mut a, &mut b);
    assert!(a.get(&space, "notes", "by phone").is_some());
    let whom = RemovalTarget::Identity(identity(&b));
    a.replica.revoke(&space, whom, None, a.now).unwrap();
    assert!(a.get(&space, "notes", "by phone").is_some());
}
