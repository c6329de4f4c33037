//! Properties of the keystore: a seed is found again however it is kept, and every way of not
//! finding it is told apart.

use super::*;
use crate::OsEntropy;
use keyring_core::api::{CredentialPersistence, CredentialStoreApi};
use keyring_core::{CredentialStore, Entry};
use std::any::Any;
use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stead_crypt::passphrase::Cost;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(5);

fn open(dir: &TempDir, policy: &Policy) -> Result<Keystore, KeystoreError> {
    Keystore::open(dir.path(), policy, &mut OsEntropy)
}

fn with_passphrase(passphrase: &str) -> Policy {
    Policy {
        passphrase_cost: Cost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        },
        ..Policy::owner_only_file().with_passphrase(passphrase.to_owned())
    }
}

/// A keyring in this process that claims to last, and may be slow or refuse.
#[derive(Debug)]
struct Lasting {
    inner: Arc<keyring_core::mock::Store>,
    delay: Duration,
    refuses: bool,
}

impl CredentialStoreApi for Lasting {
    fn vendor(&self) -> String {
        "in process".to_owned()
    }

    fn id(&self) -> String {
        "in process".to_owned()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        modifiers: Option<&HashMap<&str, &str>>,
    ) -> keyring_core::Result<Entry> {
        std::thread::sleep(self.delay);
        if self.refuses {
            return Err(keyring_core::Error::NoDefaultStore);
        }
        self.inner.build(service, user, modifiers)
    }

