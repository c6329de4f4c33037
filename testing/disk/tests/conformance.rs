//! The store's conformance suite on a simulated disk.

use stead_disk::SimDisk;
use stead_store::{FileKey, Options, Store, conformance};

#[test]
fn a_store_on_a_simulated_disk_conforms() {
    conforms(None);
}

#[test]
fn an_encrypted_store_on_a_simulated_disk_conforms() {
    conforms(Some(FileKey::new(&[7; 32])));
}

fn conforms(key: Option<FileKey>) {
    let mut seed = 0;
    conformance::run_reopening(&mut || {
        seed += 1;
        let disk = SimDisk::new(seed);
        let key = key.clone();
        Box::new(move || {
            let options = Options {
                key: key.clone(),
                ..disk.options()
            };
            Store::open("stead.db", options).expect("open")
        })
    });
}
