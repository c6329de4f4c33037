//! Remembers what calls with an idempotency key were answered, so that a call repeated because its
//! answer got lost changes nothing twice.
//!
//! Kept in memory, for the last calls only: a key means nothing after the node was started again.

use std::collections::{BTreeMap, VecDeque};

use stead_api::Commit;
use stead_base::{Hash, SpaceId};

/// Most answers remembered.
pub(crate) const ANSWERS_MAX: usize = 4096;

type Key = (SpaceId, String);

/// The answers.
#[derive(Debug, Default)]
pub(crate) struct Idempotency {
    answers: BTreeMap<Key, (Hash, Commit)>,
    order: VecDeque<Key>,
}

/// What is known of a key.
#[derive(Debug, PartialEq)]
pub(crate) enum Known {
    /// Nothing.
    New,
    /// This was answered to the same call.
    Answered(Commit),
    /// Another call had the key.
    Reused,
}

impl Idempotency {
    /// Looks a key up; `what` is a hash of the call.
    pub(crate) fn find(&self, space: SpaceId, key: &str, what: Hash) -> Known {
        match self.answers.get(&(space, key.to_owned())) {
            None => Known::New,
            Some((of, _)) if *of != what => Known::Reused,
            Some((_, commit)) => Known::Answered(Commit {
                repeated: true,
                ..commit.clone()
            }),
        }
    }

    /// Remembers an answer; the oldest one is forgotten when there are too many.
    pub(crate) fn remember(&mut self, space: SpaceId, key: &str, what: Hash, commit: Commit) {
        let key = (space, key.to_owned());
        if self.answers.insert(key.clone(), (what, commit)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > ANSWERS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_call_gets_the_first_answer_and_another_call_is_told() {
        let space = SpaceId::from_bytes([1; 32]);
        let (one, two) = (Hash::from_bytes([1; 32]), Hash::from_bytes([2; 32]));
        let mut known = Idempotency::default();
        assert_eq!(known.find(space, "k", one), Known::New);
        let commit = Commit {
            entry: Some(3),
            ..Commit::default()
        };
        known.remember(space, "k", one, commit.clone());
        let repeated = Commit {
            repeated: true,
            ..commit
        };
        assert_eq!(known.find(space, "k", one), Known::Answered(repeated));
        assert_eq!(known.find(space, "k", two), Known::Reused);
        assert_eq!(
            known.find(SpaceId::from_bytes([2; 32]), "k", one),
            Known::New
        );
    }

    #[test]
    fn only_the_last_answers_are_remembered() {
        let space = SpaceId::from_bytes([1; 32]);
        let what = Hash::from_bytes([1; 32]);
        let mut known = Idempotency::default();
        for n in 0..=ANSWERS_MAX {
            known.remember(space, &n.to_string(), what, Commit::default());
        }
        assert_eq!(known.find(space, "0", what), Known::New);
        assert!(matches!(known.find(space, "1", what), Known::Answered(_)));
        assert_eq!(known.answers.len(), ANSWERS_MAX);
    }
}