    fn persistence(&self) -> CredentialPersistence {
        CredentialPersistence::UntilDelete
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn keyring(delay: Duration, refuses: bool, patience: Duration) -> Policy {
    let store: Arc<CredentialStore> = Arc::new(Lasting {
        inner: keyring_core::mock::Store::new().unwrap(),
        delay,
        refuses,
    });
    Policy::keyring_if_it_works(OsKeyring::over(store, patience).unwrap())
}

fn working_keyring() -> Policy {
    keyring(Duration::ZERO, false, PATIENCE)
}

#[test]
fn the_same_device_is_found_again_however_its_seed_is_kept() {
    for (policy, kind) in [
        (Policy::owner_only_file(), Kind::OwnerOnlyFile),
        (with_passphrase("correct horse"), Kind::PassphraseFile),
        (working_keyring(), Kind::OsKeyring),
    ] {
        let dir = TempDir::new().unwrap();
        let made = open(&dir, &policy).unwrap();
        assert_eq!((made.kind(), made.is_new()), (kind, true));
        let found = open(&dir, &policy).unwrap();
        assert_eq!((found.kind(), found.is_new()), (kind, false));
        assert_eq!(made.device_keys().id(), found.device_keys().id());
    }
}

#[test]
fn two_keystores_hold_two_devices() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let policy = working_keyring();
    let one = open(&one, &policy).unwrap().device_keys().id();
    assert_ne!(one, open(&other, &policy).unwrap().device_keys().id());
}

#[test]
fn neither_the_passphrase_file_nor_the_keyring_pointer_holds_the_seed() {
    for policy in [with_passphrase("correct horse"), working_keyring()] {
        let dir = TempDir::new().unwrap();
        let made = open(&dir, &policy).unwrap();
        let bytes = fs::read(made.path()).unwrap();
        assert!(!bytes.windows(8).any(|window| window == &made.seed[..8]));
    }
}

#[test]
fn a_passphrase_is_asked_for_and_a_wrong_one_refused() {
    let dir = TempDir::new().unwrap();
    open(&dir, &with_passphrase("correct horse")).unwrap();
    let err = open(&dir, &Policy::owner_only_file()).unwrap_err();
    assert!(
        matches!(err, KeystoreError::PassphraseNeeded { .. }),
        "{err}"
    );
    let err = open(&dir, &with_passphrase("battery staple")).unwrap_err();
    assert!(
        matches!(err, KeystoreError::WrongPassphrase { .. }),
        "{err}"
    );
    let err = open(&dir, &with_passphrase("")).unwrap_err();
    assert!(
        matches!(err, KeystoreError::WrongPassphrase { .. }),
        "{err}"
    );
}

#[test]
fn an_empty_passphrase_protects_no_new_key() {
    let dir = TempDir::new().unwrap();
    let err = open(&dir, &with_passphrase("")).unwrap_err();
    assert!(
        matches!(err, KeystoreError::UnusablePassphrase { .. }),
        "{err}"
    );
    assert!(!dir.path().join(KEY_FILE).exists());
}

#[test]
fn a_damaged_key_file_is_never_replaced_by_a_new_device() {
    for policy in [
        Policy::owner_only_file(),
        with_passphrase("p"),
        working_keyring(),
    ] {
        let dir = TempDir::new().unwrap();
        let path = open(&dir, &policy).unwrap().path().to_owned();
        let whole = fs::read(&path).unwrap();
        let mut altered = whole.clone();
        altered[20] ^= 1;
        for bad in [
            &altered[..],
            &whole[..whole.len() - 1],
            b"",
            b"something else",
        ] {
            fs::write(&path, bad).unwrap();
            let err = open(&dir, &policy).unwrap_err();
            assert!(matches!(err, KeystoreError::Damaged { .. }), "{err}");
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        let err = open(&dir, &policy).unwrap_err();
        assert!(matches!(err, KeystoreError::Damaged { .. }), "{err}");
    }
}

#[test]
fn a_missing_key_is_reported_when_it_should_be_there() {
    let dir = TempDir::new().unwrap();
    let err = Keystore::open_existing(dir.path(), &Policy::owner_only_file()).unwrap_err();
    assert!(matches!(err, KeystoreError::Missing { .. }), "{err}");
}

#[test]
fn an_existing_key_is_never_overwritten() {
    let dir = TempDir::new().unwrap();
    let policy = Policy::owner_only_file();
    let made = open(&dir, &policy).unwrap();
    let err = Keystore::create(dir.path(), &policy, &mut OsEntropy).unwrap_err();
    assert!(matches!(err, KeystoreError::AlreadyExists { .. }), "{err}");
    let found = open(&dir, &policy).unwrap();
    assert_eq!(found.device_keys().id(), made.device_keys().id());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_a_crash_left_half_written_is_no_key() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(".device.key.new"), b"STEADRW1 and then").unwrap();
    assert!(open(&dir, &Policy::owner_only_file()).unwrap().is_new());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_could_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let home = dir.path().join("stead");
    let made = Keystore::open(&home, &Policy::owner_only_file(), &mut OsEntropy).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home), mode(made.path())), (0o700, 0o600));
    for exposed in [0o640, 0o604, 0o620, 0o660, 0o644] {
        fs::set_permissions(made.path(), fs::Permissions::from_mode(exposed)).unwrap();
        let err = Keystore::open_existing(&home, &Policy::owner_only_file()).unwrap_err();
        assert!(err.to_string().contains("chmod 600"), "{err}");
        assert!(
            matches!(err, KeystoreError::ExposedToOthers { mode, .. } if mode == exposed),
            "{err}"
        );
    }
}

