//! The API as clients meet it: order, limits, live queries, tokens, and being cut off.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::support::{Device, config, put, until};
use n0_future::{SinkExt, StreamExt};
use serde_json::{Value, json};
use stead_api::{
    ADDRESS_FILE, ChangeKind, CheckState, DocDelete, DocGet, DocQuery, DocRestore, DocWatch,
    DoctorRun, ErrorKind, Event, Filter, LogKind, LogList, Predicate, SOCKET_FILE, SortKey,
    TOKEN_FILE,
};
use stead_node::Node;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

fn filter(field: &str, is: Predicate, value: Value) -> Filter {
    Filter {
        path: vec![field.to_owned()],
        is,
        value,
    }
}

fn query(collection: &str) -> DocQuery {
    DocQuery {
        space: "home".to_owned(),
        collection: collection.to_owned(),
        ..DocQuery::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_one_client_keep_their_order() {
    let node = Device::start("tower").await;
    tokio::task::block_in_place(|| {
        let mut client = node.client();
        let ids: Vec<u64> = (0..200)
            .map(|n| {
                client
                    .send(&put("home", "things", "one", json!({"n": n})))
                    .unwrap()
            })
            .collect();
        let entries: Vec<u64> = ids
            .into_iter()
            .map(|id| {
                client
                    .receive::<stead_api::DocPut>(id)
                    .unwrap()
                    .entry
                    .unwrap()
            })
            .collect();
        assert!(entries.is_sorted_by(|a, b| a < b));
    });
    assert_eq!(node.get("home", "things", "one"), Some(json!({"n": 199})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_repeated_with_its_key_changes_nothing_twice() {
    let node = Device::start("tower").await;
    let mut call = crate::support::add("home", "things", "one", "count", 1);
    call.idempotency_key = Some("k".to_owned());
    let first = node.call(&call);
    let second = node.call(&call);
    assert!(!first.repeated && second.repeated);
    assert_eq!(first.entry, second.entry);
    assert_eq!(node.get("home", "things", "one"), Some(json!({"count": 1})));
    let mut other = crate::support::add("home", "things", "one", "count", 2);
    other.idempotency_key = Some("k".to_owned());
    assert_eq!(
        node.try_call(&other).unwrap_err().kind,
        ErrorKind::KeyReused
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_filter_sort_count_and_page() {
    let node = Device::start("tower").await;
    for n in 0..25 {
        node.put(
            "home",
            "things",
            &format!("t{n:02}"),
            json!({"n": n, "even": n % 2 == 0}),
        );
    }
    let mut ask = query("things");
    ask.filters = vec![filter("even", Predicate::Eq, json!(true)).into()];
    ask.sort = vec![SortKey {
        path: vec!["n".to_owned()],
        descending: true,
    }];
    ask.limit = Some(5);
    ask.count = true;
    let mut seen = Vec::new();
    loop {
        let page = node.call(&ask);
        assert_eq!(page.total, Some(13));
        seen.extend(page.docs.iter().map(|doc| doc.value["n"].as_u64().unwrap()));
        match page.next {
            Some(next) => ask.after = Some(next),
            None => break,
        }
    }
    assert_eq!(
        seen,
        (0..25).filter(|n| n % 2 == 0).rev().collect::<Vec<_>>()
    );
    let mut by_id = query("things");
    by_id.filters = vec![filter("id", Predicate::Ge, json!("t20")).into()];
    by_id.count = true;
    let page = node.call(&by_id);
    assert_eq!((page.docs.len(), page.total), (5, Some(5)));
    let gone = DocDelete {
        space: "home".into(),
        collection: "things".into(),
        id: "t07".into(),
        ..DocDelete::default()
    };
    node.call(&gone);
    assert_eq!(node.get("home", "things", "t07"), None);
    let mut deleted = query("things");
    deleted.deleted = true;
    deleted.count = true;
    let page = node.call(&deleted);
    assert_eq!((page.docs.len(), page.total), (1, Some(1)));
    assert!(page.docs[0].deleted);
    node.call(&DocRestore {
        space: "home".into(),
        collection: "things".into(),
        id: "t07".into(),
    });
    assert_eq!(
        node.get("home", "things", "t07"),
        Some(json!({"n": 7, "even": false}))
    );
    let none = DocDelete {
        id: "never".into(),
        ..gone
    };
    assert_eq!(node.try_call(&none).unwrap_err().kind, ErrorKind::NotFound);
}

fn next_event(client: &mut stead_api::Client) -> Event {
    client.next_event().expect("an event")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_what_begins_to_fit_changes_and_ends_to_fit() {
    let node = Device::start("tower").await;
    node.put("home", "things", "a", json!({"n": 1}));
    node.put("home", "things", "b", json!({"n": 9}));
    tokio::task::block_in_place(|| {
        let mut client = node.client();
        client
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        client
            .call(&DocWatch {
                space: "home".into(),
                collection: "things".into(),
                filters: vec![filter("n", Predicate::Lt, json!(5)).into()],
                ..DocWatch::default()
            })
            .unwrap();
        let mut next = || {
            loop {
                let event = next_event(&mut client);
                if !event.changes.is_empty() {
                    return event
                        .changes
                        .into_iter()
                        .map(|c| (c.kind, c.id))
                        .collect::<Vec<_>>();
                }
            }
        };
        assert_eq!(next(), [(ChangeKind::Added, "a".to_owned())]);
        node.put("home", "things", "b", json!({"n": 3}));
        assert_eq!(next(), [(ChangeKind::Added, "b".to_owned())]);
        node.put("home", "things", "b", json!({"n": 4}));
        assert_eq!(next(), [(ChangeKind::Changed, "b".to_owned())]);
        node.put("home", "things", "a", json!({"n": 7}));
        assert_eq!(next(), [(ChangeKind::Removed, "a".to_owned())]);
        node.put("home", "things", "c", json!({"n": 100}));
        node.call(&DocDelete {
            space: "home".into(),
            collection: "things".into(),
            id: "b".into(),
            ..DocDelete::default()
        });
        assert_eq!(next(), [(ChangeKind::Removed, "b".to_owned())]);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_does_not_read_is_told_and_cut_off() {
    let node = Device::start("tower").await;
    let mut slow = UnixStream::connect(node.dir.path().join(SOCKET_FILE)).unwrap();
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "doc.watch", "params": {"space": "home", "collection": "big"}});
    writeln!(slow, "{request}").unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    for n in 0..50 {
        // Random text does not shrink.
        let text: String = (0..12_000)
            .map(|i| stead_crypt::hash::digest(format!("{n}/{i}").as_bytes()).to_string())
            .collect();
        node.put("home", "big", &format!("d{n}"), json!({"text": text}));
    }
    tokio::time::sleep(Duration::from_secs(7)).await;
    // Others are served all the while.
    assert_eq!(
        node.get("home", "big", "d0")
            .map(|doc| doc["text"].as_str().unwrap().len()),
        Some(12_000 * 64)
    );
    let heard = tokio::task::block_in_place(|| {
        slow.set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        let lines = BufReader::new(slow).lines();
        lines.map_while(Result::ok).count()
    });
    assert!(heard < 50, "it heard everything: {heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_with_what_is_wrong() {
    let node = Device::start("tower").await;
    tokio::task::block_in_place(|| {
        let stream = UnixStream::connect(node.dir.path().join(SOCKET_FILE)).unwrap();
        stream
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut ask = |text: &str| -> Value {
            writeln!(&stream, "{text}").unwrap();
            serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()
        };
        assert_eq!(ask("{")["error"]["code"], -32700);
        assert_eq!(ask("[]")["error"]["code"], -32600);
        let unknown = ask(r#"{"jsonrpc":"2.0","id":7,"method":"doc.explode"}"#);
        assert_eq!(
            (&unknown["id"], &unknown["error"]["code"]),
            (&json!(7), &json!(-32601))
        );
        let wrong = ask(r#"{"jsonrpc":"2.0","id":8,"method":"doc.get","params":{"space":7}}"#);
        assert_eq!(wrong["error"]["code"], -32602);
        let none = ask(
            r#"{"jsonrpc":"2.0","id":9,"method":"doc.get","params":{"space":"nowhere","collection":"a","id":"b"}}"#,
        );
        assert_eq!(none["error"]["data"]["kind"], "not_found");
        assert!(!none["error"]["data"]["hint"].as_str().unwrap().is_empty());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_beyond_the_limit_ends_the_connection() {
    let node = Device::start("tower").await;
    tokio::task::block_in_place(|| {
        let stream = UnixStream::connect(node.dir.path().join(SOCKET_FILE)).unwrap();
        stream
            .set_read_timeout(Some(crate::support::PATIENCE))
            .unwrap();
        let mut writer = stream.try_clone().unwrap();
        // Writing fails once the node hangs up; how far it got does not matter.
        let _ = writer.write_all(&vec![b' '; stead_api::REQUEST_BYTES_MAX + 4096]);
        let mut lines = BufReader::new(stream).lines();
        let answer: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["error"]["data"]["kind"], "too_large");
        assert!(lines.next().is_none_or(|line| line.is_err()));
    });
    // Others are served all the same.
    node.status();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_websocket_opens_with_the_token_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = config(dir.path(), "tower");
    settings.websocket = true;
    let node = Node::start(settings).await.unwrap();
    let read = |name: &str| {
        std::fs::read_to_string(dir.path().join(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    let (address, token) = (read(ADDRESS_FILE), read(TOKEN_FILE));
    let open = |url: String, origin: Option<&'static str>| {
        let address = address.clone();
        async move {
            let mut request = url.into_client_request().unwrap();
            if let Some(origin) = origin {
                request
                    .headers_mut()
                    .insert("origin", origin.parse().unwrap());
            }
            let stream = tokio::net::TcpStream::connect(address.trim_start_matches("ws://"))
                .await
                .unwrap();
            tokio_tungstenite::client_async(request, stream).await
        }
    };
    assert!(open(format!("{address}/"), None).await.is_err());
    assert!(open(format!("{address}/?token=00"), None).await.is_err());
    assert!(
        open(
            format!("{address}/?token={token}"),
            Some("https://evil.example")
        )
        .await
        .is_err()
    );
    let (mut socket, _) = open(
        format!("{address}/?token={token}"),
        Some("http://localhost:5173"),
    )
    .await
    .unwrap();
    let hello = json!({"jsonrpc": "2.0", "id": "a", "method": "hello", "params": {"api": 1}});
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    let answer: Value = serde_json::from_str(answer.to_text().unwrap()).unwrap();
    assert_eq!(answer["result"]["api"], 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_changed_what_and_proves_it() {
    let node = Device::start("tower").await;
    node.put("home", "things", "one", json!({"n": 1}));
    node.put("home", "things", "one", json!({"n": 2}));
    let page = node.call(&LogList {
        space: "home".into(),
        collection: Some("things".into()),
        id: Some("one".into()),
        limit: Some(1),
        proof: true,
        ..LogList::default()
    });
    let newest = &page.entries[0];
    assert_eq!(
        (newest.kind, newest.device.name.as_str()),
        (LogKind::Change, "tower")
    );
    assert!(newest.device.this);
    assert_eq!(newest.ops[0].op, "set");
    assert!(newest.proof.as_ref().unwrap().verified);
    let next = LogList {
        space: "home".into(),
        collection: Some("things".into()),
        before: page.next,
        ..LogList::default()
    };
    let page = node.call(&next);
    assert_eq!(page.entries.len(), 1);
    assert!(page.entries[0].time < newest.time);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_a_fresh_node_well() {
    let node = Device::start("tower").await;
    node.put("home", "things", "one", json!({"n": 1}));
    let found = node.call(&DoctorRun {
        thorough: true,
        rebuild: true,
    });
    assert!(
        found
            .checks
            .iter()
            .all(|check| check.state < CheckState::Fail),
        "{found:?}"
    );
    for name in ["Documents", "Store", "Keys", "Files", "Clock", "Network"] {
        assert!(
            found.checks.iter().any(|check| check.name == name),
            "{name}: {found:?}"
        );
    }
    let keys = found
        .checks
        .iter()
        .find(|check| check.name == "Keys")
        .unwrap();
    assert!(!keys.hint.is_empty());
    let kept = node.call(&DocGet {
        space: "home".to_owned(),
        collection: "things".to_owned(),
        id: "one".to_owned(),
        ..DocGet::default()
    });
    assert_eq!(kept.doc.value, json!({"n": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_stop_the_node() {
    let mut node = Device::start("tower").await;
    node.call(&stead_api::NodeStop {});
    let mut running = node.node.take().unwrap();
    running.ended().await.unwrap();
    running.stop().await;
    until("the socket to go", || {
        (!node.dir.path().join(SOCKET_FILE).exists()).then_some(())
    })
    .await;
}
