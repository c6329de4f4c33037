//! Properties of wrapped secrets.

use super::*;
use proptest::prelude::*;

struct Fixed(u8);

impl Entropy for Fixed {
    fn fill(&mut self, buf: &mut [u8]) {
        buf.fill(self.0);
    }
}

proptest! {
    #[test]
    fn a_secret_comes_back_for_its_key_and_purpose_only(
        key: [u8; 32], other: [u8; 32], secret: Vec<u8>, context: Vec<u8>, nonce: u8,
        at: prop::sample::Index
    ) {
        let wrapped = seal(&key, &context, &secret, &mut Fixed(nonce)).unwrap();
        prop_assert_eq!(wrapped.len(), secret.len() + OVERHEAD);
        let opened = open(&key, &context, &wrapped).unwrap();
        prop_assert_eq!(&opened[..], &secret[..]);

        let longer = [&context[..], &[0]].concat();
        prop_assert_eq!(open(&key, &longer, &wrapped).unwrap_err(), WrapError::NotOpened);
        let mut altered = wrapped.clone();
        let bit = at.index(altered.len() * 8);
        altered[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(open(&key, &context, &altered).unwrap_err(), WrapError::NotOpened);
        prop_assume!(key != other);
        prop_assert_eq!(open(&other, &context, &wrapped).unwrap_err(), WrapError::NotOpened);
    }

    #[test]
    fn garbage_is_refused(key: [u8; 32], garbage: Vec<u8>) {
        prop_assert_eq!(open(&key, b"", &garbage).unwrap_err(), WrapError::NotOpened);
    }
}

#[test]
fn a_secret_at_the_limit_is_wrapped_and_one_above_is_refused() {
    let mut secret = vec![0; SECRET_BYTES_MAX];
    assert!(seal(&[1; 32], b"", &secret, &mut Fixed(0)).is_ok());
    secret.push(0);
    assert_eq!(
        seal(&[1; 32], b"", &secret, &mut Fixed(0)),
        Err(WrapError::TooLong { len: secret.len() })
    );
}
