//! Chains of revisions and documents made at random.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::chain;
use crate::kind::{Field, Fields, Kind};
use crate::scalar::Scalar;
use crate::{Chain, Conversion, Known, Lens, Revision};

/// Everything a first revision can have.
fn first() -> Value {
    json!({
        "title": "string",
        "size": "int?",
        "temp": "float?",
        "level": {"type": "enum", "values": ["low", "high"], "default": "low"},
        "done": "bool?",
        "visits": "counter",
        "tags": {"type": "set", "of": "int"},
        "mails": {"type": "array?", "of": "string"},
        "home": {"type": "record?", "fields": {"city": "string?", "zip": "int?"}},
        "rows": {"type": "array?", "of": {"fields": {"q": "int?", "u": "string?"}}},
        "people": {"type": "map", "of": {"fields": {"nick": "string?", "age": "int?"}}},
    })
}

/// All the lenses that one might try on fields, some of them refused.
fn possible(fields: &Fields, nth: usize) -> Vec<Lens> {
    let fresh = format!("n{nth}");
    let field = |kind: Kind, optional, default| Field {
        kind,
        optional,
        default,
    };
    let mut lenses = vec![
        Lens::Add {
            name: fresh.clone(),
            field: field(Kind::Value(Scalar::Int(Default::default())), true, None),
            restore: false,
        },
        Lens::Add {
            name: "size".into(),
            field: field(Kind::Value(Scalar::Bool), false, Some(json!(true))),
            restore: false,
        },
        Lens::Add {
            name: "size".into(),
            field: field(Kind::Value(Scalar::Int(Default::default())), true, None),
            restore: true,
        },
    ];
    for (name, there) in fields {
        let name = || name.clone();
        lenses.push(Lens::Rename {
            from: name(),
            to: fresh.clone(),
        });
        lenses.push(Lens::Plunge {
            name: name(),
            into: "box".into(),
        });
        let default = match &there.kind {
            Kind::Value(scalar) => Some(value_of(scalar, 1)),
            _ => None,
        };
        lenses.push(Lens::Remove {
            name: name(),
            default,
        });
        match &there.kind {
            Kind::Value(scalar) => {
                lenses.push(Lens::Wrap { name: name() });
                lenses.extend(conversion(scalar, name()));
            }
            Kind::Set(scalar) => {
                lenses.extend(conversion(scalar, String::new()).map(|lens| Lens::Map {
                    name: name(),
                    lenses: vec![lens],
                }))
            }
            Kind::Array(items) => {
                lenses.push(Lens::Head { name: name() });
                if let Kind::Record(fields) = &*items.of {
                    let inner = possible_inside(fields, &fresh);
                    lenses.extend(inner.into_iter().map(|lens| Lens::Map {
                        name: name(),
                        lenses: vec![lens],
                    }));
                }
                if let Kind::Value(scalar) = &*items.of {
                    lenses.extend(conversion(scalar, String::new()).map(|lens| Lens::Map {
                        name: name(),
                        lenses: vec![lens],
                    }));
                }
            }
            Kind::Map(of) => {
                if let Kind::Record(fields) = &**of {
                    let inner = possible_inside(fields, &fresh);
                    lenses.extend(inner.into_iter().map(|lens| Lens::Map {
                        name: name(),
                        lenses: vec![lens],
                    }));
                }
            }
            Kind::Record(fields) => {
                let inner = possible_inside(fields, &fresh);
                lenses.extend(inner.into_iter().map(|lens| Lens::In {
                    name: name(),
                    lenses: vec![lens],
                }));
                lenses.extend(fields.keys().map(|inner| Lens::Hoist {
                    from: name(),
                    name: inner.clone(),
                }));
            }
            _ => {}
        }
    }
    lenses
}

fn possible_inside(fields: &Fields, fresh: &str) -> Vec<Lens> {
    let add = Lens::Add {
        name: fresh.to_owned(),
        field: Field {
            optional: true,
            ..Field::new(Kind::Value(Scalar::Bool))
        },
        restore: false,
    };
    let mut lenses = vec![add];
    for (name, field) in fields {
        lenses.push(Lens::Rename {
            from: name.clone(),
            to: fresh.to_owned(),
        });
        lenses.push(Lens::Remove {
            name: name.clone(),
            default: None,
        });
        if let Kind::Value(scalar) = &field.kind {
            lenses.push(Lens::Wrap { name: name.clone() });
            lenses.extend(conversion(scalar, name.clone()));
        }
    }
    lenses
}

