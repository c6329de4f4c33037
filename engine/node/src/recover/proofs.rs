//! What binds the messages of recovery to one person, two devices and one connection.
//!
//! Owns the tag, what the root key signs, and the sealing of what the holder answers.

use stead_access::IdentityId;
use stead_base::{DecodeError, DeviceId};
use stead_crypt::seal_box::{self, BoxError};
use stead_crypt::{Hasher, KemPublic, KemSecret, RootKey, Zeroizing, hash, verify};
use stead_keys::OsEntropy;

const NAME_CONTEXT: &str = "stead/recover/1 name";
const ASK: &[u8] = b"stead/recover/1 ask";
const LIST_INFO: &[u8] = b"stead/recover/1 list";
const HELD_INFO: &[u8] = b"stead/recover/1 held";

/// The two devices of one exchange, and what only this connection has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The device that may hold something.
    pub holder: DeviceId,
    /// The device that comes back.
    pub new: DeviceId,
    /// Keying material exported from the connection (RFC 5705).
    pub channel_binding: [u8; 32],
}

impl Circumstances {
    fn bytes(&self) -> Vec<u8> {
        [
            &self.holder.as_bytes()[..],
            self.new.as_bytes(),
            &self.channel_binding,
        ]
        .concat()
    }
}

/// Names a person on one connection to who knows them, and says nothing to anybody else.
pub fn tag(identity: &IdentityId, circumstances: &Circumstances) -> [u8; 32] {
    let key = hash::derive(NAME_CONTEXT, identity.as_bytes());
    *hash::keyed(&key, &circumstances.bytes()).as_bytes()
}

/// `"stead/recover/1 ask" || identity (32) || holder (32) || new (32) || binding (32) || sealing key (1216)`
fn statement(identity: &[u8; 32], circumstances: &Circumstances, kem: &KemPublic) -> Vec<u8> {
    [ASK, identity, &circumstances.bytes(), kem.as_bytes()].concat()
}

/// The root key's proof that the device at this end of the connection, with that sealing key, speaks for it.
pub fn sign(root: &RootKey, circumstances: &Circumstances, kem: &KemPublic) -> [u8; 64] {
    root.sign(&statement(&root.public(), circumstances, kem))
}

/// Whether the proof is by the root key of `identity`, for this connection and sealing key.
pub fn is_proven(
    identity: &IdentityId,
    circumstances: &Circumstances,
    kem: &KemPublic,
    proof: &[u8; 64],
) -> bool {
    let said = statement(identity.as_bytes(), circumstances, kem);
    verify(identity.as_bytes(), &said, proof).is_ok()
}

/// Everything said so far, in its order.
pub fn transcript(circumstances: &Circumstances, said: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Hasher::deriving("stead/recover/1 transcript");
    hasher.update(&circumstances.bytes());
    for message in said {
        hasher.update_sized(message);
    }
    hasher.finish_key()
}

/// Which answer a box holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// The list of spaces.
    List,
    /// The spaces themselves.
    Held,
}

impl Sealed {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::List => LIST_INFO,
            Self::Held => HELD_INFO,
        }
    }

    /// Seals an answer to the key of the knock, bound to all that was said before.
    pub fn seal(
        self,
        to: &KemPublic,
        transcript: &[u8; 32],
        text: &[u8],
    ) -> Result<Vec<u8>, BoxError> {
        seal_box::seal(to, self.info(), transcript, text, None, &mut OsEntropy)
    }

    /// Opens it.
    pub fn open(
        self,
        kem: &KemSecret,
        transcript: &[u8; 32],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        kem.open(self.info(), transcript, sealed, None)
    }
}

/// Why a sealed answer is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It does not open: made for another device, connection or moment, or changed.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// What is inside is not in form.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_crypt::{DeviceKeys, RecoveryPhrase};

    fn root(seed: u8) -> RootKey {
        RecoveryPhrase::from_entropy(&[seed; 32]).root()
    }

    fn circumstances() -> Circumstances {
        Circumstances {
            holder: DeviceId::from_bytes([1; 32]),
            new: DeviceId::from_bytes([2; 32]),
            channel_binding: [3; 32],
        }
    }

    #[test]
    fn a_proof_is_worth_nothing_on_another_connection_for_another_device_key_or_person() {
        let (root, other) = (root(7), root(8));
        let kem = DeviceKeys::from_seed(&[4; 32]).kem().public().clone();
        let their_kem = DeviceKeys::from_seed(&[5; 32]).kem().public().clone();
        let here = circumstances();
        let identity = IdentityId::from_bytes(root.public());
        let proof = sign(&root, &here, &kem);
        assert!(is_proven(&identity, &here, &kem, &proof));
        assert!(!is_proven(&identity, &here, &their_kem, &proof));
        assert!(!is_proven(
            &IdentityId::from_bytes(other.public()),
            &here,
            &kem,
            &proof
        ));
        let elsewhere = [
            Circumstances {
                holder: DeviceId::from_bytes([9; 32]),
                ..here
            },
            Circumstances {
                new: DeviceId::from_bytes([9; 32]),
                ..here
            },
            Circumstances {
                channel_binding: [9; 32],
                ..here
            },
            // Roles exchanged.
            Circumstances {
                holder: here.new,
                new: here.holder,
                ..here
            },
        ];
        for elsewhere in elsewhere {
            assert!(!is_proven(&identity, &elsewhere, &kem, &proof));
            assert_ne!(tag(&identity, &elsewhere), tag(&identity, &here));
        }
        assert!(!is_proven(
            &identity,
            &here,
            &kem,
            &sign(&other, &here, &kem)
        ));
    }

    #[test]
    fn an_answer_opens_only_for_its_moment_and_kind() {
        let keys = DeviceKeys::from_seed(&[4; 32]);
        let here = circumstances();
        let said = transcript(&here, &[b"knock"]);
        let sealed = Sealed::List
            .seal(keys.kem().public(), &said, b"text")
            .unwrap();
        assert_eq!(
            &*Sealed::List.open(keys.kem(), &said, &sealed).unwrap(),
            b"text"
        );
        assert!(Sealed::Held.open(keys.kem(), &said, &sealed).is_err());
        let later = transcript(&here, &[b"knock", b"more"]);
        assert!(Sealed::List.open(keys.kem(), &later, &sealed).is_err());
        let other = DeviceKeys::from_seed(&[5; 32]);
        assert!(Sealed::List.open(other.kem(), &said, &sealed).is_err());
    }
}
