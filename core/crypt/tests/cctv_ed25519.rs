//! `verify` against C2SP CCTV's edge cases of Ed25519: it must refuse every case that some other
//! verifier might accept, so that replicas can never disagree.

use stead_crypt::verify;

/// What strict, cofactorless verification of canonical encodings refuses. Components of low order
/// that cancel out (`low_order_component_*` alone) are no reason: the equation holds exactly.
const REFUSED: [&str; 6] = [
    "low_order_A",
    "low_order_R",
    "low_order_residue",
    "non_canonical_A",
    "non_canonical_R",
    "reencoded_k",
];

#[test]
fn every_ambiguous_signature_is_refused_and_every_sound_one_accepted() {
    let (mut accepted, mut refused) = (0, 0);
    for (number, line) in include_str!("../vectors/cctv-ed25519.txt")
        .lines()
        .enumerate()
    {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap();
        let key: [u8; 32] = hex(next()).try_into().unwrap();
        let signature: [u8; 64] = hex(next()).try_into().unwrap();
        let message = hex(next());
        let flags = next();
        let sound = !flags.split(',').any(|flag| REFUSED.contains(&flag));
        let verified = verify(&key, &message, &signature).is_ok();
        assert_eq!(verified, sound, "case {number}: {flags}");
        if sound { accepted += 1 } else { refused += 1 }
    }
    assert_eq!((accepted, refused), (43, 871));
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}