fn conversion(scalar: &Scalar, name: String) -> Option<Lens> {
    let line = |to: Scalar, mul, div, add, decimals| Lens::Convert {
        name: name.clone(),
        to,
        by: Conversion::Linear {
            mul,
            div,
            add,
            decimals,
        },
    };
    Some(match scalar {
        Scalar::Int(_) => line(Scalar::Float(Default::default()), 1, 100, 0.0, 2),
        Scalar::Float(_) => line(Scalar::Float(Default::default()), 9, 5, 32.0, 9),
        Scalar::Bool => Lens::Convert {
            name,
            to: Scalar::Enum(vec!["no".into(), "yes".into()]),
            by: Conversion::Table {
                rows: vec![(json!(false), json!("no")), (json!(true), json!("yes"))],
                otherwise: None,
            },
        },
        Scalar::Enum(values) => Lens::Convert {
            name,
            to: Scalar::Int(Default::default()),
            by: Conversion::Table {
                rows: values
                    .iter()
                    .enumerate()
                    .map(|(i, v)| (json!(v), json!(i)))
                    .collect(),
                otherwise: None,
            },
        },
        _ => return None,
    })
}

/// A chain of up to seven revisions, every one made from the one before by lenses that were accepted.
pub(crate) fn chains() -> impl Strategy<Value = Chain> {
    prop::collection::vec(
        prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        0..7,
    )
    .prop_map(|choices| {
        let mut known: Vec<Known> = chain(first(), &[])
            .revisions()
            .map(|(_, _, revision)| Known {
                revision: revision.clone(),
                made: 0,
            })
            .collect();
        let mut nth = 0;
        for picks in choices {
            let chain = Chain::build("things", known.clone());
            let mut revision = Revision {
                parent: chain.newest(),
                lenses: Vec::new(),
                ..known[0].revision.clone()
            };
            for pick in picks {
                nth += 1;
                let mut next = known.clone();
                next.push(Known {
                    revision: revision.clone(),
                    made: 0,
                });
                let now = Chain::build("things", next);
                let Some((_, fields)) = now.newest().and_then(|id| now.fields(&id)) else {
                    continue;
                };
                let mut tried = revision.clone();
                tried.lenses.push(pick.get(&possible(&fields, nth)).clone());
                if chain.make(&tried).is_ok() {
                    revision = tried;
                }
            }
            if !revision.lenses.is_empty() {
                known.push(Known { revision, made: 0 });
            }
        }
        Chain::build("things", known)
    })
}

/// A value of a type, one of a few.
fn value_of(scalar: &Scalar, seed: u64) -> Value {
    match scalar {
        Scalar::Bool => json!(seed.is_multiple_of(2)),
        Scalar::Int(_) => json!(seed % 2),
        Scalar::Float(_) => json!((seed % 500) as f64 / 4.0),
        Scalar::Enum(values) => json!(values[seed as usize % values.len()]),
        _ => json!(format!("t{}", seed % 7)),
    }
}

/// A value of a kind, from a stream of seeds.
fn value_of_kind(kind: &Kind, seeds: &mut dyn Iterator<Item = u64>) -> Value {
    let mut seed = || seeds.next().unwrap_or(0);
    match kind {
        Kind::Value(scalar) => value_of(scalar, seed()),
        Kind::Counter => json!(seed() % 100),
        Kind::Set(scalar) => {
            let mut elements: Vec<Value> = Vec::new();
            for _ in 0..seed() % 3 {
                let element = value_of(scalar, seed());
                if !elements.contains(&element) {
                    elements.push(element);
                }
            }
            elements.into()
        }
        Kind::Array(items) | Kind::List(items) => {
            let count = seed() % 4;
            (0..count)
                .map(|_| value_of_kind(&items.of, seeds))
                .collect()
        }
        Kind::Map(of) => {
            let count = seed() % 3;
            let entry = |i| (format!("k{i}"), value_of_kind(of, seeds));
            Value::Object((0..count).map(entry).collect())
        }
        Kind::Record(fields) => object_of(fields, seeds),
        _ => json!("x"),
    }
}

/// An object with some of the fields.
pub(crate) fn object_of(fields: &Fields, seeds: &mut dyn Iterator<Item = u64>) -> Value {
    let mut object = serde_json::Map::new();
    for (name, field) in fields {
        if field.must_be_written() || !seeds.next().unwrap_or(0).is_multiple_of(3) {
            object.insert(name.clone(), value_of_kind(&field.kind, seeds));
        }
    }
    object.into()
}
