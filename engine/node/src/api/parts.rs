//! Calls about keeping a part of a space, and documents that come because somebody wants them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stead_api::{ApiError, DocQuery, ErrorKind, Keep, SpaceKeep, SpaceKept};
use stead_base::{DocId, SpaceId};
use stead_replica::{Ask, Chosen, DocumentName, Question, Units};

use super::conditions::question;
use super::schemas::Seen;
use super::{Node, convert};
use crate::clock::wall_ms;
use crate::desk::Desk;
use crate::faults;

/// How long a document that is not here may take to come.
const COME_MAX: Duration = Duration::from_secs(5);

/// Reads what is to be kept, of a space of which no schema is known.
pub(crate) fn chosen_blindly(keep: &Keep) -> Result<Chosen, ApiError> {
    let seen = Seen::default();
    let as_said = |query: &DocQuery| question(query, query.filters.clone(), &seen);
    let questions: Result<Vec<_>, _> = keep.queries.iter().map(as_said).collect();
    chosen(keep, &questions?)
}

/// Reads what is to be kept, its queries as questions.
fn chosen(keep: &Keep, questions: &[Question]) -> Result<Chosen, ApiError> {
    let mut units = Units::default();
    for name in &keep.collections {
        units.collections.insert(collection(name)?);
    }
    for name in &keep.documents {
        let (of, id) = name.split_once('/').ok_or_else(|| {
            ApiError::new(ErrorKind::BadName, format!("{name:?} names no document."))
                .hint("Write it as COLLECTION/DOCUMENT.")
        })?;
        units
            .documents
            .insert((collection(of)?, convert::doc_id(id)?));
    }
    for (query, question) in keep.queries.iter().zip(questions) {
        let bytes = question.encode().ok_or_else(|| {
            ApiError::new(ErrorKind::TooLarge, "The query is too long to be kept.")
                .hint("Keep the whole collection, or several shorter queries.")
        })?;
        units
            .queries
            .insert((collection(&query.collection)?, bytes));
    }
    let default = Chosen::default();
    Ok(Chosen {
        units,
        budget: keep.budget.unwrap_or(default.budget),
    })
}

fn collection(name: &str) -> Result<String, ApiError> {
    match stead_replica::check_collection(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(error) => Err(faults::sentence(ErrorKind::BadName, &error)),
    }
}

/// What was chosen, as it is shown. Queries are told by their collection only.
fn shown(units: &Units, budget: u64) -> Keep {
    Keep {
        collections: units.collections.iter().cloned().collect(),
        documents: units
            .documents
            .iter()
            .map(|(collection, id)| format!("{collection}/{id}"))
            .collect(),
        queries: units
            .queries
            .iter()
            .map(|(collection, _)| DocQuery {
                collection: collection.clone(),
                ..DocQuery::default()
            })
            .collect(),
        budget: Some(budget),
    }
}

impl Node {
    pub(super) async fn keep_space(&self, ask: SpaceKeep) -> Result<SpaceKept, ApiError> {
        let space = self.find_space(&ask.space)?;
        if ask.all && ask.keep.is_some() {
            return Err(ApiError::new(
                ErrorKind::InvalidParams,
                "All of a space and a part of it cannot both be kept.",
            ));
        }
        if let Some(keep) = &ask.keep {
            let mut questions = Vec::with_capacity(keep.queries.len());
            for query in &keep.queries {
                questions.push(self.question(space, query).await?);
            }
            let chosen = chosen(keep, &questions)?;
            let was_whole = !self
                .store
                .look(move |desk| desk.replica.is_part(&space))
                .await?;
            if was_whole && !ask.lose_unsynced {
                let outlines = self.outlines().await?;
                if let Some(outline) = outlines.iter().find(|outline| outline.id == space) {
                    self.check_synced(outline)?;
                }
            }
            let kept = self.store.change(move |desk| {
                let kept = desk.replica.keep(&space, &chosen, wall_ms());
                desk.note_outcome(&kept);
                kept.map_err(|error| faults::replica(&error))
            });
            kept.await??;
        }
        if ask.all {
            let kept = self.store.change(move |desk| {
                if desk.replica.is_part(&space) && !desk.has_peers(&space) {
                    return Err(ApiError::new(
                        ErrorKind::NotAllowed,
                        "No device that has the rest of the space is reachable.",
                    )
                    .hint("Bring one within reach first: until the rest has come, this device would show less than it does now."));
                }
                let kept = desk.replica.keep_all(&space, wall_ms());
                desk.note_outcome(&kept);
                kept.map_err(|error| faults::replica(&error))
            });
            kept.await??;
        }
        self.shown_part(space).await
    }

