//! Conditions that name fields as a client sees them, as they can be asked of what documents hold.

use stead_api::{ApiError, DocQuery, ErrorKind, Predicate, Where};
use stead_base::SpaceId;
use stead_replica::{Question, ReplicaReader};
use stead_schema::Shown;
use stead_store::{NoLookup, fits};

use super::schemas::Seen;
use super::{Node, convert};
use crate::faults;

/// Whether a condition is on other documents.
pub(super) fn refers(filter: &Where) -> bool {
    match filter {
        Where::Is(_) => false,
        Where::All { all: inner } | Where::Any { any: inner } => inner.iter().any(refers),
        Where::Not { not } => refers(not),
        Where::Refers { .. } => true,
    }
}

/// Has conditions on documents that are referred to ask what those hold.
fn hold_referred(
    reader: &mut ReplicaReader,
    space: &SpaceId,
    filters: &mut [Where],
) -> Result<(), ApiError> {
    for filter in filters {
        match filter {
            Where::Is(_) => {}
            Where::All { all: inner } | Where::Any { any: inner } => {
                hold_referred(reader, space, inner)?;
            }
            Where::Not { not } => hold_referred(reader, space, std::slice::from_mut(&mut **not))?,
            Where::Refers { to, filters, .. } => {
                hold_referred(reader, space, filters)?;
                let seen = Seen::newest(reader, space, to);
                let seen = seen.map_err(|error| faults::replica(&error))?;
                for filter in filters {
                    *filter = held(filter, &seen)?.ok_or_else(|| {
                        let message = format!("A field of {to:?} that its schema converts cannot be asked through a reference.");
                        ApiError::new(ErrorKind::InvalidParams, message)
                            .hint(format!("Ask {to:?} by itself, and look for its ids here."))
                    })?;
                }
            }
        }
    }
    Ok(())
}

impl Node {
    /// A query as it can be asked of what documents of a collection hold, by whoever has them.
    pub(super) async fn question(
        &self,
        space: SpaceId,
        ask: &DocQuery,
    ) -> Result<Question, ApiError> {
        let seen = self
            .seen(space, &ask.collection, ask.revision.as_deref())
            .await?;
        let filters = self.hold_references(space, ask.filters.clone()).await?;
        question(ask, filters, &seen)
    }

    /// Has conditions on documents that are referred to ask what those hold.
    pub(super) async fn hold_references(
        &self,
        space: SpaceId,
        mut filters: Vec<Where>,
    ) -> Result<Vec<Where>, ApiError> {
        if !filters.iter().any(refers) {
            return Ok(filters);
        }
        let held = self
            .readers
            .read(move |reader| Ok(hold_referred(reader, &space, &mut filters).map(|()| filters)));
        held.await?
    }
}

/// A query of these conditions, as it can be asked of what documents hold.
pub(super) fn question(
    ask: &DocQuery,
    mut filters: Vec<Where>,
    seen: &Seen,
) -> Result<Question, ApiError> {
    for filter in &mut filters {
        *filter = held(filter, seen)?.ok_or_else(|| {
            let message = format!(
                "A field of {:?} that its schema converts cannot decide what is kept.",
                ask.collection
            );
            ApiError::new(ErrorKind::InvalidParams, message)
                .hint("Choose by other fields, or keep the whole collection.")
        })?;
    }
    Ok(Question {
        filter: convert::filters(&filters)?,
        sort: seen.order(&ask.sort)?,
        limit: ask.limit.map_or(0, u64::from),
    })
}

/// A condition as the store can ask it of what is held; none where what is held is not what is seen.
pub(super) fn held(filter: &Where, seen: &Seen) -> Result<Option<Where>, ApiError> {
    let all = |inner: &[Where]| -> Result<Option<Vec<Where>>, ApiError> {
        inner.iter().map(|one| held(one, seen)).collect()
    };
    Ok(match filter {
        Where::Is(filter) if convert::is_id(&filter.path) => Some(Where::Is(filter.clone())),
        Where::Is(filter) => {
            let key = seen.key(&filter.path)?;
            let at = |path: &[String], is| {
                Where::Is(stead_api::Filter {
                    path: path.to_vec(),
                    is,
                    value: filter.value.clone(),
                })
            };
            let of_presence = matches!(filter.is, Predicate::Exists | Predicate::Missing);
            match &key.shown {
                Shown::AsHeld => Some(at(&key.path, filter.is)),
                // Where nothing is held, it is the default that fits or does not.
                Shown::OrElse(default) if !of_presence => {
                    let alone = ["it".to_owned()];
                    let asked = convert::filters(&[at(&alone, filter.is)])?;
                    let shown = serde_json::json!({"it": default});
                    let fits_default = fits(&asked, "", &shown, &NoLookup);
                    let all = vec![at(&key.path, Predicate::Exists), at(&key.path, filter.is)];
                    let mut any = vec![Where::All { all }];
                    any.extend(fits_default.then(|| at(&key.path, Predicate::Missing)));
                    Some(Where::Any { any })
                }
                Shown::OrElse(_) | Shown::Otherwise => None,
            }
        }
        Where::All { all: inner } => all(inner)?.map(|all| Where::All { all }),
        Where::Any { any: inner } => all(inner)?.map(|any| Where::Any { any }),
        Where::Not { not } => held(not, seen)?.map(|not| Where::Not { not: Box::new(not) }),
        Where::Refers {
            refers,
            to,
            filters,
        } => Some(Where::Refers {
            refers: seen.key(refers)?.path,
            to: to.clone(),
            filters: filters.clone(),
        }),
    })
}
