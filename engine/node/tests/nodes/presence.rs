//! Who is where, between real nodes over real connections.

use crate::support::{Device, PATIENCE, in_step, linked, until};
use serde_json::json;
use stead_api::{
    Client, CursorAt, CursorSeen, DocPut, DocQuery, Edit, ErrorKind, Filter, Notification, Op,
    PresenceClear, PresenceEvent, PresenceList, PresenceSet, PresenceWatch, Present, RichWatch,
    SpaceJoin, SpaceRevoke, SpaceShare, SqlRun, TextEdit, TextUnit, Where,
};

fn list(device: &Device) -> Vec<Present> {
    let list = PresenceList {
        space: "shared".to_owned(),
        ..PresenceList::default()
    };
    device.call(&list).here
}

fn set(on: &str, value: serde_json::Value) -> PresenceSet {
    PresenceSet {
        space: "shared".to_owned(),
        on: on.to_owned(),
        app: "editor".to_owned(),
        value,
        ..PresenceSet::default()
    }
}

fn insert(device: &Device, at: usize, text: &str) {
    let op = Op::Text {
        path: vec!["body".to_owned()],
        edit: TextEdit::Splice {
            at,
            delete: 0,
            insert: text.to_owned(),
        },
        unit: TextUnit::Scalar,
    };
    device.call(&DocPut {
        space: "shared".to_owned(),
        edits: vec![Edit {
            collection: "notes".to_owned(),
            id: Some("plan".to_owned()),
            op,
        }],
        ..DocPut::default()
    });
}

