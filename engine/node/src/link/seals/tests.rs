//! What is bound to what: every change of circumstances leaves a message worthless.

use super::*;
use stead_access::Name;
use stead_base::{Decoder, Encoder};
use stead_crypt::DeviceKeys;
use stead_replica::SpaceTicket;

const SECRET: [u8; 32] = [7; 32];

fn id(seed: u8) -> DeviceId {
    DeviceId::from_bytes([seed; 32])
}

fn circumstances() -> Circumstances {
    Circumstances {
        old: id(9),
        new: DeviceKeys::from_seed(&[1; 32]).id(),
        channel_binding: [4; 32],
    }
}

/// The same with one thing changed, one each: the connection, the old device, the new one, and who is who.
fn others() -> [Circumstances; 4] {
    let right = circumstances();
    [
        Circumstances {
            channel_binding: [5; 32],
            ..right
        },
        Circumstances {
            old: id(8),
            ..right
        },
        Circumstances {
            new: id(8),
            ..right
        },
        Circumstances {
            old: right.new,
            new: right.old,
            ..right
        },
    ]
}

fn request() -> (DeviceKeys, Request) {
    let keys = DeviceKeys::from_seed(&[1; 32]);
    let device = DeviceRecord::of(&keys, Name::from_any("phone"));
    let reply_key = Zeroizing::new([3; 32]);
    (keys, Request { device, reply_key })
}

fn welcome() -> Welcome {
    let mut ticket = Encoder::new();
    ticket.raw(&[1; 32]).text("home").raw(&[2; 32]).uint(0);
    let mut ticket = Decoder::new(ticket.as_slice());
    Welcome {
        device_name: Name::from_any("tower"),
        tickets: vec![SpaceTicket::decode(&mut ticket).unwrap()],
    }
}

#[test]
fn a_tag_is_worth_nothing_for_another_secret_connection_device_or_role() {
    let right = tag(&SECRET, &circumstances());
    assert_ne!(right, tag(&[8; 32], &circumstances()));
    for other in others() {
        assert_ne!(right, tag(&SECRET, &other), "{other:?}");
    }
}

#[test]
fn a_request_opens_only_with_this_links_key_and_secret_and_on_this_connection() {
    let (_, request) = request();
    let key = KemSecret::from_seed(&[6; 32]);
    let sealed = seal_request(&SECRET, &circumstances(), key.public(), &request).unwrap();
    assert_eq!(
        open_request(&SECRET, &circumstances(), &key, &sealed).unwrap(),
        request
    );
    assert!(open_request(&[8; 32], &circumstances(), &key, &sealed).is_err());
    let elsewhere = KemSecret::from_seed(&[5; 32]);
    assert!(open_request(&SECRET, &circumstances(), &elsewhere, &sealed).is_err());
    for other in others() {
        assert!(open_request(&SECRET, &other, &key, &sealed).is_err());
    }
}

#[test]
fn a_welcome_opens_only_with_the_secret_of_the_link() {
    let (keys, request) = request();
    let transcript = transcript(&circumstances(), keys.kem().public(), b"request");
    let sealed = seal_welcome(&SECRET, &transcript, &request, &welcome()).unwrap();
    let open = |secret: &[u8; 32], transcript: &Hash, reply_key: &[u8; 32]| {
        open_welcome(secret, transcript, reply_key, keys.kem(), &sealed)
    };
    assert_eq!(
        open(&SECRET, &transcript, &request.reply_key).unwrap(),
        welcome()
    );
    assert!(open(&[8; 32], &transcript, &request.reply_key).is_err());
    // The key of the request is needed too: whoever gets the long-lived keys later opens nothing.
    assert!(open(&SECRET, &transcript, &[0; 32]).is_err());
    let other = Hash::from_bytes([0; 32]);
    assert!(open(&SECRET, &other, &request.reply_key).is_err());
}

#[test]
fn everything_that_was_said_is_in_the_transcript() {
    let (keys, _) = request();
    let key = keys.kem().public();
    let right = transcript(&circumstances(), key, b"request");
    for other in others() {
        assert_ne!(right, transcript(&other, key, b"request"));
    }
    let another = KemSecret::from_seed(&[6; 32]);
    assert_ne!(
        right,
        transcript(&circumstances(), another.public(), b"request")
    );
    assert_ne!(right, transcript(&circumstances(), key, b"requess"));
}

#[test]
fn equal_bytes_are_the_same_and_others_are_not() {
    assert!(same(b"abc", b"abc"));
    assert!(!same(b"abc", b"abd"));
    assert!(!same(b"abc", b"abcd"));
}