    /// Uses a link, with what is to be kept of which space.
    pub(super) async fn accept_link(
        &self,
        accept: stead_api::LinkAccept,
    ) -> Result<stead_api::LinkBegun, ApiError> {
        self.wish(&accept.keep).await?;
        self.acceptor.accept(&accept.link).await
    }

    /// Uses spoken words, with what is to be kept of which space.
    pub(super) async fn hear_link(
        &self,
        hear: stead_api::LinkHear,
    ) -> Result<stead_api::LinkBegun, ApiError> {
        self.wish(&hear.keep).await?;
        let at = hear.at.as_deref();
        self.acceptor.hear(&hear.words, at).await
    }

    /// Notes what is to be kept of spaces that are to come.
    async fn wish(&self, keep: &BTreeMap<String, Keep>) -> Result<(), ApiError> {
        let wishes = keep.iter();
        let wishes = wishes.map(|(name, keep)| Ok((name.clone(), chosen_blindly(keep)?)));
        let wishes = wishes.collect::<Result<Vec<_>, ApiError>>()?;
        if wishes.is_empty() {
            return Ok(());
        }
        let wished = self.store.change(move |desk| {
            let wished = desk.replica.wish(&wishes, wall_ms());
            desk.note_outcome(&wished);
            wished.map_err(|error| faults::replica(&error))
        });
        wished.await?
    }

    async fn shown_part(&self, space: SpaceId) -> Result<SpaceKept, ApiError> {
        let looked = self.store.look(move |desk| {
            let name = desk
                .replica
                .space_name(&space)
                .unwrap_or_default()
                .to_owned();
            let deaf = desk.deaf_to_parts(&space);
            let names = desk.replica.device_names().unwrap_or_default();
            let deaf = deaf
                .iter()
                .map(|it| names.get(it).cloned().unwrap_or_else(|| it.short()));
            let deaf: Vec<String> = deaf.collect();
            let outline = desk.replica.space_info(&space)?;
            Ok((name, deaf, outline, desk.replica.part_info(&space)?))
        });
        let (space, cannot_give, outline, info) =
            looked.await?.map_err(|error| faults::replica(&error))?;
        let Some(info) = info else {
            return Ok(SpaceKept {
                space,
                documents: outline.documents,
                kept_entries: outline.entries,
                log_entries: outline.entries,
                ..SpaceKept::default()
            });
        };
        Ok(SpaceKept {
            space,
            partial: true,
            keep: shown(&info.chosen, info.budget),
            documents: info.documents,
            on_demand: info.on_demand,
            on_demand_bytes: info.on_demand_bytes,
            waiting: info.waiting,
            unfilled: info.unfilled,
            kept_entries: info.kept_entries,
            log_entries: info.log_entries,
            cannot_give,
        })
    }

    /// Has documents come that are not here, if that is why they are not. Nothing happens where all of a
    /// space is kept.
    pub(super) async fn bring(
        &self,
        space: SpaceId,
        names: BTreeSet<DocumentName>,
    ) -> Result<(), ApiError> {
        if !self.board.partial.borrow().contains(&space) {
            return Ok(());
        }
        let missing = {
            let names = names.clone();
            self.store.look(move |desk| {
                let now_ms = wall_ms();
                for name in &names {
                    desk.replica.used(&space, name, now_ms);
                }
                lacking(desk, &space, &names)
            })
        };
        let missing = missing.await?;
        let Some(first) = missing.first().cloned() else {
            return Ok(());
        };
        let is_member = self
            .store
            .look(move |desk| desk.replica.outline(&space).map(|info| info.role.is_some()));
        if !is_member.await?.map_err(|error| faults::replica(&error))? {
            return Err(put_out(&first));
        }
        let mut answers = self.board.parts.subscribe();
        answers.borrow_and_update();
        let wanted = missing.clone();
        let asked = self.store.change(move |desk| {
            let ask = Ask::Documents(wanted.iter().cloned().collect());
            if !desk.has_giver(&space, &ask) {
                return Ok(false);
            }
            let asked = desk.replica.want(&space, &wanted, wall_ms());
            desk.note_outcome(&asked);
            asked.map(|_| true).map_err(|error| faults::replica(&error))
        });
        if !asked.await?? {
            return Err(not_here(&first, false));
        }
        let come = async {
            loop {
                let names = missing.clone();
                let left = self
                    .store
                    .look(move |desk| lacking(desk, &space, &names).is_empty())
                    .await?;
                if left || answers.changed().await.is_err() {
                    return Ok::<_, ApiError>(());
                }
            }
        };
        match tokio::time::timeout(COME_MAX, come).await {
            Ok(come) => come,
            Err(_) => Err(not_here(&first, true)),
        }
    }

