//! The real keyring of a desktop session, where there is one. Not run by default: it needs an
//! unlocked keyring and writes to it. To run it: `cargo test -p stead-keys -- --ignored`.

use std::time::Duration;

use stead_keys::{Keystore, Kind, OsEntropy, OsKeyring, Policy};

#[test]
#[ignore = "needs a desktop session with an unlocked keyring, and leaves an entry there"]
fn the_desktops_keyring_keeps_a_seed() {
    let dir = tempfile::tempdir().unwrap();
    let keyring = OsKeyring::connect(Duration::from_secs(20)).expect("a keyring");
    let policy = Policy::keyring_if_it_works(keyring);
    let made = Keystore::open(dir.path(), &policy, &mut OsEntropy).unwrap();
    assert_eq!(made.kind(), Kind::OsKeyring);

    // A new connection, as after a restart.
    let keyring = OsKeyring::connect(Duration::from_secs(20)).expect("a keyring");
    let policy = Policy::keyring_if_it_works(keyring);
    let found = Keystore::open_existing(dir.path(), &policy).unwrap();
    assert_eq!(found.device_keys().id(), made.device_keys().id());
}