#[test]
fn a_keyring_that_refuses_or_keeps_silent_is_passed_over() {
    for policy in [
        keyring(Duration::ZERO, true, PATIENCE),
        keyring(Duration::from_secs(60), false, Duration::from_millis(50)),
    ] {
        let dir = TempDir::new().unwrap();
        let started = Instant::now();
        assert_eq!(open(&dir, &policy).unwrap().kind(), Kind::OwnerOnlyFile);
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_keyring_that_forgets_at_logout_is_not_used() {
    let fleeting: Arc<CredentialStore> = keyring_core::mock::Store::new().unwrap();
    assert!(OsKeyring::over(fleeting, PATIENCE).is_none());
}

#[test]
fn a_keyring_that_is_away_or_has_lost_the_seed_makes_no_new_device() {
    let dir = TempDir::new().unwrap();
    open(&dir, &working_keyring()).unwrap();
    let err = open(&dir, &Policy::owner_only_file()).unwrap_err();
    assert!(
        matches!(err, KeystoreError::KeyringUnreachable { .. }),
        "{err}"
    );
    let err = open(&dir, &keyring(Duration::ZERO, true, PATIENCE)).unwrap_err();
    assert!(
        matches!(err, KeystoreError::KeyringUnreachable { .. }),
        "{err}"
    );
    let err = open(&dir, &working_keyring()).unwrap_err();
    assert!(
        matches!(err, KeystoreError::GoneFromKeyring { .. }),
        "{err}"
    );
}

#[test]
fn a_keyring_that_answers_with_another_seed_is_not_believed() {
    let dir = TempDir::new().unwrap();
    let policy = working_keyring();
    let path = open(&dir, &policy).unwrap().path().to_owned();
    let Ok(KeyFile::Keyring { account, .. }) = KeyFile::decode(&fs::read(&path).unwrap()) else {
        panic!("the seed is not in the keyring");
    };
    let keyring = policy.keyring.as_ref().unwrap();
    keyring.put(&account_name(&account), &[1; 32]).unwrap();
    let err = open(&dir, &policy).unwrap_err();
    assert!(
        matches!(err, KeystoreError::GoneFromKeyring { .. }),
        "{err}"
    );
}

#[test]
fn debug_output_shows_no_secret() {
    let dir = TempDir::new().unwrap();
    let policy = with_passphrase("correct horse");
    let keystore = open(&dir, &policy).unwrap();
    let shown = format!("{policy:?} {keystore:?}");
    assert!(!shown.contains("correct horse"));
    assert!(!shown.contains(&format!("{:?}", &keystore.seed[..4])));
}

#[test]
fn a_seed_can_be_kept_otherwise_and_stays_the_same() {
    let ways = [
        (Policy::owner_only_file(), Kind::OwnerOnlyFile),
        (with_passphrase("correct horse"), Kind::PassphraseFile),
        (working_keyring(), Kind::OsKeyring),
    ];
    for (from, was) in &ways {
        for (to, is) in &ways {
            let dir = TempDir::new().unwrap();
            let made = open(&dir, from).unwrap().device_keys().id();
            assert_eq!(Keystore::kind_in(dir.path()).unwrap(), *was);
            // Whoever moves a seed has what opens it, and offers what shall keep it.
            let mut found = Keystore::open_existing(dir.path(), from).unwrap();
            found.keep_as(to, &mut OsEntropy).unwrap();
            assert_eq!(found.kind(), *is);
            assert_eq!(Keystore::kind_in(dir.path()).unwrap(), *is);
            let again = Keystore::open_existing(dir.path(), to).unwrap();
            assert_eq!((again.kind(), again.device_keys().id()), (*is, made));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
            let bytes = fs::read(again.path()).unwrap();
            let shows = bytes.windows(8).any(|window| window == &again.seed[..8]);
            assert_eq!(shows, *is == Kind::OwnerOnlyFile);
        }
    }
}

#[test]
fn a_seed_that_cannot_be_kept_otherwise_stays_where_it_is() {
    let dir = TempDir::new().unwrap();
    let mut made = open(&dir, &Policy::owner_only_file()).unwrap();
    let unusable = with_passphrase("");
    made.keep_as(&unusable, &mut OsEntropy).unwrap_err();
    let refusing = keyring(Duration::ZERO, true, PATIENCE);
    made.keep_as(&refusing, &mut OsEntropy).unwrap();
    assert_eq!(made.kind(), Kind::OwnerOnlyFile);
    let found = open(&dir, &Policy::owner_only_file()).unwrap();
    assert_eq!(made.device_keys().id(), found.device_keys().id());
}
