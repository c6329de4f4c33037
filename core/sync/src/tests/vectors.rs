//! The committed vectors: frames byte by byte, and what proof of membership is made of.
//!
//! `STEAD_BLESS=1 cargo test -p stead-sync vectors` writes them anew; a change of them is a change
//! of the protocol.

use super::net::{device, writer};
use crate::frontier::Comparer;
use crate::membership::{TagKind, nonce, tag, transcript};
use crate::message::{Message, WireTip, WriterRef};
use crate::{Opening, Role, SpaceMembership, Tip};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt::Write;
use stead_base::{Hash, SpaceId};
use stead_crypt::Zeroizing;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "the test writes its own vectors when asked to"
)]
fn check_file(name: &str, committed: &str, made: &str) {
    if std::env::var_os("STEAD_BLESS").is_some() {
        let path = format!("{}/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, made).unwrap();
        return;
    }
    for (committed, made) in committed.lines().zip(made.lines()) {
        assert_eq!(committed, made, "in {name}");
    }
    assert_eq!(committed.len(), made.len(), "{name} has another length");
}

/// One frame of every kind, with the values that `docs/protocol/sync.md` explains.
pub(super) fn frames() -> Vec<(&'static str, Message)> {
    let named = WriterRef::New(writer(1));
    let known = WriterRef::Known(0);
    let bytes = Bytes::from_static(b"opaque");
    let tags = (1..=8u8).map(|n| [n; 32]).collect::<Vec<_>>();
    vec![
        ("Hello", hello([7; 32])),
        ("Offer", Message::Offer { tags: tags.clone() }),
        ("Accept", Message::Accept { tags }),
        ("Leave", Message::Leave { space: 300 }),
        (
            "Digest",
            Message::Digest {
                space: 6,
                digest: [0xd1; 32],
            },
        ),
        (
            "Tips, naming a writer",
            Message::Tips {
                space: 6,
                last: true,
                tips: vec![WireTip {
                    writer: named,
                    len: 1000,
                    frozen: false,
                    check: [0xc4; 8],
                }],
            },
        ),
        (
            "Tips, of a known writer, frozen",
            Message::Tips {
                space: 6,
                last: false,
                tips: vec![WireTip {
                    writer: known,
                    len: 3,
                    frozen: true,
                    check: [0xc4; 8],
                }],
            },
        ),
        (
            "Want",
            Message::Want {
                space: 6,
                writer: known,
                from: 200,
                count: 800,
            },
        ),
        (
            "Unwant",
            Message::Unwant {
                space: 6,
                writer: known,
            },
        ),
        (
            "Start",
            Message::Start {
                space: 6,
                writer: known,
            },
        ),
        (
            "Gone",
            Message::Gone {
                space: 6,
                writer: known,
            },
        ),
        (
            "Batch",
            Message::Batch {
                space: 6,
                writer: known,
                from: 200,
                count: 2,
                batch: bytes.clone(),
            },
        ),
        (
            "Choose",
            Message::Choose {
                space: 6,
                revision: 3,
                choice: bytes.clone(),
            },
        ),
        (
            "Thin",
            Message::Thin {
                space: 6,
                writer: known,
                from: 200,
                count: 700,
                revision: 3,
                batch: bytes.clone(),
            },
        ),
        (
            "Ask",
            Message::Ask {
                space: 6,
                token: 9,
                ask: bytes.clone(),
            },
        ),
        (
            "Slice",
            Message::Slice {
                space: 6,
                token: 9,
                last: true,
                piece: bytes.clone(),
            },
        ),
        ("Unsliced", Message::Unsliced { space: 6, token: 9 }),
        ("Stir", Message::Stir { space: 6 }),
        (
            "Push",
            Message::Push {
                space: 6,
                writer: known,
                from: 1000,
                count: 1,
                check: [0xc4; 8],
                batch: bytes.clone(),
            },
        ),
        (
            "Probe",
            Message::Probe {
                space: 6,
                writer: known,
                at: 500,
            },
        ),
        (
            "ProbeReply",
            Message::ProbeReply {
                space: 6,
                writer: known,
                at: 500,
                reply: bytes.clone(),
            },
        ),
        (
            "Fork",
            Message::Fork {
                space: 6,
                writer: known,
                proof: bytes,
            },
        ),
        (
            "Presence",
            Message::Presence {
                space: 6,
                packet: Bytes::from_static(b"packet"),
            },
        ),
        (
            "PresenceLost",
            Message::PresenceLost {
                space: 6,
                run: [0x44; 32],
                app: 1,
            },
        ),
        ("Credit", Message::Credit { bytes: 2 << 20 }),
        ("Ping", Message::Ping { token: 4 }),
        ("Pong", Message::Pong { token: 4 }),
        (
            "Goodbye",
            Message::Goodbye {
                code: 0,
                text: "closing".to_owned(),
            },
        ),
    ]
}

fn hello(nonce: [u8; 32]) -> Message {
    Message::Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        nonce,
        clock_ms: 1_700_000_000_000,
        window: 16 << 20,
        extension: Bytes::new(),
    }
}

