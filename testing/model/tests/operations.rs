//! Operations that no honest edit makes: any base, any observation, stamps used twice. Replicas
//! must still agree with each other and with the model.

use proptest::prelude::*;
use stead_base::{Encoder, Hlc, Stamp, WriterId};
use stead_doc::{Changes, Document, Numbers, ParcelError};
use stead_model::Model;

const WRITERS: u8 = 3;

#[derive(Debug, Clone)]
enum Raw {
    Assign(u8),
    Add(i64, Option<(u8, u64)>),
    SetAdd(u8),
    SetRemove(u8, Vec<(u8, u64)>),
    Restore,
    Delete,
    Purge,
    Rich(u8, Option<(u8, u64)>),
}

type Entry = (u64, Vec<String>, Raw);

fn any_entry() -> impl Strategy<Value = Entry> {
    let time = 1u64..12;
    let stamp = (0..WRITERS, time.clone());
    let raw = prop_oneof![
        3 => (0u8..4).prop_map(Raw::Assign),
        3 => (1i64..4, prop::option::of(stamp.clone())).prop_map(|(delta, base)| Raw::Add(delta, base)),
        3 => (0u8..3).prop_map(Raw::SetAdd),
        3 => (0u8..3, prop::collection::vec(stamp, 0..3)).prop_map(|(elem, seen)| Raw::SetRemove(elem, seen)),
        1 => Just(Raw::Restore),
        1 => Just(Raw::Delete),
        1 => Just(Raw::Purge),
        3 => (1u8..4, prop::option::of((0..WRITERS, 1u64..12))).prop_map(|(tag, base)| Raw::Rich(tag, base)),
    ];
    (time, prop::collection::vec("[ab]", 1..4), raw)
}

fn writer(index: u8) -> WriterId {
    WriterId::from_bytes([[5, 9, 1][index as usize]; 32])
}

fn put_stamp(out: &mut Encoder, (by, time): (u8, u64), now: u64) {
    out.uint(2).raw(writer(by).as_bytes());
    out.uint(now.saturating_sub(time));
}

/// Writes a parcel by hand, as `docs/formats/document.md` says.
fn parcel((now, path, raw): &Entry) -> Vec<u8> {
    let mut out = Encoder::new();
    out.byte(0).uint(2).raw(b"c").uint(1).uint(1 << 1 | 1);
    out.uint(1).raw(b"d");
    let (kind, at_root) = match raw {
        Raw::Assign(_) => (0, false),
        Raw::Add(..) => (1, false),
        Raw::SetAdd(_) => (2, false),
        Raw::SetRemove(..) => (3, false),
        Raw::Restore => (4, true),
        Raw::Delete => (5, true),
        Raw::Purge => (7, true),
        Raw::Rich(..) => (6, false),
    };
    let path = if at_root { &[][..] } else { path };
    out.uint((path.len() as u64) << 4 | kind);
    for name in path {
        out.uint(2 * name.len() as u64).raw(name.as_bytes());
    }
    match raw {
        Raw::Assign(value) => {
            // An integer, null, an empty map, deleted.
            out.raw([&[0x45][..], &[0], &[7, 0], &[8]][*value as usize]);
        }
        Raw::Add(delta, base) => {
            out.int(*delta);
            match base {
                None => {
                    out.uint(0);
                }
                Some(base) => put_stamp(&mut out, *base, *now),
            }
        }
        Raw::SetAdd(elem) => {
            out.byte(0x40 | elem);
        }
        Raw::SetRemove(elem, seen) => {
            out.byte(0x40 | elem).uint(seen.len() as u64);
            for stamp in seen {
                put_stamp(&mut out, *stamp, *now);
            }
        }
        Raw::Rich(tag, base) => {
            out.byte(*tag);
            match base {
                None => {
                    out.uint(0);
                }
                Some(base) => put_stamp(&mut out, *base, *now),
            }
            out.uint(3).raw(&[2, 7, 7]);
        }
        Raw::Restore | Raw::Delete | Raw::Purge => {}
    }
    out.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_in_any_order_merge_to_what_the_model_says(
        entries in prop::collection::vec((0..WRITERS, any_entry()), 1..25),
        order in prop::collection::vec(any::<prop::sample::Index>(), 25),
    ) {
        let mut forward = Changes::default();
        for (by, entry) in &entries {
            let stamp = Stamp { hlc: Hlc::from_u64(entry.0), writer: writer(*by) };
            forward.push(&parcel(entry), stamp).unwrap();
        }
        let mut shuffled: Vec<usize> = (0..entries.len()).collect();
        for (i, with) in order.iter().enumerate().take(entries.len()) {
            shuffled.swap(i, with.index(entries.len()));
        }
        let merge = |order: &[usize]| {
            let (mut document, mut numbers) = (Document::default(), Numbers::default());
            let mut model = Model::default();
            for &index in order {
                let ops = forward.doc(index).unwrap();
                document.apply(ops, &mut numbers);
                model.receive(ops);
                assert_eq!(document.to_json(&numbers), model.to_json());
                assert_eq!(document.is_deleted(), model.is_deleted());
                for field in document.rich_fields(&numbers) {
                    let path: Vec<String> =
                        field.place.path.as_ref().names().map(str::to_owned).collect();
                    let (tags, base) = model.rich(&path).expect("alive in the model too");
                    assert!(tags.contains(&field.place.kind.tag()));
                    assert_eq!(base, field.place.base);
                }
            }
            document.explain(&numbers)
        };
        let in_order: Vec<usize> = (0..entries.len()).collect();
        prop_assert_eq!(merge(&in_order), merge(&shuffled));
    }

    #[test]
    fn a_damaged_parcel_is_refused_or_read_but_never_half_taken(
        entries in prop::collection::vec(any_entry(), 1..4),
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let stamp = Stamp { hlc: Hlc::from_u64(20), writer: writer(0) };
        let mut changes = Changes::default();
        for entry in &entries {
            let mut entry = entry.clone();
            entry.0 = 20;
            let mut bytes = parcel(&entry);
            let index = at.index(bytes.len());
            bytes[index] = byte;
            bytes.truncate(1 + cut.index(bytes.len()));
            let before = (changes.len(), changes.parcels());
            match changes.push(&bytes, stamp) {
                Ok(()) => prop_assert_eq!(changes.parcels(), before.1 + 1),
                Err(ParcelError::Malformed(_) | ParcelError::NotUnderstood { .. }) => {
                    prop_assert_eq!((changes.len(), changes.parcels()), before);
                }
            }
        }
        let (mut document, mut numbers) = (Document::default(), Numbers::default());
        for ops in changes.docs() {
            document.apply(ops, &mut numbers);
        }
        let _ = document.to_json(&numbers);
    }
}
