//! The next revision of a chain, from what somebody wants: lenses, a whole declaration, or both.

use crate::chain::{Chain, Known};
use crate::diff::diff;
use crate::error::SchemaError;
use crate::json::Declaration;
use crate::lens::Lens;
use crate::revision::{Index, IndexField, Revision};

/// What the next revision shall be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Steps to take first.
    pub lenses: Vec<Lens>,
    /// What shall be there after them; the steps that are missing are found by comparison.
    pub declaration: Option<Declaration>,
    /// The indexes; those of the revision before, where nothing is said.
    pub indexes: Option<Vec<Index>>,
    /// The fields searched as text; those of the revision before, where nothing is said.
    pub search: Option<Vec<Vec<String>>>,
}

impl Chain {
    /// The revision that leads from the newest to what is wanted; `None` if that is what there is.
    pub fn evolve(&self, wanted: Wanted) -> Result<Option<Revision>, SchemaError> {
        let newest = self.newest();
        let mut revision = Revision {
            collection: self.collection().to_owned(),
            parent: newest,
            lenses: wanted.lenses,
            indexes: Vec::new(),
            search: Vec::new(),
        };
        if let Some(declaration) = &wanted.declaration {
            let mut more = match newest {
                None if revision.lenses.is_empty() => declaration.lenses(),
                _ => {
                    let fields = self.fields_after(&revision)?;
                    diff(&fields, &declaration.fields).map_err(|error| SchemaError::Invalid {
                        collection: self.collection().to_owned(),
                        what: error.to_string(),
                    })?
                }
            };
            revision.lenses.append(&mut more);
        }
        let declared = wanted.declaration.as_ref();
        let carried = self.carried(&revision)?;
        revision.indexes = wanted
            .indexes
            .or_else(|| declared.map(|declared| declared.indexes.clone()))
            .unwrap_or(carried.0);
        revision.search = wanted
            .search
            .or_else(|| declared.map(|declared| declared.search.clone()))
            .unwrap_or(carried.1);
        if revision.lenses.is_empty()
            && newest.is_some()
            && let Some((_, _, last)) = self.revisions().last()
            && last.indexes == revision.indexes
            && last.search == revision.search
        {
            return Ok(None);
        }
        self.make(&revision)?;
        Ok(Some(revision))
    }

    /// This chain with one more revision, which is followed.
    fn with(&self, revision: &Revision) -> Result<Self, SchemaError> {
        let id = self.make(revision)?;
        let known = |(_, _, revision): (u32, _, &Revision)| Known {
            revision: revision.clone(),
            made: 0,
        };
        let mut all: Vec<Known> = self.revisions().map(known).collect();
        all.push(Known {
            revision: revision.clone(),
            made: 0,
        });
        debug_assert!(all.iter().any(|known| known.revision.id() == id));
        Ok(Self::build(self.collection(), all))
    }

    fn fields_after(&self, revision: &Revision) -> Result<crate::Fields, SchemaError> {
        let next = match revision.lenses.is_empty() {
            true => self.clone(),
            false => self.with(revision)?,
        };
        let fields = next.newest().and_then(|id| next.fields(&id));
        Ok(fields.map(|(_, fields)| fields).unwrap_or_default())
    }

    /// The newest revision's indexes and searched fields, under the names that a revision gives them;
    /// without those that it does not see.
    fn carried(&self, revision: &Revision) -> Result<(Vec<Index>, Vec<Vec<String>>), SchemaError> {
        let old = self.newest().and_then(|id| self.projection(&id));
        let Some(old) = old.filter(|old| !old.indexes().is_empty() || !old.search().is_empty())
        else {
            return Ok(Default::default());
        };
        let next = self.with(revision)?;
        let Some(new) = next.newest().and_then(|id| next.projection(&id)) else {
            return Ok(Default::default());
        };
        let moved = |path: &Vec<String>| new.path_of(&old.key_path(path)?.path);
        let index = |index: &Index| {
            let field = |field: &IndexField| {
                Some(IndexField {
                    path: moved(&field.path)?,
                    descending: field.descending,
                })
            };
            index.iter().map(field).collect::<Option<Index>>()
        };
        Ok((
            old.indexes().iter().filter_map(index).collect(),
            old.search().iter().filter_map(moved).collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn declared(json: serde_json::Value) -> Wanted {
        Wanted {
            declaration: Some(Declaration::from_json(&json).unwrap()),
            ..Wanted::default()
        }
    }

    fn build(revisions: &[Revision]) -> Chain {
        let known = revisions.iter().map(|revision| Known {
            revision: revision.clone(),
            made: 0,
        });
        Chain::build("things", known.collect())
    }

    #[test]
    fn a_declaration_said_again_makes_nothing() {
        let wanted = declared(json!({"fields": {"a": "int?"}, "indexes": [["a"]]}));
        let none = Chain::empty("things".into());
        let first = none.evolve(wanted.clone()).unwrap().unwrap();
        assert_eq!(build(&[first]).evolve(wanted), Ok(None));
    }

    #[test]
    fn indexes_follow_their_fields_and_go_with_them() {
        let first = Chain::empty("things".into())
            .evolve(declared(json!({
                "fields": {"a": "int?", "b": "int?", "home": {"fields": {"city": "string?"}}},
                "indexes": [["-a", "home.city"], ["b"]], "search": ["home.city"]
            })))
            .unwrap()
            .unwrap();
        let lenses = crate::lenses_from_json(&json!([
            {"rename": {"from": "a", "to": "x"}}, {"hoist": {"from": "home", "name": "city"}}, {"remove": "b"}]));
        let wanted = Wanted {
            lenses: lenses.unwrap(),
            ..Wanted::default()
        };
        let second = build(&[first]).evolve(wanted).unwrap().unwrap();
        assert_eq!(
            crate::indexes_to_json(&second.indexes),
            json!([["-x", "city"]])
        );
        assert_eq!(second.search, [vec!["city".to_owned()]]);
    }

    #[test]
    fn lenses_come_first_and_a_declaration_says_the_rest() {
        let first = Chain::empty("things".into())
            .evolve(declared(json!({"fields": {"a": "int?"}})))
            .unwrap()
            .unwrap();
        let chain = build(&[first]);
        let lenses = crate::lenses_from_json(&json!([{"rename": {"from": "a", "to": "b"}}]));
        let wanted = Wanted {
            lenses: lenses.unwrap(),
            ..declared(json!({"fields": {"b": "int?", "c": "bool?"}}))
        };
        let second = chain.evolve(wanted).unwrap().unwrap();
        assert_eq!(second.lenses.len(), 2);
        let error = chain.evolve(declared(json!({"fields": {"a": "text"}})));
        assert!(error.unwrap_err().to_string().contains("does not become"));
    }
}
