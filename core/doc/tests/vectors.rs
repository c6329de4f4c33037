//! The vectors of `docs/formats/document.md`: what is printed there is what the code does.

// A test may read the page it checks.
#![allow(clippy::disallowed_methods)]

use serde_json::json;
use stead_base::{DocId, Hlc, Stamp, WriterId};
use stead_doc::{Changes, Document, Edit, EditError, Numbers, Path, Put, Transaction};

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/formats/document.md"
);
const START: &str = "<!-- vectors -->\n";
const END: &str = "<!-- end of vectors -->\n";

type Change = fn(&mut Edit<'_, Numbers>) -> Result<bool, EditError>;

fn at(path: &str) -> Path {
    Path::parse(path).expect("a path")
}

/// What each transaction says and does, and by which writer.
const STORY: &[(&str, u8, Change)] = &[
    ("put `{\"name\": \"Lisbon\", \"visits\": 1}`", 1, |edit| {
        edit.put(&json!({"name": "Lisbon", "visits": 1}), Put::Merge)
    }),
    ("add 300 to `visits`", 2, |edit| {
        edit.add(&at("visits"), 300)
    }),
    ("add \"sea\" and 7 to the set `tags`", 1, |edit| {
        edit.set_add(&at("tags"), &json!("sea"))?;
        edit.set_add(&at("tags"), &json!(7))
    }),
    ("remove \"sea\" from `tags`", 2, |edit| {
        edit.set_remove(&at("tags"), &json!("sea"))
    }),
    (
        "put `{\"geo\": {\"at\": [38.7, -9.1], \"height\": -2}, \"note\": null}`",
        1,
        |edit| {
            let geo = json!({"at": [38.7, -9.1], "height": -2});
            edit.put(&json!({"geo": geo, "note": null}), Put::Merge)
        },
    ),
    ("delete the field `note`", 2, |edit| {
        edit.delete_field(&at("note"))
    }),
    ("delete the document", 1, |edit| edit.delete()),
    ("restore it", 2, |edit| edit.restore()),
    ("purge it", 1, |edit| edit.purge()),
    ("put `{\"name\": \"Lisboa\"}`", 2, |edit| {
        edit.put(&json!({"name": "Lisboa"}), Put::Merge)
    }),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vectors() -> String {
    let id = DocId::parse("lisbon").expect("an id");
    let (mut document, mut numbers) = (Document::default(), Numbers::default());
    let mut page = String::from(
        "Document `lisbon` of collection `cities`. Writer 1 is 32 bytes of `01`, writer 2 of `02`; the \
         times are 1,800,000,000,000 ms and one ms later for each transaction that follows. The dictionaries \
         number names and writers from 0 as they appear.\n\n",
    );
    for (turn, (what, writer, change)) in STORY.iter().enumerate() {
        let stamp = Stamp {
            hlc: Hlc::new(1_800_000_000_000 + turn as u64, 0),
            writer: WriterId::from_bytes([*writer; 32]),
        };
        let mut transaction = Transaction::new(stamp);
        // Edited on a copy; the document itself takes the parcel, as another device would.
        let mut copy = document.clone();
        let mut edit = transaction
            .edit("cities", &id, &mut copy, &mut numbers)
            .expect("a name");
        assert_eq!(change(&mut edit), Ok(true), "{what}");
        let mut parcel = Vec::new();
        transaction.encode(&mut parcel).expect("within the limits");
        let mut changes = Changes::default();
        changes.push(&parcel, stamp).expect("a good parcel");
        for ops in changes.docs() {
            document.apply(ops, &mut numbers);
        }
        let (mut row, mut jsonb) = (Vec::new(), Vec::new());
        document.encode(&mut row);
        document.project_jsonb(&numbers, &mut jsonb);
        let read = Document::decode(&row, &numbers).expect("a good row");
        assert_eq!(read.explain(&numbers), document.explain(&numbers));
        assert_eq!(copy.explain(&numbers), document.explain(&numbers));
        let json = document.to_json(&numbers);
        assert_eq!(stead_doc::jsonb::decode(&jsonb).as_ref(), Ok(&json));
        page += &format!(
            "{}. Writer {writer}: {what}.\n   - parcel `{}`\n   - row `{}`\n   - projection `{}`\n   - shows `{json}`{}\n",
            turn + 1,
            hex(&parcel),
            hex(&row),
            hex(&jsonb),
            if document.is_deleted() {
                ", deleted"
            } else {
                ""
            },
        );
    }
    page += &format!(
        "\nField names by number: {}.\n",
        numbers.fields().join(", ")
    );
    page
}

#[test]
fn the_printed_vectors_are_what_the_code_does() {
    let page = std::fs::read_to_string(PAGE).expect("the page is in the repository");
    let (before, rest) = page.split_once(START).expect("a start mark");
    let (printed, after) = rest.split_once(END).expect("an end mark");
    let vectors = vectors();
    if std::env::var_os("STEAD_WRITE_VECTORS").is_some() {
        let page = [before, START, &vectors, END, after].concat();
        std::fs::write(PAGE, page).expect("the page can be written");
    } else {
        assert_eq!(printed, vectors);
    }
}
