//! The bytes of `device.key`. Owns their layout, not the file.
//!
//! ```text
//! owner-only   "STEADRW1" || seed (32) || checksum (8)
//! keyring      "STEADOS1" || account (16) || device id (32) || checksum (8)
//! passphrase   "STEADPW1" ..., see stead_crypt::passphrase
//! ```
//!
//! All three end in a checksum: the start of the BLAKE3 hash of all before it. The device id lets a keyring's
//! answer be checked.

use stead_base::DeviceId;
use stead_crypt::{Zeroizing, hash};

const RAW_MAGIC: &[u8; 8] = b"STEADRW1";
const KEYRING_MAGIC: &[u8; 8] = b"STEADOS1";
const PASSPHRASE_MAGIC: &[u8; 8] = b"STEADPW1";
const CHECKSUM_BYTES: usize = 8;

/// Longest key file, in bytes.
pub(crate) const KEY_FILE_BYTES_MAX: u64 = 4096;

/// What a key file says.
pub(crate) enum KeyFile {
    /// The seed itself.
    Raw(Zeroizing<[u8; 32]>),
    /// Where in the keyring the seed is, and whose it must be.
    Keyring { account: [u8; 16], device: DeviceId },
    /// A container that a passphrase opens.
    Passphrase(Vec<u8>),
}

impl KeyFile {
    /// The bytes of the file.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let body = match self {
            Self::Raw(seed) => Zeroizing::new([&RAW_MAGIC[..], &seed[..]].concat()),
            Self::Keyring { account, device } => {
                Zeroizing::new([&KEYRING_MAGIC[..], account, device.as_bytes()].concat())
            }
            Self::Passphrase(container) => return Zeroizing::new(container.clone()),
        };
        Zeroizing::new([&body[..], &checksum(&body)].concat())
    }

    /// Reads the bytes of a file; says what is wrong with them.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let (body, found) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or("it is cut short")?;
        let (magic, rest) = body.split_first_chunk().ok_or("it is cut short")?;
        if ![RAW_MAGIC, KEYRING_MAGIC, PASSPHRASE_MAGIC].contains(&magic) {
            return Err("it is not a device key of Stead");
        }
        if *found != checksum(body) {
            return Err("its checksum does not match");
        }
        if magic == PASSPHRASE_MAGIC {
            return Ok(Self::Passphrase(bytes.to_vec()));
        }
        if magic == RAW_MAGIC {
            let seed = rest.try_into().map_err(|_| "its length is wrong")?;
            return Ok(Self::Raw(Zeroizing::new(seed)));
        }
        let (account, device) = rest.split_first_chunk().ok_or("its length is wrong")?;
        Ok(Self::Keyring {
            account: *account,
            device: DeviceId::from_bytes(device.try_into().map_err(|_| "its length is wrong")?),
        })
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    std::array::from_fn(|i| hash::digest(body).as_bytes()[i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_file_reads_back(seed: [u8; 32], account: [u8; 16], device: [u8; 32]) {
            let raw = KeyFile::Raw(Zeroizing::new(seed));
            let Ok(KeyFile::Raw(read)) = KeyFile::decode(&raw.encode()) else { panic!("not raw") };
            prop_assert_eq!(*read, seed);
            let device = DeviceId::from_bytes(device);
            let keyring = KeyFile::Keyring { account, device };
            let Ok(KeyFile::Keyring { account: read, device: id }) =
                KeyFile::decode(&keyring.encode())
            else {
                panic!("not keyring")
            };
            prop_assert_eq!((read, id), (account, device));
        }

        #[test]
        fn every_altered_bit_is_noticed(seed: [u8; 32], bit in 0usize..48 * 8) {
            let mut bytes = KeyFile::Raw(Zeroizing::new(seed)).encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(KeyFile::decode(&bytes).is_err());
        }

        #[test]
        fn an_altered_kind_is_noticed(seed: [u8; 32]) {
            let mut bytes = KeyFile::Raw(Zeroizing::new(seed)).encode();
            bytes[..8].copy_from_slice(PASSPHRASE_MAGIC);
            prop_assert!(KeyFile::decode(&bytes).is_err());
        }

        #[test]
        fn garbage_is_refused_without_panic(garbage: Vec<u8>) {
            prop_assert!(KeyFile::decode(&garbage).is_err());
        }
    }
}
