//! Notices that the machine slept or the process was stopped, from two clocks.
//!
//! A pure function of readings passed in; it never reads a clock itself.

/// A gap of at least this much, beyond the expected one, counts as a pause.
pub const PAUSE_MIN_MS: u64 = 8_000;

/// One reading of both clocks, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The wall clock, since 1970.
    pub wall_ms: u64,
    /// The monotonic clock, from any origin.
    pub monotonic_ms: u64,
}

/// How long the program was paused between two readings taken about `expected_ms` apart; `None`
/// when it was not. Most systems stop the monotonic clock during sleep, some do not, and a
/// stopped process sees both jump: the larger of the two gaps counts. A wall clock that was set
/// back is no pause.
pub fn pause_ms(before: Clocks, after: Clocks, expected_ms: u64) -> Option<u64> {
    let wall = after.wall_ms.saturating_sub(before.wall_ms);
    let monotonic = after.monotonic_ms.saturating_sub(before.monotonic_ms);
    let gap = wall.max(monotonic).saturating_sub(expected_ms);
    (gap >= PAUSE_MIN_MS).then_some(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: u64, monotonic_ms: u64) -> Clocks {
        Clocks {
            wall_ms,
            monotonic_ms,
        }
    }

    #[test]
    fn an_ordinary_tick_is_no_pause() {
        assert_eq!(pause_ms(at(1_000, 50), at(6_000, 5_050), 5_000), None);
        assert_eq!(pause_ms(at(1_000, 50), at(9_000, 8_050), 5_000), None);
    }

    #[test]
    fn sleep_that_stops_the_monotonic_clock_is_noticed() {
        assert_eq!(
            pause_ms(at(1_000, 50), at(3_606_000, 5_050), 5_000),
            Some(3_600_000)
        );
    }

    #[test]
    fn a_stopped_process_is_noticed_even_if_the_wall_clock_was_set_back() {
        assert_eq!(
            pause_ms(at(900_000, 0), at(100, 65_000), 5_000),
            Some(60_000)
        );
    }

    #[test]
    fn a_wall_clock_set_back_is_no_pause() {
        assert_eq!(pause_ms(at(900_000, 0), at(100, 5_000), 5_000), None);
    }
}
