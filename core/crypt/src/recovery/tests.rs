//! Properties of the recovery phrase and of the root key behind it.

use super::*;
use proptest::prelude::*;

/// The published phrase of 256 zero bits.
const ZEROS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                     abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                     abandon abandon abandon abandon abandon art";

proptest! {
    #[test]
    fn a_phrase_reads_back_however_it_is_typed(bytes: [u8; 32], style in 0..4) {
        let phrase = RecoveryPhrase::from_entropy(&bytes);
        let words: Vec<_> = phrase.words().collect();
        let typed = match style {
            0 => phrase.text().to_string(),
            1 => words.join("\n\t ").to_uppercase(),
            2 => words.iter().map(|word| word.get(..4).unwrap_or(word)).collect::<Vec<_>>().join("  "),
            _ => words.iter().enumerate().map(|(i, word)| format!("{}. {word},", i + 1)).collect(),
        };
        let read = RecoveryPhrase::parse(&typed).unwrap();
        prop_assert_eq!(read.expose_entropy(), &bytes);
    }

    #[test]
    fn a_wrong_word_is_named_with_its_place(bytes: [u8; 32], at in 0usize..24) {
        let phrase = RecoveryPhrase::from_entropy(&bytes);
        let mut words: Vec<_> = phrase.words().collect();
        words[at] = "brigde";
        let error = RecoveryPhrase::parse(&words.join(" ")).unwrap_err();
        let PhraseError::WrongWord { position, found, nearest } = error else {
            panic!("{error}");
        };
        prop_assert_eq!((position, &found[..], nearest[0]), (at + 1, "brigde", "bridge"));
    }

    #[test]
    fn any_text_is_parsed_without_a_panic(text: String) {
        let _ = RecoveryPhrase::parse(&text);
    }
}

#[test]
fn words_that_do_not_belong_together_are_told_apart_from_a_wrong_count() {
    let error = |text: &str| RecoveryPhrase::parse(text).unwrap_err();
    assert_eq!(
        error(&ZEROS.replace("art", "zoo")),
        PhraseError::BadChecksum
    );
    assert_eq!(
        error(&ZEROS.replace(" art", "")),
        PhraseError::WrongCount { found: 23 }
    );
    assert_eq!(
        error(&format!("{ZEROS} art")),
        PhraseError::WrongCount { found: 25 }
    );
    assert_eq!(error(""), PhraseError::WrongCount { found: 0 });
}

#[test]
fn two_words_swapped_are_noticed_nearly_always() {
    let noticed = (0..=255u8)
        .filter(|seed| {
            let phrase = RecoveryPhrase::from_entropy(&hash::derive("stead/test/1", &[*seed]));
            let mut words: Vec<_> = phrase.words().collect();
            words.swap(3, 17);
            RecoveryPhrase::parse(&words.join(" ")).is_err()
        })
        .count();
    assert!(
        noticed >= 250,
        "{noticed} of 256 (one in 256 slips through)"
    );
}

#[test]
fn a_text_at_the_limit_is_read_and_one_above_is_refused() {
    let padded = |len: usize| format!("{ZEROS:len$}");
    assert!(RecoveryPhrase::parse(&padded(PHRASE_BYTES_MAX)).is_ok());
    assert_eq!(
        RecoveryPhrase::parse(&padded(PHRASE_BYTES_MAX + 1)).unwrap_err(),
        PhraseError::TooLong {
            len: PHRASE_BYTES_MAX + 1
        }
    );
}

#[test]
fn an_error_is_one_plain_sentence() {
    let error = RecoveryPhrase::parse(&ZEROS.replacen("abandon", "abadnon", 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "word 1 of the recovery phrase, \"abadnon\", is not one of its words (perhaps abandon)"
    );
    assert_eq!(format!("{error:?}"), "WrongWord { position: 1 }");
}

#[test]
fn a_phrase_always_gives_the_same_root_and_another_gives_another() {
    let root = |byte| RecoveryPhrase::from_entropy(&[byte; 32]).root();
    let (one, again, other) = (root(1), root(1), root(2));
    assert_eq!(one.public(), again.public());
    assert_eq!(one.kem().public(), again.kem().public());
    assert_eq!(one.wrap(), again.wrap());
    assert_ne!(one.public(), other.public());
    assert_ne!(one.kem().public(), other.kem().public());
    assert_ne!(one.wrap(), other.wrap());
}

#[test]
fn a_root_signature_verifies_under_the_identity() {
    let root = RecoveryPhrase::from_entropy(&[1; 32]).root();
    let signature = root.sign(b"message");
    assert_eq!(
        crate::verify(&root.public(), b"message", &signature),
        Ok(())
    );
    assert!(crate::verify(&root.public(), b"another", &signature).is_err());
}

#[test]
fn a_fresh_phrase_takes_all_its_bits_from_the_source() {
    struct Counting(u8);
    impl Entropy for Counting {
        fn fill(&mut self, buf: &mut [u8]) {
            for byte in buf {
                *byte = self.0;
                self.0 += 1;
            }
        }
    }
    let phrase = RecoveryPhrase::generate(&mut Counting(0));
    assert_eq!(
        phrase.expose_entropy(),
        &std::array::from_fn::<u8, 32, _>(|i| i as u8)
    );
}

#[test]
fn debug_output_shows_no_secret() {
    let phrase = RecoveryPhrase::from_entropy(&[1; 32]);
    assert_eq!(format!("{phrase:?}"), "RecoveryPhrase(..)");
    assert!(format!("{:?}", phrase.root()).len() < 40);
}
