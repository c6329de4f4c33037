//! A device that keeps a part of spaces: what it chooses, and that it ends with all of that and nothing that
//! differs from what the others have.

use std::collections::BTreeSet;

use stead_base::{DocId, SpaceId};
use stead_replica::{Chosen, Question, Replica};
use stead_store::{CollectionNo, Condition, Direction, Filter, Query, Scalar, SortKey, Test};

use super::{WRITTEN, World, dump};
use crate::chance::Chance;

impl World {
    /// The last device keeps another part of a space, or wants a document of it.
    pub(super) fn choose(&mut self) {
        let node = self.stage.nodes.len() - 1;
        let Some(space) = self.any_space(node) else {
            return;
        };
        let wall = self.stage.nodes[node].wall(self.stage.now);
        let chance = &mut self.stage.chance;
        if chance.one_in(2) {
            let id = DocId::parse(&format!("doc{}", chance.below(4)));
            let wanted = id.into_iter().map(|id| ("things".to_owned(), id)).collect();
            self.stage.nodes[node].act(|replica| replica.want(&space, &wanted, wall).map(drop));
        } else {
            let mut chosen = Chosen::default();
            for name in WRITTEN {
                if chance.one_in(2) {
                    chosen.units.collections.insert(name.to_owned());
                }
            }
            if self.queries && !chance.one_in(4) {
                chosen.units.queries.extend(any_query(chance));
            }
            let kept = self.stage.nodes[node].act(|replica| replica.keep(&space, &chosen, wall));
            self.report.choices += u64::from(kept.is_some());
        }
        self.stage.nodes[node].pump(self.stage.now);
        self.stage.post(node);
    }
}

/// A query that finds some of what worlds write, often other documents after a change.
fn any_query(chance: &mut Chance) -> Option<(String, Vec<u8>)> {
    let path = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let (collection, path) = match chance.below(3) {
        0 => ("items", path(&["by"])),
        1 => ("things", path(&["c"])),
        _ => ("things", path(&["a", "b"])),
    };
    let test = match (collection, chance.one_in(2)) {
        ("items", _) => Test::Eq(Scalar::Int(chance.below(3) as i64)),
        (_, true) => Test::Ge(Scalar::Int(chance.below(100) as i64)),
        (_, false) => Test::Exists,
    };
    let sort = match chance.below(3) {
        0 => Vec::new(),
        n => vec![SortKey {
            or_else: chance.one_in(3).then(|| 50.into()),
            ..SortKey::new(
                Vec::clone(&path),
                match n {
                    1 => Direction::Asc,
                    _ => Direction::Desc,
                },
            )
        }],
    };
    let limit = match sort.is_empty() {
        true => 0,
        false => chance.below(3),
    };
    let filter = vec![Filter::Is(Condition { path, test })];
    let question = Question {
        filter,
        sort,
        limit,
    };
    Some((collection.to_owned(), question.encode()?))
}

/// What is here of a space must be what a device has that has all, and all that was chosen must be here.
/// Returns how many documents are, and how many of those chosen queries found.
pub(super) fn judge(
    replica: &Replica,
    whole: &Replica,
    space: &SpaceId,
) -> Result<(u64, u64), String> {
    let asks = replica.part_asks(space);
    if !asks.is_empty() {
        return Err(format!("not all that was chosen is here: {asks:?}"));
    }
    let found = judge_queries(replica, whole, space)?;
    let (here, mut there) = (dump(replica, space)?, dump(whole, space)?);
    there.retain(|line| {
        let name = line.split(' ').next().unwrap_or_default();
        let (collection, id) = name.split_once('/').unwrap_or_default();
        let id = DocId::parse(id).ok();
        id.is_some_and(|id| replica.has_document(space, collection, &id))
    });
    match here == there {
        true => Ok((here.len() as u64, found)),
        false => {
            let missing = there.iter().find(|line| !here.contains(line));
            let other = here.iter().find(|line| !there.contains(line));
            let (a, b) = (here.len(), there.len());
            Err(format!(
                "{a} documents differ from {b}: {other:?} is here and {missing:?} there"
            ))
        }
    }
}

/// What a chosen query finds where all is, is here, and found here.
fn judge_queries(replica: &Replica, whole: &Replica, space: &SpaceId) -> Result<u64, String> {
    let mut count = 0;
    let info = replica.part_info(space).map_err(|it| it.to_string())?;
    for (collection, bytes) in info.into_iter().flat_map(|info| info.chosen.queries) {
        let question = Question::decode(&bytes).map_err(|error| error.to_string())?;
        let query = Query {
            filter: question.filter,
            sort: question.sort,
            limit: Some(question.limit).filter(|limit| *limit > 0),
            ..Query::all(CollectionNo(0))
        };
        let found = |replica: &Replica| {
            let found = replica.query(space, &collection, query.clone());
            let found = found.map_err(|error| error.to_string())?;
            Ok::<BTreeSet<String>, String>(found.into_iter().map(|it| it.id.to_string()).collect())
        };
        let (here, there) = (found(replica)?, found(whole)?);
        if here != there {
            return Err(format!(
                "a chosen query of {collection} finds {here:?} here and {there:?} where all is"
            ));
        }
        count += here.len() as u64;
    }
    Ok(count)
}
