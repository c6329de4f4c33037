//! Honest people whose devices act apart: whoever is a member in the end has the keys, and nothing
//! that was shown or acknowledged goes away.

mod people;
mod world;

use people::{assert_equal, own_logs, people_from, person, put, revoke, share, three_people};
use serde_json::json;
use stead_access::{Party, Path, Role};
use world::{Device, link, sync};

#[test]
fn who_joins_between_two_concurrent_epochs_reads_what_is_under_both() {
    // Which of the two keys is current is a matter of luck.
    for seed in [1, 11, 21, 31, 41, 51] {
        join_between_two_epochs(seed);
    }
}

fn join_between_two_epochs(seed: u8) {
    let (mut a, mut b, c, space) = people_from(seed, Role::Owner, Role::Writer);
    let mut d = person(seed + 3);
    share(&mut b, &mut d, &space, Role::Writer);
    sync(&mut a, &mut b);
    // Apart: each removes one, starts an epoch of the same generation, and writes under it.
    revoke(&mut a, &c, &space);
    revoke(&mut b, &d, &space);
    a.write(&space, &[put("of a", json!({}))]);
    b.write(&space, &[put("of b", json!({}))]);
    // The newcomer gets keys from one of them only.
    let mut e = person(seed + 4);
    share(&mut a, &mut e, &space, Role::Writer);
    sync(&mut a, &mut b);
    sync(&mut a, &mut e);
    sync(&mut b, &mut e);
    assert_equal(&a, &b, &space);
    assert!(e.get(&space, "notes", "of a").is_some());
    assert!(
        e.get(&space, "notes", "of b").is_some(),
        "seed {seed}: sealed under the other epoch"
    );
    assert_equal(&a, &e, &space);
}

#[test]
fn the_elder_device_reads_the_spaces_that_a_younger_one_founds() {
    let mut a = person(1);
    let mut b = Device::new(2);
    link(&mut a, &mut b);
    sync(&mut a, &mut b);
    let space = b.replica.create_space("of the younger", b.now).unwrap();
    b.write(&space, &[put("first", json!({}))]);
    sync(&mut a, &mut b);
    assert!(a.get(&space, "notes", "first").is_some());
    assert_equal(&a, &b, &space);
}

#[test]
fn a_clock_set_back_before_the_first_own_entry_takes_nothing_away() {
    let (mut a, mut b, c, space) = three_people(Role::Writer, Role::Writer);
    b.now -= 10_000_000_000;
    b.write(&space, &[put("mine", json!({"n": 1}))]);
    assert!(b.get(&space, "notes", "first").is_some(), "already shown");
    assert!(b.get(&space, "notes", "mine").is_some(), "acknowledged");
    b.write(&space, &[put("more", json!({"n": 2}))]);
    b.now += 10_000_000_000;
    b.replica.tick(b.now).unwrap();
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "notes", "mine").unwrap()["n"], 1);
    assert_equal(&a, &b, &space);
    drop(c);
}

#[test]
fn joining_a_space_that_is_already_here_changes_nothing() {
    let (mut a, mut b, c, space) = three_people(Role::Owner, Role::Writer);
    a.write(&space, &[put("mine", json!({"n": 1}))]);
    sync(&mut a, &mut b);
    let (before, ticket) = (a.dump(&space), b.replica.ticket(&space).unwrap());
    a.replica.join_shared(&ticket, a.now).unwrap();
    assert_eq!(a.dump(&space), before);
    assert_eq!(own_logs(&a, &space).len(), 1);
    a.write(&space, &[put("mine", json!({"n": 2}))]);
    sync(&mut a, &mut b);
    assert_eq!(b.get(&space, "notes", "mine").unwrap()["n"], 2);
    assert_equal(&a, &b, &space);
    drop(c);
}

#[test]
fn who_is_let_in_while_keys_are_renewed_elsewhere_gets_the_new_ones() {
    let (mut a, mut b, c, space) = three_people(Role::Owner, Role::Writer);
    // Apart: A puts C out, renews the keys and writes; B lets D in with the keys it knows.
    revoke(&mut a, &c, &space);
    a.write(&space, &[put("under the new key", json!({}))]);
    let mut d = person(4);
    share(&mut b, &mut d, &space, Role::Writer);
    for _ in 0..2 {
        sync(&mut a, &mut b);
        sync(&mut a, &mut d);
        sync(&mut b, &mut d);
    }
    assert!(d.get(&space, "notes", "under the new key").is_some());
    assert_equal(&a, &d, &space);
    d.now += 1000;
    d.write(&space, &[put("of d", json!({}))]);
    sync(&mut a, &mut d);
    assert_equal(&a, &d, &space);
}

#[test]
fn a_person_let_in_again_reads_on_all_devices() {
    let (mut a, mut b, c, space) = three_people(Role::Writer, Role::Writer);
    let mut phone = Device::new(7);
    link(&mut b, &mut phone);
    sync(&mut b, &mut phone);
    sync(&mut a, &mut b);
    revoke(&mut a, &b, &space);
    a.write(&space, &[put("while out", json!({}))]);
    sync(&mut a, &mut b);
    sync(&mut b, &mut phone);
    assert_eq!(phone.get(&space, "notes", "while out"), None);
    let card = Party::Identity(b.replica.card().unwrap());
    a.replica
        .grant(&space, card, Role::Writer, Path::whole_space(), a.now)
        .unwrap();
    sync(&mut a, &mut b);
    sync(&mut b, &mut phone);
    sync(&mut a, &mut phone);
    assert!(b.get(&space, "notes", "while out").is_some());
    assert!(phone.get(&space, "notes", "while out").is_some());
    assert_equal(&a, &phone, &space);
    drop(c);
}
