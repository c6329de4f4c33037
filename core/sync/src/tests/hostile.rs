//! Peers that break the rules: every rule is named when broken, and nothing panics or grows.

use super::net::{Dice, Net, space, writer};
use crate::io::{Input, Output};
use crate::limits::{
    EAGER_BYTES_MAX, TAGS_PER_FRAME_MAX, TIPS_PER_FRAME_MAX, WANTS_IN_FLIGHT_MAX, WINDOW_BYTES_MAX,
};
use crate::message::{Message, WireTip, WriterRef};
use crate::{PeerMisbehaved, Role, Session};
use bytes::Bytes;
use stead_base::limits::LOG_LEN_MAX;

pub(super) fn frame(message: Message) -> Input {
    let wire = message.encode().unwrap().to_vec();
    Input::Frame(Bytes::copy_from_slice(&wire[4..]))
}

/// The number of the one space that a link shares.
pub(super) fn space_number(net: &Net, link: usize) -> u64 {
    net.links[&link].ways[0].space_number.unwrap()
}

/// Device 0 has three entries and offers them to device 1, which is up to date.
pub(super) fn live() -> (Net, usize, u64) {
    let mut net = Net::new(2);
    (0..2).for_each(|device| net.write(device, space(1), writer(0), &[b"a", b"b", b"c"]));
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    let no = space_number(&net, link);
    (net, link, no)
}

fn refused(message: Message) -> PeerMisbehaved {
    let (mut net, link, _) = live();
    net.try_input(link, 1, frame(message)).unwrap_err()
}

fn batch(space: u64, from: u64) -> Message {
    Message::Batch {
        space,
        writer: WriterRef::New(writer(0)),
        from,
        count: 1,
        batch: Bytes::from_static(b"entry"),
    }
}

fn tips(space: u64, last: bool, tips: Vec<WireTip>) -> Message {
    Message::Tips { space, last, tips }
}

fn tip(writer: WriterRef, len: u64) -> WireTip {
    WireTip {
        writer,
        len,
        frozen: false,
        check: [1; 8],
    }
}

#[test]
fn a_space_that_was_never_agreed_on_is_refused() {
    assert_eq!(
        refused(Message::Leave { space: 99 }),
        PeerMisbehaved::UnknownSpaceNumber { number: 99 }
    );
}

#[test]
fn a_batch_that_nobody_asked_for_is_refused() {
    let (_, _, no) = live();
    assert!(matches!(
        refused(batch(no, 3)),
        PeerMisbehaved::BatchNotAskedFor { from: 3, .. }
    ));
}

#[test]
fn a_batch_that_skips_entries_of_what_was_asked_for_is_refused() {
    let (mut net, link, no) = live();
    net.input(
        link,
        1,
        frame(tips(no, false, vec![tip(WriterRef::New(writer(0)), 9)])),
    );
    let skipping = Message::Batch {
        space: no,
        writer: WriterRef::Known(0),
        from: 4,
        count: 1,
        batch: Bytes::new(),
    };
    assert!(matches!(
        net.try_input(link, 1, frame(skipping)),
        Err(PeerMisbehaved::BatchNotAskedFor { from: 4, .. })
    ));
}

#[test]
fn a_writer_number_that_was_never_given_is_refused() {
    let (_, _, no) = live();
    let message = tips(no, false, vec![tip(WriterRef::Known(5), 1)]);
    assert!(matches!(
        refused(message),
        PeerMisbehaved::UnknownWriterNumber { number: 5, .. }
    ));
}

#[test]
fn a_writer_named_in_full_twice_is_refused() {
    let (_, _, no) = live();
    let again = tip(WriterRef::New(writer(7)), 1);
    assert!(matches!(
        refused(tips(no, false, vec![again, again])),
        PeerMisbehaved::WriterNamedTwice { .. }
    ));
}

#[test]
fn a_listing_that_is_not_due_is_refused() {
    let (_, _, no) = live();
    assert!(matches!(
        refused(tips(no, true, vec![])),
        PeerMisbehaved::FrontierNotDue { .. }
    ));
    assert!(matches!(
        refused(Message::Digest {
            space: no,
            digest: [0; 32]
        }),
        PeerMisbehaved::FrontierNotDue { .. }
    ));
}

