//! What one device says of where it is.

use stead_base::{DeviceId, ScopeId, SpaceId};
use stead_crypt::{EpochKey, SigningKey};
use stead_presence::{Cursor, Head, Said, Shown, seal};

/// The space.
pub const SPACE: SpaceId = SpaceId::from_bytes([3; 32]);

/// The epoch's key.
pub fn key() -> EpochKey {
    EpochKey::from_bytes(&[2; 32])
}

/// The device's key.
pub fn author() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

/// The head of every packet.
pub const fn head() -> Head {
    Head {
        run: [4; 32],
        app: 1,
        seq: 5,
        scope: ScopeId::ROOT,
        generation: 7,
    }
}

/// Packets, and what is inside of some.
pub fn packets() -> Vec<Vec<u8>> {
    let cursor = |anchor: &str| Cursor {
        field: vec!["body".to_owned()],
        anchor: anchor.to_owned(),
        head: "end".to_owned(),
    };
    let shown = |cursors| Shown {
        on: "/notes/plan".to_owned(),
        app: "editor".to_owned(),
        value: "{\"mood\":\"busy\"}".to_owned(),
        cursors,
    };
    let said = |shown| Said {
        device: DeviceId::from_bytes(author().public()),
        at_ms: 1_700_000_000_000,
        shown,
    };
    let all = [
        said(None),
        said(Some(Shown::default())),
        said(Some(shown(vec![cursor("3@41"), cursor("end")]))),
    ];
    let sealed = all.iter().map(|said| {
        let sealed = seal(&key(), &SPACE, &head(), said, &author());
        sealed.expect("it is small")
    });
    let bodies = all.iter().map(Said::body);
    sealed.chain(bodies).collect()
}
