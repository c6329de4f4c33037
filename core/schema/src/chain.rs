//! The revisions of one collection. Owns their order: a line, each made from the one before it. Where
//! two were made apart from the same one, every replica follows the same, and lists the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::SchemaError;
use crate::kind::Fields;
use crate::limits::REVISIONS_MAX;
use crate::projection::Projection;
use crate::revision::{Index, Revision, RevisionId};
use crate::shape::{Applying, Keys, Node};

/// A revision as it came, with the time its author says it was made at.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The revision.
    pub revision: Revision,
    /// Hybrid time in its 64-bit form. It decides nothing but which of two branches is followed.
    pub made: u64,
}

/// A revision that is not followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Aside {
    /// Which.
    pub id: RevisionId,
    /// Why not.
    pub why: AsideReason,
}

/// Why a revision is not followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AsideReason {
    /// Another revision was made from the same one, and is followed.
    #[error("revision {followed} was made from the same one, earlier", followed = followed.short())]
    Branch {
        /// The one that is followed.
        followed: RevisionId,
    },
    /// It was made from one that is not followed.
    #[error("it was made from revision {parent}, which is not followed", parent = parent.short())]
    OfBranch {
        /// The one it was made from.
        parent: RevisionId,
    },
    /// The one it was made from has not arrived.
    #[error("revision {parent}, which it was made from, has not arrived", parent = parent.short())]
    NoParent {
        /// The one it was made from.
        parent: RevisionId,
    },
    /// Its lenses do not fit.
    #[error("{0}")]
    Refused(Box<SchemaError>),
}

/// One revision of the line, compiled.
#[derive(Debug, Clone)]
struct Link {
    id: RevisionId,
    revision: Revision,
    root: Node,
}

/// The line of revisions of one collection, and what is beside it.
///
/// It is a function of the set of known revisions, whatever the order in which they came.
#[derive(Debug, Clone)]
pub struct Chain {
    collection: String,
    links: Vec<Link>,
    keys: Keys,
    aside: Vec<Aside>,
}

impl Chain {
    /// A chain without revisions: the collection has no schema.
    pub const fn empty(collection: String) -> Self {
        Self {
            collection,
            links: Vec::new(),
            keys: Keys::new(),
            aside: Vec::new(),
        }
    }

    /// Orders the revisions that are known of a collection. Those of other collections are left out.
    pub fn build(collection: &str, known: Vec<Known>) -> Self {
        let mut chain = Self::empty(collection.to_owned());
        let mut all: BTreeMap<RevisionId, Known> = BTreeMap::new();
        for known in known {
            if known.revision.collection != collection || all.len() >= REVISIONS_MAX {
                continue;
            }
            let id = known.revision.id();
            // The same revision told twice was made when it was first told.
            let made = all
                .get(&id)
                .map_or(known.made, |other| other.made.min(known.made));
            all.insert(id, Known { made, ..known });
        }
        let mut children: BTreeMap<Option<RevisionId>, Vec<(u64, RevisionId)>> = BTreeMap::new();
        for (id, known) in &all {
            let siblings = children.entry(known.revision.parent).or_default();
            siblings.push((known.made, *id));
        }
        let mut left: BTreeSet<RevisionId> = all.keys().copied().collect();
        let mut branches: BTreeSet<RevisionId> = BTreeSet::new();
        let mut at = None;
        while let Some(siblings) = children.get_mut(&at) {
            siblings.sort_unstable();
            let mut followed = None;
            for (_, id) in &*siblings {
                left.remove(id);
                let why = match followed {
                    Some(followed) => AsideReason::Branch { followed },
                    None => match chain.follow(*id, all[id].revision.clone()) {
                        Ok(()) => {
                            followed = Some(*id);
                            continue;
                        }
                        Err(error) => AsideReason::Refused(Box::new(error)),
                    },
                };
                branches.insert(*id);
                chain.aside.push(Aside { id: *id, why });
            }
            match followed {
                Some(id) => at = Some(id),
                None => break,
            }
        }
        // What hangs on a branch, at any distance, is found in as many rounds.
        loop {
            let of_branch = |id: &&RevisionId| {
                let parent = all[id].revision.parent;
                parent.is_some_and(|parent| branches.contains(&parent))
            };
            let Some(id) = left.iter().find(of_branch).copied() else {
                break;
            };
            left.remove(&id);
            branches.insert(id);
            if let Some(parent) = all[&id].revision.parent {
                let why = AsideReason::OfBranch { parent };
                chain.aside.push(Aside { id, why });
            }
        }
        for id in left {
            if let Some(parent) = all[&id].revision.parent {
                let why = AsideReason::NoParent { parent };
                chain.aside.push(Aside { id, why });
            }
        }
        chain
    }

