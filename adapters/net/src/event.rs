//! What happens on the network that may make another attempt worthwhile.

use stead_base::DeviceId;

use crate::redial::Wake;

/// Something happened on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetEvent {
    /// A device announced itself, or new addresses, on the local network.
    Sighted {
        /// The device.
        device: DeviceId,
    },
    /// A device no longer announces itself on the local network.
    Gone {
        /// The device.
        device: DeviceId,
    },
    /// The caller taught new addresses or a relay of a device.
    HintsLearned {
        /// The device.
        device: DeviceId,
    },
    /// This device's own addresses changed.
    AddressesChanged,
    /// A relay of this device became reachable or unreachable, or was replaced.
    RelayChanged,
    /// The machine slept, or the process was stopped, and runs again.
    Resumed {
        /// For how long, at least.
        paused_ms: u64,
    },
}

impl NetEvent {
    /// The reason this gives to dial `device` again, if any.
    pub fn wake(&self, device: &DeviceId) -> Option<Wake> {
        match self {
            Self::Sighted { device: seen } => (seen == device).then_some(Wake::Sighted),
            Self::HintsLearned { device: known } => (known == device).then_some(Wake::HintsLearned),
            Self::Gone { .. } => None,
            Self::AddressesChanged => Some(Wake::AddressChanged),
            Self::RelayChanged => Some(Wake::RelayChanged),
            Self::Resumed { .. } => Some(Wake::Resumed),
        }
    }
}
