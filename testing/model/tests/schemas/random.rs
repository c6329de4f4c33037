//! Chains of revisions and writes made at random, each chain both as the model and as the real one.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use stead_model::schemas::{Chain, EACH, Field, Form, Lens, Path, Place, Step};
use stead_schema::{Known, Projection, Revision, lenses_from_json};

/// Names that fields come and go under, few enough to meet.
const NAMES: [&str; 5] = ["title", "n", "city", "m", "box"];

/// A chain as it grew: at each length the model, and what apps of the real one's revisions speak.
pub(crate) struct Schemas {
    pub(crate) grown: Vec<(Chain, Vec<Projection>)>,
    told: Vec<Value>,
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, lenses) in self.told.iter().enumerate() {
            writeln!(f, "revision {number}: {lenses}")?;
        }
        Ok(())
    }
}

fn field(form: Form) -> Field {
    Field {
        form,
        optional: matches!(form, Form::Single | Form::List),
        default: None,
        texts: ["x", "y", "z"].map(str::to_owned).to_vec(),
        inside: Vec::new(),
    }
}

fn with_default(form: Form, default: Value) -> Field {
    Field {
        optional: false,
        default: Some(default),
        ..field(form)
    }
}

fn inside(form: Form, optional: bool, fields: &[(&str, Field)]) -> Field {
    let named = fields
        .iter()
        .map(|(name, field)| ((*name).to_owned(), field.clone()));
    Field {
        optional,
        inside: named.collect(),
        ..field(form)
    }
}

/// What a first revision may have, and a later one may add.
fn menu() -> Vec<(&'static str, Field)> {
    let single = || field(Form::Single);
    let person = inside(
        Form::Record,
        false,
        &[
            ("nick", single()),
            ("level", with_default(Form::Single, json!("y"))),
            ("mails", field(Form::List)),
        ],
    );
    let home = [
        ("city", single()),
        ("floor", with_default(Form::Single, json!("x"))),
        ("mails", field(Form::List)),
        ("visits", field(Form::Counter)),
    ];
    vec![
        ("title", single()),
        ("size", with_default(Form::Single, json!("x"))),
        ("mails", field(Form::List)),
        ("names", with_default(Form::List, json!(["z"]))),
        ("home", inside(Form::Record, true, &home)),
        ("shop", inside(Form::Record, false, &home[..2])),
        ("visits", field(Form::Counter)),
        ("tags", field(Form::Set)),
        ("people", inside(Form::Map, false, &[(EACH, person)])),
        ("rates", inside(Form::Map, false, &[(EACH, single())])),
    ]
}

fn field_json(field: &Field) -> Value {
    let of = |kind: &str| json!({"type": kind, "of": {"type": "enum", "values": field.texts}});
    let mut json = match field.form {
        Form::Single => json!({"type": "enum", "values": field.texts}),
        Form::List => of("array"),
        Form::Set => of("set"),
        Form::Counter => json!({"type": "counter"}),
        Form::Record => {
            let fields = field.inside.iter();
            let fields: Map<_, _> = fields
                .map(|(name, field)| (name.clone(), field_json(field)))
                .collect();
            json!({"type": "record", "fields": fields})
        }
        Form::Map => json!({"type": "map", "of": field.inside.iter().map(|(_, of)| {
            // What a map holds has no word on whether it is there.
            field_json(&Field { optional: false, ..of.clone() })
        }).next()}),
    };
    if field.optional {
        json["optional"] = json!(true);
    }
    if let Some(default) = &field.default {
        json["default"] = default.clone();
    }
    json
}