    /// Appends a revision whose parent is the newest.
    fn follow(&mut self, id: RevisionId, revision: Revision) -> Result<(), SchemaError> {
        revision.check()?;
        let mut root = match self.links.last() {
            Some(link) => link.root.clone(),
            None => Node::document(),
        };
        let mut keys = self.keys.clone();
        let mut applying = Applying {
            keys: &mut keys,
            has_past: revision.parent.is_some(),
        };
        for (index, lens) in revision.lenses.iter().enumerate() {
            applying
                .apply(lens, &mut root, &[], false)
                .map_err(|what| SchemaError::Lens {
                    collection: self.collection.clone(),
                    number: index + 1,
                    lens: lens.in_words(),
                    what,
                })?;
        }
        let fields = root.to_fields();
        let named = revision
            .indexes
            .iter()
            .flatten()
            .map(|field| &field.path)
            .chain(&revision.search);
        for path in named {
            if !names_a_field(&fields, path) {
                return Err(SchemaError::Invalid {
                    collection: self.collection.clone(),
                    what: format!(
                        "there is no field {:?} to be indexed or searched",
                        path.join(".")
                    ),
                });
            }
        }
        if let Some(what) = crate::Kind::Record(fields).fault(0) {
            return Err(SchemaError::Invalid {
                collection: self.collection.clone(),
                what,
            });
        }
        self.keys = keys;
        self.links.push(Link { id, revision, root });
        Ok(())
    }

    /// The collection.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// How many revisions the line has.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether the collection has no schema.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The revisions of the line, the first one first; a revision's number is its place, from 1.
    pub fn revisions(&self) -> impl Iterator<Item = (u32, RevisionId, &Revision)> {
        let numbered = self.links.iter().enumerate();
        numbered.map(|(index, link)| (index as u32 + 1, link.id, &link.revision))
    }

    /// What is not followed, and why.
    pub fn aside(&self) -> &[Aside] {
        &self.aside
    }

    /// The newest revision of the line.
    pub fn newest(&self) -> Option<RevisionId> {
        self.links.last().map(|link| link.id)
    }

    /// A revision by its number, its id, or at least four of its id's first digits.
    pub fn find(&self, wanted: &str) -> Result<RevisionId, SchemaError> {
        let by_number = wanted
            .parse::<usize>()
            .ok()
            .filter(|_| wanted.len() < 4)
            .and_then(|number| self.links.get(number.checked_sub(1)?));
        let mut by_id = self
            .links
            .iter()
            .filter(|link| wanted.len() >= 4 && link.id.to_string().starts_with(wanted));
        match (by_number, by_id.next(), by_id.next()) {
            (Some(link), _, _) | (None, Some(link), None) => Ok(link.id),
            _ => Err(SchemaError::NoRevision {
                collection: self.collection.clone(),
                wanted: wanted.to_owned(),
            }),
        }
    }

    /// The number and the declared fields of a revision of the line.
    pub fn fields(&self, id: &RevisionId) -> Option<(u32, Fields)> {
        let index = self.position(id)?;
        Some((index as u32 + 1, self.links[index].root.to_fields()))
    }

    /// Checks a revision that is to be made, and gives it its identity. It must be made from the newest.
    pub fn make(&self, revision: &Revision) -> Result<RevisionId, SchemaError> {
        let id = revision.id();
        if self.position(&id).is_some() {
            return Ok(id);
        }
        if let Some(parent) = revision.parent
            && self.position(&parent).is_none()
        {
            return Err(SchemaError::NoParent {
                collection: self.collection.clone(),
                parent,
            });
        }
        if revision.parent != self.newest() {
            let next = revision
                .parent
                .and_then(|parent| self.position(&parent))
                .map_or(0, |at| at + 1);
            return Err(SchemaError::Branch {
                collection: self.collection.clone(),
                newer: self.links[next].id,
                number: next as u32 + 1,
            });
        }
        if self.len() >= REVISIONS_MAX {
            return Err(SchemaError::TooMany {
                collection: self.collection.clone(),
                what: "revisions",
                found: self.len() + 1,
                max: REVISIONS_MAX,
            });
        }
        // What is made here must be readable there.
        Revision::decode(&revision.encode())?;
        self.clone().follow(id, revision.clone())?;
        Ok(id)
    }

    /// The projection of a revision of the line.
    pub fn projection(&self, id: &RevisionId) -> Option<Projection> {
        let index = self.position(id)?;
        let link = &self.links[index];
        let mut root = link.root.clone();
        root.resolve(&self.keys, &[]);
        Some(Projection::new(
            self.collection.clone(),
            (link.id, index as u32 + 1),
            root,
            link.revision.indexes.clone(),
            link.revision.search.clone(),
        ))
    }

    /// The fields of a document that no revision of the line ever gave a key: they were there before the
    /// schema, or are those of a revision that has not arrived.
    pub fn strangers(&self, held: &serde_json::Value) -> Vec<String> {
        let names = held.as_object().into_iter().flat_map(serde_json::Map::keys);
        names
            .filter(|name| !self.keys.contains_key(std::slice::from_ref(*name)))
            .cloned()
            .collect()
    }

    /// The indexes of the newest revision.
    pub fn indexes(&self) -> &[Index] {
        self.links.last().map_or(&[], |link| &link.revision.indexes)
    }

    fn position(&self, id: &RevisionId) -> Option<usize> {
        self.links.iter().position(|link| link.id == *id)
    }
}

/// Whether a path leads to a field, through records and maps only.
fn names_a_field(fields: &Fields, path: &[String]) -> bool {
    use crate::Kind;
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    let mut rest = rest;
    let Some(mut kind) = fields.get(first).map(|field| &field.kind) else {
        return false;
    };
    while let Some((name, further)) = rest.split_first() {
        kind = match kind {
            Kind::Record(fields) => match fields.get(name) {
                Some(field) => &field.kind,
                None => return false,
            },
            Kind::Map(of) => of,
            Kind::Any => return true,
            _ => return false,
        };
        rest = further;
    }
    true
}
