//! How far away an address is, judged by this machine's own network interfaces.
//!
//! Reads the interfaces when asked; judging is pure.

use std::net::{IpAddr, Ipv4Addr};

use netwatch::interfaces::{IpNet, State};

/// How far away an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nearness {
    /// An address of this machine.
    SameMachine,
    /// Inside a network that one of this machine's interfaces is attached to.
    SameNetwork,
    /// A private address behind a router or a tunnel.
    PrivateNetwork,
    /// Anything else.
    Internet,
}

/// This machine's addresses with the width of the network each is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LocalNetworks {
    nets: Vec<(IpAddr, u8)>,
}

impl LocalNetworks {
    /// Reads the interfaces that are up.
    pub(crate) async fn read() -> Self {
        let state = State::new().await;
        let mut nets: Vec<(IpAddr, u8)> = state
            .interfaces
            .values()
            .filter(|interface| interface.is_up())
            .flat_map(|interface| interface.addrs())
            .map(|net| match net {
                IpNet::V4(net) => (IpAddr::V4(net.addr()), net.prefix_len()),
                IpNet::V6 { net, .. } => (IpAddr::V6(net.addr()), net.prefix_len()),
            })
            .collect();
        nets.sort_unstable();
        Self { nets }
    }

    /// Judges an address.
    pub(crate) fn nearness(&self, addr: IpAddr) -> Nearness {
        let addr = addr.to_canonical();
        if addr.is_loopback() || self.nets.iter().any(|(own, _)| *own == addr) {
            return Nearness::SameMachine;
        }
        if self.nets.iter().any(|net| contains(*net, addr)) {
            return Nearness::SameNetwork;
        }
        let private = match addr {
            IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || is_carrier_shared(v4),
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
        };
        if private {
            Nearness::PrivateNetwork
        } else {
            Nearness::Internet
        }
    }

    /// IPv4 addresses of this machine on which to look for others, without loopback.
    pub(crate) fn lan_v4(&self) -> Vec<Ipv4Addr> {
        self.nets
            .iter()
            .filter_map(|(addr, width)| match addr {
                IpAddr::V4(v4) if !v4.is_loopback() && *width < 32 => Some(*v4),
                _ => None,
            })
            .collect()
    }
}

/// 100.64.0.0/10, which providers and some tunnels use.
fn is_carrier_shared(addr: Ipv4Addr) -> bool {
    let [a, b, ..] = addr.octets();
    a == 100 && (64..128).contains(&b)
}

fn contains((own, width): (IpAddr, u8), addr: IpAddr) -> bool {
    match (own, addr) {
        (IpAddr::V4(own), IpAddr::V4(addr)) => {
            let shift = 32 - u32::from(width.min(32));
            width > 0 && u32::from(own).checked_shr(shift) == u32::from(addr).checked_shr(shift)
        }
        (IpAddr::V6(own), IpAddr::V6(addr)) => {
            let shift = 128 - u32::from(width.min(128));
            width > 0 && u128::from(own).checked_shr(shift) == u128::from(addr).checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks() -> LocalNetworks {
        LocalNetworks {
            nets: vec![
                (ip("127.0.0.1"), 8),
                (ip("192.168.1.20"), 24),
                (ip("2001:db8:1::5"), 64),
                (ip("10.9.0.2"), 32),
            ],
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn nearness_follows_the_interfaces_and_not_the_look_of_an_address() {
        let networks = networks();
        let cases = [
            ("127.0.0.1", Nearness::SameMachine),
            ("192.168.1.20", Nearness::SameMachine),
            ("::ffff:192.168.1.20", Nearness::SameMachine),
            ("192.168.1.7", Nearness::SameNetwork),
            ("2001:db8:1::9", Nearness::SameNetwork),
            ("192.168.2.7", Nearness::PrivateNetwork),
            ("10.9.0.3", Nearness::PrivateNetwork),
            ("100.100.1.1", Nearness::PrivateNetwork),
            ("fd00::1", Nearness::PrivateNetwork),
            ("203.0.113.9", Nearness::Internet),
            ("2001:db8:2::9", Nearness::Internet),
        ];
        for (addr, nearness) in cases {
            assert_eq!(networks.nearness(ip(addr)), nearness, "{addr}");
        }
    }

    #[test]
    fn others_are_looked_for_on_networks_only() {
        assert_eq!(networks().lan_v4(), [Ipv4Addr::new(192, 168, 1, 20)]);
    }
}
