//! The bytes that stores and peers already hold must stay readable: fixed inputs, fixed outputs.
//! The same values stand in `docs/formats/keys.md`.

use stead_base::{Entropy, ScopeId, SpaceId, WriterId};
use stead_crypt::passphrase::{self, Cost};
use stead_crypt::{DeviceKeys, EpochKey, Part, ScopeCipher, hash, wrapkey};

const SEED: [u8; 32] = [0x11; 32];

/// Gives the same byte for ever.
struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&mut self, buf: &mut [u8]) {
        buf.fill(self.0);
    }
}

#[test]
fn a_seed_gives_the_documented_device() {
    let keys = DeviceKeys::from_seed(&SEED);
    assert_eq!(
        keys.id().to_string(),
        "c1d0eac5634f5d3c65371921dbb311e053f83efddad2bcb5a5eb97947e15f71d"
    );
    assert_eq!(
        hex(keys.storage()),
        "3809ede9ffb6b07f301f75555ad31f63764ae4fc849c78e6bb9f966099d2bfda"
    );
    let kem = hash::digest(keys.kem().public().as_bytes());
    assert_eq!(
        kem.to_string(),
        "41dcc5da45d460acf3bfdcb7b47ac38f4855bfd58039a9aad25d0595413c6dab"
    );
}

#[test]
fn an_epoch_key_has_the_documented_id() {
    let key = EpochKey::from_bytes(&[0x22; 32]);
    assert_eq!(
        key.id().to_string(),
        "0c3c1a919d84fbc3e066bc11daa55a30723a91c01fab9c7269ed3c8a20f78727"
    );
}

#[test]
fn an_envelope_and_a_parcel_are_sealed_as_documented() {
    assert_eq!(
        sealed(Part::Envelope),
        "b37f25f719c32b0f41ebfed10c073881e0ae8901ca"
    );
    assert_eq!(
        sealed(Part::Parcel),
        "14034928760abbb65a439369a0fded0fe8c3637e6e"
    );
}

fn sealed(part: Part) -> String {
    let cipher = ScopeCipher::new(
        &EpochKey::from_bytes(&[0x22; 32]),
        &SpaceId::from_bytes([0x33; 32]),
        ScopeId::ROOT,
        7,
        &WriterId::from_bytes([0x44; 32]),
        part,
    );
    let mut sealed = Vec::new();
    cipher.seal(5, [1, 2, 3, 4], b"stead", &mut sealed).unwrap();
    hex(&sealed)
}

#[test]
fn a_secret_is_wrapped_as_documented() {
    let wrapped = wrapkey::seal(&SEED, b"context", b"secret", &mut Fixed(0x55)).unwrap();
    assert_eq!(
        hex(&wrapped),
        "555555555555555555555555a2721527164386e7b9b07b6822ea0ab9fcad2ed7b397"
    );
    assert_eq!(
        wrapkey::open(&SEED, b"context", &wrapped).unwrap()[..],
        b"secret"[..]
    );
}

#[test]
fn a_passphrase_container_is_laid_out_as_documented() {
    let cost = Cost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };
    let container = passphrase::wrap("correct horse", cost, [0x66; 16], &SEED).unwrap();
    assert_eq!(
        hex(&container),
        "535445414450573140010166666666666666666666666666666666300db6c6208f99832556e70f373d621e87b45a5ea2cb1c0d62e00894341fce97bd2aa13222313652693299a8101c84935a75feff6ddf146c15"
    );
    assert_eq!(
        passphrase::unwrap("correct horse", &container).unwrap()[..],
        SEED[..]
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
