//! What a connection travels over, in data and in one plain sentence.
//!
//! Pure: the facts arrive as arguments, so that the sentence can be tested and never guesses.

use std::fmt;
use std::net::SocketAddr;

use iroh::RelayUrl;

use crate::hints::relay_label;
use crate::locality::Nearness;

/// What application data travels over right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathKind {
    /// No path is in use yet, or the last one has just gone.
    Connecting,
    /// Straight to this address of the other device.
    Direct {
        /// The other device's address.
        addr: SocketAddr,
    },
    /// Through a relay, which sees only sealed packets.
    Relayed {
        /// The relay.
        url: RelayUrl,
    },
}

/// A path, its round trip, and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathReport {
    /// What data travels over.
    pub kind: PathKind,
    /// Smoothed round-trip time, rounded up; `None` while connecting.
    pub rtt_ms: Option<u32>,
    /// One sentence for people: direct or relayed, and why.
    pub why: String,
}

impl PathReport {
    /// Whether data travels straight to the other device.
    pub fn is_direct(&self) -> bool {
        matches!(self.kind, PathKind::Direct { .. })
    }

    /// Whether data travels through a relay.
    pub fn is_relayed(&self) -> bool {
        matches!(self.kind, PathKind::Relayed { .. })
    }
}

impl fmt::Display for PathReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// The facts a sentence is made of.
#[derive(Debug)]
pub(crate) struct PathFacts {
    pub(crate) kind: PathKind,
    pub(crate) rtt_ms: Option<u32>,
    /// How far away the address of a direct path is.
    pub(crate) nearness: Option<Nearness>,
    /// Direct addresses of the other device that are known here.
    pub(crate) known: Vec<SocketAddr>,
    /// Whether this device opens no direct paths at all.
    pub(crate) relay_only: bool,
    /// Whether this connection had a direct path before.
    pub(crate) was_direct: bool,
}

/// How many addresses a sentence names before it counts the rest.
const NAMED_ADDRS_MAX: usize = 3;

pub(crate) fn report(facts: PathFacts) -> PathReport {
    let why = match &facts.kind {
        PathKind::Connecting => "connecting: no path has answered yet".to_owned(),
        PathKind::Direct { addr } => match facts.nearness.unwrap_or(Nearness::Internet) {
            Nearness::SameMachine => format!("direct: this machine ({})", addr.ip()),
            Nearness::SameNetwork => format!("direct: same network ({})", addr.ip()),
            Nearness::PrivateNetwork => {
                format!("direct: through a private network ({})", addr.ip())
            }
            Nearness::Internet => format!("direct: over the internet ({})", addr.ip()),
        },
        PathKind::Relayed { url } => {
            let relay = relay_label(url);
            if facts.relay_only {
                format!("relayed by {relay}: this device is set to use relays only")
            } else {
                let what = if facts.was_direct {
                    "the direct path went away"
                } else {
                    "no direct path has answered"
                };
                format!("relayed by {relay}: {what}; {}", tried(&facts.known))
            }
        }
    };
    PathReport {
        kind: facts.kind,
        rtt_ms: facts.rtt_ms,
        why,
    }
}

fn tried(known: &[SocketAddr]) -> String {
    if known.is_empty() {
        return "no address of the other device is known here".to_owned();
    }
    let named: Vec<String> = known
        .iter()
        .take(NAMED_ADDRS_MAX)
        .map(SocketAddr::to_string)
        .collect();
    let rest = known.len() - named.len();
    let plural = if known.len() == 1 { "" } else { "es" };
    let more = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    format!(
        "tried {} address{plural} ({}{more})",
        known.len(),
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(kind: PathKind) -> PathFacts {
        PathFacts {
            kind,
            rtt_ms: Some(1),
            nearness: None,
            known: Vec::new(),
            relay_only: false,
            was_direct: false,
        }
    }

    fn relayed() -> PathKind {
        PathKind::Relayed {
            url: "http://10.0.0.9:7440/?token=s".parse().expect("url"),
        }
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    #[test]
    fn a_direct_path_says_how_far_the_other_device_is() {
        let cases = [
            (Nearness::SameMachine, "direct: this machine (192.168.1.7)"),
            (Nearness::SameNetwork, "direct: same network (192.168.1.7)"),
            (
                Nearness::PrivateNetwork,
                "direct: through a private network (192.168.1.7)",
            ),
            (
                Nearness::Internet,
                "direct: over the internet (192.168.1.7)",
            ),
        ];
        for (nearness, sentence) in cases {
            let mut facts = facts(PathKind::Direct {
                addr: addr("192.168.1.7:4433"),
            });
            facts.nearness = Some(nearness);
            assert_eq!(report(facts).why, sentence);
        }
    }

    #[test]
    fn a_relayed_path_says_what_was_tried_and_hides_the_token() {
        let mut some = facts(relayed());
        some.known = vec![addr("10.1.0.2:1"), addr("10.1.0.3:1")];
        assert_eq!(
            report(some).why,
            "relayed by http://10.0.0.9:7440: no direct path has answered; \
             tried 2 addresses (10.1.0.2:1, 10.1.0.3:1)"
        );
        assert_eq!(
            report(facts(relayed())).why,
            "relayed by http://10.0.0.9:7440: no direct path has answered; \
             no address of the other device is known here"
        );
    }

    #[test]
    fn many_addresses_are_counted_and_a_lost_direct_path_is_named() {
        let mut many = facts(relayed());
        many.was_direct = true;
        many.known = (1..=5)
            .map(|port| addr(&format!("10.1.0.2:{port}")))
            .collect();
        assert_eq!(
            report(many).why,
            "relayed by http://10.0.0.9:7440: the direct path went away; \
             tried 5 addresses (10.1.0.2:1, 10.1.0.2:2, 10.1.0.2:3 and 2 more)"
        );
    }

    #[test]
    fn a_device_that_only_uses_relays_says_so() {
        let mut only = facts(relayed());
        only.relay_only = true;
        assert_eq!(
            report(only).why,
            "relayed by http://10.0.0.9:7440: this device is set to use relays only"
        );
    }
}
