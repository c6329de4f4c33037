//! Calls about earlier times: a document's story, what it was, and back to it; and queries as of a
//! time. The logs are read on a reading thread.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use stead_api::{
    ApiError, Commit, DeviceInfo, DocAt, DocBack, DocDiff, DocDiffs, DocGot, DocHistory, DocQuery,
    DocRedact, DocRedacted, DocStep, DocStory, Document, ErrorKind, FieldDiff, FieldOrigin,
    PAGE_DEFAULT, PAGE_MAX, Page,
};
use stead_base::{Hlc, SpaceId};
use stead_replica::{AS_HELD, Edit, FieldChange, Moment, Past, Step, Story, differences};
use stead_store::{Cursor, Filter, NoLookup, fits};

use super::documents::{STRIDE, Search};
use super::schemas::Seen;
use super::veil::Veil;
use super::{Node, convert};
use crate::clock::wall_ms;
use crate::faults;
use crate::store_thread::{Transaction, stopping};

/// Most documents that a query as of a time looks at.
const EARLIER_DOCS_MAX: usize = 200_000;

impl Node {
    async fn past(&self, space: SpaceId) -> Result<Past, ApiError> {
        let past = self.store.look(move |desk| {
            // What is stored and not merged yet would be missing.
            desk.merge_pending();
            desk.replica.past(&space)
        });
        past.await?.map_err(|error| faults::replica(&error))
    }

    async fn story(
        &self,
        space: SpaceId,
        collection: &str,
        id: &str,
        seen: Seen,
    ) -> Result<(Story, Past), ApiError> {
        let past = self.past(space).await?;
        let (within, wanted) = (collection.to_owned(), convert::doc_id(id)?);
        let read = self.readers.read(move |reader| {
            let story = reader.story_as(&past, &within, &wanted, &|held| seen.of(held))?;
            Ok((story, past))
        });
        let (story, past) = read.await?;
        match story.steps.is_empty() {
            true => Err(self.no_story(space, collection, id).await?),
            false => Ok((story, past)),
        }
    }

    async fn no_story(
        &self,
        space: SpaceId,
        collection: &str,
        id: &str,
    ) -> Result<ApiError, ApiError> {
        let info = self.store.look(move |desk| desk.replica.space_info(&space));
        let info = info.await?.map_err(|error| faults::replica(&error))?;
        let (what, hint) = match info.known_from_ms {
            None => (
                format!("Nothing was ever written to {id:?} in {collection:?}."),
                "`stead query` shows what is there, with --deleted what was.",
            ),
            Some(_) => (
                format!(
                    "No change of {id:?} in {collection:?} is in the history here, which begins with a checkpoint."
                ),
                "`stead get` shows what it is now; a device that kept more history, how it became so.",
            ),
        };
        Ok(ApiError::new(ErrorKind::NotFound, what).hint(hint))
    }

    async fn moment(
        &self,
        past: Past,
        collection: &str,
        id: &str,
        at_ms: u64,
    ) -> Result<(Moment, Past), ApiError> {
        let (within, wanted) = (collection.to_owned(), convert::doc_id(id)?);
        let read = self.readers.read(move |reader| {
            let moment = reader.moment(&past, &within, &wanted, end_of(at_ms))?;
            Ok((moment, past))
        });
        read.await
    }

