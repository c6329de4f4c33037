//! Properties of shared secrets.

use super::*;
use proptest::prelude::*;

/// Random bytes that are the same in every run.
struct Seeded(Hasher);

impl Seeded {
    fn new(seed: u64) -> Self {
        Self(Hasher::keyed(&hash::derive(
            "stead/test/1",
            &seed.to_le_bytes(),
        )))
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(32) {
            let block = self.0.update(&[0]).finish();
            chunk.copy_from_slice(&block.as_bytes()[..chunk.len()]);
        }
    }
}

/// Any allowed threshold and count.
fn numbers() -> impl Strategy<Value = (usize, usize)> {
    (THRESHOLD_MIN..12).prop_flat_map(|threshold| (Just(threshold), threshold..14))
}

fn shares_of(secret: &[u8; 32], (threshold, count): (usize, usize), seed: u64) -> Vec<Share> {
    split(secret, threshold, count, &mut Seeded::new(seed)).unwrap()
}

/// The share with another value and all that its holder can make fit to it.
fn forged(share: &Share) -> Share {
    let mut forged = share.clone();
    forged.value[0] ^= 1;
    let own = commitment(forged.index, &forged.value, &forged.blind);
    forged.commitments[usize::from(share.index) - 1] = own;
    forged.set = set_id(forged.threshold, &forged.commitments);
    Share::decode(&forged.encode()).unwrap()
}

proptest! {
    #[test]
    fn any_k_shares_bring_the_secret_back(
        secret: [u8; 32], numbers in numbers(), seed: u64, order in any::<prop::sample::Index>()
    ) {
        let mut shares = shares_of(&secret, numbers, seed);
        shares.rotate_left(order.index(numbers.1));
        shares.truncate(numbers.0);
        prop_assert_eq!(*combine(None, &shares).unwrap(), secret);
        shares.push(shares[0].clone());
        prop_assert_eq!(*combine(Some(&shares[0].set()), &shares).unwrap(), secret);
    }

    #[test]
    fn k_minus_one_shares_fit_every_secret(
        secret: [u8; 32], candidate: [u8; 32], numbers in numbers(), seed: u64
    ) {
        let shares = shares_of(&secret, numbers, seed);
        let held = &shares[..numbers.0 - 1];
        prop_assert_eq!(
            combine(None, held).unwrap_err(),
            ShareError::TooFew { have: held.len(), need: numbers.0 }
        );
        // For any candidate there is one more share with which those held give the candidate.
        let mut points: Vec<_> = held.iter().map(|share| (share.index, &*share.value)).collect();
        points.push((0, &candidate));
        let missing = field::value_at(numbers.0 as u8, &points);
        points.pop();
        points.push((numbers.0 as u8, &missing));
        prop_assert_eq!(*field::value_at(0, &points), candidate);
    }

    #[test]
    fn a_wrong_share_is_named(
        secret: [u8; 32], seed: u64, at in 0usize..3, keep_commitments: bool
    ) {
        let mut shares = shares_of(&secret, (3, 5), seed);
        if keep_commitments {
            shares[at].value[0] ^= 1;
            let error = Share::decode(&shares[at].encode()).unwrap_err();
            prop_assert_eq!(error, ShareError::Wrong { index: at as u8 + 1 });
        } else {
            shares[at] = forged(&shares[at]);
            let error = combine(None, &shares).unwrap_err();
            prop_assert_eq!(error, ShareError::OtherSet { positions: vec![at] });
            shares.remove(at);
            prop_assert_eq!(*combine(None, &shares).unwrap(), secret);
        }
    }

    #[test]
    fn a_share_reads_back_and_an_altered_one_is_refused(
        secret: [u8; 32], numbers in numbers(), seed: u64, at: prop::sample::Index
    ) {
        let share = &shares_of(&secret, numbers, seed)[0];
        let mut bytes = share.encode();
        prop_assert!(bytes.len() <= SHARE_BYTES_MAX);
        let read = Share::decode(&bytes).unwrap();
        prop_assert_eq!(&read.encode()[..], &bytes[..]);
        prop_assert_eq!((read.set(), read.index()), (share.set(), share.index()));
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(matches!(Share::decode(&bytes), Err(ShareError::Damaged(_))));
    }

    #[test]
    fn garbage_is_refused(mut bytes: Vec<u8>) {
        prop_assert!(matches!(Share::decode(&bytes), Err(ShareError::Damaged(_))));
        bytes.splice(0..0, *MAGIC);
        prop_assert!(matches!(Share::decode(&bytes), Err(ShareError::Damaged(_))));
    }
}

#[test]
fn shares_of_two_sharings_of_one_secret_do_not_mix() {
    let (old, new) = (
        shares_of(&[1; 32], (2, 3), 1),
        shares_of(&[1; 32], (2, 3), 2),
    );
    let mixed = [old[0].clone(), new[1].clone(), new[2].clone()];
    let named = |set: Option<&SetId>| match combine(set, &mixed) {
        Err(ShareError::OtherSet { positions }) => positions,
        other => panic!("{other:?}"),
    };
    assert_eq!(named(None), [0]);
    assert_eq!(named(Some(&old[0].set())), [1, 2]);
    let tie = [old[0].clone(), new[1].clone()];
    assert_eq!(
        combine(None, &tie).unwrap_err(),
        ShareError::OtherSet { positions: vec![1] }
    );
}

#[test]
fn numbers_at_the_limits_work_and_beyond_are_refused() {
    let mut entropy = Seeded::new(1);
    let mut made = |threshold, count| split(&[1; 32], threshold, count, &mut entropy);
    let largest = made(SHARES_MAX, SHARES_MAX).unwrap();
    assert_eq!(largest[0].encode().len(), SHARE_BYTES_MAX);
    assert_eq!(*combine(None, &largest).unwrap(), [1; 32]);
    assert!(made(THRESHOLD_MIN, THRESHOLD_MIN).is_ok());
    for (threshold, count) in [(2, SHARES_MAX + 1), (1, 3), (0, 3), (3, 2)] {
        assert_eq!(
            made(threshold, count).unwrap_err(),
            ShareError::BadNumbers { threshold, count }
        );
    }
    assert!(matches!(
        combine(None, &[]),
        Err(ShareError::TooFew { have: 0, .. })
    ));
}

#[test]
fn debug_output_shows_no_secret() {
    let share = &shares_of(&[1; 32], (2, 3), 1)[0];
    assert!(format!("{share:?}").len() < 40);
}

#[test]
fn guardians_bring_the_recovery_phrase_back() {
    let phrase = crate::RecoveryPhrase::from_entropy(&[7; 32]);
    let shares = shares_of(phrase.expose_entropy(), (3, 5), 1);
    let sent: Vec<_> = shares[1..4].iter().map(Share::encode).collect();
    let read: Vec<_> = sent
        .iter()
        .map(|bytes| Share::decode(bytes).unwrap())
        .collect();
    let back = crate::RecoveryPhrase::from_entropy(&combine(None, &read).unwrap());
    assert_eq!(*back.text(), *phrase.text());
    assert_eq!(back.root().public(), phrase.root().public());
}
