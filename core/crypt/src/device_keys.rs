//! Everything a device derives from its one 32-byte master seed.
//!
//! Owns the derivation; where the seed rests is `adapters/keys`' concern.

use std::fmt;

use stead_base::DeviceId;
use zeroize::Zeroizing;

use crate::{KemSecret, SigningKey, hash};

/// A device's keys. Each is derived for itself: losing one tells nothing about another.
pub struct DeviceKeys {
    network_seed: Zeroizing<[u8; 32]>,
    storage: Zeroizing<[u8; 32]>,
    database: Zeroizing<[u8; 32]>,
    signing: SigningKey,
    kem: KemSecret,
}

impl DeviceKeys {
    /// Derives the keys of a master seed. The caller wipes its copy.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let network_seed = Zeroizing::new(hash::derive("stead/device-signing/1", seed));
        let kem_seed = Zeroizing::new(hash::derive("stead/device-kem/1", seed));
        Self {
            signing: SigningKey::from_seed(&network_seed),
            kem: KemSecret::from_seed(&kem_seed),
            storage: Zeroizing::new(hash::derive("stead/device-storage/1", seed)),
            database: Zeroizing::new(hash::derive("stead/device-database/1", seed)),
            network_seed,
        }
    }

    /// The device's id: the public half of [`signing`](Self::signing), and its network address.
    pub fn id(&self) -> DeviceId {
        DeviceId::from_bytes(self.signing.public())
    }

    /// Signs claims and grants of this device.
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Opens boxes sealed to this device.
    pub const fn kem(&self) -> &KemSecret {
        &self.kem
    }

    /// Wraps secrets that this device's database keeps; see [`wrapkey`](crate::wrapkey).
    pub fn storage(&self) -> &[u8; 32] {
        &self.storage
    }

    /// Encrypts this device's database file, where its person chose that.
    pub fn database(&self) -> &[u8; 32] {
        &self.database
    }

    /// The Ed25519 seed of the network endpoint: the same key as [`signing`](Self::signing), in
    /// the form a transport wants it.
    pub fn network_seed(&self) -> &[u8; 32] {
        &self.network_seed
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKeys({})", self.id().short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_always_gives_the_same_device() {
        let (one, other) = (
            DeviceKeys::from_seed(&[7; 32]),
            DeviceKeys::from_seed(&[7; 32]),
        );
        assert_eq!(one.id(), other.id());
        assert_eq!(one.kem().public(), other.kem().public());
        assert_eq!(one.storage(), other.storage());
        assert_ne!(one.id(), DeviceKeys::from_seed(&[8; 32]).id());
    }

    #[test]
    fn the_network_key_is_the_signing_key() {
        let keys = DeviceKeys::from_seed(&[7; 32]);
        assert_eq!(
            SigningKey::from_seed(keys.network_seed()).public(),
            *keys.id().as_bytes()
        );
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let shown = format!("{:?}", DeviceKeys::from_seed(&[7; 32]));
        assert!(shown.len() < 30, "{shown}");
    }
}