    pub(super) async fn history(&self, ask: DocHistory) -> Result<DocStory, ApiError> {
        let space = self.find_space(&ask.space)?;
        let veil = self.veil(&space, &ask.collection);
        let seen = self.seen(space, &ask.collection, None).await?;
        let (story, _) = self.story(space, &ask.collection, &ask.id, seen).await?;
        let about = |change: &FieldChange| {
            change.path.starts_with(&ask.path) || ask.path.starts_with(&change.path)
        };
        let origins = self.origins(&story, veil, &ask.path);
        let mut steps: Vec<&Step> = story.steps.iter().rev().collect();
        if !ask.path.is_empty() {
            steps.retain(|step| step.changes.iter().any(about));
        }
        let total = steps.len() as u64;
        let limit = ask.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX) as usize;
        let page = steps.into_iter().skip(ask.skip as usize).take(limit);
        let told = page.map(|step| {
            let changes = step.changes.iter().filter(|change| about(change));
            DocStep {
                time: convert::time(step.stamp.hlc),
                device: self.device_of(step),
                writer: step.stamp.writer.to_string(),
                index: step.seq,
                void: step.void,
                deleted: step.deleted,
                redacts: step.redacts,
                changes: changes.map(|change| diff(change, veil)).collect(),
                said: step
                    .words
                    .iter()
                    .map(|words| {
                        let mut words = words.clone();
                        veil.over_words(&mut words);
                        words
                    })
                    .collect(),
            }
        });
        Ok(DocStory {
            steps: told.collect(),
            total,
            fields: origins,
            deleted: story.now.deleted,
        })
    }

    /// Who made each field what it is now: the last step that changed it.
    fn origins(&self, story: &Story, veil: Veil, below: &[String]) -> Vec<FieldOrigin> {
        let mut of: BTreeMap<Vec<String>, (&Step, Value)> = BTreeMap::new();
        for step in &story.steps {
            for change in &step.changes {
                // What is replaced takes what was below it along.
                of.retain(|path, _| !path.starts_with(&change.path));
                if let Some(value) = &change.after {
                    of.insert(change.path.clone(), (step, value.clone()));
                }
            }
        }
        let told = of
            .into_iter()
            .filter(|(path, _)| path.starts_with(below) && !veil.hides(path));
        told.map(|(path, (step, value))| FieldOrigin {
            path,
            value,
            time: convert::time(step.stamp.hlc),
            device: self.device_of(step),
        })
        .collect()
    }

    fn device_of(&self, step: &Step) -> DeviceInfo {
        DeviceInfo {
            id: step.device.map(|id| id.to_string()).unwrap_or_default(),
            name: step.device_name.clone().unwrap_or_default(),
            this: step.device == Some(self.device.id),
            ..DeviceInfo::default()
        }
    }

    pub(super) async fn doc_at(&self, ask: DocAt) -> Result<DocGot, ApiError> {
        let space = self.find_space(&ask.space)?;
        let past = self.past(space).await?;
        let (moment, _) = self
            .moment(past, &ask.collection, &ask.id, ask.at_ms)
            .await?;
        if !moment.is_there {
            return Err(ApiError::new(
                ErrorKind::NotFound,
                format!(
                    "There was no document {:?} in {:?} then.",
                    ask.id, ask.collection
                ),
            )
            .hint("`stead history` shows when it was written first."));
        }
        let mut value = moment.value;
        let seen = self.seen(space, &ask.collection, None).await?;
        seen.over(&mut value);
        self.veil(&space, &ask.collection).over(&mut value);
        Ok(DocGot {
            doc: Document {
                id: ask.id,
                value,
                deleted: moment.deleted,
                snippet: None,
            },
            faults: Vec::new(),
        })
    }

    pub(super) async fn doc_diff(&self, ask: DocDiff) -> Result<DocDiffs, ApiError> {
        let space = self.find_space(&ask.space)?;
        let veil = self.veil(&space, &ask.collection);
        let past = self.past(space).await?;
        let (from, past) = self
            .moment(past, &ask.collection, &ask.id, ask.from_ms)
            .await?;
        let to_ms = ask.to_ms.unwrap_or(u64::MAX >> 16);
        let (to, _) = self.moment(past, &ask.collection, &ask.id, to_ms).await?;
        let seen = self.seen(space, &ask.collection, None).await?;
        let [from, to] = [&from, &to].map(|moment| match moment.is_there && !moment.deleted {
            true => seen.of(&moment.value),
            false => Cow::Owned(Value::Null),
        });
        let changes = differences(&from, &to);
        Ok(DocDiffs {
            changes: changes.iter().map(|change| diff(change, veil)).collect(),
        })
    }

    pub(super) async fn doc_back(&self, ask: DocBack) -> Result<Commit, ApiError> {
        let space = self.find_space(&ask.space)?;
        self.check_edit(&space, &ask.collection)?;
        let held = Seen::default();
        let (story, past) = self.story(space, &ask.collection, &ask.id, held).await?;
        let (then, _) = self
            .moment(past, &ask.collection, &ask.id, ask.at_ms)
            .await?;
        let id = convert::doc_id(&ask.id)?;
        let edits: Vec<Edit> = story
            .back_to(&then)
            .into_iter()
            .map(|change| Edit {
                collection: ask.collection.clone(),
                id: Some(id.clone()),
                change,
            })
            .collect();
        // The changes are of what is held.
        let speaks = [(ask.collection.clone(), AS_HELD.to_owned())].into();
        let transaction = Transaction {
            space,
            edits,
            key: None,
            speaks,
        };
        let outcome = self.store.transact(transaction).await?;
        let commit = outcome.await.map_err(|_| stopping())??;
        Ok(Commit {
            ids: vec![ask.id],
            changed: vec![commit.entry.is_some()],
            ..commit
        })
    }

    pub(super) async fn redact(&self, ask: DocRedact) -> Result<DocRedacted, ApiError> {
        let space = self.find_space(&ask.space)?;
        self.check_edit(&space, &ask.collection)?;
        let (collection, id) = (ask.collection, convert::doc_id(&ask.id)?);
        let done = self.store.change(move |desk| {
            let now_ms = wall_ms();
            let done = desk
                .replica
                .redact(&space, &collection, &id, &ask.path, now_ms);
            desk.note_outcome(&done);
            done.map_err(|error| faults::replica(&error))
        });
        let done = done.await??;
        Ok(DocRedacted {
            entries: done.entries,
            time: convert::time(done.at),
            checkpoint: done.checkpoint,
        })
    }

    /// A page of the documents as they were.
    pub(super) async fn query_earlier(
        &self,
        space: SpaceId,
        ask: DocQuery,
        search: Search,
        limit: usize,
        at_ms: u64,
    ) -> Result<Page, ApiError> {
        let beyond = ask.search.is_some()
            || !ask.join.is_empty()
            || ask.group.is_some()
            || ask.deleted
            || ask.explain
            || search.query.filter.iter().any(refers);
        if beyond {
            let message = "A query as of a time takes conditions on the documents themselves, an order, a limit and a count.";
            return Err(ApiError::new(ErrorKind::InvalidParams, message));
        }
        let past = self.past(space).await?;
        let read = self.readers.read(move |reader| {
            let earlier = reader.earlier(&past, &ask.collection, end_of(at_ms))?;
            // Of what is seen: here nothing is asked of the store in this order.
            let sort = convert::order(&ask.sort);
            let mut found: Vec<(Cursor, Value)> = Vec::new();
            let mut too_many = false;
            let mut take = |place: Cursor, value: Value| {
                found.push((place, value));
                too_many = found.len() > EARLIER_DOCS_MAX;
                !too_many
            };
            let after = search.query.after.clone();
            let all = search.of_all();
            let walked =
                all.each(
                    reader,
                    &space,
                    &ask.collection,
                    STRIDE,
                    |doc, value| match earlier.docs.contains_key(&doc.id) {
                        true => true,
                        false => take(Cursor::of(&sort, &doc.id, &value), value),
                    },
                )?;
            if let Err(error) = walked {
                return Ok(Err(error));
            }
            for (id, value) in &earlier.docs {
                let Some(mut value) = value.clone() else {
                    continue;
                };
                let id_text = id.to_string();
                if !fits(&all.query.filter, &id_text, &value, &NoLookup) {
                    continue;
                }
                all.show(&mut value);
                if all.fits_here(&id_text, &value) {
                    take(Cursor::of(&sort, id, &value), value);
                }
            }
            if too_many {
                let message = format!("More than {EARLIER_DOCS_MAX} documents fit.");
                return Ok(Err(ApiError::new(ErrorKind::TooLarge, message)
                    .hint("Ask for less, with conditions.")));
            }
            found.sort_by(|a, b| a.0.order(&b.0, &sort));
            Ok(Ok(page(found, &sort, after.as_ref(), limit, ask.count)))
        });
        read.await?
    }
}