#[test]
fn a_pushed_tail_above_the_limit_is_refused() {
    let (_, _, no) = live();
    let message = Message::Push {
        space: no,
        writer: WriterRef::New(writer(0)),
        from: 3,
        count: 1,
        check: [0; 8],
        batch: Bytes::from(vec![0; EAGER_BYTES_MAX + 1]),
    };
    assert!(matches!(
        refused(message),
        PeerMisbehaved::PushTooLarge { .. }
    ));
}

#[test]
fn a_push_that_leaves_a_gap_is_taken_as_news_only() {
    let (mut net, link, no) = live();
    let message = Message::Push {
        space: no,
        writer: WriterRef::New(writer(0)),
        from: 5,
        count: 2,
        check: [0; 8],
        batch: Bytes::from_static(b"not even looked at"),
    };
    net.input(link, 1, frame(message));
    let asked = net.links[&link].ways[1].messages();
    assert!(matches!(
        asked[..],
        [Message::Want {
            from: 3,
            count: 4,
            ..
        }]
    ));
}

/// A session with more logs than may be asked for at once, whose driver answers no read.
fn asked_by_many() -> (Session, u64) {
    let mut net = Net::new(2);
    for n in 0..=WANTS_IN_FLIGHT_MAX as u16 {
        net.write(0, space(1), writer(n), &[b"a"]);
    }
    net.join(1, space(1));
    let opening = net.opening(Role::Dialer, 0, 1, 0);
    let mut session = Session::new(opening, net.memberships(0), 0);
    let opening = net.opening(Role::Listener, 1, 0, 0);
    let mut peer = Session::new(opening, net.memberships(1), 0);
    let mut number = None;
    for _ in 0..4 {
        let (left, right) = (sent(&mut session), sent(&mut peer));
        for frame in left {
            match Message::decode(&frame).unwrap() {
                // The peer must not ask by itself.
                Message::Tips { .. } => {}
                message => {
                    if let Message::Digest { space, .. } = message {
                        number = Some(space);
                    }
                    peer.handle(Input::Frame(frame), 0).unwrap();
                }
            }
        }
        for frame in right {
            session.handle(Input::Frame(frame), 0).unwrap();
        }
    }
    (session, number.unwrap())
}

fn want(space: u64, writer: WriterRef) -> Input {
    frame(Message::Want {
        space,
        writer,
        from: 0,
        count: 1,
    })
}

#[test]
fn ranges_are_refused_one_beyond_the_limit() {
    let (mut session, no) = asked_by_many();
    for n in 0..WANTS_IN_FLIGHT_MAX as u16 {
        let asked = session.handle(want(no, WriterRef::New(writer(n))), 0);
        assert_eq!(asked, Ok(()));
    }
    let reads = std::iter::from_fn(|| session.poll_output())
        .filter(|output| matches!(output, Output::Read(_)))
        .count();
    assert_eq!(reads, crate::limits::READS_IN_FLIGHT_MAX);
    let last = writer(WANTS_IN_FLIGHT_MAX as u16);
    assert!(matches!(
        session.handle(want(no, WriterRef::New(last)), 0),
        Err(PeerMisbehaved::TooManyWants { .. })
    ));
}

#[test]
fn a_second_range_of_one_log_is_refused_while_the_first_is_open() {
    let (mut session, no) = asked_by_many();
    let first = session.handle(want(no, WriterRef::New(writer(0))), 0);
    assert_eq!(first, Ok(()));
    assert!(matches!(
        session.handle(want(no, WriterRef::Known(0)), 0),
        Err(PeerMisbehaved::WantOverlaps { .. })
    ));
}

fn sent(session: &mut Session) -> Vec<Bytes> {
    std::iter::from_fn(|| session.poll_output())
        .filter_map(|output| match output {
            Output::Send(frame) => Some(Bytes::copy_from_slice(&frame.to_vec()[4..])),
            _ => None,
        })
        .collect()
}

