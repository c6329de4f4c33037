//! When to dial a device again: a pure state machine.
//!
//! Owns the waiting times. It never reads a clock or a source of randomness and never touches the
//! network: the owner passes the time (milliseconds of any monotonic clock) and a jitter, dials
//! when [`Redial::due_ms`] says so, and reports what came of it.

/// The wait after the first failure.
pub const BACKOFF_FIRST_MS: u64 = 500;
/// The longest wait between two attempts.
pub const BACKOFF_MAX_MS: u64 = 60_000;
/// A connection that lived this long clears the count of failures.
pub const STABLE_MS: u64 = 10_000;
/// However many wakes arrive, two attempts are at least this far apart.
pub const SPACING_MS: u64 = 250;

/// News that makes another attempt worthwhile at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// This device's own addresses changed.
    AddressChanged,
    /// The device was seen on the local network.
    Sighted,
    /// Addresses of the device were learned.
    HintsLearned,
    /// This machine slept, or the process was paused, and runs again.
    Resumed,
    /// A relay became reachable or was replaced.
    RelayChanged,
    /// A person asked.
    Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting { due_ms: u64 },
    Dialing { again: bool },
    Connected { since_ms: u64 },
}

/// The plan for one device. A new plan is due at once.
#[derive(Debug, Clone)]
pub struct Redial {
    phase: Phase,
    failures: u32,
    last_attempt_ms: Option<u64>,
}

impl Redial {
    /// Starts a plan that is due now.
    pub fn new(now_ms: u64) -> Self {
        Self {
            phase: Phase::Waiting { due_ms: now_ms },
            failures: 0,
            last_attempt_ms: None,
        }
    }

    /// When to dial next; `None` while dialing or connected.
    pub fn due_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting { due_ms } => Some(due_ms),
            Phase::Dialing { .. } | Phase::Connected { .. } => None,
        }
    }

    /// How many attempts failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The owner starts an attempt.
    pub fn started(&mut self, now_ms: u64) {
        self.last_attempt_ms = Some(now_ms);
        self.phase = Phase::Dialing { again: false };
    }

    /// The attempt failed. `jitter` is any random number; it shortens the wait by up to a half.
    pub fn failed(&mut self, now_ms: u64, jitter: u64) {
        let woken = matches!(self.phase, Phase::Dialing { again: true });
        self.failures = self.failures.saturating_add(1);
        let due_ms = if woken {
            self.earliest(now_ms)
        } else {
            now_ms.saturating_add(wait_ms(self.failures, jitter))
        };
        self.phase = Phase::Waiting { due_ms };
    }

    /// The attempt succeeded, or the device dialed us.
    pub fn connected(&mut self, now_ms: u64) {
        self.phase = Phase::Connected { since_ms: now_ms };
    }

    /// The connection ended. One that was stable is redialed at once, a short one counts as a
    /// failure, so that two devices that keep refusing each other do not spin.
    pub fn lost(&mut self, now_ms: u64, jitter: u64) {
        let since_ms = match self.phase {
            Phase::Connected { since_ms } => since_ms,
            Phase::Waiting { .. } | Phase::Dialing { .. } => now_ms,
        };
        if now_ms.saturating_sub(since_ms) >= STABLE_MS {
            self.failures = 0;
            self.phase = Phase::Waiting {
                due_ms: self.earliest(now_ms),
            };
        } else {
            self.phase = Phase::Dialing { again: false };
            self.failed(now_ms, jitter);
        }
    }

    /// Something changed that may make the device reachable: dial now instead of waiting.
    /// What happens during an attempt leads to one more attempt should this one fail.
    pub fn wake(&mut self, now_ms: u64, reason: Wake) {
        match &mut self.phase {
            Phase::Waiting { due_ms } => {
                let soonest = *due_ms;
                let earliest = self.earliest(now_ms);
                self.phase = Phase::Waiting {
                    due_ms: soonest.min(earliest),
                };
                if matches!(reason, Wake::Resumed | Wake::AddressChanged | Wake::Asked) {
                    self.failures = 0;
                }
            }
            Phase::Dialing { again } => *again = true,
            Phase::Connected { .. } => {}
        }
    }

    fn earliest(&self, now_ms: u64) -> u64 {
        match self.last_attempt_ms {
            Some(last) => now_ms.max(last.saturating_add(SPACING_MS)),
            None => now_ms,
        }
    }
}