/// A lens as people write it. `places` are those of the revision before.
fn lens_json(lens: &Lens, places: &[Place]) -> Value {
    let mut at = &lens.at[..];
    let mut json = match &lens.step {
        Step::Add(name, field) => json!({"add": {"name": name, "field": field_json(field)}}),
        Step::Restore(name) => json!({"add": {"name": name, "restore": true}}),
        Step::Remove(name, None) => json!({ "remove": name }),
        Step::Remove(name, Some(default)) => json!({"remove": {"name": name, "default": default}}),
        Step::Rename(from, to) => json!({"rename": {"from": from, "to": to}}),
        Step::Hoist(from, name) => json!({"hoist": {"from": from, "name": name}}),
        Step::Plunge(name, into) => json!({"plunge": {"name": name, "into": into}}),
        Step::Wrap(name) => json!({ "wrap": name }),
        Step::Head(name) => json!({ "head": name }),
        Step::Convert(name, table) => {
            let mut texts: Vec<&String> = table.iter().map(|(_, new)| new).collect();
            texts.sort();
            texts.dedup();
            let path = [at, std::slice::from_ref(name)].concat();
            let form = places.iter().find(|place| place.path == path);
            let is_inner = form.is_some_and(|place| place.field.form != Form::Single);
            let convert = |name: &str| json!({"convert": {"name": name, "to": {"type": "enum", "values": texts}, "table": table}});
            match (name == EACH, is_inner, at.split_last()) {
                (true, _, Some((map, above))) => {
                    at = above;
                    json!({"map": {"name": map, "lenses": [convert("")]}})
                }
                (_, true, _) => json!({"map": {"name": name, "lenses": [convert("")]}}),
                _ => convert(name),
            }
        }
    };
    while let Some((last, above)) = at.split_last() {
        let (word, name) = match (last == EACH, above.split_last()) {
            (true, Some((map, further))) => {
                at = further;
                ("map", map)
            }
            _ => {
                at = above;
                ("in", last)
            }
        };
        json = json!({word: {"name": name, "lenses": [json]}});
    }
    json
}

/// The lenses of one sort that one might try, some of them refused.
fn possible(chain: &Chain, sort: u8, seed: usize) -> Vec<Lens> {
    let revision = chain.len() - 1;
    let places = chain.places(revision);
    let mut lenses = Vec::new();
    let records = places
        .iter()
        .filter(|place| place.field.form == Form::Record);
    let records: Vec<Path> = std::iter::once(Path::new())
        .chain(records.map(|place| place.path.clone()))
        .collect();
    let name_of = |place: &Place| place.path.last().cloned().unwrap_or_default();
    for at in &records {
        let mut add = |step: Step| {
            lenses.push(Lens {
                at: at.clone(),
                step,
            })
        };
        let here: Vec<&Place> = places
            .iter()
            .filter(|place| place.path.len() == at.len() + 1 && place.path.starts_with(at))
            .collect();
        let fresh = NAMES[seed % NAMES.len()].to_owned();
        if sort == 0 {
            let (name, field) = &menu()[seed % menu().len()];
            let name = [name, NAMES[seed % NAMES.len()]][seed / 7 % 2];
            add(Step::Add(name.to_owned(), field.clone()));
        }
        if sort == 1 {
            for (name, field) in chain.restorable(revision, at) {
                // Of a map it would have to be said anew what its values are.
                if field.form != Form::Map {
                    add(Step::Restore(name.to_owned()));
                }
            }
        }
        for place in &here {
            let name = name_of(place);
            let texts = &place.field.texts;
            match (sort, place.field.form) {
                (2, form) => {
                    let text = texts.get(seed % texts.len().max(1)).cloned();
                    let default = text.map(|text| match form {
                        Form::List => json!([text]),
                        _ => json!(text),
                    });
                    let may = matches!(form, Form::Single | Form::List) && seed.is_multiple_of(2);
                    add(Step::Remove(name, default.filter(|_| may)));
                }
                (3, _) => add(Step::Rename(name, fresh.clone())),
                (4, Form::Record) => {
                    let inner = places.iter().filter(|inner| {
                        inner.path.len() == place.path.len() + 1
                            && inner.path.starts_with(&place.path)
                    });
                    for inner in inner {
                        add(Step::Hoist(name.clone(), name_of(inner)));
                    }
                }
                (5, _) => {
                    let record = here.iter().filter(|other| other.field.form == Form::Record);
                    let into = record.map(|other| name_of(other));
                    for into in into.chain([fresh.clone()]) {
                        add(Step::Plunge(name.clone(), into));
                    }
                }
                (6, Form::Single) => add(Step::Wrap(name)),
                (7, Form::List) => add(Step::Head(name)),
                _ => {}
            }
        }
    }
    if sort == 8 {
        for place in places {
            if !matches!(place.field.form, Form::Single | Form::List | Form::Set) {
                continue;
            }
            let texts = &place.field.texts;
            let left = texts.len() - usize::from(texts.len() > 1 && seed.is_multiple_of(2));
            let row = |(i, old): (usize, &String)| {
                (
                    old.clone(),
                    format!("{}{}", ["p", "q", "r"][seed % 3], (i + seed) % left),
                )
            };
            let table = texts.iter().enumerate().map(row).collect();
            let (name, at) = place.path.split_last().unwrap();
            lenses.push(Lens {
                at: at.to_vec(),
                step: Step::Convert(name.clone(), table),
            });
        }
    }
    lenses
}

