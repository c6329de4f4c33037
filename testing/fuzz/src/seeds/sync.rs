//! One frame of every kind, and streams of them that a session takes.

use crate::targets::sync::{space_number, writer};
use bytes::Bytes;
use stead_base::WriterId;
use stead_sync::{Message, WireTip, WriterRef};

fn messages(space: u64) -> Vec<Message> {
    let known = WriterRef::Known(0);
    let bytes = Bytes::from_static(b"opaque");
    let tags: Vec<[u8; 32]> = (1..=8).map(|n| [n; 32]).collect();
    let tip = |writer, len| WireTip {
        writer,
        len,
        frozen: false,
        check: [0xc4; 8],
    };
    vec![
        Message::Tips {
            space,
            last: false,
            tips: vec![
                tip(WriterRef::New(writer()), 5),
                tip(WriterRef::New(WriterId::from_bytes([1; 32])), 2),
            ],
        },
        Message::Batch {
            space,
            writer: known,
            from: 3,
            count: 2,
            batch: bytes.clone(),
        },
        Message::Want {
            space,
            writer: known,
            from: 0,
            count: 3,
        },
        Message::Probe {
            space,
            writer: known,
            at: 2,
        },
        Message::Push {
            space,
            writer: known,
            from: 5,
            count: 1,
            check: [0; 8],
            batch: bytes.clone(),
        },
        Message::Unwant {
            space,
            writer: known,
        },
        Message::Offer { tags: tags.clone() },
        Message::Fork {
            space,
            writer: known,
            proof: bytes.clone(),
        },
        Message::Ping { token: 4 },
        Message::Leave { space },
        Message::Goodbye {
            code: 0,
            text: "closing".to_owned(),
        },
    ]
}

/// One frame of every kind, without lengths.
pub fn frames() -> Vec<Vec<u8>> {
    let known = WriterRef::Known(0);
    let mut all = messages(6);
    all.extend([
        Message::Hello {
            version_min: 1,
            version_max: 2,
            features: 5,
            nonce: [7; 32],
            clock_ms: 1_700_000_000_000,
            window: 16 << 20,
            extension: Bytes::from_static(b"later"),
        },
        Message::Accept {
            tags: (1..=16).map(|n| [n; 32]).collect(),
        },
        Message::Digest {
            space: 6,
            digest: [0xd1; 32],
        },
        Message::Start {
            space: 2,
            writer: WriterRef::Known(1),
        },
        Message::Gone {
            space: 6,
            writer: known,
        },
        Message::ProbeReply {
            space: 6,
            writer: known,
            at: 2,
            reply: Bytes::from_static(b"root"),
        },
        Message::Credit { bytes: 2 << 20 },
        Message::Presence {
            space: 6,
            packet: Bytes::from_static(b"packet"),
        },
        Message::PresenceLost {
            space: 6,
            run: [4; 32],
            app: 1,
        },
        Message::Pong { token: 4 },
    ]);
    let wire = all.into_iter().filter_map(Message::encode);
    wire.map(|frame| frame.to_vec()[4..].to_vec()).collect()
}

/// Streams of frames that an honest peer could send: ever longer parts of one.
pub fn sessions() -> Vec<Vec<u8>> {
    let wire: Vec<Vec<u8>> = messages(space_number())
        .into_iter()
        .filter_map(Message::encode)
        .map(|frame| frame.to_vec())
        .collect();
    (1..=wire.len()).map(|n| wire[..n].concat()).collect()
}
