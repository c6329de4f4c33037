//! What devices say of where they are: packets of a member gone bad, who can sign and seal anything.

use crate::seeds::presence::{SPACE, author, head, key};
use stead_presence::{Head, Packet, Said, open, seal};

/// A packet whose first bytes are its own and whose rest is sealed here, so that what is inside is
/// reached too.
pub fn packet(data: &[u8]) -> bool {
    if let Ok(packet) = Packet::decode(data) {
        // Nobody but the author seals for this key; an opened one says the same when said again.
        if let Ok(said) = open(&key(), &SPACE, &packet) {
            let again = seal(&key(), &SPACE, &packet.head, &said, &author());
            assert_eq!(again.as_deref(), Ok(data));
            return true;
        }
    }
    let Ok(said) = Said::decode(author_id(), data) else {
        return false;
    };
    let sealed = match seal(&key(), &SPACE, &head(), &said, &author()) {
        Ok(sealed) => sealed,
        Err(error) => {
            assert!(error.bytes > stead_presence::PACKET_BYTES_MAX);
            return false;
        }
    };
    let packet = Packet::decode(&sealed).expect("what was sealed is a packet");
    let Head { seq, .. } = packet.head;
    assert_eq!(seq, head().seq);
    assert_eq!(open(&key(), &SPACE, &packet), Ok(said));
    true
}

fn author_id() -> stead_base::DeviceId {
    stead_base::DeviceId::from_bytes(author().public())
}
