//! Hello, clocks, keeping alive and ending.

use super::net::{Dice, Net};
use crate::io::{CloseReason, GoodbyeCode, Input, Output};
use crate::limits::{GOODBYE_BYTES_MAX, IDLE_MAX_MS, PING_INTERVAL_MS, WINDOW_BYTES_MAX};
use crate::message::Message;
use crate::{PeerMisbehaved, Role, Session};
use bytes::Bytes;

fn hello(versions: (u64, u64), clock_ms: u64, window: u64) -> Input {
    frame(Message::Hello {
        version_min: versions.0,
        version_max: versions.1,
        features: u64::MAX,
        nonce: [3; 32],
        clock_ms,
        window,
        extension: Bytes::from_static(b"what a later version adds"),
    })
}

fn frame(message: Message) -> Input {
    let wire = message.encode().unwrap().to_vec();
    Input::Frame(Bytes::copy_from_slice(&wire[4..]))
}

fn session() -> Session {
    let net = Net::new(2);
    Session::new(net.opening(Role::Listener, 0, 1, 0), [], 500)
}

fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

#[test]
fn a_clock_years_off_is_told_in_both_directions() {
    const YEARS: i64 = 3 * 365 * 86_400_000;
    for ahead_ms in [YEARS, -YEARS, 0] {
        let mut session = session();
        let clock = 1_700_000_000_000u64.wrapping_add_signed(ahead_ms);
        // 40 ms pass between the two hellos.
        session
            .handle(hello((1, 1), clock + 40, WINDOW_BYTES_MAX), 540)
            .unwrap();
        assert!(outputs(&mut session).contains(&Output::PeerClock { ahead_ms }));
    }
}

#[test]
fn a_later_version_that_still_speaks_this_one_is_understood() {
    let mut session = session();
    session
        .handle(hello((1, 9), 0, WINDOW_BYTES_MAX), 500)
        .unwrap();
    assert_eq!(session.closed(), None);
}

#[test]
fn no_common_version_ends_the_session_and_says_why() {
    let mut session = session();
    session
        .handle(hello((2, 9), 0, WINDOW_BYTES_MAX), 500)
        .unwrap();
    let reason = CloseReason::NoCommonVersion {
        ours: 1,
        theirs_min: 2,
        theirs_max: 9,
    };
    assert_eq!(session.closed(), Some(&reason));
    assert!(outputs(&mut session).contains(&Output::Closed(reason)));
}

#[test]
fn a_window_outside_its_limits_is_refused() {
    for window in [0, crate::limits::WINDOW_BYTES_MIN - 1, WINDOW_BYTES_MAX + 1] {
        let error = session().handle(hello((1, 1), 0, window), 500);
        assert_eq!(error, Err(PeerMisbehaved::WindowOutOfRange { window }));
    }
}

#[test]
fn nothing_but_hello_may_come_first() {
    let error = session().handle(frame(Message::Ping { token: 0 }), 500);
    assert!(matches!(error, Err(PeerMisbehaved::UnexpectedFrame { .. })));
}

#[test]
fn a_quiet_connection_is_kept_alive_by_pings_alone() {
    let mut net = Net::new(2);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    for _ in 0..20 {
        net.pass(PING_INTERVAL_MS);
        net.settle(&mut Dice::new(1));
    }
    assert!(net.closed(link, 0).is_none() && net.closed(link, 1).is_none());
    let trips = net.events(0, link).into_iter();
    assert!(
        trips
            .filter(|event| matches!(event, Output::RoundTrip { ms: 0 }))
            .count()
            >= 20
    );
}

#[test]
fn a_silent_peer_is_given_up_after_the_idle_limit_and_not_before() {
    let mut session = session();
    session.handle(Input::Tick, 500 + IDLE_MAX_MS - 1).unwrap();
    assert_eq!(session.closed(), None);
    session.handle(Input::Tick, 500 + IDLE_MAX_MS).unwrap();
    let reason = CloseReason::Idle {
        idle_ms: IDLE_MAX_MS,
    };
    assert_eq!(session.closed(), Some(&reason));
}

#[test]
fn a_driver_that_follows_the_wake_times_is_woken_seldom_and_in_time() {
    let mut session = session();
    session
        .handle(hello((1, 1), 0, WINDOW_BYTES_MAX), 500)
        .unwrap();
    let (mut wakes, mut pings) = (0, 0);
    let mut next = None;
    loop {
        for output in outputs(&mut session) {
            match output {
                Output::WakeAt(at) => next = Some(at),
                Output::Send(frame) => {
                    let body = Bytes::copy_from_slice(&frame.to_vec()[4..]);
                    pings +=
                        usize::from(matches!(Message::decode(&body), Ok(Message::Ping { .. })));
                }
                _ => {}
            }
        }
        if session.closed().is_some() {
            break;
        }
        session
            .handle(Input::Tick, next.take().expect("the session wants to wake"))
            .unwrap();
        wakes += 1;
    }
    assert!(wakes <= 4, "{wakes} wakes");
    assert!((2..=3).contains(&pings));
}

#[test]
fn a_tick_that_comes_early_is_told_when_to_come_again() {
    let mut session = session();
    outputs(&mut session);
    session.handle(Input::Tick, 501).unwrap();
    assert_eq!(outputs(&mut session), [Output::WakeAt(500 + IDLE_MAX_MS)]);
}

#[test]
fn a_close_reaches_the_peer_with_its_words() {
    let mut net = Net::new(2);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    let text = "x".repeat(GOODBYE_BYTES_MAX - 1) + "é and more\n";
    net.input(
        link,
        0,
        Input::Close {
            code: GoodbyeCode::Store,
            text,
        },
    );
    assert_eq!(net.closed(link, 0), Some(&CloseReason::Here));
    net.settle(&mut Dice::new(1));
    let Some(CloseReason::Peer { code, text }) = net.closed(link, 1) else {
        panic!("the peer heard nothing");
    };
    assert_eq!(*code, GoodbyeCode::Store as u64);
    assert_eq!(text.len(), GOODBYE_BYTES_MAX - 1);
}

#[test]
fn a_closed_session_takes_no_further_part() {
    let mut session = session();
    let error = session.handle(Input::Frame(Bytes::from_static(&[0xee])), 500);
    assert!(matches!(error, Err(PeerMisbehaved::BadFrame(_))));
    outputs(&mut session);
    assert_eq!(session.handle(Input::Tick, 10_000), error);
    assert_eq!(
        session.handle(hello((1, 1), 0, WINDOW_BYTES_MAX), 10_000),
        error
    );
    assert_eq!(outputs(&mut session), []);
}

#[test]
fn a_pong_without_a_ping_is_refused() {
    let mut net = Net::new(2);
    let link = net.connect(0, 1);
    net.settle(&mut Dice::new(1));
    let error = net.try_input(link, 0, frame(Message::Pong { token: 0 }));
    assert_eq!(error, Err(PeerMisbehaved::PongNotAskedFor));
}
