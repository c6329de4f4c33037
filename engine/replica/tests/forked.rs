//! An honest device whose log is proven to be forked, by a restored backup or a copied disk: what it
//! said of rights, names and redactions beyond that place stands all the same.

mod people;
mod world;

use people::{assert_equal, found, own_logs, person, put, relay, revoke, share, target};
use serde_json::json;
use stead_access::Role;
use stead_base::{DocId, SpaceId};
use world::{Device, link, settle_forks, sync};

/// Who leaves is put out by who is senior, too, once all that counts of theirs is there.
#[test]
fn a_fork_does_not_bring_back_who_had_left() {
    let (mut a, mut c) = (person(1), person(3));
    let mut b = found(Device::on_disk(2));
    let space = a.replica.create_space("shared", a.now).unwrap();
    share(&mut a, &mut b, &space, Role::Owner);
    share(&mut a, &mut c, &space, Role::Owner);
    b.write(&space, &[put("first", json!({}))]);
    sync(&mut a, &mut b);
    let disk = b.backup();
    let own = target(&b);
    b.replica.revoke(&space, own, None, b.now).unwrap();
    relay(&b, &mut a, &space, &[]);
    assert!(a.replica.reconcile(a.now).unwrap());
    a.write(&space, &[put("later", json!({}))]);
    let mut b = b.restore(disk);
    b.write(&space, &[put("story", json!({"told": "to c"}))]);
    relay(&b, &mut c, &space, &[]);
    // As one who does not say again that it has left.
    settle_forks(&mut [&mut a, &mut c]);
    assert_eq!(a.replica.space_info(&space).unwrap().frozen.len(), 1);
    for device in [&a, &c] {
        assert!(device.replica.was_removed(&space, &b.replica.device()));
    }
    relay(&a, &mut b, &space, &[]);
    assert_eq!(b.get(&space, "notes", "later"), None);
    assert_equal(&a, &c, &space);
}

#[test]
fn a_vote_that_a_senior_has_seen_does_not_lapse_by_one_equal_more() {
    let (mut a, mut b, mut c) = (person(1), person(2), person(3));
    let (mut d, mut e) = (person(4), person(5));
    let space = a.replica.create_space("shared", a.now).unwrap();
    for equal in [&mut b, &mut c, &mut d] {
        share(&mut a, equal, &space, Role::Manager);
    }
    sync(&mut b, &mut c);
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    let out = target(&d);
    let said = b.replica.revoke(&space, out, None, b.now).unwrap();
    assert!(!said.took_effect);
    sync(&mut b, &mut c);
    let said = c.replica.revoke(&space, out, None, c.now).unwrap();
    assert!(said.took_effect);
    sync(&mut c, &mut a);
    share(&mut a, &mut e, &space, Role::Manager);
    for device in [&a, &e] {
        assert!(device.replica.was_removed(&space, &d.replica.device()));
    }
}

#[test]
fn what_was_written_before_somebody_left_counts_also_where_it_comes_late() {
    for comes_late in [false, true] {
        let (mut a, mut laptop, mut phone) = (person(1), person(2), Device::new(3));
        let space = a.replica.create_space("shared", a.now).unwrap();
        share(&mut a, &mut laptop, &space, Role::Owner);
        link(&mut laptop, &mut phone);
        sync(&mut laptop, &mut phone);
        sync(&mut a, &mut laptop);
        phone.write(&space, &[put("last", json!({"by": "phone"}))]);
        sync(&mut laptop, &mut phone);
        let own = target(&laptop);
        laptop
            .replica
            .revoke(&space, own, None, laptop.now)
            .unwrap();
        let of_phone = own_logs(&phone, &space);
        relay(&laptop, &mut a, &space, &of_phone);
        let own_words = |a: &Device| {
            let of_a = own_logs(a, &space);
            let logs = a.replica.frontier(&space).unwrap();
            logs.iter().find(|log| log.writer == of_a[0]).unwrap().len
        };
        a.replica.reconcile(a.now).unwrap();
        let renewed = own_words(&a);
        a.replica.reconcile(a.now + 59_000).unwrap();
        assert_eq!(own_words(&a), renewed);
        if comes_late {
            a.replica.reconcile(a.now + 61_000).unwrap();
            assert!(own_words(&a) > renewed);
        }
        relay(&laptop, &mut a, &space, &[]);
        a.replica.reconcile(a.now + 62_000).unwrap();
        assert!(own_words(&a) > renewed);
        // Not for ever: else who leaves could name what never comes, and come back by a fork.
        assert_eq!(a.get(&space, "notes", "last").is_none(), comes_late);
    }
}

/// A founded the space; B manages it and is restored from a backup after A heard another story; C
/// writes, D reads.
struct Told {
    a: Device,
    b: Device,
    c: Device,
    d: Device,
    space: SpaceId,
}

fn two_stories() -> Told {
    let (mut a, mut c, mut d) = (person(1), person(3), person(4));
    let mut b = found(Device::on_disk(2));
    let space = a.replica.create_space("shared", a.now).unwrap();
    share(&mut a, &mut b, &space, Role::Manager);
    share(&mut a, &mut c, &space, Role::Writer);
    share(&mut b, &mut d, &space, Role::Reader);
    c.write(
        &space,
        &[put("words", json!({"said": "a secret", "kept": 1}))],
    );
    sync(&mut a, &mut b);
    sync(&mut a, &mut c);
    sync(&mut b, &mut c);
    let disk = b.backup();
    b.write(&space, &[put("story", json!({"told": "to a"}))]);
    relay(&b, &mut a, &space, &[]);
    let now = b.now;
    let mut b = b.restore(disk);
    b.now = now;
    Told { a, b, c, d, space }
}

