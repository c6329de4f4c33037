//! The conformance suite on memory and on a real disk.

use stead_store::{Durability, FileKey, Options, Store, conformance};

#[test]
fn a_store_in_memory_conforms() {
    conformance::run(&mut || Store::in_memory().expect("open"));
}

fn a_store_on_disk_conforms(options: &Options) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut number = 0;
    conformance::run_reopening(&mut || {
        number += 1;
        let path = folder.path().join(format!("{number}.db"));
        let options = options.clone();
        Box::new(move || Store::open(&path, options.clone()).expect("open"))
    });
}

#[test]
fn a_store_on_disk_conforms_when_shared() {
    a_store_on_disk_conforms(&Options::default());
}

#[test]
fn a_store_on_disk_conforms_when_exclusive_and_ordered() {
    a_store_on_disk_conforms(&Options {
        durability: Durability::Ordered,
        exclusive: true,
        ..Options::default()
    });
}

#[test]
fn an_encrypted_store_conforms_when_shared() {
    a_store_on_disk_conforms(&Options {
        key: Some(FileKey::new(&[7; 32])),
        ..Options::default()
    });
}

#[test]
fn an_encrypted_store_conforms_when_exclusive_and_ordered() {
    a_store_on_disk_conforms(&Options {
        durability: Durability::Ordered,
        exclusive: true,
        key: Some(FileKey::new(&[7; 32])),
        ..Options::default()
    });
}
