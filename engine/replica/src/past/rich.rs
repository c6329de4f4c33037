//! The content of rich fields at earlier times, made again from the updates in the logs.
//!
//! Owns which updates are in a field by some time; what they mean is the engine's. It keeps nothing and
//! touches no open field of the replica.

use std::collections::BTreeMap;

use serde_json::Value;
use stead_base::Stamp;
use stead_doc::{
    DocOps, Document, Numbers, PathRef, RichContent, RichEngine, RichKind, RichPlace, RichValues,
    SEED_AUTHOR, author_number,
};
use stead_rich::LoroEngine;

use crate::rich::{RichRecord, updates_of};

/// The author that fields are opened for here: nobody writes into them.
const NOBODY: u64 = 1;

/// The rich fields of one document.
#[derive(Default)]
pub(crate) struct RichPast {
    fields: BTreeMap<Vec<u8>, Field>,
}

#[derive(Default)]
struct Field {
    /// How far each author's operations have come.
    record: RichRecord,
    /// Updates that the content does not hold yet.
    waiting: Vec<(u64, Vec<u8>)>,
    content: Option<Box<dyn RichContent>>,
    /// Set once the engine failed: nothing more is known of it.
    is_broken: bool,
    shown: Option<Value>,
}

impl std::fmt::Debug for RichPast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RichPast({} fields)", self.fields.len())
    }
}

/// What the fields hold.
pub(crate) struct Shown<'p>(&'p RichPast);

impl RichValues for Shown<'_> {
    fn value(&self, path: PathRef<'_>, kind: RichKind, base: Option<Stamp>) -> Option<Value> {
        let path = path.to_path()?;
        let key = RichPlace { path, kind, base }.key();
        self.0.fields.get(&key)?.shown.clone()
    }
}

impl RichPast {
    /// Takes up the updates among operations on the document.
    pub(crate) fn take(&mut self, ops: DocOps<'_>) {
        let author = author_number(&ops.stamp().writer);
        for (place, updates) in updates_of(ops) {
            let field = self.fields.entry(place.key()).or_default();
            for update in updates.iter() {
                if let Ok(span) = LoroEngine.check(author, update)
                    && field.record.takes(span)
                {
                    field.waiting.push((author, update.to_vec()));
                }
            }
        }
    }

    /// The document with what its rich fields hold now.
    pub(crate) fn show(&mut self, document: &Document, numbers: &Numbers) -> Value {
        if !document.may_hold_rich() {
            return document.to_json(numbers);
        }
        let alive = document.rich_fields(numbers);
        let keys: Vec<Vec<u8>> = alive.iter().map(|field| field.place.key()).collect();
        self.fields.retain(|key, field| {
            let lives = keys.contains(key);
            // What an assignment replaced may have more to come; its content is of no use.
            if !lives {
                field.content = None;
            }
            lives || !field.waiting.is_empty()
        });
        for (field, key) in alive.iter().zip(keys) {
            let held = self.fields.entry(key).or_default();
            held.bring_up_to_date(field.place.kind, field.seed.as_ref());
        }
        document.to_json_with(numbers, &Shown(self))
    }
}

impl Field {
    fn bring_up_to_date(&mut self, kind: RichKind, seed: Option<&Value>) {
        let sows = seed.is_some() && !self.record.authors.contains_key(&SEED_AUTHOR);
        if self.is_broken || (self.waiting.is_empty() && !sows && self.shown.is_some()) {
            return;
        }
        let done = (|| {
            let engine = LoroEngine;
            let mut content = match self.content.take() {
                Some(content) => content,
                None => engine.open(kind, NOBODY, None)?,
            };
            if let Some(seed) = seed.filter(|_| sows) {
                let update = engine.seed(kind, seed)?;
                self.record.authors.insert(SEED_AUTHOR, 0);
                if !update.is_empty() {
                    content.import(&[(SEED_AUTHOR, &update)])?;
                }
            }
            let waiting = std::mem::take(&mut self.waiting);
            let updates: Vec<(u64, &[u8])> = waiting
                .iter()
                .map(|(author, update)| (*author, &update[..]))
                .collect();
            if !updates.is_empty() {
                content.import(&updates)?;
            }
            let value = content.value()?;
            Ok::<_, stead_doc::RichError>((content, value))
        })();
        match done {
            Ok((content, value)) => {
                self.shown = Some(value);
                self.content = Some(content);
            }
            Err(error) => {
                tracing::debug!(%error, "a rich field cannot be shown as it was");
                self.is_broken = true;
            }
        }
    }
}