impl Told {
    fn settle(&mut self) {
        assert_eq!(
            own_logs(&self.a, &self.space).len(),
            1,
            "only B's log is forked"
        );
        settle_forks(&mut [&mut self.a, &mut self.b, &mut self.c]);
        let info = self.a.replica.space_info(&self.space).unwrap();
        assert_eq!(info.frozen.len(), 1);
        assert_equal(&self.a, &self.c, &self.space);
    }

    fn has_left(&self, whom: &Device) -> bool {
        let members = self.a.replica.members(&self.space).unwrap();
        let whom = whom.replica.device();
        let of_whom = |member: &&stead_replica::MemberInfo| {
            member.devices.iter().any(|(device, _)| *device == whom)
        };
        let member = members.iter().find(of_whom);
        member.is_none_or(|member| member.has_ended)
    }
}

#[test]
fn who_was_put_out_beyond_a_fork_stays_out() {
    let mut told = two_stories();
    revoke(&mut told.b, &told.d, &told.space);
    relay(&told.b, &mut told.c, &told.space, &[]);
    told.settle();
    assert!(told.has_left(&told.d));
    let Told { a, c, d, space, .. } = &mut told;
    a.write(space, &[put("later", json!({}))]);
    sync(a, c);
    assert!(c.get(space, "notes", "later").is_some());
    relay(a, d, space, &[]);
    assert_eq!(d.get(space, "notes", "later"), None);
}

#[test]
fn who_left_beyond_a_fork_has_left_and_what_it_wrote_before_stands() {
    let mut told = two_stories();
    let (b, space) = (&mut told.b, told.space);
    b.write(&space, &[put("farewell", json!({"by": "b"}))]);
    let own = target(b);
    b.replica.revoke(&space, own, None, b.now).unwrap();
    relay(&told.b, &mut told.c, &space, &[]);
    told.settle();
    assert!(told.has_left(&told.b));
    for device in [&told.a, &told.c] {
        assert!(device.get(&space, "notes", "farewell").is_some());
    }
}

#[test]
fn a_name_given_beyond_a_fork_stays_unless_it_was_changed_since() {
    for renamed_since in [false, true] {
        let mut told = two_stories();
        let space = told.space;
        for name in ["other", "mine"] {
            told.b
                .replica
                .rename_space(&space, name, told.b.now)
                .unwrap();
        }
        relay(&told.b, &mut told.c, &space, &[]);
        if renamed_since {
            relay(&told.b, &mut told.a, &space, &own_logs(&told.b, &space));
            told.a
                .replica
                .rename_space(&space, "last", told.a.now)
                .unwrap();
            told.a
                .replica
                .rename_space(&space, "later", told.a.now)
                .unwrap();
            told.a
                .replica
                .rename_space(&space, "latest", told.a.now)
                .unwrap();
            let of_b = own_logs(&told.b, &space);
            relay(&told.a, &mut told.b, &space, &of_b);
        }
        told.settle();
        let name = if renamed_since { "latest" } else { "mine" };
        for device in [&told.a, &told.b, &told.c] {
            assert_eq!(device.replica.space_info(&space).unwrap().name, name);
        }
    }
}

#[test]
fn what_was_redacted_beyond_a_fork_stays_redacted_everywhere() {
    let mut told = two_stories();
    let (b, space) = (&mut told.b, told.space);
    // Among it something of its own that the fork takes away, too.
    b.write(
        &space,
        &[put("words", json!({"said": "another secret", "b": 2}))],
    );
    b.now += 10;
    let (doc, field) = (DocId::parse("words").unwrap(), ["said".to_owned()]);
    let done = b.replica.redact(&space, "notes", &doc, &field, b.now);
    assert_eq!(done.unwrap().entries, 2);
    relay(&told.b, &mut told.c, &space, &[]);
    told.settle();
    for device in [&told.a, &told.b, &told.c] {
        let words = device.get(&space, "notes", "words");
        assert_eq!(words, Some(json!({"kept": 1, "b": 2})));
    }
    assert_equal(&told.a, &told.b, &space);
    let before = told.a.dump(&space);
    told.a.replica.rebuild(&space, told.a.now).unwrap();
    assert_eq!(told.a.dump(&space), before);
}

#[test]
fn a_device_taken_out_beyond_a_fork_stays_out_of_every_space() {
    let (mut laptop, mut phone, mut desk) = (Device::on_disk(1), Device::new(2), Device::new(3));
    link(&mut laptop, &mut phone);
    link(&mut laptop, &mut desk);
    let space = laptop.replica.create_space("s", laptop.now).unwrap();
    sync(&mut laptop, &mut phone);
    sync(&mut laptop, &mut desk);
    sync(&mut laptop, &mut phone);
    let home = laptop.replica.home().unwrap();
    let disk = laptop.backup();
    for space in [&home, &space] {
        laptop.write(space, &[put("story", json!({"told": "to the desk"}))]);
    }
    sync(&mut laptop, &mut desk);
    let mut laptop = laptop.restore(disk);
    let lost = phone.replica.device();
    laptop
        .replica
        .remove_device(&lost, None, laptop.now)
        .unwrap();
    settle_forks(&mut [&mut laptop, &mut desk]);
    for device in [&laptop, &desk] {
        for space in [&home, &space] {
            assert!(device.replica.was_removed(space, &lost));
        }
    }
    desk.write(&space, &[put("later", json!({}))]);
    sync(&mut desk, &mut laptop);
    assert!(laptop.get(&space, "notes", "later").is_some());
    relay(&desk, &mut phone, &space, &[]);
    assert_eq!(phone.get(&space, "notes", "later"), None);
}
