//! Properties of passphrase containers, at a cost low enough for tests.

use super::*;
use proptest::prelude::*;

const CHEAP: Cost = Cost {
    memory_kib: 8,
    passes: 1,
    lanes: 1,
};

fn container() -> Vec<u8> {
    wrap("correct horse", CHEAP, [9; SALT_BYTES], b"the seed").unwrap()
}

#[test]
fn the_right_passphrase_opens_the_container() {
    assert_eq!(
        &unwrap("correct horse", &container()).unwrap()[..],
        b"the seed"
    );
}

#[test]
fn a_wrong_passphrase_and_a_damaged_file_are_told_apart() {
    let wrong = unwrap("battery staple", &container()).unwrap_err();
    assert_eq!(wrong, PassphraseError::WrongPassphrase);
    let mut damaged = container();
    damaged[30] ^= 1;
    let err = unwrap("correct horse", &damaged).unwrap_err();
    assert_eq!(err, PassphraseError::Damaged(None));
    let err = unwrap("correct horse", b"something else").unwrap_err();
    assert_eq!(err, PassphraseError::NotAContainer);
}

#[test]
fn an_empty_passphrase_is_refused() {
    let err = wrap("", CHEAP, [0; SALT_BYTES], b"x").unwrap_err();
    assert_eq!(err, PassphraseError::EmptyPassphrase);
}

#[test]
fn a_container_that_asks_for_too_much_work_is_refused_before_any_is_done() {
    let mut out = Encoder::new();
    out.raw(MAGIC)
        .uint(u64::from(MEMORY_KIB_MAX) + 1)
        .uint(1)
        .uint(1)
        .raw(&[0; SALT_BYTES])
        .bytes(&[0; 40]);
    let checksum = checksum(out.as_slice());
    out.raw(&checksum);
    let err = unwrap("any", out.as_slice()).unwrap_err();
    assert!(matches!(err, PassphraseError::Damaged(Some(_))), "{err:?}");
}

#[test]
fn the_recommended_cost_is_accepted() {
    let container = wrap("p", Cost::RECOMMENDED, [1; SALT_BYTES], b"seed").unwrap();
    assert_eq!(&unwrap("p", &container).unwrap()[..], b"seed");
}

#[test]
fn the_published_argon2id_vector_is_met() {
    // RFC 9106, section 5.3, through the crate's own interface for secret and associated data.
    let params = argon2::ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    let argon = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params);
    let mut tag = [0; 32];
    argon
        .unwrap()
        .hash_password_into(&[1; 32], &[2; 16], &mut tag)
        .unwrap();
    assert_eq!(
        stead_base::Hash::from_bytes(tag).to_string(),
        "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_altered_bit_is_noticed(at: prop::sample::Index) {
        let mut altered = container();
        let bit = at.index(altered.len() * 8);
        altered[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(unwrap("correct horse", &altered).is_err());
    }

    #[test]
    fn garbage_is_refused_without_panic(garbage: Vec<u8>) {
        let named = [&MAGIC[..], &garbage].concat();
        prop_assert!(unwrap("p", &garbage).is_err());
        prop_assert!(unwrap("p", &named).is_err());
    }
}
