//! The recovery phrase against BIP 39's published vectors (those of 24 English words).

use stead_crypt::RecoveryPhrase;

#[test]
fn phrases_are_made_and_read_as_the_published_vectors_say() {
    let vectors = include_str!("../vectors/bip39-english-24.txt");
    for line in vectors.lines() {
        let (entropy, words) = line.split_once(' ').unwrap();
        let entropy: [u8; 32] =
            std::array::from_fn(|i| u8::from_str_radix(&entropy[2 * i..2 * i + 2], 16).unwrap());
        assert_eq!(*RecoveryPhrase::from_entropy(&entropy).text(), words);
        let read = RecoveryPhrase::parse(words).unwrap();
        assert_eq!(read.expose_entropy(), &entropy);
    }
    assert_eq!(vectors.lines().count(), 8);
}
