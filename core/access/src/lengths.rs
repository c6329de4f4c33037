//! Lengths of logs: how much of which log a statement speaks of.
//!
//! Owns the map and its one encoding.

use std::collections::{BTreeMap, BTreeSet};

use stead_base::limits::LOG_LEN_MAX;
use stead_base::{DecodeError, DecodeFault, Decoder, Encoder, WriterId};

/// Most logs that one statement names.
pub const LENGTHS_MAX: usize = 4096;

/// Writers and how many entries of each are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lengths(BTreeMap<WriterId, u64>);

impl Lengths {
    /// Names no log.
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// The length named for `writer`; 0 if none is.
    pub fn of(&self, writer: &WriterId) -> u64 {
        self.0.get(writer).copied().unwrap_or(0)
    }

    /// Names a length; a longer one named before stays.
    pub fn raise(&mut self, writer: WriterId, len: u64) {
        let held = self.0.entry(writer).or_insert(len);
        *held = len.max(*held);
    }

    /// What is left when an entry is void as soon as `needed` of these put it beyond a log's
    /// length: the `needed`th shortest length of each log. 1 gives the shortest, as many as there
    /// are the longest.
    pub(crate) fn agreed(all: &[&Self], needed: usize) -> Self {
        let logs: BTreeSet<&WriterId> = all.iter().flat_map(|lengths| lengths.0.keys()).collect();
        let agreed = |writer: &WriterId| {
            let mut lens: Vec<u64> = all.iter().map(|lengths| lengths.of(writer)).collect();
            lens.sort_unstable();
            lens.get(needed.saturating_sub(1))
                .copied()
                .filter(|len| *len > 0)
        };
        let left = logs
            .into_iter()
            .filter_map(|log| Some((*log, agreed(log)?)));
        Self(left.collect())
    }

    /// The logs named, in order of their writers.
    pub fn iter(&self) -> impl Iterator<Item = (&WriterId, u64)> {
        self.0.iter().map(|(writer, len)| (writer, *len))
    }

    /// How many logs are named.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no log is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the lengths.
    pub fn encode(&self, out: &mut Encoder) {
        out.uint(self.0.len() as u64);
        for (writer, len) in &self.0 {
            out.raw(writer.as_bytes()).uint(*len);
        }
    }

    /// Reads lengths.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut lengths = BTreeMap::new();
        for _ in 0..input.count(LENGTHS_MAX, 33, "log lengths")? {
            let unsorted = input.error("log lengths", DecodeFault::NotCanonical);
            let writer = WriterId::from_bytes(input.array("log of a length")?);
            let len = input.uint_max(LOG_LEN_MAX, "log length")?;
            if lengths
                .last_key_value()
                .is_some_and(|(last, _)| *last >= writer)
            {
                return Err(unsorted);
            }
            lengths.insert(writer, len);
        }
        Ok(Self(lengths))
    }
}

impl FromIterator<(WriterId, u64)> for Lengths {
    fn from_iter<T: IntoIterator<Item = (WriterId, u64)>>(iter: T) -> Self {
        let mut lengths = Self::none();
        for (writer, len) in iter {
            lengths.raise(writer, len);
        }
        lengths
    }
}
