//! Between wire types and the engine's.

use serde_json::Value;
use stead_api::{ApiError, Commit, Document, ErrorKind, Op, Predicate, SortKey, Time, Where};
use stead_base::{DocId, Hlc, SpaceId};
use stead_replica::{Change, Edit, Receipt, SpaceInfo};
use stead_store::{
    Condition, Direction, Filter, QUERY_DEPTH_MAX, QueryError, Scalar, StoreError, Test,
};

/// The name under which conditions and orders find a document's id.
const ID_FIELD: &str = "id";

/// A hybrid time.
pub(crate) fn time(hlc: Hlc) -> Time {
    Time {
        ms: hlc.ms(),
        counter: hlc.counter(),
    }
}

/// What a transaction became.
pub(crate) fn commit(receipt: Receipt) -> Commit {
    Commit {
        ids: receipt.ids.iter().map(DocId::to_string).collect(),
        changed: receipt.changed,
        time: time(receipt.hlc),
        entry: receipt.entry.map(|(_, seq)| seq),
        repeated: false,
        nodes: receipt.nodes.into_iter().map(|node| node.0).collect(),
    }
}

/// A document's id.
pub(crate) fn doc_id(text: &str) -> Result<DocId, ApiError> {
    DocId::parse(text).map_err(|error| crate::faults::sentence(ErrorKind::BadName, &error))
}

/// One edit.
pub(crate) fn edit(edit: stead_api::Edit) -> Result<Edit, ApiError> {
    let change = match edit.op {
        Op::Put { value, replace } => {
            if !value.is_object() {
                return Err(ApiError::new(
                    ErrorKind::InvalidParams,
                    "A document is a JSON object.",
                ));
            }
            Change::Put { value, replace }
        }
        Op::Set { path, value } => Change::Set { path, value },
        Op::Add { path, delta } => Change::Add { path, delta },
        Op::Include { path, elem } => Change::Include {
            path,
            element: elem,
        },
        Op::Exclude { path, elem } => Change::Exclude {
            path,
            element: elem,
        },
        Op::Unset { path } => Change::Unset { path },
        Op::Text { path, edit, unit } => super::rich::text(path, unit, edit),
        Op::List { path, edit } => super::rich::list(path, edit),
        Op::Tree { path, edit } => super::rich::tree(path, edit),
        Op::Delete => Change::Delete,
        Op::Purge => Change::Purge,
        Op::Restore => Change::Restore,
    };
    Ok(Edit {
        collection: edit.collection,
        id: edit.id.as_deref().map(doc_id).transpose()?,
        change,
    })
}

/// Conditions, for the store.
pub(crate) fn filters(filters: &[Where]) -> Result<Vec<Filter>, ApiError> {
    nested(filters, 0)
}

fn nested(filters: &[Where], depth: usize) -> Result<Vec<Filter>, ApiError> {
    if depth > QUERY_DEPTH_MAX {
        return Err(crate::faults::store(&StoreError::Query(
            QueryError::TooDeep,
        )));
    }
    let depth = depth + 1;
    let one = |filter: &Where| {
        Ok(match filter {
            Where::Is(filter) => condition(filter)?,
            Where::All { all } => Filter::All(nested(all, depth)?),
            Where::Any { any } => Filter::Any(nested(any, depth)?),
            Where::Not { not } => {
                let inner = nested(std::slice::from_ref(&**not), depth)?;
                Filter::Not(Box::new(Filter::All(inner)))
            }
            Where::Refers {
                refers,
                to,
                filters,
            } => Filter::Refers {
                path: refers.clone(),
                collection: to.clone(),
                filter: nested(filters, depth)?,
            },
        })
    };
    filters.iter().map(one).collect()
}

