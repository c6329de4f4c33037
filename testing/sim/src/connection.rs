//! Connections between nodes: ordered streams of frames with delay, and what may befall them.

use std::collections::BTreeMap;

use crate::chance::Chance;

/// Names a connection.
pub(crate) type ConnectionId = u64;

/// Bytes on their way to a node.
pub(crate) struct Parcel {
    pub(crate) connection: ConnectionId,
    pub(crate) to: usize,
    pub(crate) bytes: Vec<u8>,
}

/// Everything on its way, by arrival.
#[derive(Default)]
pub(crate) struct Network {
    in_flight: BTreeMap<(u64, u64), Parcel>,
    sent: u64,
    last_arrival: BTreeMap<(ConnectionId, usize), u64>,
    /// Whether frames may be lost, doubled, swapped and damaged.
    pub(crate) hostile: bool,
    pub(crate) damaged: u64,
}

impl Network {
    /// Puts a frame on its way.
    pub(crate) fn send(&mut self, parcel: Parcel, now: u64, chance: &mut Chance) {
        let mut parcel = parcel;
        let slow = if chance.one_in(40) { 2_000 } else { 40 };
        let lane = (parcel.connection, parcel.to);
        let mut at =
            (now + 1 + chance.below(slow)).max(self.last_arrival.get(&lane).copied().unwrap_or(0));
        if self.hostile && chance.one_in(80) {
            self.damaged += 1;
            match chance.below(4) {
                0 => return,
                1 => {
                    let copy = Parcel {
                        bytes: parcel.bytes.clone(),
                        ..parcel
                    };
                    self.push(copy, at);
                }
                2 => at = now + 1,
                _ => {
                    let place = chance.below(parcel.bytes.len() as u64) as usize;
                    if let Some(byte) = parcel.bytes.get_mut(place) {
                        *byte ^= 1 << chance.below(8);
                    }
                }
            }
        }
        self.last_arrival.insert(lane, at);
        self.push(parcel, at);
    }

    fn push(&mut self, parcel: Parcel, at: u64) {
        self.sent += 1;
        self.in_flight.insert((at, self.sent), parcel);
    }

    /// The next parcel that arrives by `until`, with its time.
    pub(crate) fn next(&mut self, until: u64) -> Option<(u64, Parcel)> {
        let (&(at, _), _) = self.in_flight.first_key_value()?;
        if at > until {
            return None;
        }
        self.in_flight
            .pop_first()
            .map(|((at, _), parcel)| (at, parcel))
    }

    /// Forgets what was on its way on a connection.
    pub(crate) fn cut(&mut self, connection: ConnectionId) {
        self.in_flight
            .retain(|_, parcel| parcel.connection != connection);
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.in_flight.is_empty()
    }
}