fn next(client: &mut Client) -> PresenceEvent {
    loop {
        if let Notification::Presence(event) = client.next_notification().expect("an event") {
            return event;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_seen_elsewhere_with_a_cursor_that_moves_as_others_type_until_it_goes() {
    let (one, other) = linked().await;
    one.space("shared");
    insert(&one, 0, "hello world");
    in_step("shared", &[&one, &other]).await;
    let mut app = one.client();
    tokio::task::block_in_place(|| {
        let cursors = vec![CursorAt {
            field: vec!["body".to_owned()],
            anchor: 6,
            head: Some(11),
        }];
        let set = PresenceSet {
            cursors,
            ..set("notes/plan", json!({"mood": "busy"}))
        };
        app.call(&set).unwrap();
    });
    let seen = until("being seen", || list(&other).pop()).await;
    assert_eq!(seen.on, "/notes/plan");
    assert_eq!(seen.value, json!({"mood": "busy"}));
    assert_eq!((seen.own, seen.person.as_deref()), (false, Some("you")));
    assert_eq!(seen.device_name, one.name);
    let place = |anchor, head| CursorSeen {
        field: vec!["body".to_owned()],
        anchor: Some(anchor),
        head: Some(head),
    };
    assert_eq!(seen.cursors, [place(6, 11)]);

    let mut watching = other.client();
    tokio::task::block_in_place(|| {
        watching.set_read_timeout(Some(PATIENCE)).unwrap();
        watching
            .call(&PresenceWatch {
                space: "shared".to_owned(),
                on: "notes".to_owned(),
                ..PresenceWatch::default()
            })
            .unwrap();
        let first = next(&mut watching);
        assert!(first.ready && first.here.len() == 1);
        insert(&other, 0, "> ");
        let moved = next(&mut watching);
        assert_eq!(moved.here[0].cursors, [place(8, 13)]);
        app.call(&set("notes/plan", json!("away"))).unwrap();
        let said = next(&mut watching);
        assert_eq!(said.here[0].value, json!("away"));
        assert_eq!(said.here[0].key, seen.key);
        // The program ends without a word.
        drop(app);
        let gone = next(&mut watching);
        assert_eq!(gone.left, std::slice::from_ref(&seen.key));
    });
    assert_eq!(list(&other), []);
    assert_eq!(list(&one), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_the_connection_is_gone_and_comes_back_with_it() {
    let (mut one, other) = linked().await;
    one.space("shared");
    in_step("shared", &[&one, &other]).await;
    let mut app = one.client();
    tokio::task::block_in_place(|| app.call(&set("/", json!(1))).unwrap());
    until("being seen", || list(&other).pop()).await;
    let before = std::time::Instant::now();
    one.stop().await;
    until("being gone", || list(&other).is_empty().then_some(())).await;
    // By the connection, not by the time-out.
    assert!(before.elapsed() < std::time::Duration::from_secs(20));
    one.again().await;
    let mut app = one.client();
    tokio::task::block_in_place(|| app.call(&set("/", json!(2))).unwrap());
    let seen = until("being seen again", || list(&other).pop()).await;
    assert_eq!(seen.value, json!(2));
    tokio::task::block_in_place(|| {
        let clear = PresenceClear {
            space: "shared".to_owned(),
            on: "/".to_owned(),
            app: "editor".to_owned(),
        };
        app.call(&clear).unwrap();
    });
    until("having left", || list(&other).is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_neither_heard_nor_told() {
    let (ada, ben) = (Device::start("ada").await, Device::start("ben").await);
    ada.space("shared");
    let share = SpaceShare {
        space: "shared".to_owned(),
        role: "reader".to_owned(),
        uses: Some(1),
        valid_ms: None,
        path: None,
    };
    let invite = ada.call(&share).invite;
    ben.call(&SpaceJoin { invite, keep: None });
    let (mut of_ada, mut of_ben) = (ada.client(), ben.client());
    tokio::task::block_in_place(|| of_ada.call(&set("/", json!("ada"))).unwrap());
    until("letting in", || {
        tokio::task::block_in_place(|| of_ben.call(&set("/", json!("ben"))).ok())
    })
    .await;
    // A reader is heard too.
    until("both", || (list(&ada).len() == 2).then_some(())).await;
    until("both", || (list(&ben).len() == 2).then_some(())).await;
    ada.call(&SpaceRevoke {
        space: "shared".to_owned(),
        member: "ben".to_owned(),
        reason: None,
    });
    until("not being heard", || (list(&ada).len() == 1).then_some(())).await;
    tokio::task::block_in_place(|| of_ada.call(&set("/", json!("secret"))).unwrap());
    let refused = until("hearing of it", || {
        tokio::task::block_in_place(|| of_ben.call(&set("/", json!("still here"))).err())
    })
    .await;
    assert!(matches!(refused, stead_api::ClientError::Api(_)));
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(list(&ada).len(), 1);
    let told = list(&ben);
    assert!(
        told.iter().all(|it| it.value != json!("secret")),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_and_cursors_in_nothing_are_refused_with_what_to_do() {
    let node = Device::start("one").await;
    node.space("shared");
    let refused = node
        .try_call(&set("/", json!("x".repeat(4000))))
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooLarge);
    assert!(!refused.hint.is_empty());
    let cursors = vec![CursorAt {
        field: vec!["body".to_owned()],
        ..CursorAt::default()
    }];
    let nowhere = PresenceSet {
        cursors: cursors.clone(),
        ..set("/", json!(1))
    };
    assert_eq!(
        node.try_call(&nowhere).unwrap_err().kind,
        ErrorKind::InvalidParams
    );
    let nothing = PresenceSet {
        cursors,
        ..set("notes/none", json!(1))
    };
    assert_eq!(
        node.try_call(&nothing).unwrap_err().kind,
        ErrorKind::NotFound
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_here_and_elsewhere_reaches_a_watcher_in_pieces_that_make_the_whole() {
    let (one, other) = linked().await;
    one.space("shared");
    insert(&one, 0, "hello");
    in_step("shared", &[&one, &other]).await;
    let mut watching = other.client();
    tokio::task::block_in_place(|| {
        watching.set_read_timeout(Some(PATIENCE)).unwrap();
        watching
            .call(&RichWatch {
                space: "shared".to_owned(),
                collection: "notes".to_owned(),
                id: "plan".to_owned(),
                path: vec!["body".to_owned()],
                revision: None,
                unit: TextUnit::Scalar,
            })
            .unwrap();
        let mut copy: Option<String> = None;
        for n in 0..40 {
            let device = if n % 2 == 0 { &one } else { &other };
            insert(device, n % 3, &format!("{n}\u{1f600}"));
        }
        let typed: usize = (0..40).map(|n: usize| n.to_string().len() + 1).sum();
        let all = |text: &str| text.chars().count() == 5 + typed;
        while !copy.as_deref().is_some_and(all) {
            let Notification::Rich(event) = watching.next_notification().unwrap() else {
                continue;
            };
            if let Some(whole) = event.whole {
                assert_eq!(copy, None, "told as a whole again");
                copy = Some(whole.value.as_str().unwrap().to_owned());
            }
            let Some(text) = &mut copy else { continue };
            let chars: Vec<char> = text.chars().collect();
            let (mut new, mut at) = (String::new(), 0);
            for part in event.delta {
                if let Some(count) = part["retain"].as_u64() {
                    new.extend(&chars[at..at + count as usize]);
                    at += count as usize;
                } else if let Some(count) = part["delete"].as_u64() {
                    at += count as usize;
                } else {
                    new.push_str(part["insert"].as_str().unwrap());
                }
            }
            new.extend(&chars[at..]);
            *text = new;
        }
        let held = other.get("shared", "notes", "plan").unwrap();
        assert_eq!(held["body"].as_str(), copy.as_deref());
    });
    in_step("shared", &[&one, &other]).await;
    assert_eq!(
        one.get("shared", "notes", "plan"),
        other.get("shared", "notes", "plan")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_reading_shows_what_was_typed_just_now_into_a_large_text() {
    let node = Device::start("one").await;
    node.space("shared");
    insert(&node, 0, &"word ".repeat(20_000));
    for n in 0..20 {
        insert(&node, 0, &format!("typed{n} "));
        let begins = format!("typed{n} ");
        let got = node.get("shared", "notes", "plan").unwrap();
        assert!(got["body"].as_str().unwrap().starts_with(&begins));
        insert(&node, 0, &format!("again{n} "));
        let sql = SqlRun {
            space: "shared".to_owned(),
            sql: "select substr(body, 1, 6) from notes".to_owned(),
            limit: None,
        };
        let rows = node.call(&sql).rows;
        let begins = format!("again{n} ");
        assert!(begins.starts_with(rows[0][0].as_str().unwrap()), "{rows:?}");
    }
    insert(&node, 0, "zebra ");
    let query = DocQuery {
        space: "shared".to_owned(),
        collection: "notes".to_owned(),
        filters: vec![Where::Is(Filter {
            path: vec!["body".to_owned()],
            is: stead_api::Predicate::Contains,
            value: json!("zebra"),
        })],
        ..DocQuery::default()
    };
    assert_eq!(node.call(&query).docs.len(), 1);
}
