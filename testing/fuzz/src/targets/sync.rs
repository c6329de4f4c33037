//! Frames, and a live session that is fed them.

use bytes::Bytes;
use std::collections::BTreeMap;
use stead_base::{DeviceId, Hash, WriterId};
use stead_crypt::Zeroizing;
use stead_sync::frame::FrameReader;
use stead_sync::{Input, Message, Opening, Output, Role, Session, SpaceMembership, Tip};

/// One frame without its length: what is accepted has no second encoding.
pub fn frame(data: &[u8]) -> bool {
    let Ok(message) = Message::decode(&Bytes::copy_from_slice(data)) else {
        return false;
    };
    let again = message.encode().expect("a decoded frame is short enough");
    assert_eq!(&again.to_vec()[4..], data);
    true
}

/// A session that shares a space with an honest peer, and then hears the input as the peer's
/// stream. Accepted means that the peer broke no rule.
pub fn session(data: &[u8]) -> bool {
    let mut session = streaming();
    let mut reader = FrameReader::new();
    let mut now_ms = 0;
    // In two pieces, so that frames are also put together.
    let (first, second) = data.split_at(data.len() / 2);
    for piece in [first, second] {
        reader.push(Bytes::copy_from_slice(piece));
        loop {
            let frame = match reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return false,
            };
            now_ms += 7;
            if session.handle(Input::Frame(frame), now_ms).is_err() {
                assert!(session.closed().is_some());
                return false;
            }
            drive(&mut session, now_ms);
        }
    }
    reader.is_between_frames()
}

/// Answers what the session asks, as a store without entries beyond the first three would.
fn drive(session: &mut Session, now_ms: u64) {
    while let Some(output) = session.poll_output() {
        let answer = match output {
            Output::Batch { credit, .. } => Input::Stored { credit },
            Output::Read(read) if read.upto <= 3 => Input::ReadDone {
                space: read.space,
                writer: read.writer,
                from: read.from,
                upto: read.from + 1,
                batch: Bytes::from_static(b"opaque"),
            },
            Output::Read(read) => Input::ReadFailed {
                space: read.space,
                writer: read.writer,
            },
            Output::ProbeAsked { space, writer, at } => Input::ProbeReply {
                space,
                writer,
                at,
                reply: Bytes::from_static(b"root"),
            },
            Output::ForkProof { space, writer, .. } => Input::Frozen {
                space,
                writer,
                tip: Tip::new(1, Hash::from_bytes([1; 32])),
                proof: Bytes::from_static(b"proof"),
            },
            _ => continue,
        };
        let answered = session.handle(answer, now_ms);
        assert!(answered.is_ok(), "the driver's answers break no rule");
    }
}

fn opening(role: Role) -> Opening {
    let devices = [1, 2].map(|n| DeviceId::from_bytes([n; 32]));
    let (local, remote) = match role {
        Role::Dialer => (devices[0], devices[1]),
        Role::Listener => (devices[1], devices[0]),
    };
    Opening {
        role,
        local,
        remote,
        channel_binding: [3; 32],
        seed: [role as u8; 32],
        wall_ms: 1_700_000_000_000,
        window_bytes: stead_sync::limits::WINDOW_BYTES_MAX,
        auto_fetch: true,
    }
}

/// The writer whose log both sides have.
pub fn writer() -> WriterId {
    WriterId::from_bytes([9; 32])
}

fn membership() -> SpaceMembership {
    SpaceMembership {
        space: super::log::SPACE,
        secret: Zeroizing::new([4; 32]),
        tips: BTreeMap::from([(writer(), Tip::new(3, Hash::from_bytes([6; 32])))]),
    }
}

/// The listener of a session whose dialer shares its space, frontiers equal.
fn streaming() -> Session {
    let mut dialer = Session::new(opening(Role::Dialer), [membership()], 0);
    let mut listener = Session::new(opening(Role::Listener), [membership()], 0);
    for _ in 0..4 {
        pass(&mut dialer, &mut listener);
        pass(&mut listener, &mut dialer);
    }
    assert!(
        listener.missing(&super::log::SPACE).is_some(),
        "the honest part of the session ends in streaming"
    );
    listener
}

fn pass(from: &mut Session, to: &mut Session) {
    while let Some(output) = from.poll_output() {
        if let Output::Send(frame) = output {
            let mut reader = FrameReader::new();
            reader.push(frame.to_vec().into());
            while let Ok(Some(frame)) = reader.next_frame() {
                let handled = to.handle(Input::Frame(frame), 0);
                assert!(handled.is_ok(), "honest peers break no rule");
            }
        }
    }
}

/// The number that the space has in the session of [`session`].
pub fn space_number() -> u64 {
    let mut dialer = Session::new(opening(Role::Dialer), [membership()], 0);
    let mut listener = Session::new(opening(Role::Listener), [membership()], 0);
    pass(&mut dialer, &mut listener);
    pass(&mut listener, &mut dialer);
    pass(&mut dialer, &mut listener);
    while let Some(output) = listener.poll_output() {
        if let Output::Send(frame) = output
            && let Ok(Message::Digest { space, .. }) =
                Message::decode(&Bytes::copy_from_slice(&frame.to_vec()[4..]))
        {
            return space;
        }
    }
    unreachable!("the listener sends a digest of the space that both have")
}
