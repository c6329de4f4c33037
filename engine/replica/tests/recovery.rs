//! Coming back with the root key alone, over real replicas: what a new device gets, from whom, and what
//! nobody can slip it.

mod people;
mod world;

use people::{person, put, share};
use serde_json::json;
use stead_access::{DeviceRecord, IdentityId, Path, Role};
use stead_base::{DeviceId, Encoder, SpaceId};
use stead_crypt::RootKey;
use stead_replica::{HeldSpace, RootWord, SwappedSpace};
use world::{Device, let_in_on, link, sync};

fn root_of(device: &Device) -> RootKey {
    let phrase = device.replica.recovery_phrase().unwrap();
    phrase.expect("not written down yet").root()
}

fn identity(root: &RootKey) -> IdentityId {
    IdentityId::from_bytes(root.public())
}

fn words(root: &RootKey, spaces: &[SpaceId], record: &DeviceRecord) -> Vec<(SpaceId, RootWord)> {
    let word = |id: &SpaceId| (*id, RootWord::sign(root, id, record, [9; 32]));
    spaces.iter().map(word).collect()
}

/// What `holder` hands to `new`, which speaks for `root`.
fn held(holder: &mut Device, new: &Device, root: &RootKey) -> Vec<HeldSpace> {
    let record = new.replica.device_record();
    let spaces = holder.replica.spaces_of(identity(root));
    let said = words(root, &spaces, &record);
    holder.now += 10;
    let (who, now) = (identity(root), holder.now);
    holder
        .replica
        .let_in_by_root(who, &record, &said, now)
        .unwrap()
}

fn come_back(holder: &mut Device, seed: u8, root: &RootKey, anew: bool) -> Device {
    let mut new = person(seed);
    let found = held(holder, &new, root);
    new.replica.take_up(root, &found, anew, new.now).unwrap();
    sync(holder, &mut new);
    new
}

fn current(device: &Device) -> Vec<DeviceId> {
    let devices = device.replica.own_devices().unwrap().into_iter();
    devices.filter(|it| it.is_current).map(|it| it.id).collect()
}

#[test]
fn an_empty_device_with_the_root_key_gets_back_everything_a_surviving_device_holds() {
    let mut old = person(1);
    let root = root_of(&old);
    let space = old.replica.create_space("notes", old.now).unwrap();
    old.write(&space, &[put("one", json!({"title": "before"}))]);
    let mut new = come_back(&mut old, 2, &root, false);
    assert_eq!(new.replica.identity(), Some(identity(&root)));
    assert_eq!(new.dump(&space), old.dump(&space));
    assert_eq!(current(&new).len(), 2);
    // It is a device like the others: it writes, makes spaces and links further devices.
    new.write(&space, &[put("two", json!({"title": "after"}))]);
    new.replica.create_space("more", new.now).unwrap();
    sync(&mut old, &mut new);
    assert_eq!(new.dump(&space), old.dump(&space));
    assert_eq!(old.replica.space_ids().len(), 3);
    let mut third = Device::new(3);
    let record = third.replica.device_record();
    new.replica.grant_device(&record, new.now).unwrap();
    let home = new.replica.home().unwrap();
    for id in new.replica.space_ids() {
        let ticket = new.replica.ticket(&id).unwrap();
        third
            .replica
            .join_space(&ticket, id == home, third.now)
            .unwrap();
    }
    sync(&mut new, &mut third);
    assert_eq!(third.dump(&space), old.dump(&space));
    assert!(new.replica.recovery_phrase().unwrap().is_none());
}

