//! Going back and undo write what is held, by keys, whatever the newest revision calls it.

mod world;

use serde_json::{Value, json};
use stead_base::{DocId, Hlc, SpaceId};
use stead_replica::{AS_HELD, Change, Edit, Speaks};
use stead_schema::{Chain, Declaration, Wanted, lenses_from_json};
use world::Device;

fn edit(change: Change) -> Edit {
    Edit {
        collection: "tasks".to_owned(),
        id: Some(DocId::parse("t").unwrap()),
        change,
    }
}

fn put(value: Value) -> Edit {
    edit(Change::Put {
        value,
        replace: false,
    })
}

fn evolve(device: &mut Device, space: &SpaceId, lenses: &Value, fields: Option<Value>) {
    let schema = device.replica.schema(space, "tasks").unwrap();
    let chain = schema.map_or_else(|| Chain::empty("tasks".into()), |schema| schema.chain);
    let wanted = Wanted {
        lenses: lenses_from_json(lenses).unwrap(),
        declaration: fields
            .map(|fields| Declaration::from_json(&json!({"fields": fields})).unwrap()),
        ..Wanted::default()
    };
    let revision = chain.evolve(wanted).unwrap().unwrap();
    device.now += 10;
    let now = device.now;
    device.replica.put_revision(space, &revision, now).unwrap();
}

/// A device with a document of a collection whose field was renamed since.
fn renamed() -> (Device, SpaceId) {
    let mut device = Device::on_disk(1);
    let now = device.now;
    let space = device.replica.create_space("work", now).unwrap();
    evolve(
        &mut device,
        &space,
        &json!([]),
        Some(json!({"title": "string"})),
    );
    device.write(&space, &[put(json!({"title": "one"}))]);
    evolve(
        &mut device,
        &space,
        &json!([{"rename": {"from": "title", "to": "name"}}]),
        None,
    );
    (device, space)
}

#[test]
fn a_renamed_field_goes_back() {
    let (mut device, space) = renamed();
    let then_ms = device.now;
    device.write(&space, &[put(json!({"name": "two"}))]);
    assert_eq!(
        device.get(&space, "tasks", "t"),
        Some(json!({"title": "two"}))
    );
    let id = DocId::parse("t").unwrap();
    let past = device.replica.past(&space).unwrap();
    let mut reader = device.replica.reader().unwrap().unwrap();
    let then = reader
        .moment(&past, "tasks", &id, Hlc::new(then_ms, u16::MAX))
        .unwrap();
    let back = reader.story(&past, "tasks", &id).unwrap().back_to(&then);
    let edits: Vec<Edit> = back.into_iter().map(edit).collect();
    device.now += 10;
    let now = device.now;
    let held = Speaks::from([("tasks".to_owned(), AS_HELD.to_owned())]);
    device
        .replica
        .transact_speaking(&space, &edits, &held, now)
        .unwrap();
    assert_eq!(
        device.get(&space, "tasks", "t"),
        Some(json!({"title": "one"}))
    );
}

#[test]
fn an_edit_of_a_renamed_field_is_undone_and_redone() {
    let (mut device, space) = renamed();
    device.write(&space, &[put(json!({"name": "two"}))]);
    let (undone, redone) = (device.now + 10, device.now + 20);
    device.replica.undo(&space, undone).unwrap();
    assert_eq!(
        device.get(&space, "tasks", "t"),
        Some(json!({"title": "one"}))
    );
    device.replica.redo(&space, redone).unwrap();
    assert_eq!(
        device.get(&space, "tasks", "t"),
        Some(json!({"title": "two"}))
    );
}
