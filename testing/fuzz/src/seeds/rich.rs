//! Updates as honest authors make them.

use serde_json::json;
use stead_doc::{NodeName, RichEdit, RichEngine, RichKind, TextUnit};
use stead_rich::LoroEngine;

use crate::targets::rich::{AUTHOR, ENVELOPE_BYTES};

/// One update of each kind and of several edits.
pub fn updates() -> Vec<Vec<u8>> {
    let splice = |at, delete, insert: &str| RichEdit::Splice {
        at,
        delete,
        insert: insert.to_owned(),
        unit: TextUnit::Scalar,
    };
    let mark = RichEdit::Mark {
        start: 0,
        end: 3,
        mark: "bold".to_owned(),
        value: json!(true),
        unit: TextUnit::Scalar,
    };
    let insert = |at| RichEdit::ListInsert {
        at,
        values: vec![json!("a"), json!({"b": [1, 2.5, null]}), json!(true)],
    };
    let create = |parent: Option<&str>| RichEdit::TreeCreate {
        parent: parent.map(|parent| NodeName(parent.to_owned())),
        at: None,
        fields: json!({"title": "x"})
            .as_object()
            .cloned()
            .unwrap_or_default(),
    };
    vec![
        update(RichKind::Text, &[splice(0, 0, "hello")]),
        update(
            RichKind::Text,
            &[splice(0, 0, "h\u{e9}llo"), splice(1, 2, "\u{1f30d}"), mark],
        ),
        update(RichKind::List, &[insert(0)]),
        update(
            RichKind::List,
            &[
                insert(0),
                RichEdit::ListMove { from: 0, to: 2 },
                RichEdit::ListSet {
                    at: 1,
                    value: json!(7),
                },
                RichEdit::ListDelete { at: 0, count: 1 },
            ],
        ),
        update(RichKind::Tree, &[create(None)]),
        update(RichKind::Tree, &[create(None), create(Some("0@1"))]),
    ]
}

fn update(kind: RichKind, edits: &[RichEdit]) -> Vec<u8> {
    let mut field = LoroEngine
        .open(kind, AUTHOR, None)
        .expect("an empty field opens");
    for edit in edits {
        field.edit(edit).expect("an edit that fits");
    }
    let (_, update) = field
        .take_update()
        .expect("an update")
        .expect("something was edited");
    update[ENVELOPE_BYTES..].to_vec()
}
