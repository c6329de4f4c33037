//! Links, and the messages of the API in both directions.

use stead_api::{
    FaceValue, Incoming, Link, PublicLink, feed_place, kv_key, parse_incoming, parse_request,
};

/// The text of a link, or of a public one: what is read prints as a link that reads as the same.
pub fn link(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    if let Ok(public) = text.parse::<PublicLink>() {
        assert_eq!(public.to_string().parse::<PublicLink>(), Ok(public));
        return true;
    }
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

/// The id of a document of a map or feed in the first line, and the document in the rest: read as its key
/// or place, and its value.
pub fn face(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let (id, document) = text.split_once('\n').unwrap_or((text, ""));
    if let Some(key) = kv_key(id) {
        // A key is written in one way.
        let kept = key.replace('.', "..").replace('/', ".~");
        assert_eq!(format!(":{kept}"), id);
    }
    let place = feed_place(id);
    let Ok(document) = serde_json::from_str(document) else {
        return false;
    };
    let value = FaceValue::of_document(&document);
    if let Some(value) = &value {
        assert!(value.json.is_some() != value.bytes.is_some());
    }
    value.is_some() && (kv_key(id).is_some() || place.is_some())
}
