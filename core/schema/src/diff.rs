//! From the fields of one revision to those of a declaration: which lenses lead there. Owns the guess,
//! and says where there is none; what a lens does is the shape's business.

use crate::json::field_to_json;
use crate::kind::{Fields, Kind, below};
use crate::lens::Lens;

/// A change that no lens follows from by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct NoLens {
    /// Path of the field, dotted.
    pub path: String,
    /// Why, and what to do.
    pub what: String,
}

/// The lenses from one set of fields to another: fields that are new are added, those that are gone
/// removed, rules that differ refined. A rename is not seen: say it with a lens.
pub fn diff(old: &Fields, new: &Fields) -> Result<Vec<Lens>, NoLens> {
    fields(old, new, "")
}

fn fields(old: &Fields, new: &Fields, path: &str) -> Result<Vec<Lens>, NoLens> {
    let mut lenses = Vec::new();
    for (name, field) in old {
        let Some(wanted) = new.get(name) else {
            lenses.push(Lens::Remove {
                name: name.clone(),
                default: None,
            });
            continue;
        };
        if field == wanted {
            continue;
        }
        let place = below(path, name);
        if !field.kind.is_like(&wanted.kind) {
            return Err(NoLens {
                path: place,
                what: format!(
                    "{} does not become {} by itself; use the lens convert, wrap or head, or give the new field another name",
                    field_to_json(field),
                    field_to_json(wanted)
                ),
            });
        }
        lenses.extend(inside(name, &field.kind, &wanted.kind, &place)?);
        let mut same_inside = wanted.clone();
        same_inside.kind = rules_of(&field.kind, &wanted.kind);
        if *field != same_inside {
            lenses.push(Lens::Refine {
                name: name.clone(),
                field: same_inside,
            });
        }
    }
    for (name, field) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        lenses.push(Lens::Add {
            name: name.clone(),
            field: field.clone(),
            restore: false,
        });
    }
    Ok(lenses)
}

/// What changes in the fields inside a field.
fn inside(name: &str, old: &Kind, new: &Kind, path: &str) -> Result<Vec<Lens>, NoLens> {
    let lenses = match (old, new) {
        (Kind::Record(old), Kind::Record(new)) => fields(old, new, path)?,
        (Kind::Map(old), Kind::Map(new)) => of_parts(old, new, path)?,
        (Kind::Array(old), Kind::Array(new)) | (Kind::List(old), Kind::List(new)) => {
            of_parts(&old.of, &new.of, path)?
        }
        _ => Vec::new(),
    };
    if lenses.is_empty() {
        return Ok(lenses);
    }
    let name = name.to_owned();
    Ok(vec![match old {
        Kind::Record(_) => Lens::In { name, lenses },
        _ => Lens::Map { name, lenses },
    }])
}

fn of_parts(old: &Kind, new: &Kind, path: &str) -> Result<Vec<Lens>, NoLens> {
    match (old, new) {
        (Kind::Record(old), Kind::Record(new)) => fields(old, new, path),
        (Kind::Map(_) | Kind::Array(_) | Kind::List(_), _) => inside("", old, new, path),
        _ => Ok(Vec::new()),
    }
}

/// The new rules of a field around what is inside the old one.
fn rules_of(old: &Kind, new: &Kind) -> Kind {
    match (old, new) {
        (Kind::Record(_) | Kind::Map(_), _) => new.clone(),
        (_, new) => new.clone(),
    }
}