#[test]
fn every_kind_of_frame_has_the_bytes_of_its_vector() {
    let mut made = String::new();
    for (name, message) in frames() {
        let wire = message.clone().encode().unwrap().to_vec();
        let _ = writeln!(made, "{name}\n{}", hex(&wire));
        let body = Bytes::copy_from_slice(&wire[4..]);
        assert_eq!(Message::decode(&body), Ok(message));
    }
    check_file(
        "frames.txt",
        include_str!("../../vectors/frames.txt"),
        &made,
    );
}

#[test]
fn no_frame_decodes_when_a_byte_is_missing_or_left_over() {
    for (name, message) in frames() {
        let opaque = matches!(
            message,
            Message::Batch { .. }
                | Message::Push { .. }
                | Message::ProbeReply { .. }
                | Message::Fork { .. }
                | Message::Choose { .. }
                | Message::Thin { .. }
                | Message::Ask { .. }
                | Message::Slice { .. }
                | Message::Presence { .. }
        );
        if opaque {
            continue;
        }
        let body = Bytes::copy_from_slice(&message.encode().unwrap().to_vec()[4..]);
        for end in 0..body.len() {
            assert!(
                Message::decode(&body.slice(..end)).is_err(),
                "{name} cut at {end}"
            );
        }
        let longer = Bytes::from([&body[..], &[0]].concat());
        assert!(Message::decode(&longer).is_err(), "{name} with a byte more");
    }
}

#[test]
fn membership_has_the_bytes_of_its_vector() {
    let opening = Opening {
        role: Role::Dialer,
        local: device(0),
        remote: device(1),
        channel_binding: [0xcb; 32],
        seed: [0x5e; 32],
        wall_ms: 0,
        window_bytes: 16 << 20,
        auto_fetch: true,
    };
    let body = |seed: [u8; 32]| hello(nonce(&seed)).encode().unwrap().to_vec()[4..].to_vec();
    let transcript = transcript(&opening, &body([0x5e; 32]), &body([0x5f; 32]));
    let tips = BTreeMap::from([
        (writer(1), Tip::new(1000, Hash::from_bytes([0xaa; 32]))),
        (
            writer(2),
            Tip {
                len: 3,
                root: Hash::from_bytes([0xbb; 32]),
                frozen: true,
            },
        ),
    ]);
    let membership = SpaceMembership {
        space: SpaceId::from_bytes([0x51; 32]),
        secret: Zeroizing::new([0x5c; 32]),
        tips: tips.clone(),
    };
    let comparer = Comparer::new(&membership, &transcript);
    let mut made = String::new();
    let mut line = |name: &str, bytes: &[u8]| {
        let _ = writeln!(made, "{name}\n{}", hex(bytes));
    };
    line("dialer's device", opening.local.as_bytes());
    line("listener's device", opening.remote.as_bytes());
    line("channel binding", &opening.channel_binding);
    line("dialer's seed", &[0x5e; 32]);
    line("listener's seed", &[0x5f; 32]);
    line("dialer's Hello, without its length", &body([0x5e; 32]));
    line("listener's Hello, without its length", &body([0x5f; 32]));
    line("transcript", &transcript);
    line("space", membership.space.as_bytes());
    line("membership secret", &membership.secret[..]);
    for (name, kind, role) in [
        ("tag offered by the dialer", TagKind::Offer, Role::Dialer),
        (
            "tag offered by the listener",
            TagKind::Offer,
            Role::Listener,
        ),
        ("tag accepted by the dialer", TagKind::Accept, Role::Dialer),
        (
            "tag accepted by the listener",
            TagKind::Accept,
            Role::Listener,
        ),
    ] {
        line(name, &tag(&membership, &transcript, kind, role));
    }
    for (name, of, tip) in tips.iter().map(|(writer, tip)| {
        let name = if tip.frozen {
            "frozen log"
        } else {
            "growing log"
        };
        (name, writer, tip)
    }) {
        line(&format!("writer of the {name}"), of.as_bytes());
        line(&format!("length of the {name}"), &tip.len.to_be_bytes());
        line(&format!("root of the {name}"), tip.root.as_bytes());
        line(&format!("check of the {name}"), &comparer.check(of, tip));
    }
    line("digest of both logs", &comparer.digest(&tips));
    check_file(
        "membership.txt",
        include_str!("../../vectors/membership.txt"),
        &made,
    );
}
