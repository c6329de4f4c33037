//! Properties of the messages.

use super::*;
use stead_crypt::DeviceKeys;

fn request(seed: u8) -> Request {
    let keys = DeviceKeys::from_seed(&[seed; 32]);
    Request {
        device: DeviceRecord::of(&keys, Name::from_any(&"n".repeat(NAME_BYTES_MAX))),
        reply_key: Zeroizing::new([5; 32]),
    }
}

#[test]
fn a_request_reads_back_and_nothing_may_follow_it() {
    let request = request(1);
    let bytes = request.encode();
    assert!(bytes.len() <= REQUEST_BYTES_MAX);
    assert_eq!(Request::decode(&bytes), Ok(request));
    assert!(Request::decode(&[&bytes[..], &[0]].concat()).is_err());
    for cut in 0..bytes.len() {
        assert!(Request::decode(&bytes[..cut]).is_err());
    }
}

#[test]
fn a_knock_reads_back_with_and_without_a_tag() {
    for tag in [None, Some([9; 32])] {
        let knock = Knock { tag };
        let bytes = knock.encode();
        assert!(bytes.len() <= KNOCK_BYTES_MAX);
        assert_eq!(Knock::decode(&bytes), Ok(knock));
        assert!(Knock::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
    assert!(Knock::decode(&[]).is_err());
    assert!(Knock::decode(&[VERSION + 1]).is_err());
    assert!(Knock::decode(&[VERSION; 32]).is_err());
}

#[test]
fn replies_read_back_and_long_refusals_are_cut() {
    let refused = Reply::refused(Reason::Used, "ä".repeat(REFUSAL_BYTES_MAX));
    match Reply::decode(&refused.encode()).unwrap() {
        Reply::Refused {
            reason: Reason::Used,
            text,
        } => assert_eq!(text.len(), REFUSAL_BYTES_MAX),
        other => panic!("{other:?}"),
    }
    for reason in Reason::ALL {
        let refused = Reply::refused(reason, "why");
        assert_eq!(Reply::decode(&refused.encode()), Ok(refused));
    }
    let go = Reply::Go(vec![1, 2, 3]);
    assert_eq!(Reply::decode(&go.encode()), Ok(go));
    assert!(Reply::decode(&[9, 0]).is_err());
    assert!(Reply::decode(&[]).is_err());
}

#[test]
fn a_refusal_cannot_draw_on_a_terminal() {
    let refused = Reply::refused(Reason::Declined, "no\x1b[2J");
    let Ok(Reply::Refused { text, .. }) = Reply::decode(&refused.encode()) else {
        panic!("a refusal");
    };
    assert!(!text.contains('\x1b'));
}

#[test]
fn a_welcome_without_a_home_is_refused() {
    let welcome = Welcome {
        device_name: Name::from_any("tower"),
        tickets: Vec::new(),
    };
    assert!(Welcome::decode(&welcome.encode()).is_err());
}

#[test]
fn hostile_bytes_never_panic_and_what_is_accepted_has_one_encoding() {
    let mut ticket = Encoder::new();
    ticket.raw(&[1; 32]).text("home").raw(&[2; 32]).uint(1);
    ticket.uint(0).uint(0).raw(&[3; 32]);
    let welcome = [&[5][..], b"tower", &[1], ticket.as_slice()].concat();
    assert!(Welcome::decode(&welcome).is_ok());
    let valid = [
        Knock { tag: Some([9; 32]) }.encode(),
        Reply::refused(Reason::Expired, "over").encode(),
        request(1).encode().to_vec(),
        welcome,
    ];
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % n.max(1)
    };
    for round in 0..20_000 {
        let mut bytes = valid[round % valid.len()].clone();
        for _ in 0..1 + below(3) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, [0, 0x7f, 0x80, 0xff][below(4)]),
                _ if at < bytes.len() => bytes[at] ^= 1 << below(8),
                _ => bytes.push(0),
            }
        }
        if let Ok(knock) = Knock::decode(&bytes) {
            assert_eq!(knock.encode(), bytes);
        }
        if let Ok(request) = Request::decode(&bytes) {
            assert_eq!(*request.encode(), bytes);
        }
        let _ = Reply::decode(&bytes);
        let _ = Welcome::decode(&bytes);
        let _ = decode_nonce(&bytes);
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let shown = format!("{:?}", request(1));
    assert!(!shown.contains("5, 5"), "{shown}");
}
