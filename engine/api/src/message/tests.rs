//! Properties of messages.

use super::*;
use crate::{
    DocGet, DocPut, DocQuery, Edit, Filter, METHODS, NodeStatus, Op, Predicate, Status, Watching,
};
use proptest::prelude::*;
use serde_json::json;

fn refused(text: &str) -> Refusal {
    parse_request(text.as_bytes()).unwrap_err()
}

#[test]
fn a_request_reads_back_from_its_json() {
    let put = DocPut {
        space: "home".into(),
        edits: vec![
            Edit {
                collection: "cities".into(),
                id: None,
                op: Op::Put {
                    value: json!({"name": "Bern"}),
                    replace: true,
                },
            },
            Edit {
                collection: "cities".into(),
                id: Some("bern".into()),
                op: Op::Add {
                    path: vec!["visits".into()],
                    delta: -3,
                },
            },
            Edit {
                collection: "cities".into(),
                id: Some("ulm".into()),
                op: Op::Delete,
            },
        ],
        idempotency_key: Some("k".into()),
        ..DocPut::default()
    };
    let text = Request::encode(7, &put).unwrap();
    let request = parse_request(text.as_bytes()).unwrap();
    assert_eq!(request.id, RequestId::Number(7));
    assert_eq!(request.call, Call::DocPut(put));
    assert!(text.contains(r#""op":{"add":{"path":["visits"],"delta":-3}}"#));
    assert!(text.contains(r#""op":"delete""#));
}

#[test]
fn parameters_may_be_left_out_where_there_are_none() {
    let request = parse_request(br#"{"jsonrpc":"2.0","id":"a","method":"node.status"}"#).unwrap();
    assert_eq!(request.call, Call::NodeStatus(NodeStatus {}));
    assert_eq!(request.id, RequestId::Text("a".into()));
}

#[test]
fn every_method_is_known_by_its_name() {
    for method in METHODS {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        match parse_request(text.as_bytes()) {
            Ok(request) => assert_eq!(request.call.method(), *method),
            Err(refusal) => assert_eq!(refusal.error.kind, ErrorKind::InvalidParams, "{method}"),
        }
    }
}

#[test]
fn a_refusal_names_its_request_where_it_can() {
    assert_eq!(refused("{").error.kind, ErrorKind::ParseError);
    assert_eq!(refused("[]").error.kind, ErrorKind::InvalidRequest);
    assert_eq!(
        refused(r#"{"jsonrpc":"2.0","method":"node.status"}"#)
            .error
            .kind,
        ErrorKind::InvalidRequest
    );
    let unknown = refused(r#"{"jsonrpc":"2.0","id":3,"method":"no.such"}"#);
    assert_eq!(unknown.id, Some(RequestId::Number(3)));
    assert_eq!(unknown.error.kind, ErrorKind::UnknownMethod);
    let old = refused(r#"{"jsonrpc":"1.0","id":3,"method":"node.status"}"#);
    assert_eq!(old.error.kind, ErrorKind::InvalidRequest);
    let params = refused(r#"{"jsonrpc":"2.0","id":3,"method":"doc.get","params":{"space":1}}"#);
    assert_eq!(params.error.kind, ErrorKind::InvalidParams);
    let null = refused(r#"{"jsonrpc":"2.0","id":null,"method":"node.status"}"#).into_response();
    assert!(
        null.encode()
            .starts_with(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"#)
    );
}

#[test]
fn requests_over_a_limit_are_refused() {
    let long = vec![b' '; REQUEST_BYTES_MAX + 1];
    assert_eq!(
        parse_request(&long).unwrap_err().error.kind,
        ErrorKind::TooLarge
    );
    let edit = Edit {
        collection: "c".into(),
        id: None,
        op: Op::Restore,
    };
    let mut put = DocPut {
        space: "s".into(),
        edits: vec![edit.clone(); EDITS_MAX],
        idempotency_key: Some("k".repeat(IDEMPOTENCY_KEY_BYTES_MAX)),
        ..DocPut::default()
    };
    let parse = |put: &DocPut| parse_request(Request::encode(1, put).unwrap().as_bytes());
    assert!(parse(&put).is_ok());
    put.edits.push(edit);
    assert_eq!(parse(&put).unwrap_err().error.kind, ErrorKind::TooLarge);
    put.edits.clear();
    put.idempotency_key = Some("k".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1));
    assert_eq!(parse(&put).unwrap_err().error.kind, ErrorKind::TooLarge);

    let filter = Filter {
        path: vec!["a".into()],
        is: Predicate::Gt,
        value: json!(1),
    };
    let query = DocQuery {
        filters: vec![filter.into(); CLAUSES_MAX + 1],
        ..DocQuery::default()
    };
    let text = Request::encode(1, &query).unwrap();
    assert_eq!(
        parse_request(text.as_bytes()).unwrap_err().error.kind,
        ErrorKind::TooLarge
    );
}

#[test]
fn nesting_without_end_is_refused_not_followed() {
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"doc.put","params":{{"space":"s","edits":[{{"collection":"c","op":{{"put":{{"value":{}1{}}}}}}}]}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(refused(&deep).error.kind, ErrorKind::InvalidParams);
}

#[test]
fn answers_and_events_read_back() {
    let response = Response::success(
        RequestId::Number(1),
        &Watching {
            watch: 5,
            ..Watching::default()
        },
    );
    assert_eq!(
        parse_incoming(response.encode().as_bytes()),
        Ok(Some(Incoming::Response(response)))
    );
    let failure = Response::failure(
        RequestId::Text("x".into()),
        ApiError::new(ErrorKind::NotFound, "There is none.").hint("Make one."),
    );
    assert_eq!(
        parse_incoming(failure.encode().as_bytes()),
        Ok(Some(Incoming::Response(failure)))
    );
    let event = Notification::Watch(Event {
        watch: 5,
        changes: vec![Change {
            kind: crate::ChangeKind::Removed,
            id: "a".into(),
            value: None,
            at: Some(3),
        }],
        transactions: Some(7),
        more: true,
        ready: true,
        reset: false,
    });
    assert_eq!(
        parse_incoming(event.encode().as_bytes()),
        Ok(Some(Incoming::Notification(event)))
    );
    assert_eq!(
        parse_incoming(br#"{"jsonrpc":"2.0","method":"tomorrow","params":{}}"#),
        Ok(None)
    );
    assert!(parse_incoming(b"nonsense").is_err());
    assert!(serde_json::from_value::<Status>(json!({})).is_err());
}

#[test]
fn keys_that_are_unknown_do_not_break_a_request() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"doc.get","params":{"space":"s","collection":"c","id":"d","new":1},"trace":2}"#;
    let request = parse_request(text.as_bytes()).unwrap();
    assert_eq!(
        request.call,
        Call::DocGet(DocGet {
            space: "s".into(),
            collection: "c".into(),
            id: "d".into(),
            deleted: false,
            ..DocGet::default()
        })
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_request(&bytes);
        let _ = parse_incoming(&bytes);
    }

    #[test]
    fn no_json_makes_a_reader_panic(method in 0..METHODS.len(), params in "[\\[\\]{}\",:a-z0-9. ]{0,60}") {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}","params":{params}}}"#, METHODS[method]);
        let _ = parse_request(text.as_bytes());
        let _ = parse_incoming(text.as_bytes());
    }
}
