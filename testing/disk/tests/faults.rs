//! What a store says when the disk misbehaves, and that it keeps what it had.

use stead_disk::{Fault, SimDisk};
use stead_store::{OpenError, Options, Read, Store, StoreError};

fn options(disk: &SimDisk) -> Options {
    disk.options()
}

fn open(disk: &SimDisk) -> Store {
    Store::open("stead.db", options(disk)).expect("open")
}

fn put(store: &mut Store, key: &str, len: usize) -> Result<(), StoreError> {
    let tx = store.begin()?;
    tx.put_meta(key, &vec![7; len])?;
    tx.commit()
}

#[test]
fn a_full_disk_loses_nothing_and_works_again_with_room() {
    let disk = SimDisk::new(1);
    let mut store = open(&disk);
    put(&mut store, "before", 10).expect("room");
    disk.set_capacity(Some(disk.used() + 40_000));
    let mut kept = Vec::new();
    let error = loop {
        let key = format!("key {}", kept.len());
        match put(&mut store, &key, 5000) {
            Ok(()) => kept.push(key),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");
    for key in &kept {
        assert!(store.get_meta(key).expect("read").is_some());
    }
    disk.set_capacity(None);
    put(&mut store, "after", 5000).expect("room again");
    drop(store);
    let store = open(&disk);
    assert_eq!(store.integrity_check().expect("check"), []);
    for key in kept.iter().map(String::as_str).chain(["before", "after"]) {
        assert!(store.get_meta(key).expect("read").is_some(), "{key}");
    }
}

#[test]
fn a_failed_write_says_that_the_disk_is_at_fault() {
    let disk = SimDisk::new(2);
    let mut store = open(&disk);
    put(&mut store, "before", 10).expect("write");
    disk.fail_write(0, Fault::Io);
    let error = put(&mut store, "lost", 10).expect_err("the disk fails");
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert_eq!(store.get_meta("lost").expect("read"), None);
    put(&mut store, "after", 10).expect("the disk works again");
    assert!(store.get_meta("before").expect("read").is_some());
}

#[test]
fn a_second_opener_of_an_exclusive_file_is_refused() {
    let disk = SimDisk::new(3);
    let mut store = open(&disk);
    put(&mut store, "a", 1).expect("write");
    let error = Store::open("stead.db", options(&disk)).expect_err("it is open");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    put(&mut store, "b", 1).expect("the first opener goes on");
    drop(store);
    assert!(open(&disk).get_meta("b").expect("read").is_some());
}

#[test]
fn without_power_nothing_works_and_nothing_panics() {
    let disk = SimDisk::new(4);
    let mut store = open(&disk);
    put(&mut store, "a", 1).expect("write");
    disk.power_off();
    put(&mut store, "b", 1).expect_err("no power");
    assert!(Store::open("other.db", options(&disk)).is_err());
    drop(store);
    disk.crash();
    let store = open(&disk);
    assert!(store.get_meta("a").expect("read").is_some());
    assert!(store.get_meta("b").expect("read").is_none());
}

#[test]
fn a_copied_disk_goes_its_own_way() {
    let disk = SimDisk::new(5);
    let mut store = open(&disk);
    put(&mut store, "a", 1).expect("write");
    let copy = disk.copy(6);
    put(&mut store, "b", 1).expect("write");
    let copied = open(&copy);
    assert!(copied.get_meta("a").expect("read").is_some());
    assert!(copied.get_meta("b").expect("read").is_none());
}

#[test]
fn a_thousand_disks_are_cheap() {
    for seed in 0..1000 {
        let disk = SimDisk::new(seed);
        put(&mut open(&disk), "a", 1).expect("write");
    }
}
