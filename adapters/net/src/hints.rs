//! Where a device may be reached: addresses and a relay, as they travel in links and documents.
//!
//! Plain data. It says nothing about whether an address answers.

use std::net::SocketAddr;

use iroh::RelayUrl;

/// Where a device may be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerHints {
    /// Direct addresses, best first.
    pub addrs: Vec<SocketAddr>,
    /// The relay the device listens on.
    pub relay: Option<RelayUrl>,
}

impl PeerHints {
    /// Whether there is nothing to dial.
    pub fn is_empty(&self) -> bool {
        self.addrs.is_empty() && self.relay.is_none()
    }
}

/// The relay's address without its query, which may hold a token; for people's eyes.
pub fn relay_label(url: &RelayUrl) -> String {
    let text = url.as_str();
    let end = text.find(['?', '#']).unwrap_or(text.len());
    text[..end].trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_label_hides_the_token() {
        let url: RelayUrl = "http://10.0.0.9:7440/?token=secret".parse().expect("url");
        assert_eq!(relay_label(&url), "http://10.0.0.9:7440");
    }
}