/// A condition, for the store.
fn condition(filter: &stead_api::Filter) -> Result<Filter, ApiError> {
    let is = |test| {
        Filter::Is(Condition {
            path: filter.path.clone(),
            test,
        })
    };
    let scalar = |value: &Value| {
        Scalar::try_from(value.clone())
            .map_err(|error| crate::faults::sentence(ErrorKind::InvalidParams, &error))
    };
    let list = || {
        let values = filter.value.as_array().ok_or_else(|| {
            let field = filter.path.join(".");
            ApiError::new(
                ErrorKind::InvalidParams,
                format!("The condition on {field:?} needs a list of values."),
            )
        })?;
        values.iter().map(scalar).collect::<Result<Vec<_>, _>>()
    };
    let value = || scalar(&filter.value);
    Ok(match filter.is {
        Predicate::Eq => is(Test::Eq(value()?)),
        Predicate::Ne => is(Test::Ne(value()?)),
        Predicate::Lt => is(Test::Lt(value()?)),
        Predicate::Le => is(Test::Le(value()?)),
        Predicate::Gt => is(Test::Gt(value()?)),
        Predicate::Ge => is(Test::Ge(value()?)),
        Predicate::Contains => is(Test::Contains(value()?)),
        Predicate::Exists => is(Test::Exists),
        Predicate::Missing => is(Test::Missing),
        Predicate::In => is(Test::In(list()?)),
        Predicate::Between => match &list()?[..] {
            [least, greatest] => Filter::All(vec![
                is(Test::Ge(least.clone())),
                is(Test::Le(greatest.clone())),
            ]),
            _ => {
                let message = "`between` needs a list of two values.";
                return Err(ApiError::new(ErrorKind::InvalidParams, message));
            }
        },
        Predicate::Prefix => match &filter.value {
            Value::String(start) => is(Test::Prefix(start.clone())),
            _ => {
                let message = "Only a text can be the start of a text.";
                return Err(ApiError::new(ErrorKind::InvalidParams, message));
            }
        },
    })
}

/// Whether a path may name the id.
pub(crate) fn is_id(path: &[String]) -> bool {
    matches!(path, [name] if name == ID_FIELD)
}

/// An order, for the store: a field called `id` comes first, then the document's id.
pub(crate) fn order(sort: &[SortKey]) -> Vec<stead_store::SortKey> {
    let mut keys = Vec::with_capacity(sort.len() + 1);
    for key in sort {
        let direction = if key.descending {
            Direction::Desc
        } else {
            Direction::Asc
        };
        keys.push(stead_store::SortKey::new(key.path.clone(), direction));
        if is_id(&key.path) {
            keys.push(stead_store::SortKey::new(Vec::new(), direction));
        }
    }
    keys
}

/// A document as the store has it.
pub(crate) fn document(id: &DocId, json: &str, deleted: bool) -> Result<Document, ApiError> {
    let value: Value = serde_json::from_str(json).map_err(|error| {
        ApiError::new(
            ErrorKind::Damaged,
            format!("The stored document {id} cannot be read: {error}."),
        )
        .hint("Run `stead doctor`.")
    })?;
    Ok(Document {
        id: id.to_string(),
        value,
        deleted,
        snippet: None,
    })
}

/// A space without what takes counting.
pub(crate) fn space_outline(space: &SpaceInfo) -> stead_api::SpaceInfo {
    stead_api::SpaceInfo {
        id: space.id.to_string(),
        name: space.name.clone(),
        home: space.is_home,
        documents: space.documents,
        entries: space.entries,
        devices: u32::try_from(space.devices.len()).unwrap_or(u32::MAX),
        partial: space.is_part,
        known_from_ms: space.known_from_ms,
        ..stead_api::SpaceInfo::default()
    }
}

/// Finds a space by name, or by the start of its id (at least four digits).
pub(crate) fn find_space(names: &[(SpaceId, String)], wanted: &str) -> Result<SpaceId, ApiError> {
    let mut found: Vec<SpaceId> = names
        .iter()
        .filter(|(_, name)| name == wanted)
        .map(|(id, _)| *id)
        .collect();
    if found.is_empty() && wanted.len() >= 4 {
        let starts = |id: &SpaceId| id.to_string().starts_with(&wanted.to_ascii_lowercase());
        found = names.iter().map(|(id, _)| *id).filter(starts).collect();
    }
    match found[..] {
        [id] => Ok(id),
        [] => Err(ApiError::new(
            ErrorKind::NotFound,
            format!("There is no space called {wanted:?} on this device."),
        )
        .hint("`stead space list` shows the spaces that are here.")),
        _ => Err(ApiError::new(
            ErrorKind::Ambiguous,
            format!("Several spaces are called {wanted:?}."),
        )
        .hint(format!(
            "Name one by the start of its id: {}.",
            found
                .iter()
                .map(SpaceId::short)
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_is_found_by_its_name_or_the_start_of_its_id() {
        let (a, b) = (
            SpaceId::from_bytes([0xab; 32]),
            SpaceId::from_bytes([0xac; 32]),
        );
        let names = [
            (a, "notes".to_owned()),
            (b, "notes".to_owned()),
            (b, "abab".to_owned()),
        ];
        assert_eq!(
            find_space(&names, "notes").unwrap_err().kind,
            ErrorKind::Ambiguous
        );
        assert_eq!(find_space(&names, "abab"), Ok(b));
        assert_eq!(find_space(&names, "ABABAB"), Ok(a));
        assert_eq!(
            find_space(&names, "aba").unwrap_err().kind,
            ErrorKind::NotFound
        );
    }
}
