//! Links, and the messages of the API in both directions.

use stead_api::{Incoming, Link, parse_incoming, parse_request};

/// The text of a link: what is read prints as a link that reads as the same.
pub fn link(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(link) = text.parse::<Link>() else {
        return false;
    };
    let printed = link.to_string();
    assert_eq!(printed.parse::<Link>().as_ref(), Ok(&link));
    assert_eq!(link.to_qr_text().parse::<Link>(), Ok(link));
    true
}

/// A request to a node.
pub fn request(data: &[u8]) -> bool {
    match parse_request(data) {
        Ok(request) => {
            assert!(!request.call.method().is_empty());
            true
        }
        Err(refusal) => {
            // A refusal can be told.
            let told = refusal.into_response().encode();
            assert!(parse_incoming(told.as_bytes()).is_ok());
            false
        }
    }
}

/// A message from a node.
pub fn incoming(data: &[u8]) -> bool {
    match parse_incoming(data) {
        Ok(Some(Incoming::Response(response))) => {
            assert!(parse_incoming(response.encode().as_bytes()).is_ok());
            true
        }
        Ok(Some(Incoming::Notification(notification))) => {
            assert!(parse_incoming(notification.encode().as_bytes()).is_ok());
            true
        }
        Ok(None) => true,
        Err(_) => false,
    }
}