/// Chains of one to five revisions, every one made from the one before by lenses that the real schemas accept.
pub(crate) fn any_schemas() -> impl Strategy<Value = Schemas> {
    let pick = (0u8..9, any::<Index>(), 0usize..1000);
    let further = prop::collection::vec(prop::collection::vec(pick, 1..4), 0..5);
    let first = prop::collection::vec(any::<bool>(), menu().len());
    (first, further).prop_map(|(first, further)| {
        let mut first: Vec<Lens> = menu()
            .into_iter()
            .zip(first)
            .filter(|(_, wanted)| *wanted)
            .map(|((name, field), _)| Lens {
                at: Path::new(),
                step: Step::Add(name.to_owned(), field),
            })
            .collect();
        if first.is_empty() {
            let (name, field) = menu().swap_remove(0);
            let step = Step::Add(name.to_owned(), field);
            first.push(Lens {
                at: Path::new(),
                step,
            });
        }
        let mut made = Made::default();
        made.push(&first);
        for picks in further {
            let mut lenses: Vec<Lens> = Vec::new();
            for (sort, pick, seed) in picks {
                let mut so_far = made.model.clone();
                so_far.evolve(&lenses);
                let possible = possible(&so_far, sort, seed);
                if possible.is_empty() {
                    continue;
                }
                lenses.push(pick.get(&possible).clone());
                if !made.accepts(&lenses) {
                    lenses.pop();
                }
            }
            if !lenses.is_empty() {
                made.push(&lenses);
            }
        }
        Schemas {
            grown: made.grown,
            told: made.told,
        }
    })
}

/// A chain being made.
#[derive(Default)]
struct Made {
    model: Chain,
    known: Vec<Known>,
    grown: Vec<(Chain, Vec<Projection>)>,
    told: Vec<Value>,
}

impl Made {
    fn json(&self, lenses: &[Lens]) -> Value {
        let mut now = self.model.clone();
        let mut json = Vec::new();
        now.evolve(&[]);
        for (nth, lens) in lenses.iter().enumerate() {
            if let Step::Restore(name) = &lens.step {
                let fields = now.restorable(now.len() - 1, &lens.at);
                let (_, field) = fields.iter().find(|(other, _)| other == name).unwrap();
                let mut lens = lens_json(lens, &[]);
                let mut at = &mut lens;
                while at.get("add").is_none() {
                    let (_, inner) = at.as_object_mut().unwrap().iter_mut().next().unwrap();
                    at = &mut inner["lenses"][0];
                }
                at["add"]["field"] = field_json(field);
                json.push(lens);
            } else {
                json.push(lens_json(lens, now.places(now.len() - 1)));
            }
            now = self.model.clone();
            now.evolve(&lenses[..=nth]);
        }
        json.into()
    }

    fn revision(&self, lenses: &[Lens]) -> Revision {
        Revision {
            collection: "things".into(),
            parent: self.known.last().map(|known| known.revision.id()),
            lenses: lenses_from_json(&self.json(lenses)).unwrap(),
            indexes: Vec::new(),
            search: Vec::new(),
        }
    }

    fn real(&self) -> stead_schema::Chain {
        stead_schema::Chain::build("things", self.known.clone())
    }

    fn accepts(&self, lenses: &[Lens]) -> bool {
        self.real().make(&self.revision(lenses)).is_ok()
    }

