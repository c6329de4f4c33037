//! Credit in bytes, on both ends. Owns the arithmetic only: what costs credit is in `message`.

use crate::error::PeerMisbehaved;
use crate::limits::CREDIT_RETURN_PART;

/// What may still be sent.
#[derive(Debug)]
pub(crate) struct SendCredit {
    window: u64,
    left: u64,
}

impl SendCredit {
    pub(crate) const fn new(window: u64) -> Self {
        Self {
            window,
            left: window,
        }
    }

    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    /// Takes `cost` when at least `reserve` is left afterwards.
    pub(crate) fn take(&mut self, cost: u64, reserve: u64) -> bool {
        let enough = cost.saturating_add(reserve) <= self.left;
        if enough {
            self.left -= cost;
        }
        enough
    }

    pub(crate) fn give_back(&mut self, credit: u64) -> Result<(), PeerMisbehaved> {
        let left = self.left.saturating_add(credit);
        if left > self.window {
            return Err(PeerMisbehaved::CreditOverflow {
                credit,
                window: self.window,
            });
        }
        self.left = left;
        Ok(())
    }
}

/// What the peer was allowed to send, and what of it is still held here.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    window: u64,
    held: u64,
    unreturned: u64,
}

impl ReceiveWindow {
    pub(crate) const fn new(window: u64) -> Self {
        Self {
            window,
            held: 0,
            unreturned: 0,
        }
    }

    /// Counts a frame that came in.
    pub(crate) fn hold(&mut self, cost: u64) -> Result<(), PeerMisbehaved> {
        let outstanding = self.held + self.unreturned + cost;
        if outstanding > self.window {
            return Err(PeerMisbehaved::OutOfCredit {
                outstanding,
                window: self.window,
            });
        }
        self.held += cost;
        Ok(())
    }

    /// Counts bytes that are dealt with. More than is held is cut to that.
    pub(crate) fn release(&mut self, bytes: u64) {
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        self.unreturned += bytes;
    }

    /// Credit worth a frame.
    pub(crate) fn due(&mut self) -> Option<u64> {
        (self.unreturned >= self.window / CREDIT_RETURN_PART)
            .then(|| std::mem::take(&mut self.unreturned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_its_last_byte_and_not_one_more() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!(window.hold(100), Ok(()));
        assert!(matches!(
            window.hold(1),
            Err(PeerMisbehaved::OutOfCredit {
                outstanding: 101,
                ..
            })
        ));
    }

    #[test]
    fn bytes_released_but_not_returned_still_count() {
        let mut window = ReceiveWindow::new(100);
        assert_eq!(window.hold(100), Ok(()));
        window.release(11);
        assert_eq!(window.due(), None);
        assert!(window.hold(1).is_err());
        window.release(1);
        assert_eq!(window.due(), Some(12));
        assert_eq!(window.hold(12), Ok(()));
        assert!(window.hold(1).is_err());
    }

    #[test]
    fn a_sender_takes_no_more_than_it_was_given() {
        let mut credit = SendCredit::new(100);
        assert!(!credit.take(60, 50));
        assert!(credit.take(60, 40));
        assert!(!credit.take(41, 0));
        assert!(credit.give_back(61).is_err());
        assert_eq!(credit.give_back(60), Ok(()));
        assert_eq!(credit.left(), 100);
    }
}
