//! HPKE against its published vectors: the suite in use (X-Wing) byte for byte through
//! `seal_box`, and RFC 9180's own for the modes, the sequence of messages and the exporter.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256, XWing};
use hpke::{Deserializable, OpModeR, PskBundle, Serializable, setup_receiver};
use serde_json::Value;
use stead_base::Entropy;
use stead_crypt::{KemPublic, KemSecret, seal_box};

#[test]
fn a_box_is_made_and_opened_as_the_published_vector_says() {
    for vector in vectors(include_str!("../vectors/hpke-xwing.json")) {
        let seed: [u8; 32] = bytes(&vector["ikmR"]).try_into().unwrap();
        let secret = KemSecret::from_seed(&seed);
        assert_eq!(secret.public().as_bytes()[..], bytes(&vector["pkRm"]));

        let first = &vector["encryptions"][0];
        let (info, aad, text) = (
            bytes(&vector["info"]),
            bytes(&first["aad"]),
            bytes(&first["pt"]),
        );
        let expected = [bytes(&vector["enc"]), bytes(&first["ct"])].concat();
        let to = KemPublic::from_bytes(&bytes(&vector["pkRm"])).unwrap();
        let mut script = Script(bytes(&vector["ikmE"]));
        let sealed = seal_box::seal(&to, &info, &aad, &text, None, &mut script).unwrap();
        assert_eq!(sealed, expected);
        assert_eq!(script.0, b"", "all of the vector's randomness is used");
        assert_eq!(secret.open(&info, &aad, &sealed, None).unwrap()[..], text);
    }
}

#[test]
fn sequences_and_exports_follow_the_published_vectors() {
    let (mut count, mut modes) = (0, 0);
    for vector in vectors(include_str!("../vectors/hpke-xwing.json")) {
        count += follows::<XWing>(&vector);
    }
    for vector in vectors(include_str!("../vectors/rfc9180-x25519.json")) {
        modes += vector["mode"].as_u64().unwrap() + 1;
        count += follows::<X25519HkdfSha256>(&vector);
    }
    assert_eq!(
        (count, modes),
        (30, 3),
        "base and PSK mode, ten messages each"
    );
}

fn follows<K: Kem>(vector: &Value) -> usize {
    let (secret, public) = K::derive_keypair(&bytes(&vector["ikmR"]));
    assert_eq!(public.to_bytes()[..], bytes(&vector["pkRm"]));
    let encapsulated = K::EncappedKey::from_bytes(&bytes(&vector["enc"]))
        .ok()
        .unwrap();
    let (psk, psk_id) = (bytes(&vector["psk"]), bytes(&vector["psk_id"]));
    let mode = match vector["mode"].as_u64() {
        Some(0) => OpModeR::<K>::Base,
        _ => OpModeR::Psk(PskBundle::new(&psk, &psk_id).unwrap()),
    };
    let info = bytes(&vector["info"]);
    let mut context =
        setup_receiver::<ChaCha20Poly1305, HkdfSha256, K>(&mode, &secret, &encapsulated, &info)
            .unwrap();
    let messages = vector["encryptions"].as_array().unwrap();
    for message in messages {
        let opened = context.open(&bytes(&message["ct"]), &bytes(&message["aad"]));
        assert_eq!(opened.unwrap(), bytes(&message["pt"]));
    }
    for export in vector["exports"].as_array().unwrap() {
        let mut out = vec![0; export["L"].as_u64().unwrap() as usize];
        context
            .export(&bytes(&export["exporter_context"]), &mut out)
            .unwrap();
        assert_eq!(out, bytes(&export["exported_value"]));
    }
    messages.len()
}

/// Randomness that was written down beforehand.
struct Script(Vec<u8>);

impl Entropy for Script {
    fn fill(&mut self, buf: &mut [u8]) {
        let rest = self.0.split_off(buf.len());
        buf.copy_from_slice(&self.0);
        self.0 = rest;
    }
}

fn vectors(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

/// The bytes of a hexadecimal field; none for a field that is not there.
fn bytes(field: &Value) -> Vec<u8> {
    let text = field.as_str().unwrap_or_default();
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}