    /// Has a document come that is not here.
    pub(super) async fn bring_one(
        &self,
        space: SpaceId,
        collection: &str,
        id: &DocId,
    ) -> Result<(), ApiError> {
        let name = (collection.to_owned(), id.clone());
        self.bring(space, BTreeSet::from([name])).await
    }

    /// Whether a collection is not all here.
    pub(super) async fn is_partial(
        &self,
        space: SpaceId,
        collection: &str,
    ) -> Result<bool, ApiError> {
        if !self.board.partial.borrow().contains(&space) {
            return Ok(false);
        }
        let collection = collection.to_owned();
        let looked = self
            .store
            .look(move |desk| !desk.replica.has_collection(&space, &collection));
        looked.await
    }

    /// Whether a document may be on other devices only.
    pub(super) async fn lacks(
        &self,
        space: SpaceId,
        collection: &str,
        id: &DocId,
    ) -> Result<bool, ApiError> {
        if !self.board.partial.borrow().contains(&space) {
            return Ok(false);
        }
        let names = BTreeSet::from([(collection.to_owned(), id.clone())]);
        let looked = self
            .store
            .look(move |desk| !lacking(desk, &space, &names).is_empty());
        looked.await
    }

    /// Whether a collection that an SQL statement names is not all here.
    pub(super) async fn is_sql_partial(&self, space: SpaceId, sql: &str) -> Result<bool, ApiError> {
        if !self.board.partial.borrow().contains(&space) {
            return Ok(false);
        }
        let sql = sql.to_ascii_lowercase();
        let looked = self.store.look(move |desk| {
            let collections = desk.replica.collections(&space)?;
            let mut names = collections.iter().map(|(name, _)| name);
            Ok(names
                .any(|name| sql_names(&sql, name) && !desk.replica.has_collection(&space, name)))
        });
        looked.await?.map_err(|error| faults::replica(&error))
    }
}

/// Whether a statement in small letters can be about a collection: it cannot without its name, which is
/// written otherwise only where it holds quotation marks.
fn sql_names(sql: &str, collection: &str) -> bool {
    collection.contains(['"', '\'', '`', ']']) || sql.contains(&collection.to_ascii_lowercase())
}

fn lacking(desk: &Desk, space: &SpaceId, names: &BTreeSet<DocumentName>) -> BTreeSet<DocumentName> {
    let lacks = |name: &&DocumentName| !desk.replica.has_document(space, &name.0, &name.1);
    names.iter().filter(lacks).cloned().collect()
}

fn put_out((collection, id): &DocumentName) -> ApiError {
    let message = format!(
        "You are no member of this space any more, and {collection}/{id} is not on this device."
    );
    ApiError::new(ErrorKind::NotAllowed, message).hint("Somebody who may can let you in again.")
}

fn not_here((collection, id): &DocumentName, asked: bool) -> ApiError {
    let message =
        format!("{collection}/{id} is not on this device, which keeps only a part of the space.");
    let error = ApiError::new(ErrorKind::NotHere, message);
    error.hint(match asked {
        true => "It was asked for and has not come yet: try again in a moment.",
        false => "Bring a device within reach that has all of the space and manages it, or one of your own; or keep the collection here with `stead space keep`.",
    })
}
