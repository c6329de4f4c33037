//! What was promised: every acknowledged transaction, by space.
//!
//! Each transaction adds one to a counter, includes its own name in a set and makes a document of
//! that name, all at once. So nothing may be missing, and counter, set and documents always agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stead_base::{DocId, SpaceId};
use stead_replica::{Change, Edit, Query, Replica};
use stead_store::CollectionNo;

/// Promises made to the people of the simulation.
#[derive(Default)]
pub(crate) struct Ledger {
    acknowledged: BTreeMap<SpaceId, BTreeSet<String>>,
    made: u64,
}

impl Ledger {
    /// A transaction that leaves its mark in three places.
    pub(crate) fn transaction(&mut self, node: usize) -> (String, Vec<Edit>) {
        self.made += 1;
        let name = format!("n{node}-{}", self.made);
        let edit = |collection: &str, id: &str, change| Edit {
            collection: collection.to_owned(),
            id: DocId::parse(id).ok(),
            change,
        };
        let edits = vec![
            edit(
                "ledger",
                "total",
                Change::Add {
                    path: vec!["count".to_owned()],
                    delta: 1,
                },
            ),
            edit(
                "ledger",
                "names",
                Change::Include {
                    path: vec!["all".to_owned()],
                    element: json!(name),
                },
            ),
            edit(
                "items",
                &name,
                Change::Put {
                    value: json!({"by": node, "no": self.made}),
                    replace: false,
                },
            ),
        ];
        (name, edits)
    }

    /// Notes that a transaction was acknowledged.
    pub(crate) fn acknowledge(&mut self, space: SpaceId, name: String) {
        self.acknowledged.entry(space).or_default().insert(name);
    }

    pub(crate) fn len(&self) -> usize {
        self.acknowledged.values().map(BTreeSet::len).sum()
    }

    /// Checks that a replica shows whole transactions only.
    pub(crate) fn check_whole(
        &self,
        replica: &Replica,
        space: &SpaceId,
    ) -> Result<BTreeSet<String>, String> {
        let names = match field(replica, space, "names", "all")? {
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(|n| n.as_str().map(str::to_owned))
                .collect(),
            _ => BTreeSet::new(),
        };
        let count = field(replica, space, "total", "count")?
            .and_then(|count| count.as_u64())
            .unwrap_or(0);
        let query = Query::all(CollectionNo(0));
        let items = replica
            .count(space, "items", query)
            .map_err(|error| error.to_string())?;
        if names.len() as u64 != count || items != count {
            return Err(format!(
                "counter says {count}, set holds {}, documents {items}",
                names.len()
            ));
        }
        Ok(names)
    }

    /// Checks that nothing acknowledged is missing from a replica.
    pub(crate) fn check_kept(&self, replica: &Replica, space: &SpaceId) -> Result<(), String> {
        let names = self.check_whole(replica, space)?;
        match self
            .acknowledged
            .get(space)
            .and_then(|promised| promised.difference(&names).next())
        {
            Some(lost) => Err(format!("acknowledged transaction {lost} is missing")),
            None => Ok(()),
        }
    }
}

fn field(
    replica: &Replica,
    space: &SpaceId,
    id: &str,
    name: &str,
) -> Result<Option<Value>, String> {
    let id = DocId::parse(id).map_err(|error| error.to_string())?;
    let found = replica
        .get(space, "ledger", &id)
        .map_err(|error| error.to_string())?;
    let Some(found) = found else { return Ok(None) };
    let json: Value = serde_json::from_str(&found.json).map_err(|error| error.to_string())?;
    Ok(json.get(name).cloned())
}
