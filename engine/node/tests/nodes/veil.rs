//! What the home space keeps for the nodes themselves: no call of the API shows it or changes it.

use crate::support::{Device, linked, put, until};
use serde_json::{Value, json};
use stead_api::{
    DocDelete, DocGet, DocQuery, DocWatch, ErrorKind, Filter, LogList, Predicate, SortKey,
};

fn query(filters: Vec<Filter>, sort: Vec<SortKey>) -> DocQuery {
    DocQuery {
        space: "home".to_owned(),
        collection: "spaces".to_owned(),
        filters: filters.into_iter().map(Into::into).collect(),
        sort,
        ..DocQuery::default()
    }
}

fn shows_no_secret(shown: &Value) {
    let text = shown.to_string();
    assert!(text.contains("notes"), "{text}");
    // A secret is 64 hexadecimal digits, like the id of the space, which may be shown.
    assert!(!text.contains("\"secret\""), "{text}");
    assert!(!text.contains("secret ="), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_a_space_is_shown_by_no_call() {
    let node = Device::start("tower").await;
    let id = node.space("notes").id;
    let get = DocGet {
        space: "home".to_owned(),
        collection: "spaces".to_owned(),
        id: id.clone(),
        deleted: false,
        ..DocGet::default()
    };
    shows_no_secret(&node.call(&get).doc.value);
    let page = node.call(&query(Vec::new(), Vec::new()));
    assert_eq!(page.docs.len(), 1);
    shows_no_secret(&serde_json::to_value(&page.docs).unwrap());
    let log = LogList {
        space: "home".to_owned(),
        collection: Some("spaces".to_owned()),
        ..LogList::default()
    };
    let log = serde_json::to_value(node.call(&log)).unwrap();
    shows_no_secret(&log);
    assert!(log.to_string().contains("set secret"), "{log}");
    for only in [None, Some(id)] {
        tokio::task::block_in_place(|| {
            let mut client = node.client();
            let watch = DocWatch {
                space: "home".to_owned(),
                collection: "spaces".to_owned(),
                id: only,
                ..DocWatch::default()
            };
            client.call(&watch).unwrap();
            let event = client.next_event().unwrap();
            shows_no_secret(&serde_json::to_value(&event.changes).unwrap());
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_a_space_cannot_be_searched_for_or_changed() {
    let (old, new) = linked().await;
    let id = old.space("notes").id;
    let path = vec!["secret".to_owned()];
    let guess = Filter {
        path: path.clone(),
        is: Predicate::Lt,
        value: json!("8"),
    };
    let order = SortKey {
        path,
        descending: false,
    };
    for ask in [
        query(vec![guess], Vec::new()),
        query(Vec::new(), vec![order]),
    ] {
        assert_eq!(old.try_call(&ask).unwrap_err().kind, ErrorKind::NotAllowed);
    }
    let mut write = put("home", "spaces", &id, json!({"name": "notes"}));
    assert_eq!(
        old.try_call(&write).unwrap_err().kind,
        ErrorKind::NotAllowed
    );
    write.edits[0].op = stead_api::Op::Delete;
    assert_eq!(
        old.try_call(&write).unwrap_err().kind,
        ErrorKind::NotAllowed
    );
    let delete = DocDelete {
        space: "home".to_owned(),
        collection: "spaces".to_owned(),
        id,
        ..DocDelete::default()
    };
    assert_eq!(
        old.try_call(&delete).unwrap_err().kind,
        ErrorKind::NotAllowed
    );
    // The devices themselves still read it, and a collection of that name elsewhere is like any other.
    old.put("notes", "spaces", "one", json!({"secret": "shown"}));
    until("the space on the other device", || {
        new.spaces()
            .iter()
            .any(|space| space.name == "notes")
            .then_some(())
    })
    .await;
    let read = until("its document", || new.get("notes", "spaces", "one")).await;
    assert_eq!(read["secret"], "shown");
}
