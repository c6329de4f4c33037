//! Which index a query uses. A rule, not a guess: equalities on an index's first fields, then a
//! range or the order on the next one. What it says is what happens: the statement names the index.

use super::{Condition, Direction, Filter, Query, QueryError, Scalar, Test};
use crate::index::{IndexKind, IndexRow};

/// How a query is answered, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The index used: its kind and fields.
    pub index: Option<(IndexKind, Vec<Vec<String>>)>,
    /// Why, or why none: one plain sentence.
    pub reason: String,
    /// SQLite's own words for its steps.
    pub steps: Vec<String>,
}

/// The choice.
#[derive(Debug, Clone)]
pub(super) struct Chosen<'i> {
    pub(super) index: Option<&'i IndexRow>,
    /// Whether it is read in the order of the query.
    pub(super) gives_order: bool,
    reason: String,
}

impl Chosen<'_> {
    pub(super) fn told(&self, steps: Vec<String>) -> Plan {
        Plan {
            index: self
                .index
                .map(|index| (index.spec.kind, index.spec.paths.clone())),
            reason: self.reason.clone(),
            steps,
        }
    }
}

/// Chooses among the indexes of the query's collection.
pub(super) fn choose<'i>(
    query: &Query,
    indexes: &'i [IndexRow],
    counting: bool,
) -> Result<Chosen<'i>, QueryError> {
    if query.search.is_some() {
        let mut texts = indexes
            .iter()
            .filter(|index| index.spec.kind == IndexKind::Text)
            .peekable();
        if texts.peek().is_none() {
            return Err(QueryError::NoTextIndex);
        }
        let finished = texts.find(|index| index.is_complete());
        let index = finished.ok_or(QueryError::TextIndexUnfinished)?;
        return Ok(Chosen {
            index: Some(index),
            gives_order: false,
            reason: "The words are looked up in the text index.".to_owned(),
        });
    }
    let none = |reason: &str| Chosen {
        index: None,
        gives_order: false,
        reason: reason.to_owned(),
    };
    if query.include_deleted {
        return Ok(none(
            "Indexes hold no deleted documents; every document is read.",
        ));
    }
    let mut conditions = Vec::new();
    conjuncts(&query.filter, &mut conditions);
    let best = indexes
        .iter()
        .filter(|index| index.spec.kind == IndexKind::Fields && index.is_complete())
        .map(|index| (weigh(query, &conditions, index, counting), index))
        .filter(|(weight, _)| weight.total() > 0)
        // Among equals the first made wins.
        .reduce(|best, other| match other.0.total() > best.0.total() {
            true => other,
            false => best,
        });
    Ok(match best {
        Some((weight, index)) => Chosen {
            index: Some(index),
            gives_order: weight.sorted,
            reason: weight.in_words(),
        },
        None if indexes.iter().any(|index| !index.is_complete()) => {
            none("No finished index fits (one is being built); every document is read.")
        }
        None if query.filter.is_empty() && query.sort.is_empty() => {
            none("All documents are asked for, in the order of their ids.")
        }
        None => none("No index fits; every document is read."),
    })
}

#[derive(Debug, Clone, Copy)]
struct Weight {
    equal: usize,
    range: bool,
    sorted: bool,
    covers: bool,
}

impl Weight {
    fn total(self) -> usize {
        self.equal * 100
            + usize::from(self.range) * 40
            + usize::from(self.sorted) * 30
            + usize::from(self.covers) * 5
    }

    fn in_words(self) -> String {
        let mut uses = Vec::new();
        if self.equal > 0 {
            uses.push("finds equal values");
        }
        if self.range {
            uses.push("finds a range");
        }
        if self.sorted {
            uses.push("gives the order");
        }
        if uses.is_empty() {
            uses.push("holds all that is asked for");
        }
        format!("The index {}.", uses.join(" and "))
    }
}

fn weigh(query: &Query, conditions: &[&Condition], index: &IndexRow, counting: bool) -> Weight {
    let paths = &index.spec.paths;
    let has = |path: &Vec<String>, test: fn(&Test) -> bool| {
        conditions
            .iter()
            .any(|condition| condition.path == *path && test(&condition.test))
    };
    let equal = paths
        .iter()
        .take_while(|path| has(path, is_equality))
        .count();
    let range = paths.get(equal).is_some_and(|path| has(path, is_range));
    // What is fixed to one value takes no part in the order.
    let fixed = |path: &Vec<String>| has(path, is_single);
    let keys: Vec<_> = query
        .sort
        .iter()
        .filter(|key| !fixed(&key.path))
        .take_while(|key| !key.path.is_empty())
        .collect();
    let single = paths.iter().take_while(|path| has(path, is_single)).count();
    let sorted = !counting
        && query.limit.is_some()
        && !keys.is_empty()
        && single == equal
        && paths.len() >= equal + keys.len()
        && keys.iter().zip(equal..).all(|(key, at)| {
            key.path == paths[at] && index.spec.or_else(at) == key.or_else.as_ref()
        })
        && keys.iter().all(|key| key.direction == keys[0].direction);
    let covers = counting
        && !query.filter.is_empty()
        && query.filter.iter().all(|filter| covered(filter, paths));
    Weight {
        equal,
        range,
        sorted,
        covers,
    }
}

/// The conditions that all must hold.
fn conjuncts<'f>(filters: &'f [Filter], out: &mut Vec<&'f Condition>) {
    for filter in filters {
        match filter {
            Filter::Is(condition) => out.push(condition),
            Filter::All(inner) => conjuncts(inner, out),
            Filter::Any(_) | Filter::Not(_) | Filter::Refers { .. } => {}
        }
    }
}

fn covered(filter: &Filter, paths: &[Vec<String>]) -> bool {
    match filter {
        Filter::Is(Condition { path, test }) => {
            !matches!(test, Test::Contains(_)) && paths.contains(path)
        }
        Filter::All(inner) | Filter::Any(inner) => inner.iter().all(|one| covered(one, paths)),
        Filter::Not(inner) => covered(inner, paths),
        Filter::Refers { .. } => false,
    }
}

fn is_single(test: &Test) -> bool {
    matches!(test, Test::Eq(value) if *value != Scalar::Null)
}

fn is_equality(test: &Test) -> bool {
    is_single(test)
        || matches!(test, Test::In(values) if !values.is_empty() && !values.contains(&Scalar::Null))
}

fn is_range(test: &Test) -> bool {
    matches!(
        test,
        Test::Lt(_) | Test::Le(_) | Test::Gt(_) | Test::Ge(_) | Test::Prefix(_)
    )
}

impl Direction {
    pub(super) const fn is_desc(self) -> bool {
        matches!(self, Self::Desc)
    }
}
