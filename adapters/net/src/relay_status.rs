//! Whether this device can be reached through its relay, and a watchdog over that.

use std::time::Duration;

use iroh::endpoint::RelayStatus;
use iroh::{Endpoint, RelayUrl, Watcher};
use n0_future::StreamExt;
use tokio::sync::{broadcast, watch};

use crate::error::root_cause;
use crate::event::NetEvent;
use crate::hints::relay_label;

/// A relay that is not connected for this long is prodded, again and again.
const PROD_AFTER: Duration = Duration::from_secs(40);

/// Whether a relay can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayState {
    /// Others can reach this device through it.
    Connected,
    /// It is being dialed.
    Connecting,
    /// It does not answer, or not as it should; it is tried again.
    Unreachable,
    /// It answered that this device may not use it.
    Refused,
}

/// A relay of this device and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayReport {
    /// The relay.
    pub url: RelayUrl,
    /// Whether it can be used.
    pub state: RelayState,
    /// One sentence for people.
    pub why: String,
}

/// Publishes the state of the relay until the endpoint closes.
pub(crate) async fn follow(
    endpoint: Endpoint,
    reports: watch::Sender<Vec<RelayReport>>,
    events: broadcast::Sender<NetEvent>,
) {
    let mut statuses = endpoint.home_relay_status().stream();
    loop {
        let idle = reports
            .borrow()
            .iter()
            .all(|report| report.state == RelayState::Connected);
        tokio::select! {
            status = statuses.next() => {
                let Some(status) = status else { return };
                let next: Vec<RelayReport> = status.iter().map(describe).collect();
                let before = reports.send_replace(next.clone());
                let states = |list: &[RelayReport]| -> Vec<(RelayUrl, bool)> {
                    list.iter()
                        .map(|r| (r.url.clone(), r.state == RelayState::Connected))
                        .collect()
                };
                if states(&before) != states(&next) {
                    let _ = events.send(NetEvent::RelayChanged);
                }
            }
            () = tokio::time::sleep(PROD_AFTER), if !idle => {
                tracing::debug!("the relay stays unreachable; checking the network again");
                endpoint.network_change().await;
            }
        }
    }
}

fn describe(status: &RelayStatus) -> RelayReport {
    let url = status.url().clone();
    let label = relay_label(&url);
    let (state, why) = if status.is_connected() {
        (RelayState::Connected, format!("connected to {label}"))
    } else if let Some(reason) = status.auth_denied_reason() {
        (
            RelayState::Refused,
            format!("{label} refuses this device: {reason}; check its token or allow-list"),
        )
    } else if let Some(error) = status.last_error() {
        (
            RelayState::Unreachable,
            format!("{label} cannot be reached: {}", root_cause(error)),
        )
    } else {
        (RelayState::Connecting, format!("connecting to {label}"))
    };
    RelayReport { url, state, why }
}
