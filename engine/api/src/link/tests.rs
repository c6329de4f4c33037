//! Properties of links.

use super::*;
use proptest::prelude::*;

fn any_link() -> impl Strategy<Value = Link> {
    (
        any::<([u8; 32], [u8; 32])>(),
        any::<[u8; 32]>(),
        any::<u64>(),
        proptest::collection::vec(any::<(IpAddr, u16)>(), 0..=ADDRESSES_MAX),
        proptest::option::of("[a-z0-9:/.]{1,200}"),
    )
        .prop_map(
            |((device, key_hash), secret, expires_ms, addresses, relay)| Link {
                device,
                key_hash,
                secret: LinkSecret(secret),
                expires_ms,
                addresses: addresses
                    .into_iter()
                    .map(|(ip, port)| SocketAddr::new(ip, port))
                    .collect(),
                relay,
            },
        )
}

fn example() -> Link {
    Link {
        device: [7; 32],
        key_hash: [8; 32],
        secret: LinkSecret([9; 32]),
        expires_ms: 1_800_000_000_000,
        addresses: vec!["192.0.2.1:4711".parse().unwrap()],
        relay: None,
    }
}

proptest! {
    #[test]
    fn every_link_reads_back_from_its_text_in_either_case(link in any_link()) {
        prop_assert_eq!(link.to_string().parse(), Ok(link.clone()));
        prop_assert_eq!(link.to_qr_text().parse(), Ok(link));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(stead-link:)?[0-9a-zA-Z ]{0,400}") {
        let _ = text.parse::<Link>();
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        let sum = crc32(&bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        if let Ok(link) = Link::from_bytes(&bytes) {
            prop_assert_eq!(link.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_mistyped_character_is_noticed(at in 11usize..220, to in 0usize..32) {
        let text = example().to_string();
        let mut typed = text.clone().into_bytes();
        let at = at.min(typed.len() - 1);
        typed[at] = ALPHABET[to];
        let typed = String::from_utf8(typed).unwrap();
        if typed != text {
            prop_assert!(typed.parse::<Link>().is_err());
        }
    }
}

#[test]
fn a_link_broken_over_lines_still_reads() {
    let text = example().to_string();
    let (a, b) = text.split_at(60);
    assert_eq!(format!("  {a}\n   {b} \n").parse(), Ok(example()));
}

#[test]
fn a_link_at_its_limits_fits_its_text_and_one_beyond_is_refused() {
    let mut link = example();
    link.addresses = vec!["[2001:db8::1]:65535".parse().unwrap(); ADDRESSES_MAX];
    link.relay = Some("r".repeat(RELAY_BYTES_MAX));
    assert_eq!(link.to_string().parse(), Ok(link.clone()));

    let mut more = link.clone();
    more.addresses.push("192.0.2.1:1".parse().unwrap());
    more.relay = Some("r".repeat(RELAY_BYTES_MAX + 1));
    link.relay = None;
    assert_eq!(more.to_string().parse(), Ok(link));

    assert_eq!(
        format!("{PREFIX}{}", "0".repeat(TEXT_BYTES_MAX)).parse::<Link>(),
        Err(LinkFault::TooLong.of(LinkKind::Device))
    );
}

#[test]
fn what_is_no_link_is_told_apart() {
    assert_eq!(
        "https://example.org".parse::<Link>(),
        Err(LinkFault::Prefix.of(LinkKind::Device))
    );
    assert_eq!(
        "".parse::<Link>(),
        Err(LinkFault::Prefix.of(LinkKind::Device))
    );
    assert_eq!(
        "stead-link:ab!c".parse::<Link>(),
        Err(LinkFault::Character { character: '!' }.of(LinkKind::Device))
    );
    let text = example().to_string();
    assert_eq!(
        text[..90].parse::<Link>(),
        Err(LinkFault::Damaged.of(LinkKind::Device))
    );
    let mut bytes = example().to_bytes();
    bytes.truncate(bytes.len() - 4);
    bytes[0] = VERSION + 1;
    let sum = crc32(&bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    assert_eq!(
        Link::from_bytes(&bytes),
        Err(LinkFault::Version {
            version: VERSION + 1
        })
    );
}

#[test]
fn expiry_is_the_first_moment_a_link_is_worthless() {
    let link = example();
    assert!(!link.has_expired(link.expires_ms - 1));
    assert!(link.has_expired(link.expires_ms));
}

#[test]
fn the_secret_does_not_show_in_debug_output() {
    assert!(format!("{:?}", example()).contains("LinkSecret(..)"));
}

#[test]
fn the_checksum_is_the_usual_crc32() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}