#[test]
fn a_member_of_a_shared_space_hands_it_to_the_persons_new_device_and_a_home_begins_anew() {
    let (mut ada, mut ben) = (person(1), person(2));
    let root = root_of(&ada);
    let space = ada.replica.create_space("family", ada.now).unwrap();
    let private = ada.replica.create_space("private", ada.now).unwrap();
    share(&mut ada, &mut ben, &space, Role::Reader);
    ada.write(&space, &[put("one", json!({"by": "ada"}))]);
    sync(&mut ada, &mut ben);
    let lost = ada.replica.device();
    drop(ada);

    let blank = person(3);
    let found = held(&mut ben, &blank, &root);
    assert_eq!(found.len(), 1, "{private:?} is not ben's to give");
    let checked = found[0].check(&root).unwrap();
    assert!(checked.is_own && !checked.is_home);
    // Without the home space nothing is given up before the person says so.
    let mut blank = blank;
    assert!(
        blank
            .replica
            .take_up(&root, &found, false, blank.now)
            .is_err()
    );
    assert!(blank.replica.home().is_some());
    assert_ne!(blank.replica.identity(), Some(identity(&root)));
    blank
        .replica
        .take_up(&root, &found, true, blank.now)
        .unwrap();
    let mut new = blank;
    sync(&mut ben, &mut new);
    assert_eq!(new.replica.identity(), Some(identity(&root)));
    assert_eq!(new.get(&space, "notes", "one"), Some(json!({"by": "ada"})));
    new.write(&space, &[put("two", json!({"by": "ada again"}))]);
    sync(&mut ben, &mut new);
    assert_eq!(ben.dump(&space), new.dump(&space));

    // The lost device is put out, though the new home space never heard of it.
    assert!(new.replica.devices_of(identity(&root)).contains_key(&lost));
    new.replica
        .remove_lost(&root, &[lost], new.now + 10)
        .unwrap();
    sync(&mut ben, &mut new);
    assert!(ben.replica.was_removed(&space, &lost));
    assert_eq!(ben.dump(&space), new.dump(&space));
}

#[test]
fn lost_devices_are_removed_by_the_root_key_and_read_nothing_written_afterwards() {
    let (mut desk, mut phone) = (person(1), Device::new(2));
    let root = root_of(&desk);
    link(&mut desk, &mut phone);
    let space = desk.replica.create_space("notes", desk.now).unwrap();
    desk.write(&space, &[put("one", json!({"n": 1}))]);
    sync(&mut desk, &mut phone);
    // The phone is stolen; the desk survives and helps; the root removes the founder, too.
    let mut new = come_back(&mut desk, 3, &root, false);
    let lost = [desk.replica.device(), phone.replica.device()];
    new.now += 10;
    new.replica.remove_lost(&root, &lost, new.now).unwrap();
    assert_eq!(current(&new), [new.replica.device()]);
    new.write(&space, &[put("secret", json!({"n": 2}))]);
    sync(&mut new, &mut phone);
    sync(&mut new, &mut desk);
    for thief in [&phone, &desk] {
        assert_eq!(thief.get(&space, "notes", "secret"), None);
        assert_eq!(thief.get(&space, "notes", "one"), Some(json!({"n": 1})));
    }
    assert_eq!(new.get(&space, "notes", "secret"), Some(json!({"n": 2})));
}

#[test]
fn a_word_of_another_root_space_or_device_lets_nobody_in() {
    let (mut ada, thief) = (person(1), person(2));
    let (root, other) = (root_of(&ada), root_of(&thief));
    let space = ada.replica.create_space("notes", ada.now).unwrap();
    let who = identity(&root);
    let record = thief.replica.device_record();
    let mut refused = |said: &[(SpaceId, RootWord)], record: &DeviceRecord| {
        let (before, now) = (ada.replica.space_info(&space).unwrap(), ada.now);
        let held = ada.replica.let_in_by_root(who, record, said, now).unwrap();
        assert!(held.is_empty());
        assert_eq!(ada.replica.space_info(&space).unwrap(), before);
    };
    // Signed by the thief's own root; made for another space; made for another device.
    refused(&words(&other, &[space], &record), &record);
    let elsewhere = SpaceId::from_bytes([7; 32]);
    let word = RootWord::sign(&root, &elsewhere, &record, [9; 32]);
    refused(&[(space, word.clone()), (elsewhere, word)], &record);
    let honest = DeviceRecord {
        id: DeviceId::from_bytes([5; 32]),
        ..record.clone()
    };
    refused(&words(&root, &[space], &honest), &record);
    // The thief's own root is known nowhere here.
    assert!(ada.replica.spaces_of(identity(&other)).is_empty());
}