/// The wait after `failures` failures in a row: doubling, then between half and all of it.
fn wait_ms(failures: u32, jitter: u64) -> u64 {
    let doublings = failures.saturating_sub(1).min(16);
    let full = (BACKOFF_FIRST_MS << doublings).min(BACKOFF_MAX_MS);
    let half = full / 2;
    half + jitter % (full - half + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(times: u32) -> (Redial, u64) {
        let mut redial = Redial::new(0);
        let mut now = 0;
        for _ in 0..times {
            now = redial.due_ms().expect("waiting");
            redial.started(now);
            redial.failed(now, u64::MAX);
        }
        (redial, now)
    }

    #[test]
    fn a_new_plan_is_due_at_once() {
        assert_eq!(Redial::new(7).due_ms(), Some(7));
    }

    #[test]
    fn waits_double_up_to_the_maximum_and_jitter_only_shortens() {
        for failures in 1..100 {
            let full = (BACKOFF_FIRST_MS << (failures - 1).min(16)).min(BACKOFF_MAX_MS);
            for jitter in [0, 1, 12_345, u64::MAX] {
                let wait = wait_ms(failures, jitter);
                assert!(
                    wait >= full / 2 && wait <= full,
                    "{failures} {jitter} {wait}"
                );
            }
        }
    }

    #[test]
    fn every_kind_of_news_ends_the_wait() {
        for reason in [
            Wake::AddressChanged,
            Wake::Sighted,
            Wake::HintsLearned,
            Wake::Resumed,
            Wake::RelayChanged,
            Wake::Asked,
        ] {
            let (mut redial, last) = failing(12);
            let now = last + 1_000;
            assert!(redial.due_ms().expect("waiting") > now);
            redial.wake(now, reason);
            assert_eq!(redial.due_ms(), Some(now), "{reason:?}");
        }
    }

    #[test]
    fn a_storm_of_wakes_cannot_dial_faster_than_the_spacing() {
        let mut redial = Redial::new(0);
        redial.started(0);
        redial.failed(1, 0);
        for now in 2..50 {
            redial.wake(now, Wake::Sighted);
        }
        assert_eq!(redial.due_ms(), Some(SPACING_MS));
    }

    #[test]
    fn news_during_an_attempt_leads_to_another_at_once() {
        let (mut redial, last) = failing(8);
        let now = last + 100_000;
        redial.started(now);
        redial.wake(now + 5, Wake::HintsLearned);
        redial.failed(now + 9_000, 3);
        assert_eq!(redial.due_ms(), Some(now + 9_000));
    }

    #[test]
    fn a_stable_connection_is_redialed_at_once_and_a_short_one_is_not() {
        let mut redial = Redial::new(0);
        redial.started(0);
        redial.connected(10);
        redial.lost(10 + STABLE_MS, 0);
        assert_eq!(redial.due_ms(), Some(10 + STABLE_MS));
        assert_eq!(redial.failures(), 0);

        redial.started(20_000);
        redial.connected(20_010);
        redial.lost(20_020, 0);
        assert!(redial.due_ms().expect("waiting") >= 20_020 + BACKOFF_FIRST_MS / 2);
        assert_eq!(redial.failures(), 1);
    }

    #[test]
    fn nothing_is_due_while_connected() {
        let mut redial = Redial::new(0);
        redial.connected(5);
        redial.wake(6, Wake::AddressChanged);
        assert_eq!(redial.due_ms(), None);
    }
}