fn page(
    found: Vec<(Cursor, Value)>,
    sort: &[stead_store::SortKey],
    after: Option<&Cursor>,
    limit: usize,
    count: bool,
) -> Page {
    let mut page = Page {
        total: count.then_some(found.len() as u64),
        ..Page::default()
    };
    let behind =
        |(place, _): &(Cursor, Value)| after.is_none_or(|after| place.order(after, sort).is_gt());
    let mut last = None;
    for (place, value) in found.into_iter().filter(behind) {
        if page.docs.len() >= limit {
            page.next = last.map(|place: Cursor| place.to_string());
            break;
        }
        page.docs.push(Document {
            id: place.id().to_string(),
            value,
            deleted: false,
            snippet: None,
        });
        last = Some(place);
    }
    page
}

fn refers(filter: &Filter) -> bool {
    match filter {
        Filter::Is(_) => false,
        Filter::All(inner) | Filter::Any(inner) => inner.iter().any(refers),
        Filter::Not(inner) => refers(inner),
        Filter::Refers { .. } => true,
    }
}

/// Behind everything of a millisecond.
fn end_of(ms: u64) -> Hlc {
    Hlc::new(ms.min(u64::MAX >> 16), u16::MAX)
}

fn diff(change: &FieldChange, veil: Veil) -> FieldDiff {
    let hidden = veil.hides(&change.path);
    let shown = |value: &Option<Value>| value.clone().filter(|_| !hidden);
    FieldDiff {
        path: change.path.clone(),
        before: shown(&change.before),
        after: shown(&change.after),
    }
}
