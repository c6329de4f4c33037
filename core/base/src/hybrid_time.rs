//! Hybrid logical time (Kulkarni et al. 2014): wall-clock milliseconds with a counter, so that
//! an effect is always later than its cause. The wall clock is an argument, never read here.

use std::fmt;

use crate::WriterId;

/// How far ahead of the local clock a remote time may be before its entry is held back.
pub const FUTURE_TOLERANCE_MS: u64 = 5 * 60 * 1000;

const COUNTER_BITS: u32 = 16;

/// A hybrid time: 48 bits of Unix milliseconds, 16 bits of counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(u64);

impl Hlc {
    /// The time before all others.
    pub const ZERO: Self = Self(0);

    /// Joins milliseconds (the low 48 bits are kept) and a counter.
    pub const fn new(ms: u64, counter: u16) -> Self {
        Self(ms << COUNTER_BITS | counter as u64)
    }

    /// Reads the packed form.
    pub const fn from_u64(packed: u64) -> Self {
        Self(packed)
    }

    /// The packed form: orders like the time itself.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// Unix milliseconds.
    pub const fn ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Position among times of the same millisecond.
    pub const fn counter(self) -> u16 {
        self.0 as u16
    }

    /// The smallest later time; saturates at the end of time.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether a clock that shows `now_ms` must hold back an entry of this time.
    pub const fn is_held_back_at(self, now_ms: u64) -> bool {
        self.ms() > now_ms.saturating_add(FUTURE_TOLERANCE_MS)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.ms(), self.counter())
    }
}

/// When and by whom a change was made: the total order of last-writer-wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Hybrid time of the transaction; compared first.
    pub hlc: Hlc,
    /// Who wrote it; breaks ties.
    pub writer: WriterId,
}

/// A device's hybrid clock. It moves with local time and with what it has seen, never with a
/// time that it [holds back](Self::holds_back).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HlcClock {
    last: Hlc,
}

impl HlcClock {
    /// Starts no earlier than `last`, the greatest time this device has used or accepted.
    pub const fn starting_after(last: Hlc) -> Self {
        Self { last }
    }

    /// The greatest time used or accepted so far.
    pub const fn last(&self) -> Hlc {
        self.last
    }

    /// Notes a time that this device gave before, whatever the wall clock shows now: later ones are greater.
    pub fn gave(&mut self, own: Hlc) {
        self.last = self.last.max(own);
    }

    /// Takes the time of a new local event.
    pub fn tick(&mut self, now_ms: u64) -> Hlc {
        self.last = self.last.next().max(Hlc::new(now_ms, 0));
        self.last
    }

    /// Whether a remote time must be held back. One that was accepted before the wall clock was set back
    /// stays accepted.
    pub fn holds_back(&self, remote: Hlc, now_ms: u64) -> bool {
        remote > self.last && remote.is_held_back_at(now_ms)
    }

    /// Notes an accepted remote time. Returns false, unchanged, if it must be held back.
    pub fn observe(&mut self, remote: Hlc, now_ms: u64) -> bool {
        if self.holds_back(remote, now_ms) {
            return false;
        }
        self.last = self.last.max(remote);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn local_times_strictly_increase_whatever_the_wall_clock_does(
            walls in prop::collection::vec(0u64..1 << 47, 1..50)
        ) {
            let mut clock = HlcClock::default();
            let mut last = Hlc::ZERO;
            for wall in walls {
                let now = clock.tick(wall);
                prop_assert!(now > last);
                prop_assert!(now.ms() >= wall);
                last = now;
            }
        }
    }

    #[test]
    fn a_far_future_time_is_held_back_and_does_not_move_the_clock() {
        let mut clock = HlcClock::default();
        clock.tick(1000);
        let before = clock;
        assert!(!clock.observe(Hlc::new(1001 + FUTURE_TOLERANCE_MS, 0), 1000));
        assert_eq!(clock, before);
        assert!(clock.observe(Hlc::new(1000 + FUTURE_TOLERANCE_MS, 9), 1000));
        assert!(clock.tick(1000) > Hlc::new(1000 + FUTURE_TOLERANCE_MS, 9));
        // What was accepted stays so when the wall clock is set back.
        assert!(!clock.holds_back(Hlc::new(1000 + FUTURE_TOLERANCE_MS, 9), 0));
        assert!(clock.holds_back(Hlc::new(1001 + FUTURE_TOLERANCE_MS, 0), 0));
    }
}
