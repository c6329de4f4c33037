//! CPace's arithmetic against the draft's vectors for ristretto255 and SHA-512.

use super::*;
use crate::pake::tests::vector;

fn array(bytes: Vec<u8>) -> [u8; 32] {
    bytes.try_into().unwrap()
}

fn scalar(bytes: Vec<u8>) -> Scalar {
    Scalar::from_canonical_bytes(array(bytes)).unwrap()
}

#[test]
fn the_generator_is_that_of_the_draft() {
    let v = vector();
    let text = generator_string(&v("PRS"), &v("CI"), &v("sid"));
    assert_eq!(*text, v("generator_string"));
    assert_eq!(hash(&[&text])[..], v("hash_result"));
    let generator = generator(&v("PRS"), &v("CI"), &v("sid"));
    assert_eq!(generator.compress().to_bytes()[..], v("g"));
}

#[test]
fn both_sides_come_to_the_session_key_of_the_draft() {
    let v = vector();
    let generator = generator(&v("PRS"), &v("CI"), &v("sid"));
    let a = Secret::with(scalar(v("ya")), &generator);
    let b = Secret::with(scalar(v("yb")), &generator);
    assert_eq!((&a.share[..], &b.share[..]), (&v("Ya")[..], &v("Yb")[..]));
    assert_eq!(a.shared_point(b.share).unwrap()[..], v("K"));
    assert_eq!(b.shared_point(a.share).unwrap()[..], v("K"));
    let parts = [
        lv_cat(&[&a.share, &v("ADa")]),
        lv_cat(&[&b.share, &v("ADb")]),
    ];
    for (secret, theirs) in [(&a, b.share), (&b, a.share)] {
        let isk = secret.session_key(&v("sid"), theirs, &parts[0], &parts[1]);
        assert_eq!(isk.unwrap()[..], v("ISK_IR"));
    }
}

#[test]
fn lengths_are_written_as_in_the_draft() {
    let cat = lv_cat(&[b"1234", b"5", b"", b"678"]);
    assert_eq!(cat, b"\x041234\x015\x00\x03678");
    let long: Vec<u8> = (0..128).collect();
    assert_eq!(lv_cat(&[&long])[..4], [0x80, 0x01, 0x00, 0x01]);
}

#[test]
fn products_with_invalid_and_neutral_elements_are_refused() {
    let v = vector();
    let secret = Secret::with(scalar(v("valid_s")), &RistrettoPoint::identity());
    let product = |name| secret.shared_point(array(v(name)));
    assert_eq!(product("valid_X").unwrap()[..], v("valid_product"));
    assert_eq!(product("invalid_Y1"), None);
    assert_eq!(product("invalid_Y2"), None);
}

#[test]
fn a_code_of_any_length_has_a_generator() {
    for len in [0, 1, 107, 108, 109, 127, 128, 1000] {
        let text = generator_string(&vec![b'x'; len], b"ci", b"sid");
        let head = sized_len(DSI) + sized_len(&vec![b'x'; len]);
        assert!(text.len() >= head + 1 + 3 + 4, "{len}");
        assert_eq!(text[head], BLOCK_BYTES.saturating_sub(head + 1) as u8);
    }
}