    fn push(&mut self, lenses: &[Lens]) {
        self.told.push(self.json(lenses));
        let revision = self.revision(lenses);
        self.known.push(Known { revision, made: 0 });
        self.model.evolve(lenses);
        let real = self.real();
        assert_eq!(real.aside(), []);
        let views = real
            .revisions()
            .map(|(_, id, _)| real.projection(&id).unwrap());
        self.grown.push((self.model.clone(), views.collect()));
    }
}

/// What an app writes, by names of its revision.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Put(Map<String, Value>, bool),
    Set(Path, Value),
    Unset(Path),
    Add(Path, i64),
    Include(Path, Value),
    Exclude(Path, Value),
    Delete,
    Restore,
}

/// A write that an app of a revision might make.
pub(crate) fn wish(chain: &Chain, revision: usize, seeds: &[u64]) -> Option<Wish> {
    let mut seeds = seeds.iter().copied();
    let mut seed = || seeds.next().unwrap_or(0);
    let sort = seed() % 20;
    let (pick, key) = (seed() as usize, seed() % 2);
    let places = chain.places(revision);
    let of = |forms: &[Form]| {
        let fitting = places
            .iter()
            .filter(|place| forms.contains(&place.field.form));
        let fitting: Vec<&Place> = fitting.collect();
        let place = *fitting.get(pick % fitting.len().max(1))?;
        let name = |name: &String| match name == EACH {
            true => format!("k{key}"),
            false => name.clone(),
        };
        Some((place, place.path.iter().map(name).collect::<Path>()))
    };
    use Form::{Counter, List, Map, Record, Set, Single};
    Some(match sort {
        0..8 => {
            let entries = object_of(chain, revision, &[], &mut seed);
            Wish::Put(entries, sort < 3)
        }
        8..12 => {
            let (place, path) = of(&[Single, List, Counter, Set, Record, Map])?;
            Wish::Set(path, value_of(chain, revision, place, &mut seed)?)
        }
        12..15 => Wish::Unset(of(&[Single, List, Counter, Set, Record, Map])?.1),
        15 => Wish::Add(of(&[Counter])?.1, seed() as i64 % 3),
        16 | 17 => {
            let (place, path) = of(&[Set])?;
            let texts = &place.field.texts;
            let text = json!(texts[seed() as usize % texts.len()]);
            match sort {
                16 => Wish::Include(path, text),
                _ => Wish::Exclude(path, text),
            }
        }
        18 => Wish::Delete,
        _ => Wish::Restore,
    })
}

fn object_of(
    chain: &Chain,
    revision: usize,
    path: &[String],
    seed: &mut dyn FnMut() -> u64,
) -> Map<String, Value> {
    let mut object = Map::new();
    for place in chain.places(revision) {
        if place.path.len() == path.len() + 1
            && place.path.starts_with(path)
            && let Some(name) = place.path.last()
            && !seed().is_multiple_of(3)
            && let Some(value) = value_of(chain, revision, place, seed)
        {
            object.insert(name.clone(), value);
        }
    }
    object
}

/// A value for a place.
fn value_of(
    chain: &Chain,
    revision: usize,
    place: &Place,
    seed: &mut dyn FnMut() -> u64,
) -> Option<Value> {
    let texts = &place.field.texts;
    Some(match place.field.form {
        Form::Single => json!(texts[seed() as usize % texts.len()]),
        Form::List => {
            let count = seed() % 3;
            let texts = (0..count).map(|_| json!(texts[seed() as usize % texts.len()]));
            texts.collect()
        }
        Form::Counter => json!(seed() % 4),
        Form::Set => {
            let chosen = texts.iter().filter(|_| seed().is_multiple_of(2));
            chosen.map(|text| json!(text)).collect()
        }
        Form::Record => object_of(chain, revision, &place.path, seed).into(),
        Form::Map => {
            let each = [&place.path[..], &[EACH.to_owned()]].concat();
            let each = chain
                .places(revision)
                .iter()
                .find(|place| place.path == each)?;
            let mut entries = Map::new();
            for key in ["k0", "k1"] {
                if seed().is_multiple_of(2) {
                    entries.insert(key.to_owned(), value_of(chain, revision, each, seed)?);
                }
            }
            entries.into()
        }
    })
}
