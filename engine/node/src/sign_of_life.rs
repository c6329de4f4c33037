//! Asks every connected device for a sign of life before a person is told how it is reached: a
//! cable that was just cut shows in no socket for many seconds.
//!
//! Changes nothing about a connection; whether it is given up is for the network to say.

use std::collections::BTreeMap;
use std::time::Duration;

use stead_base::DeviceId;
use stead_sync::Input;
use tokio::time::Instant;

use crate::api::Node;
use crate::sync::facts::PeerFacts;

/// How long a device has to answer. Longer than a slow mobile network takes.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How often to look for the answer.
const LOOK: Duration = Duration::from_millis(5);

impl Node {
    /// What is known of all devices, where one that does not answer now counts as not connected.
    /// Takes a round trip; [`PATIENCE`] when a device is silent.
    pub(crate) async fn facts_of_this_moment(&self) -> BTreeMap<DeviceId, PeerFacts> {
        let mut waiting: BTreeMap<DeviceId, _> = BTreeMap::new();
        for (device, facts) in self.facts.all() {
            if let Some(connection) = facts.connection {
                let (_, received) = connection.bytes();
                waiting.insert(device, (connection, received));
            }
        }
        let asked = self.store.look(|desk| desk.tell_sessions(|| Input::Ping));
        if !waiting.is_empty() && asked.await.is_ok() {
            let deadline = Instant::now() + PATIENCE;
            loop {
                // Anything counts, an acknowledgement too: the answer itself may wait in a queue.
                waiting.retain(|_, (connection, received)| {
                    connection.close_reason().is_none() && connection.bytes().1 == *received
                });
                if waiting.is_empty() || Instant::now() > deadline {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        } else {
            waiting.clear();
        }
        let mut all = self.facts.all();
        for (device, (connection, _)) in waiting {
            if let Some(facts) = all.get_mut(&device) {
                facts.silent(&connection.path().why);
            }
        }
        all
    }
}
