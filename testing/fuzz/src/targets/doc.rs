//! Parcels of operations, rows and projections.

use std::collections::BTreeMap;
use stead_base::{DocId, Hlc, Stamp, WriterId};
use stead_doc::{Changes, Document, Numbers, Redacted};

/// Names and writers that rows in the corpus refer to by number.
pub fn numbers() -> Numbers {
    let fields = ["name", "visits", "tags", "place", "lat", "long"];
    Numbers::load(
        fields.map(Into::into),
        [1, 2, 3].map(|n| WriterId::from_bytes([n; 32])),
    )
}

/// Two parcels of two writers: whichever comes first, the documents end equal, and their rows read
/// back as the same documents.
///
/// Layout: length of the first parcel (2, little-endian), the first parcel, the second parcel.
pub fn parcel(data: &[u8]) -> bool {
    let Some((len, rest)) = data.split_first_chunk::<2>() else {
        return false;
    };
    let len = usize::from(u16::from_le_bytes(*len)).min(rest.len());
    let (first, second) = rest.split_at(len);
    let stamp = |n: u8| Stamp {
        hlc: Hlc::new(1_700_000_000_000 + u64::from(n), 0),
        writer: WriterId::from_bytes([n; 32]),
    };
    let [mut one, mut other] = [Changes::default(), Changes::default()];
    let accepted = one.push(first, stamp(2)).is_ok() | other.push(second, stamp(1)).is_ok();
    if !accepted {
        return false;
    }
    let here = merged(&[&one, &other]);
    let there = merged(&[&other, &one]);
    assert_eq!(here, there, "the order of writers changed the documents");
    true
}

type Explained = BTreeMap<(String, DocId), serde_json::Value>;

fn merged(parcels: &[&Changes]) -> Explained {
    let mut numbers = Numbers::default();
    let mut documents: BTreeMap<(String, DocId), Document> = BTreeMap::new();
    for changes in parcels {
        for operations in changes.docs() {
            let key = (operations.collection().to_owned(), operations.id().clone());
            let document = documents.entry(key).or_default();
            document.apply(operations, &mut numbers);
        }
    }
    let explained = documents.into_iter().map(|(key, document)| {
        rows_read_back(&document, &numbers);
        (key, document.explain(&numbers))
    });
    explained.collect()
}

fn rows_read_back(document: &Document, numbers: &Numbers) {
    let mut row = Vec::new();
    document.encode(&mut row);
    let again = Document::decode(&row, numbers).expect("a row just written can be read");
    assert_eq!(again.explain(numbers), document.explain(numbers));
    let mut projection = Vec::new();
    document.project_jsonb(numbers, &mut projection);
    let shown = stead_doc::jsonb::decode(&projection).expect("a projection just made can be read");
    assert_eq!(shown, document.to_json(numbers));
}

/// A document's row.
pub fn state(data: &[u8]) -> bool {
    let numbers = numbers();
    let Ok(document) = Document::decode(data, &numbers) else {
        return false;
    };
    rows_read_back(&document, &numbers);
    true
}

/// A projection.
pub fn jsonb(data: &[u8]) -> bool {
    stead_doc::jsonb::decode(data).is_ok()
}

/// What stands in the place of redacted parcels: it reads back, and its parcels written again without any
/// place left out say the same.
pub fn redacted(data: &[u8]) -> bool {
    let Ok(redacted) = Redacted::decode(data) else {
        return false;
    };
    assert_eq!(redacted.encode(), data);
    for item in &redacted.items {
        let mut changes = Changes::default();
        if changes.push(&item.parcel, item.stamp).is_err() {
            continue;
        }
        let again = changes.written_again(&|_, _, _| false);
        let again = again.expect("no larger than what was read");
        let mut same = Changes::default();
        if !again.is_empty() {
            same.push(&again, item.stamp)
                .expect("a parcel just written");
        }
        assert_eq!(merged(&[&changes]), merged(&[&same]));
    }
    true
}