#[test]
fn a_holder_cannot_swap_the_secret_the_keys_or_the_genesis_of_a_space() {
    let (mut ada, mut mallory) = (person(1), person(2));
    let root = root_of(&ada);
    let space = ada.replica.create_space("notes", ada.now).unwrap();
    let fake = mallory.replica.create_space("notes", mallory.now).unwrap();
    let new = person(3);
    let honest = held(&mut ada, &new, &root);
    let true_one = honest.iter().find(|held| held.ticket.id == space).unwrap();
    assert!(true_one.check(&root).is_ok());
    let theirs = mallory.replica.ticket(&fake).unwrap();

    let mut swapped = true_one.clone();
    swapped.ticket.secret = theirs.secret;
    assert_eq!(swapped.check(&root), Err(SwappedSpace::OtherKeys));
    // Mallory's own key with the secret that it implies, under the name of the space.
    let mut swapped = true_one.clone();
    swapped.ticket = theirs.clone();
    swapped.ticket.id = space;
    assert_eq!(swapped.check(&root), Err(SwappedSpace::OtherKeys));
    let mut swapped = true_one.clone();
    swapped.ticket.id = fake;
    assert_eq!(swapped.check(&root), Err(SwappedSpace::OtherGenesis));
    let mut swapped = true_one.clone();
    swapped.founder = mallory.replica.frontier(&fake).unwrap()[0].writer;
    assert_eq!(swapped.check(&root), Err(SwappedSpace::OtherKeys));
    for place in [0, 40, true_one.genesis.len() - 1] {
        let mut swapped = true_one.clone();
        swapped.genesis[place] ^= 1;
        assert!(swapped.check(&root).is_err());
    }
}

#[test]
fn no_stolen_device_passes_off_a_space_as_the_home_space() {
    let (mut ada, mut stolen) = (person(1), Device::new(2));
    let root = root_of(&ada);
    link(&mut ada, &mut stolen);
    sync(&mut ada, &mut stolen);
    // It can found spaces in its person's name, and call one "home".
    let fake = stolen
        .replica
        .create_space("home again", stolen.now)
        .unwrap();
    let mut new = person(3);
    let record = new.replica.device_record();
    let said = words(&root, &[fake], &record);
    let who = identity(&root);
    let found = stolen
        .replica
        .let_in_by_root(who, &record, &said, stolen.now)
        .unwrap();
    let checked = found[0].check(&root).unwrap();
    assert!(checked.is_own && !checked.is_home);
    assert!(new.replica.take_up(&root, &found, false, new.now).is_err());
    // The true one is told apart, whoever hands it over.
    let found = held(&mut stolen, &new, &root);
    let homes = found.iter().filter(|it| it.check(&root).unwrap().is_home);
    let homes: Vec<SpaceId> = homes.map(|it| it.ticket.id).collect();
    assert_eq!(homes, [ada.replica.home().unwrap()]);
}

#[test]
fn replaying_the_roots_word_brings_no_removed_device_back() {
    let mut ada = person(1);
    let root = root_of(&ada);
    let space = ada.replica.create_space("notes", ada.now).unwrap();
    let mut thief = person(2);
    let record = thief.replica.device_record();
    let said = words(&root, &ada.replica.spaces_of(identity(&root)), &record);
    let who = identity(&root);
    let first = ada
        .replica
        .let_in_by_root(who, &record, &said, ada.now)
        .unwrap();
    assert_eq!(first.len(), 2);
    ada.now += 10;
    ada.replica
        .remove_lost(&root, &[record.id], ada.now)
        .unwrap();
    let again = ada
        .replica
        .let_in_by_root(who, &record, &said, ada.now + 10);
    assert!(again.unwrap().is_empty());
    assert!(ada.replica.was_removed(&space, &record.id));
    thief
        .replica
        .take_up(&root, &first, false, thief.now)
        .unwrap();
    ada.write(&space, &[put("later", json!({"n": 1}))]);
    sync(&mut ada, &mut thief);
    assert_eq!(thief.get(&space, "notes", "later"), None);
}

#[test]
fn a_reader_of_a_part_hands_over_no_key_that_the_person_may_not_have() {
    let (mut ada, mut ben) = (person(1), person(2));
    let root = root_of(&ben);
    let space = ada.replica.create_space("family", ada.now).unwrap();
    // Ben may read one collection only; ada's device holds all keys and helps.
    let path = Path::new("/album").unwrap();
    let_in_on(&mut ada, &mut ben, &space, Role::Reader, path);
    sync(&mut ada, &mut ben);
    let new = person(3);
    let found = held(&mut ada, &new, &root);
    assert_eq!(found.len(), 1);
    assert!(found[0].check(&root).is_ok());
    let mut bytes = Encoder::new();
    found[0].ticket.encode(&mut bytes);
    let whole = {
        let mut bytes = Encoder::new();
        ada.replica.ticket(&space).unwrap().encode(&mut bytes);
        bytes.finish()
    };
    assert!(
        bytes.finish().len() < whole.len(),
        "the key of / is not in it"
    );
}
