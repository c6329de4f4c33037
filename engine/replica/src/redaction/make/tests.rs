//! Redactors who lie: whatever they say, replicas end equal, and who may not redact takes nothing.

use serde_json::{Value, json};
use stead_access::Role;

use super::*;
use crate::HistoryQuery;
use crate::world::{self, Device, let_in_on, link, sync};

const SECRET: &str = "PLAINTEXT-SECRET";

fn put(device: &mut Device, space: &SpaceId, id: &str, value: Value) -> Hlc {
    let edit = world::put("d", id, value);
    device.now += 10;
    let receipt = device.replica.transact(space, &[edit], device.now);
    receipt.unwrap().hlc
}

fn shown(device: &Device, space: &SpaceId) -> Option<Value> {
    device.get(space, "d", "one")
}

/// Whether the secret can be opened from what is in the log.
fn tells(device: &Device, space: &SpaceId) -> bool {
    let query = HistoryQuery {
        limit: 1_000,
        ..HistoryQuery::default()
    };
    let told = device.replica.history(space, &query);
    format!("{:?}", told.unwrap()).contains(SECRET)
}

/// Redacts the note as no honest replica would: without a look at rights, with what `falsify` makes of
/// it, at a time of the liar's choice.
fn lie(
    device: &mut Device,
    space: &SpaceId,
    at: Option<Hlc>,
    falsify: impl Fn(&mut Writing<'_>, &mut Vec<Found>),
) {
    device.now += 10;
    let (now, doc) = (device.now, DocId::parse("one").unwrap());
    device.replica.finish_signing();
    let told = device.replica.write(now, |writing| {
        let target = writing.target(space, "d", &doc, &["note".to_owned()])?;
        let writer = writing.own_writer(space)?;
        let mut fields = BTreeSet::new();
        let mut found = writing.find(space, &target, &mut fields)?;
        assert!(!found.is_empty());
        falsify(writing, &mut found);
        let hlc = at.unwrap_or_else(|| writing.clock.tick(now));
        let stamp = Stamp { hlc, writer };
        let blanks = writing.blanks(space, &target, &fields, stamp)?;
        let said = Said::of(&blanks, found);
        writing.say_redaction(space, &said.ops, &said.texts, stamp)
    });
    told.unwrap_or_else(|error: ReplicaError| panic!("{error}"));
}

/// Two devices of one person, with a note and a number in one change of the first.
fn pair() -> (Device, Device, SpaceId, Hlc) {
    let (mut a, mut b) = (Device::on_disk(1), Device::on_disk(2));
    link(&mut a, &mut b);
    let space = a.replica.create_space("s", a.now).unwrap();
    sync(&mut a, &mut b);
    // Its log begins before.
    put(&mut b, &space, "two", json!({"of": "b"}));
    a.now += 10_000;
    let at = put(&mut a, &space, "one", json!({"note": SECRET, "n": 1}));
    sync(&mut a, &mut b);
    (a, b, space, at)
}

/// Who heard first, who heard later, and who comes last hold the same, also built again.
fn assert_same(a: &mut Device, b: &mut Device, space: &SpaceId) {
    sync(a, b);
    let mut c = Device::new(3);
    link(a, &mut c);
    sync(a, &mut c);
    let all = a.dump(space);
    for device in [a, b, &mut c] {
        assert_eq!(device.dump(space), all);
        device.replica.rebuild(space, device.now).unwrap();
        assert_eq!(device.dump(space), all);
    }
}

#[test]
fn who_says_something_else_in_place_of_the_rest_is_believed_by_all_or_by_none() {
    let (mut a, mut b, space, _) = pair();
    lie(&mut b, &space, None, |writing, found| {
        let left = found[0].left.as_mut().unwrap();
        // As if the number had been taken away in the same change.
        let mut said = Transaction::new(left.stamp);
        let n = Path::from_names(["n"]).unwrap();
        said.blank("d", &DocId::parse("one").unwrap(), &n);
        let (parcels, _) = writing.seal_parts(&space, said).unwrap();
        left.parcel = parcels[0].1.clone();
    });
    assert_same(&mut a, &mut b, &space);
    assert!(shown(&a, &space).is_none_or(|it| it.get("note").is_none()));
    assert!(!tells(&a, &space) && !a.files_hold(SECRET));
}

#[test]
fn who_leaves_out_the_rest_leaves_it_out_for_all() {
    let (mut a, mut b, space, _) = pair();
    put(&mut a, &space, "one", json!({"later": 2}));
    lie(&mut b, &space, None, |_, found| found[0].left = None);
    assert_same(&mut a, &mut b, &space);
    assert_eq!(shown(&a, &space), Some(json!({"later": 2})));
}

#[test]
fn an_entry_that_is_later_than_its_redaction_ends_equal_for_all() {
    let (mut a, mut b, space, written) = pair();
    let before = Hlc::new(written.ms() - 5_000, 0);
    lie(&mut b, &space, Some(before), |_, _| {});
    assert_same(&mut a, &mut b, &space);
    assert!(shown(&a, &space).is_none_or(|it| it.get("note").is_none()));
}

#[test]
fn who_may_not_manage_takes_nothing_by_a_redaction_of_what_others_wrote() {
    let (mut a, mut b) = (Device::on_disk(1), Device::on_disk(2));
    a.replica.create_home(a.now).unwrap();
    b.replica.create_home(b.now).unwrap();
    let space = a.replica.create_space("s", a.now).unwrap();
    let whole = RightsPath::whole_space();
    let_in_on(&mut a, &mut b, &space, Role::Writer, whole);
    sync(&mut a, &mut b);
    put(&mut a, &space, "one", json!({"note": SECRET, "n": 1}));
    sync(&mut a, &mut b);
    b.now = a.now;
    lie(&mut b, &space, None, |_, _| {});
    assert_same(&mut a, &mut b, &space);
    // What a writer may do, it did: the note is blank. What was said before is still in the log.
    assert_eq!(shown(&a, &space), Some(json!({"n": 1})));
    assert!(tells(&a, &space) && tells(&b, &space));
}
