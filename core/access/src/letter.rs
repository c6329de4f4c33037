//! Letters: something sealed to a member's devices that the roster carries and does not open.
//!
//! Owns the sealing and what a letter is bound to: the space, the addressee, and the entry that carries it, so
//! that nobody passes a letter off as their own by copying it. What letters say is the engine's affair.

use stead_base::{DeviceId, Entropy};
use stead_crypt::seal_box::{self, BoxError};
use stead_crypt::{KemSecret, Zeroizing};

use crate::key_box::recipient_hint;
use crate::{DeviceRecord, KeyBox, KeyPlace};

/// Most devices that one letter is sealed to.
pub const LETTER_BOXES_MAX: usize = 64;
/// Longest sealed text for one device, in bytes.
pub const LETTER_BYTES_MAX: usize = 8 << 10;

const INFO: &[u8] = b"stead/letter/1";

/// Seals a letter to one device, for the entry at `place`.
pub fn seal_letter(
    to: &DeviceRecord,
    place: &KeyPlace,
    text: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<KeyBox, BoxError> {
    let info = info(place, &to.id);
    Ok(KeyBox {
        recipient_hint: recipient_hint(&to.kem, &place.space),
        sealed: seal_box::seal(&to.kem, &info, b"", text, None, entropy)?,
    })
}

/// Opens a letter that was sealed to this device for the entry at `place`.
pub fn open_letter(
    kem: &KemSecret,
    own: &DeviceId,
    place: &KeyPlace,
    letter: &KeyBox,
) -> Result<Zeroizing<Vec<u8>>, BoxError> {
    kem.open(&info(place, own), b"", &letter.sealed, None)
}

/// `"stead/letter/1" || space (32) || recipient device (32) || author (32) || seq (8, big-endian)`
fn info(place: &KeyPlace, recipient: &DeviceId) -> Vec<u8> {
    let (author, seq) = &place.granted_at;
    [
        INFO,
        place.space.as_bytes(),
        recipient.as_bytes(),
        author.as_bytes(),
        &seq.to_be_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use stead_base::{SpaceId, WriterId};
    use stead_crypt::DeviceKeys;

    use super::*;
    use crate::Name;

    struct Same(u8);

    impl Entropy for Same {
        fn fill(&mut self, buf: &mut [u8]) {
            buf.fill(self.0);
        }
    }

    #[test]
    fn a_letter_opens_for_its_addressee_in_its_entry_and_nowhere_else() {
        let keys = DeviceKeys::from_seed(&[1; 32]);
        let other = DeviceKeys::from_seed(&[2; 32]);
        let to = DeviceRecord::of(&keys, Name::from_any("to"));
        let place = KeyPlace {
            space: SpaceId::from_bytes([3; 32]),
            granted_at: (WriterId::from_bytes([4; 32]), 5),
        };
        let letter = seal_letter(&to, &place, b"text", &mut Same(6)).unwrap();
        let open = |keys: &DeviceKeys, place: &KeyPlace| {
            open_letter(keys.kem(), &keys.id(), place, &letter).ok()
        };
        assert_eq!(&*open(&keys, &place).unwrap(), b"text");
        assert!(open(&other, &place).is_none());
        // Copied into another log, entry or space, as somebody would who claims to be its author.
        let (writer, seq) = place.granted_at;
        let copies = [
            KeyPlace {
                granted_at: (WriterId::from_bytes([9; 32]), seq),
                ..place
            },
            KeyPlace {
                granted_at: (writer, seq + 1),
                ..place
            },
            KeyPlace {
                space: SpaceId::from_bytes([9; 32]),
                ..place
            },
        ];
        assert!(copies.iter().all(|place| open(&keys, place).is_none()));
        assert!(letter.sealed.len() <= LETTER_BYTES_MAX);
    }
}
