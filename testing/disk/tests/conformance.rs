//! The store's conformance suite on a simulated disk.

use stead_disk::SimDisk;
use stead_store::{Options, Store, conformance};

#[test]
fn a_store_on_a_simulated_disk_conforms() {
    let mut seed = 0;
    conformance::run_reopening(&mut || {
        seed += 1;
        let disk = SimDisk::new(seed);
        Box::new(move || {
            let options = Options {
                vfs: Some(disk.vfs().to_owned()),
                exclusive: true,
                ..Options::default()
            };
            Store::open("stead.db", options).expect("open")
        })
    });
}
