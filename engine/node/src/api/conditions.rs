//! Conditions that name fields as a client sees them, as they can be asked of what documents hold.

use std::collections::{BTreeMap, BTreeSet};

use stead_api::{ApiError, DocQuery, ErrorKind, Predicate, Where};
use stead_base::SpaceId;
use stead_store::{NoLookup, fits};

use super::schemas::Seen;
use super::{Node, convert};

/// The collections that conditions lead to.
fn led_to<'w>(filters: &'w [Where], found: &mut BTreeSet<&'w str>) {
    for filter in filters {
        match filter {
            Where::Is(_) => {}
            Where::All { all: inner } | Where::Any { any: inner } => led_to(inner, found),
            Where::Not { not } => led_to(std::slice::from_ref(&**not), found),
            Where::Refers { to, filters, .. } => {
                found.insert(to);
                led_to(filters, found);
            }
        }
    }
}

/// Has conditions on documents that are referred to ask what those hold.
fn hold_led_to(filters: &mut [Where], others: &BTreeMap<String, Seen>) -> Result<(), ApiError> {
    for filter in filters {
        match filter {
            Where::Is(_) => {}
            Where::All { all: inner } | Where::Any { any: inner } => hold_led_to(inner, others)?,
            Where::Not { not } => hold_led_to(std::slice::from_mut(&mut **not), others)?,
            Where::Refers { to, filters, .. } => {
                hold_led_to(filters, others)?;
                let Some(seen) = others.get(to) else { continue };
                for filter in filters {
                    *filter = held(filter, seen)?.ok_or_else(|| {
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
    /// Conditions and an order as they can be asked of what documents of a collection hold, by whoever
    /// has them.
    pub(super) async fn as_held(
        &self,
        space: SpaceId,
        ask: &DocQuery,
    ) -> Result<DocQuery, ApiError> {
        let seen = self
            .seen(space, &ask.collection, ask.revision.as_deref())
            .await?;
        let mut ask = ask.clone();
        self.hold_references(space, &mut ask).await?;
        for filter in &mut ask.filters {
            *filter = held(filter, &seen)?.ok_or_else(|| {
                let message = format!(
                    "A field of {:?} that its schema converts cannot decide what is kept.",
                    ask.collection
                );
                ApiError::new(ErrorKind::InvalidParams, message)
                    .hint("Choose by other fields, or keep the whole collection.")
            })?;
        }
        for key in ask.sort.iter_mut().filter(|key| !convert::is_id(&key.path)) {
            key.path = seen.order_key(&key.path)?;
        }
        Ok(ask)
    }

    /// Has conditions on documents that are referred to ask what those hold.
    pub(super) async fn hold_references(
        &self,
        space: SpaceId,
        ask: &mut DocQuery,
    ) -> Result<(), ApiError> {
        let mut names = BTreeSet::new();
        led_to(&ask.filters, &mut names);
        let mut others = BTreeMap::new();
        for name in names {
            others.insert(name.to_owned(), self.seen(space, name, None).await?);
        }
        hold_led_to(&mut ask.filters, &others)
    }
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
            match &key.default {
                _ if key.is_exact => Some(at(&key.path, filter.is)),
                // Where nothing is held, it is the default that fits or does not.
                Some(default) if !key.converts && !of_presence => {
                    let alone = ["it".to_owned()];
                    let asked = convert::filters(&[at(&alone, filter.is)])?;
                    let shown = serde_json::json!({"it": default});
                    let fits_default = fits(&asked, "", &shown, &NoLookup);
                    let all = vec![at(&key.path, Predicate::Exists), at(&key.path, filter.is)];
                    let mut any = vec![Where::All { all }];
                    any.extend(fits_default.then(|| at(&key.path, Predicate::Missing)));
                    Some(Where::Any { any })
                }
                _ => None,
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