#[test]
fn a_range_that_is_not_there_is_answered_by_gone() {
    let (mut net, link, no) = live();
    let want = Message::Want {
        space: no,
        writer: WriterRef::New(writer(0)),
        from: 2,
        count: 2,
    };
    net.input(link, 0, frame(want));
    let answer = net.links[&link].ways[0].messages();
    assert!(matches!(answer[..], [Message::Gone { .. }]));
}

#[test]
fn bytes_beyond_the_window_are_refused() {
    let (mut net, link, no) = live();
    net.devices[1].slow_store = Some(Default::default());
    let far = tip(WriterRef::New(writer(0)), 1 << 20);
    net.input(link, 1, frame(tips(no, false, vec![far])));
    let mut from = 3;
    let mut sent = 0;
    let result = loop {
        let message = Message::Batch {
            space: no,
            writer: WriterRef::Known(0),
            from,
            count: 1,
            batch: net.model_batch(1, space(1), writer(0), 1 << 20),
        };
        from += 1;
        sent += 1 << 20;
        if let Err(error) = net.try_input(link, 1, frame(message)) {
            break error;
        }
        assert!(sent <= WINDOW_BYTES_MAX);
    };
    assert!(matches!(result, PeerMisbehaved::OutOfCredit { .. }));
}

#[test]
fn credit_that_was_never_taken_is_refused() {
    assert!(matches!(
        refused(Message::Credit { bytes: 1 << 20 }),
        PeerMisbehaved::CreditOverflow { .. }
    ));
    assert!(matches!(
        refused(Message::Credit { bytes: u64::MAX }),
        PeerMisbehaved::CreditOverflow { .. }
    ));
}

#[test]
fn an_answer_to_no_offer_and_a_stop_of_nothing_are_refused() {
    let (_, _, no) = live();
    let tags = (0..8u8).map(|n| [n; 32]).collect();
    assert_eq!(
        refused(Message::Accept { tags }),
        PeerMisbehaved::AcceptWithoutOffer
    );
    let gone = Message::Gone {
        space: no,
        writer: WriterRef::New(writer(0)),
    };
    assert!(matches!(
        refused(gone),
        PeerMisbehaved::UnexpectedFrame { frame: "Gone", .. }
    ));
}

#[test]
fn frames_about_a_space_just_left_are_ignored_and_cost_no_credit() {
    let (mut net, link, no) = live();
    net.leave(1, space(1));
    for _ in 0..40 {
        let message = Message::Push {
            space: no,
            writer: WriterRef::New(writer(0)),
            from: 3,
            count: 1,
            check: [0; 8],
            batch: Bytes::from(vec![0; 1 << 20]),
        };
        net.input(link, 1, frame(message));
    }
    assert!(net.closed(link, 1).is_none());
}

#[test]
fn counts_and_tags_that_break_their_form_are_refused() {
    let tags = |n: usize| Message::Offer {
        tags: (0..n)
            .map(|i| {
                let mut tag = [0; 32];
                tag[..4].copy_from_slice(&(i as u32).to_be_bytes());
                tag
            })
            .collect(),
    };
    let decode = |message: Message| {
        let wire = message.encode().unwrap().to_vec();
        Message::decode(&Bytes::copy_from_slice(&wire[4..]))
    };
    for good in [8, 16, TAGS_PER_FRAME_MAX] {
        assert!(decode(tags(good)).is_ok());
    }
    for bad in [0, 4, 7, 9, TAGS_PER_FRAME_MAX * 2] {
        assert!(decode(tags(bad)).is_err(), "{bad} tags");
    }
    let unsorted = vec![[1; 32]; 8];
    assert!(decode(Message::Offer { tags: unsorted }).is_err());
    let many = |n: usize| tips(0, false, vec![tip(WriterRef::Known(0), 1); n]);
    assert!(decode(many(TIPS_PER_FRAME_MAX)).is_ok());
    assert!(decode(many(TIPS_PER_FRAME_MAX + 1)).is_err());
    let want = |from, count| Message::Want {
        space: 0,
        writer: WriterRef::Known(0),
        from,
        count,
    };
    assert!(decode(want(LOG_LEN_MAX - 1, 1)).is_ok());
    assert!(decode(want(LOG_LEN_MAX - 1, 2)).is_err());
    assert!(decode(want(0, 0)).is_err());
}
