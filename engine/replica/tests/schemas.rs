//! Schemas in replicas: who may make a revision, what an app of any revision writes and another reads,
//! and what becomes of data that breaks a rule.

mod world;

use std::time::Instant;

use serde_json::{Value, json};
use stead_access::{Path, Role};
use stead_base::SpaceId;
use stead_replica::{Change, Edit, ReplicaError, Speaks, SqlReader};
use stead_schema::{Chain, Declaration, Revision, Wanted, lenses_from_json};
use stead_store::{IndexKind, IndexOrigin, IndexSpec, Read as _, SqlCell};
use world::{Device, link, sync};

fn edit(id: &str, change: Change) -> Edit {
    world::edit("tasks", id, change)
}

fn put(id: &str, value: Value) -> Edit {
    world::put("tasks", id, value)
}

fn path(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The next revision of `tasks` as a device knows them.
fn next(device: &Device, space: &SpaceId, lenses: Value, fields: Option<Value>) -> Revision {
    let schema = device.replica.schema(space, "tasks").unwrap();
    let chain = schema.map_or_else(|| Chain::empty("tasks".into()), |schema| schema.chain);
    let declaration =
        fields.map(|fields| Declaration::from_json(&json!({"fields": fields})).unwrap());
    let wanted = Wanted {
        lenses: lenses_from_json(&lenses).unwrap(),
        declaration,
        ..Wanted::default()
    };
    chain.evolve(wanted).unwrap().unwrap()
}

fn declare(device: &mut Device, space: &SpaceId, fields: Value) {
    let revision = next(device, space, json!([]), Some(fields));
    device.now += 10;
    device
        .replica
        .put_revision(space, &revision, device.now)
        .unwrap();
}

fn evolve(device: &mut Device, space: &SpaceId, lenses: Value) {
    let revision = next(device, space, lenses, None);
    device.now += 10;
    device
        .replica
        .put_revision(space, &revision, device.now)
        .unwrap();
}

/// What an app of a revision sees of a document.
fn read(device: &Device, space: &SpaceId, id: &str, revision: Option<&str>) -> Value {
    let schema = device.replica.schema(space, "tasks").unwrap().unwrap();
    let held = device.get(space, "tasks", id).unwrap();
    schema.projection(revision).unwrap().unwrap().read(&held)
}

fn refusal(device: &mut Device, space: &SpaceId, edits: &[Edit]) -> String {
    device.now += 10;
    let now = device.now;
    let refused = device.replica.transact(space, edits, now).unwrap_err();
    refused.to_string()
}

fn write_as(device: &mut Device, space: &SpaceId, revision: &str, edits: &[Edit]) {
    device.now += 10;
    let speaks = Speaks::from([("tasks".to_owned(), revision.to_owned())]);
    let now = device.now;
    device
        .replica
        .transact_speaking(space, edits, &speaks, now)
        .unwrap();
}

/// A device with a space whose `tasks` have a schema.
fn tasks() -> (Device, SpaceId) {
    let mut a = Device::new(1);
    let space = a.replica.create_space("work", a.now).unwrap();
    declare(
        &mut a,
        &space,
        json!({
            "title": {"type": "string", "length": [1, 20]}, "rank": {"type": "int", "range": [0, 9], "default": 1},
            "done": "bool?", "visits": "counter", "tags": {"type": "set", "of": "string"},
            "home": {"type": "record?", "fields": {"city": "string?", "zip": "string?"}},
            "parent": {"type": "ref?", "to": "tasks"}
        }),
    );
    (a, space)
}

fn person(seed: u8) -> Device {
    let mut device = Device::new(seed);
    device.replica.create_home(device.now).unwrap();
    device
}

fn share(from: &mut Device, to: &mut Device, space: &SpaceId, role: Role) {
    world::let_in_on(from, to, space, role, Path::whole_space());
    sync(from, to);
}

#[test]
fn a_wrong_write_is_refused_with_document_path_expected_and_found() {
    let (mut a, space) = tasks();
    for (edits, message) in [
        (
            vec![put("t", json!({"title": 3}))],
            "tasks/t: title needs text of 1 to 20 characters, found the number 3",
        ),
        (
            vec![put("t", json!({"rank": 1}))],
            "tasks/t: title needs text of 1 to 20 characters, found nothing",
        ),
        (
            vec![put("t", json!({"title": "x", "nonsense": 1}))],
            "tasks/t: nonsense needs one of the fields done, home, parent, rank, tags, title, visits, found a field that the schema does not name",
        ),
        (
            vec![edit(
                "t",
                Change::Set {
                    path: path(&["rank"]),
                    value: json!(10),
                },
            )],
            "tasks/t: rank needs an integer of 0 to 9, found the number 10",
        ),
        (
            vec![edit(
                "t",
                Change::Add {
                    path: path(&["rank"]),
                    delta: 1,
                },
            )],
            "tasks/t: rank needs an integer of 0 to 9, found an addition, which only a counter takes",
        ),
    ] {
        assert_eq!(refusal(&mut a, &space, &edits), message);
    }
    assert_eq!(a.get(&space, "tasks", "t"), None);
    // One wrong edit refuses the whole transaction; a right one counts, in whichever steps.
    let steps = [
        edit(
            "t",
            Change::Set {
                path: path(&["done"]),
                value: json!(true),
            },
        ),
        edit(
            "t",
            Change::Set {
                path: path(&["title"]),
                value: json!("x"),
            },
        ),
    ];
    a.write(&space, &steps);
    assert!(
        refusal(
            &mut a,
            &space,
            &[edit(
                "t",
                Change::Unset {
                    path: path(&["title"])
                }
            )]
        )
        .contains("every document must have it")
    );
}

#[test]
fn every_kind_of_edit_goes_through_the_schema() {
    let (mut a, space) = tasks();
    a.write(
        &space,
        &[put(
            "t",
            json!({"title": "x", "tags": ["p", "q"], "visits": 2, "home": {"city": "Bern"}}),
        )],
    );
    a.write(
        &space,
        &[
            edit(
                "t",
                Change::Add {
                    path: path(&["visits"]),
                    delta: 3,
                },
            ),
            edit(
                "t",
                Change::Include {
                    path: path(&["tags"]),
                    element: json!("r"),
                },
            ),
            edit(
                "t",
                Change::Exclude {
                    path: path(&["tags"]),
                    element: json!("p"),
                },
            ),
            edit(
                "t",
                Change::Set {
                    path: path(&["home", "zip"]),
                    value: json!("3000"),
                },
            ),
            edit(
                "t",
                Change::Unset {
                    path: path(&["home", "city"]),
                },
            ),
        ],
    );
    assert_eq!(
        read(&a, &space, "t", None),
        json!({"title": "x", "rank": 1, "visits": 5, "tags": ["q", "r"], "home": {"zip": "3000"}})
    );
    // Deleted, put anew, restored: as without a schema.
    a.write(&space, &[edit("t", Change::Delete)]);
    a.write(&space, &[put("t", json!({"title": "again"}))]);
    assert_eq!(
        read(&a, &space, "t", None),
        json!({"title": "again", "rank": 1, "visits": 0, "tags": []})
    );
}

#[test]
fn old_and_new_apps_write_at_once_on_both_devices_and_see_all_they_can() {
    let (mut a, space) = tasks();
    let mut b = Device::new(2);
    link(&mut a, &mut b);
    a.write(
        &space,
        &[put(
            "t",
            json!({"title": "x", "home": {"city": "Bern", "zip": "3000"}}),
        )],
    );
    sync(&mut a, &mut b);
    evolve(
        &mut a,
        &space,
        json!([
            {"rename": {"from": "title", "to": "name"}}, {"hoist": {"from": "home", "name": "city"}},
            {"add": {"name": "due", "field": "string?"}}
        ]),
    );
    // Apart: a new app here, an old app there, on a device that has not heard of the new revision.
    a.write(&space, &[put("t", json!({"name": "new", "due": "soon"}))]);
    b.now = a.now + 1_000;
    write_as(
        &mut b,
        &space,
        "1",
        &[edit(
            "t",
            Change::Put {
                value: json!({"title": "old", "rank": 7, "home": {"city": "Thun"}}),
                replace: true,
            },
        )],
    );
    sync(&mut a, &mut b);
    let new =
        json!({"name": "old", "rank": 7, "city": "Thun", "due": "soon", "visits": 0, "tags": []});
    let old = json!({"title": "old", "rank": 7, "home": {"city": "Thun"}, "visits": 0, "tags": []});
    for device in [&a, &b] {
        assert_eq!(read(device, &space, "t", Some("2")), new);
        assert_eq!(read(device, &space, "t", Some("1")), old);
    }
    // An old app that replaces everything it sees leaves what it does not.
    write_as(
        &mut b,
        &space,
        "1",
        &[edit(
            "t",
            Change::Put {
                value: json!({"title": "z"}),
                replace: true,
            },
        )],
    );
    sync(&mut a, &mut b);
    assert_eq!(
        read(&a, &space, "t", None),
        json!({"name": "z", "rank": 1, "due": "soon", "visits": 0, "tags": []})
    );
}

#[test]
fn a_schema_change_rewrites_no_document_and_takes_the_same_time_for_any_number() {
    let mut took = Vec::new();
    for documents in [200_u32, 20_000] {
        let mut a = Device::new(1);
        let space = a.replica.create_space("work", a.now).unwrap();
        declare(&mut a, &space, json!({"title": "string", "rank": "int?"}));
        for part in 0..documents / 200 {
            let edits: Vec<Edit> = (0..200)
                .map(|n| {
                    put(
                        &format!("t{}", part * 200 + n),
                        json!({"title": "x", "rank": n}),
                    )
                })
                .collect();
            a.write(&space, &edits);
        }
        let before = a
            .dump(&space)
            .into_iter()
            .filter(|(collection, ..)| collection == "tasks");
        let before: Vec<_> = before.collect();
        let started = Instant::now();
        evolve(
            &mut a,
            &space,
            json!([{"rename": {"from": "title", "to": "name"}}]),
        );
        took.push(started.elapsed());
        let after = a
            .dump(&space)
            .into_iter()
            .filter(|(collection, ..)| collection == "tasks");
        assert_eq!(after.collect::<Vec<_>>(), before);
        assert_eq!(
            read(&a, &space, "t7", None),
            json!({"name": "x", "rank": 7})
        );
    }
    // A hundred times the documents; ten times the time would still be noise of a busy machine.
    assert!(
        took[1] < took[0] * 10 + std::time::Duration::from_millis(50),
        "{took:?}"
    );
}

#[test]
fn only_who_manages_a_collection_makes_revisions_and_everybody_leaves_out_others() {
    let (mut a, space) = tasks();
    let mut b = person(2);
    share(&mut a, &mut b, &space, Role::Writer);
    b.write(&space, &[put("t", json!({"title": "by b"}))]);
    let revision = next(
        &b,
        &space,
        json!([{"rename": {"from": "title", "to": "name"}}]),
        None,
    );
    let refused = b
        .replica
        .put_revision(&space, &revision, b.now)
        .unwrap_err();
    assert!(
        refused.to_string().contains("only who manages /tasks"),
        "{refused}"
    );
    let mut c = person(3);
    share(&mut a, &mut c, &space, Role::Manager);
    c.now += 10;
    c.replica.put_revision(&space, &revision, c.now).unwrap();
    sync(&mut a, &mut c);
    sync(&mut a, &mut b);
    for device in [&a, &b, &c] {
        let schema = device.replica.schema(&space, "tasks").unwrap().unwrap();
        assert_eq!(schema.chain.len(), 2);
    }
}

#[test]
fn reserved_collections_are_closed_to_ordinary_edits() {
    let (mut a, space) = tasks();
    let edit = Edit {
        collection: "@schema".to_owned(),
        ..put("tasks", json!({"revisions": {}}))
    };
    let refused = a.replica.transact(&space, &[edit], a.now).unwrap_err();
    assert!(matches!(refused, ReplicaError::Refused(_)));
    assert!(
        refused.to_string().contains("kept by Stead itself"),
        "{refused}"
    );
}

#[test]
fn a_collection_gets_a_schema_when_it_has_documents_already() {
    let mut a = Device::new(1);
    let space = a.replica.create_space("work", a.now).unwrap();
    a.write(
        &space,
        &[put(
            "t",
            json!({"title": "x", "tags": ["a", "b"], "visits": 3, "stray": 1}),
        )],
    );
    declare(
        &mut a,
        &space,
        json!({"title": "string", "tags": {"type": "set", "of": "string"}, "visits": "counter"}),
    );
    assert_eq!(
        read(&a, &space, "t", None),
        json!({"title": "x", "tags": ["a", "b"], "visits": 3})
    );
    // The list becomes a set, the number a counter, with their first change; what is not declared stays.
    a.write(
        &space,
        &[
            edit(
                "t",
                Change::Include {
                    path: path(&["tags"]),
                    element: json!("c"),
                },
            ),
            edit(
                "t",
                Change::Add {
                    path: path(&["visits"]),
                    delta: 1,
                },
            ),
        ],
    );
    assert_eq!(
        a.get(&space, "tasks", "t"),
        Some(json!({"title": "x", "tags": ["a", "b", "c"], "visits": 4, "stray": 1}))
    );
    let report = a.replica.check_schema(&space, "tasks", 10).unwrap();
    assert_eq!((report.documents, report.faulty), (1, 1));
    assert_eq!(report.faults[0].fault.path, "stray");
}

#[test]
fn remote_data_that_breaks_a_rule_stays_and_is_listed() {
    let mut a = Device::new(1);
    let space = a.replica.create_space("work", a.now).unwrap();
    let mut b = Device::new(2);
    link(&mut a, &mut b);
    sync(&mut a, &mut b);
    declare(
        &mut a,
        &space,
        json!({"title": "string", "parent": {"type": "ref?", "to": "tasks"}}),
    );
    a.write(
        &space,
        &[put("fine", json!({"title": "x", "parent": "fine"}))],
    );
    // The other device has no schema yet.
    b.write(
        &space,
        &[put("odd", json!({"title": 7, "parent": "nowhere"}))],
    );
    sync(&mut a, &mut b);
    assert_eq!(a.get(&space, "tasks", "odd"), b.get(&space, "tasks", "odd"));
    assert_eq!(
        read(&a, &space, "odd", None),
        json!({"title": 7, "parent": "nowhere"})
    );
    let report = a.replica.check_schema(&space, "tasks", 10).unwrap();
    assert_eq!((report.documents, report.faulty), (2, 1));
    let words: Vec<String> = report
        .faults
        .iter()
        .map(|found| format!("{}/{}: {}", found.collection, found.id, found.fault))
        .collect();
    assert_eq!(
        words,
        [
            "tasks/odd: title needs text, found the number 7",
            "tasks/odd: parent needs a document that is there, found a reference to tasks/nowhere"
        ]
    );
    // It does not keep the rest of the document from being written, and can be put right.
    a.write(&space, &[put("odd", json!({"parent": "fine"}))]);
    a.write(&space, &[put("odd", json!({"title": "even"}))]);
    assert_eq!(
        a.replica.check_schema(&space, "tasks", 10).unwrap().faulty,
        0
    );
}

#[test]
fn branches_made_apart_are_settled_the_same_way_everywhere() {
    let (mut a, space) = tasks();
    let mut b = Device::new(2);
    link(&mut a, &mut b);
    // Both know the first revision.
    sync(&mut a, &mut b);
    evolve(
        &mut a,
        &space,
        json!([{"rename": {"from": "title", "to": "name"}}]),
    );
    b.now = a.now + 1_000;
    evolve(
        &mut b,
        &space,
        json!([{"rename": {"from": "title", "to": "label"}}]),
    );
    sync(&mut a, &mut b);
    for device in [&a, &b] {
        let schema = device.replica.schema(&space, "tasks").unwrap().unwrap();
        assert_eq!(schema.chain.len(), 2);
        assert_eq!(schema.chain.aside().len(), 1);
        let (_, fields) = schema
            .chain
            .fields(&schema.chain.newest().unwrap())
            .unwrap();
        assert!(fields.contains_key("name"));
    }
}

#[test]
fn a_revision_that_is_not_known_is_refused_by_name() {
    let (mut a, space) = tasks();
    let speaks = Speaks::from([("tasks".to_owned(), "9".to_owned())]);
    let edits = [put("t", json!({"title": "x"}))];
    let refused = a
        .replica
        .transact_speaking(&space, &edits, &speaks, a.now)
        .unwrap_err();
    assert!(
        refused.to_string().contains("tasks has no revision \"9\""),
        "{refused}"
    );
    let speaks = Speaks::from([("notes".to_owned(), "1".to_owned())]);
    let edits = [Edit {
        collection: "notes".to_owned(),
        ..put("n", json!({"x": 1}))
    }];
    let refused = a
        .replica
        .transact_speaking(&space, &edits, &speaks, a.now)
        .unwrap_err();
    assert!(
        refused.to_string().contains("notes has no schema"),
        "{refused}"
    );
}

/// The indexes of `tasks`: kind, fields as they are held, and whether a person wants it too.
fn indexes(device: &mut Device, space: &SpaceId) -> Vec<(IndexKind, Vec<Vec<String>>, bool)> {
    while device.replica.build_indexes(2, device.now).unwrap() {}
    let found = device.replica.reader().unwrap().unwrap().indexes(space);
    found
        .unwrap()
        .into_iter()
        .filter(|index| index.row.is_wanted(IndexOrigin::BySchema))
        .map(|index| {
            assert!(index.row.is_complete());
            let by_hand = index.row.is_wanted(IndexOrigin::ByHand);
            (index.row.spec.kind, index.row.spec.paths, by_hand)
        })
        .collect()
}

#[test]
fn collections_are_indexed_everywhere_as_their_newest_revisions_say() {
    let mut a = Device::on_disk(1);
    let space = a.replica.create_space("work", a.now).unwrap();
    let by_rank = IndexSpec::new(IndexKind::Fields, vec![path(&["rank"])]);
    a.replica
        .add_index(&space, "tasks", &by_rank, IndexOrigin::ByHand, a.now)
        .unwrap();
    let wanted = |lenses: Value, declared: Option<Value>, chain: &Chain| {
        let wanted = Wanted {
            lenses: lenses_from_json(&lenses).unwrap(),
            declaration: declared.map(|it| Declaration::from_json(&it).unwrap()),
            ..Wanted::default()
        };
        chain.evolve(wanted).unwrap().unwrap()
    };
    let first = wanted(
        json!([]),
        Some(json!({
            "fields": {"title": "string", "rank": "int?", "home": {"type": "record?", "fields": {"city": "string?"}}},
            "indexes": [["-rank"], ["home.city", "title"]], "search": ["title"],
        })),
        &Chain::empty("tasks".into()),
    );
    a.replica.put_revision(&space, &first, a.now).unwrap();
    for n in 0..5 {
        let edits = [put(
            &format!("t{n}"),
            json!({"title": format!("task {n}"), "rank": n}),
        )];
        a.replica.transact(&space, &edits, a.now).unwrap();
    }
    let mut b = Device::on_disk(2);
    b.replica.create_home(b.now).unwrap();
    share(&mut a, &mut b, &space, Role::Reader);
    let of_first = vec![
        (IndexKind::Fields, vec![path(&["rank"])], true),
        (
            IndexKind::Fields,
            vec![path(&["home", "city"]), path(&["title"])],
            false,
        ),
        (IndexKind::Text, vec![path(&["title"])], false),
    ];
    assert_eq!(indexes(&mut a, &space), of_first);
    let on_b = indexes(&mut b, &space);
    assert_eq!(on_b.len(), 3, "{on_b:?}");
    // A revision that only renames is over the same index; what none wants any more goes.
    let chain = a.replica.schema(&space, "tasks").unwrap().unwrap().chain;
    let second = wanted(
        json!([{"rename": {"from": "title", "to": "name"}}]),
        None,
        &chain,
    );
    a.replica.put_revision(&space, &second, a.now).unwrap();
    assert_eq!(indexes(&mut a, &space), of_first);
    let chain = a.replica.schema(&space, "tasks").unwrap().unwrap().chain;
    let bare = json!({"fields": {"name": "string", "rank": "int?"}, "indexes": [["name"]]});
    let third = wanted(json!([]), Some(bare), &chain);
    a.replica.put_revision(&space, &third, a.now).unwrap();
    sync(&mut a, &mut b);
    let of_third = vec![(IndexKind::Fields, vec![path(&["title"])], false)];
    assert_eq!(indexes(&mut a, &space), of_third);
    assert_eq!(indexes(&mut b, &space), of_third);
    let by_hand = a
        .replica
        .reader()
        .unwrap()
        .unwrap()
        .indexes(&space)
        .unwrap();
    assert!(by_hand.iter().any(|index| index.row.spec == by_rank));
}

#[test]
fn indexes_that_an_earlier_program_made_of_a_schema_follow_its_defaults_once_it_is_opened() {
    let mut a = Device::on_disk(1);
    let space = a.replica.create_space("work", a.now).unwrap();
    let fields = json!({
        "fields": {"title": "string", "rank": {"type": "int", "default": 3}},
        "indexes": [["rank"]],
    });
    let wanted = Wanted {
        declaration: Some(Declaration::from_json(&fields).unwrap()),
        ..Wanted::default()
    };
    let chain = Chain::empty("tasks".into());
    let revision = chain.evolve(wanted).unwrap().unwrap();
    a.replica.put_revision(&space, &revision, a.now).unwrap();
    let specs = |device: &mut Device| -> Vec<IndexSpec> {
        while device.replica.build_indexes(2, device.now).unwrap() {}
        let mut reader = device.replica.reader().unwrap().unwrap();
        let found = reader.indexes(&space).unwrap();
        found.into_iter().map(|index| index.row.spec).collect()
    };
    let today = [IndexSpec::filled([(path(&["rank"]), Some(json!(3)))])];
    assert_eq!(specs(&mut a), today);
    let before = IndexSpec::new(IndexKind::Fields, vec![path(&["rank"])]);
    let mut a = a.reopen_after(|store| {
        let indexes = store.all_indexes().unwrap();
        let [index] = &indexes[..] else {
            panic!("there is one");
        };
        let tx = store.begin().unwrap();
        let (collection, by_schema) = (index.collection, IndexOrigin::BySchema);
        tx.remove_index(collection, &today[0], by_schema).unwrap();
        tx.add_index(collection, &before, by_schema).unwrap();
        tx.remove_meta("declares").unwrap();
        tx.commit().unwrap();
    });
    assert_eq!(specs(&mut a), today);
    // Once: what is there then is what the schema says.
    assert_eq!(specs(&mut a.reopen()), today);
}

#[test]
fn sql_shows_documents_as_the_newest_revision_does() {
    let mut a = Device::on_disk(1);
    let space = a.replica.create_space("work", a.now).unwrap();
    a.write(
        &space,
        &[put("early", json!({"title": "one", "level": "3"}))],
    );
    declare(
        &mut a,
        &space,
        json!({"title": "string?", "level": "string?", "done": {"type": "bool", "default": false}}),
    );
    let lenses = json!([
        {"rename": {"from": "title", "to": "name"}},
        {"wrap": "level"},
        {"add": {"name": "due", "field": {"type": "string", "default": "never"}}},
    ]);
    evolve(&mut a, &space, lenses);
    write_as(&mut a, &space, "1", &[put("old", json!({"title": "two"}))]);
    a.write(
        &space,
        &[put("new", json!({"name": "three", "level": ["5"]}))],
    );
    let reader = a.replica.reader().unwrap().unwrap();
    let mut sql = SqlReader::new(reader, || None).unwrap();
    let mut ask = |sql_text: &str| {
        let answer = sql.run(&space, sql_text, 100, |name| {
            (!name.starts_with('@')).then(Vec::new)
        });
        let answer = answer.unwrap();
        (answer.columns, answer.rows)
    };
    let (columns, rows) = ask("SELECT * FROM tasks ORDER BY name");
    assert_eq!(columns, ["id", "done", "due", "level", "name", "json"]);
    assert_eq!(rows.len(), 3);
    for row in rows {
        let [
            SqlCell::Text(id),
            SqlCell::Int(0),
            SqlCell::Text(due),
            ..,
            SqlCell::Text(all),
        ] = &row[..]
        else {
            panic!("{row:?}");
        };
        assert_eq!(due, "never");
        let all: Value = serde_json::from_str(all).unwrap();
        assert_eq!(all, read(&a, &space, id, None), "{id}");
    }
    let (_, rows) = ask("SELECT id FROM tasks WHERE name = 'two' AND json ->> 'due' = 'never'");
    assert_eq!(rows, [[SqlCell::Text("old".to_owned())]]);
    let (_, rows) =
        ask("SELECT tasks.id FROM tasks, json_each(tasks.level) AS level WHERE level.value = '5'");
    assert_eq!(rows, [[SqlCell::Text("new".to_owned())]]);
}
