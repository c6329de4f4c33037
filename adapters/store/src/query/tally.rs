//! Groups of documents that are in memory: what `group` asks SQL for, document by document, for documents that are not
//! held as they are seen.

use std::cmp::Ordering;

use rusqlite::types::Value as SqlValue;
use serde_json::Value;

use super::group::{Aggregate, GroupKey, Grouped, Grouping, QUERY_GROUPS_MAX, key};
use super::{Query, QueryError, at, compare_sql, sort_value};

/// Groups of documents that are in memory, by the rules of those that the store makes.
#[derive(Debug)]
pub struct Tally<'g> {
    grouping: &'g Grouping,
    found: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    /// The values that make it, and whether they are truth values.
    by: Vec<(SqlValue, bool)>,
    count: u64,
    measured: Vec<Measured>,
}

/// What was seen of one measure so far.
#[derive(Debug, Clone, Default)]
struct Measured {
    exist: i64,
    numbers: u64,
    whole: i128,
    real: f64,
    any_real: bool,
    least: Option<SqlValue>,
    greatest: Option<SqlValue>,
}

impl<'g> Tally<'g> {
    /// No groups yet, of what a query finds.
    pub fn new(grouping: &'g Grouping, query: &Query) -> Result<Self, QueryError> {
        grouping.check(query)?;
        Ok(Self {
            grouping,
            found: Vec::new(),
        })
    }

    /// Counts a document in.
    pub fn add(&mut self, id: &str, document: &Value) -> Result<(), QueryError> {
        let id = Value::from(id);
        let value_of = |key: &'g GroupKey| match (at(document, &key.path), &key.path[..]) {
            (None, [name]) if name == "id" => Some(id.clone()),
            (found, _) => found.or(key.or_else.as_ref()).cloned(),
        };
        let group_value = |key: &'g GroupKey| {
            let value = value_of(key);
            let is_bool = matches!(value, Some(Value::Bool(_)));
            (sort_value(value.as_ref()), is_bool)
        };
        let by: Vec<(SqlValue, bool)> = self.grouping.by.iter().map(group_value).collect();
        let place = self.found.binary_search_by(|group| order(&group.by, &by));
        let index = match place {
            Ok(index) => index,
            Err(_) if self.found.len() == QUERY_GROUPS_MAX => return Err(QueryError::ManyGroups),
            Err(index) => {
                let group = Group {
                    by,
                    count: 0,
                    measured: vec![Measured::default(); self.grouping.measures.len()],
                };
                self.found.insert(index, group);
                index
            }
        };
        let group = &mut self.found[index];
        group.count += 1;
        for (measured, measure) in group.measured.iter_mut().zip(&self.grouping.measures) {
            measured.add(value_of(&measure.of).as_ref());
        }
        Ok(())
    }

    /// The groups, in the order of their values. Without a field to group by there is one, of however many documents.
    pub fn finish(mut self) -> Result<Vec<Grouped>, QueryError> {
        if self.grouping.by.is_empty() && self.found.is_empty() {
            self.found.push(Group {
                by: Vec::new(),
                count: 0,
                measured: vec![Measured::default(); self.grouping.measures.len()],
            });
        }
        let finish = |group: Group| {
            let measures = group.measured.into_iter().zip(&self.grouping.measures);
            Ok(Grouped {
                by: group
                    .by
                    .into_iter()
                    .map(|(value, is_bool)| key(value, is_bool))
                    .collect(),
                count: group.count,
                measures: measures
                    .map(|(measured, measure)| measured.finish(measure.aggregate))
                    .collect::<Result<_, QueryError>>()?,
            })
        };
        self.found.into_iter().map(finish).collect()
    }
}

/// The order of groups: value by value, and of equal ones what is no truth value first.
fn order(a: &[(SqlValue, bool)], b: &[(SqlValue, bool)]) -> Ordering {
    let orders = a.iter().zip(b).map(|((a, a_is_bool), (b, b_is_bool))| {
        let order = compare_sql(a, b).unwrap_or(Ordering::Equal);
        order.then(a_is_bool.cmp(b_is_bool))
    });
    orders.fold(Ordering::Equal, Ordering::then)
}

impl Measured {
    fn add(&mut self, value: Option<&Value>) {
        self.exist += i64::from(value.is_some());
        let found = match value {
            Some(Value::Number(_) | Value::String(_)) => sort_value(value),
            _ => return,
        };
        match &found {
            SqlValue::Integer(number) => {
                self.numbers += 1;
                self.whole += i128::from(*number);
            }
            SqlValue::Real(number) => {
                self.numbers += 1;
                self.real += number;
                self.any_real = true;
            }
            _ => {}
        }
        let is_beyond = |known: &Option<SqlValue>, wanted| {
            let order = known.as_ref().map(|known| compare_sql(&found, known));
            order.is_none_or(|order| order == Some(wanted))
        };
        if is_beyond(&self.least, Ordering::Less) {
            self.least = Some(found.clone());
        }
        if is_beyond(&self.greatest, Ordering::Greater) {
            self.greatest = Some(found);
        }
    }

    fn finish(self, aggregate: Aggregate) -> Result<Value, QueryError> {
        let total = self.whole as f64 + self.real;
        Ok(match aggregate {
            Aggregate::Count => self.exist.into(),
            Aggregate::Sum | Aggregate::Avg if self.numbers == 0 => Value::Null,
            Aggregate::Sum if self.any_real => total.into(),
            Aggregate::Sum => i64::try_from(self.whole)
                .map_err(|_| QueryError::SumTooLarge)?
                .into(),
            Aggregate::Avg => (total / self.numbers as f64).into(),
            Aggregate::Min => self.least.map_or(Value::Null, |value| key(value, false)),
            Aggregate::Max => self.greatest.map_or(Value::Null, |value| key(value, false)),
        })
    }
}
