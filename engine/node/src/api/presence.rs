//! Calls about who is where: what apps of this device say, who is heard, and what they are called.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_access::Path;
use stead_api::{
    ApiError, CursorAt, CursorSeen, ErrorKind, Notification, PresenceEvent, PresenceHere,
    PresenceIs, PresenceList, PresenceSet, PresenceWatch, Present, TextUnit,
};
use stead_base::{DocId, SpaceId};
use stead_presence::{
    APP_BYTES_MAX, CURSORS_MAX, Cursor, Key, Shown, VALUE_BYTES_MAX, WHERE_BYTES_MAX,
};
use stead_replica::RichAsk;

use super::Node;
use super::client::Outgoing;
use super::rich::unit as unit_of;
use super::rights::{Known, read_path};
use crate::desk::{Desk, Names, PresenceInbox};
use crate::faults;

/// Which app on a connection: its space, what it is about, and what it calls itself.
pub(super) type Place = (SpaceId, String, String);

impl Node {
    /// Which app a client means.
    pub(super) fn presence_place(
        &self,
        space: &str,
        on: &str,
        app: &str,
    ) -> Result<Place, ApiError> {
        let space = self.find_space(space)?;
        let path = read_path(on)?;
        let too_large = |what: &str, max: usize| {
            let message = format!("{what} has at most {max} bytes.");
            Err(ApiError::new(ErrorKind::TooLarge, message))
        };
        if path.as_str().len() > WHERE_BYTES_MAX {
            return too_large("What presence is about", WHERE_BYTES_MAX);
        }
        if app.len() > APP_BYTES_MAX {
            return too_large("The name of an app", APP_BYTES_MAX);
        }
        Ok((space, path.as_str().to_owned(), app.to_owned()))
    }

    /// Says where an app is; answers its number.
    pub(super) async fn set_presence(
        &self,
        place: Place,
        app: Option<u64>,
        set: PresenceSet,
    ) -> Result<(u64, PresenceIs), ApiError> {
        let (space, on, name) = place;
        let value = match set.value.is_null() {
            true => String::new(),
            false => set.value.to_string(),
        };
        if value.len() > VALUE_BYTES_MAX {
            let message = format!(
                "What an app says of itself has at most {VALUE_BYTES_MAX} bytes of JSON; this has {}.",
                value.len()
            );
            return Err(ApiError::new(ErrorKind::TooLarge, message)
                .hint("What is to stay belongs into a document."));
        }
        if set.cursors.len() > CURSORS_MAX {
            let message = format!("An app has at most {CURSORS_MAX} cursors.");
            return Err(ApiError::new(ErrorKind::TooLarge, message));
        }
        let set = self.store.look(move |desk| {
            let cursors = named(desk, &space, &on, &set.cursors, set.unit)?;
            let shown = Shown {
                on,
                app: name,
                value,
                cursors,
            };
            let app = desk.presence_set(space, app, shown)?;
            let key = desk.presence.board.own_key(&space, app);
            Ok((app, PresenceIs { key: text_of(&key) }))
        });
        set.await?
    }

    pub(super) async fn list_presence(&self, ask: PresenceList) -> Result<PresenceHere, ApiError> {
        let space = self.find_space(&ask.space)?;
        let on = read_path(&ask.on)?;
        let listed = self.store.look(move |desk| {
            let keys = desk.presence.board.all(&space);
            let here = keys
                .iter()
                .filter_map(|key| present(desk, &space, key, &on, ask.unit));
            PresenceHere {
                here: here.collect(),
            }
        });
        listed.await
    }
}

/// The names of places, which stay where they are as others type.
fn named(
    desk: &mut Desk,
    space: &SpaceId,
    on: &str,
    cursors: &[CursorAt],
    unit: TextUnit,
) -> Result<Vec<Cursor>, ApiError> {
    if cursors.is_empty() {
        return Ok(Vec::new());
    }
    let Some((collection, id)) = document_of(on) else {
        let message = "A cursor is in a field of a document, and this is about none.";
        return Err(ApiError::new(ErrorKind::InvalidParams, message)
            .hint("Say which with `on`: collection/id."));
    };
    let mut named = Vec::with_capacity(cursors.len());
    for cursor in cursors {
        let ask = RichAsk {
            unit: unit_of(unit),
            places: Vec::new(),
            positions: vec![cursor.anchor, cursor.head.unwrap_or(cursor.anchor)],
        };
        let found = desk
            .replica
            .rich_places(space, &collection, &id, &cursor.field, &ask)
            .map_err(|error| faults::replica(&error))?;
        let names = found.map(|found| found.names).unwrap_or_default();
        let [anchor, head] = &names[..] else {
            let message = format!(
                "There is no text or list at {} of {collection}/{id}.",
                cursor.field.join(".")
            );
            return Err(ApiError::new(ErrorKind::NotFound, message));
        };
        named.push(Cursor {
            field: cursor.field.clone(),
            anchor: anchor.clone(),
            head: head.clone(),
        });
    }
    Ok(named)
}

/// The document that something is about.
fn document_of(on: &str) -> Option<(String, DocId)> {
    let parts: Vec<String> = Path::new(on).ok()?.parts().collect();
    match &parts[..] {
        [collection, id, ..] => Some((collection.clone(), DocId::parse(id).ok()?)),
        _ => None,
    }
}

/// An app as a client sees it; none if it is not there, or not about what was asked for.
fn present(
    desk: &mut Desk,
    space: &SpaceId,
    key: &Key,
    on: &Path,
    unit: TextUnit,
) -> Option<Present> {
    let heard = desk.presence.board.get(space, key)?;
    if !on.covers(&Path::new(&heard.shown.on).ok()?) {
        return None;
    }
    let (shown, own) = (heard.shown.clone(), heard.own);
    let mut cursors = Vec::with_capacity(shown.cursors.len());
    let document = document_of(&shown.on);
    for cursor in shown.cursors {
        let ask = RichAsk {
            unit: unit_of(unit),
            places: vec![cursor.anchor, cursor.head],
            positions: Vec::new(),
        };
        let found = document.as_ref().and_then(|(collection, id)| {
            let found = desk
                .replica
                .rich_places(space, collection, id, &cursor.field, &ask);
            found.ok().flatten()
        });
        let places = found.map(|found| found.places).unwrap_or_default();
        cursors.push(CursorSeen {
            field: cursor.field,
            anchor: places.first().copied().flatten(),
            head: places.get(1).copied().flatten(),
        });
    }
    let names = names(desk, space);
    let (device_name, person) = match names.get(&key.device) {
        Some((device, person)) => (device.clone(), person.clone()),
        None => (format!("device {}", key.device.short()), None),
    };
    Some(Present {
        key: text_of(key),
        device: key.device.to_string(),
        device_name,
        person,
        own,
        on: shown.on,
        app: shown.app,
        // It was JSON where it was said; what is none is a program's fault there.
        value: serde_json::from_str(&shown.value).unwrap_or_default(),
        cursors,
    })
}

/// What devices and people of a space are called.
fn names(desk: &mut Desk, space: &SpaceId) -> Arc<Names> {
    if let Some(names) = desk.presence.names.get(space) {
        return Arc::clone(names);
    }
    let mut names = Names::new();
    if let Ok(known) = Known::of(&desk.replica, space) {
        for device in known.devices() {
            let person = desk.replica.person_behind(space, &device);
            let person = person.map(|person| known.person(&person));
            names.insert(device, (known.device(&device), person));
        }
    }
    let names = Arc::new(names);
    desk.presence.names.insert(*space, Arc::clone(&names));
    names
}

fn text_of(key: &Key) -> String {
    let run = stead_base::Hash::from_bytes(key.run);
    format!("{}-{}", &run.to_string()[..16], key.app)
}

/// A watch of who is where, on its way to one client.
pub(super) struct Following {
    node: Arc<Node>,
    space: SpaceId,
    on: Path,
    unit: TextUnit,
    inbox: Arc<PresenceInbox>,
    number: u64,
    out: Outgoing,
    told: BTreeMap<String, Present>,
}

impl Following {
    pub(super) async fn new(
        node: Arc<Node>,
        ask: PresenceWatch,
        number: u64,
        out: Outgoing,
    ) -> Result<Self, ApiError> {
        let space = node.find_space(&ask.space)?;
        let on = read_path(&ask.on)?;
        let inbox = node
            .store
            .look(move |desk| desk.presence.watch(space))
            .await?;
        Ok(Self {
            node,
            space,
            on,
            unit: ask.unit,
            inbox,
            number,
            out,
            told: BTreeMap::new(),
        })
    }

    /// Runs until the client or the node goes.
    pub(super) async fn run(mut self) {
        let space = self.space;
        let mut keys = match self
            .node
            .store
            .look(move |desk| desk.presence.board.all(&space))
            .await
        {
            Ok(keys) => keys,
            Err(_) => return,
        };
        let mut ready = true;
        loop {
            let (on, unit) = (self.on.clone(), self.unit);
            let looked = self.node.store.look(move |desk| {
                let look = |key: &Key| (text_of(key), present(desk, &space, key, &on, unit));
                keys.iter().map(look).collect::<Vec<_>>()
            });
            let Ok(looked) = looked.await else { return };
            let event = self.event(looked, std::mem::take(&mut ready));
            if (event.ready || !event.here.is_empty() || !event.left.is_empty())
                && !self.out.send(Notification::Presence(event).encode()).await
            {
                return;
            }
            self.inbox.rung().await;
            keys = self.inbox.take().into_iter().collect();
        }
    }

    /// What is different from what the client was told.
    fn event(&mut self, looked: Vec<(String, Option<Present>)>, ready: bool) -> PresenceEvent {
        let mut event = PresenceEvent {
            watch: self.number,
            ready,
            ..PresenceEvent::default()
        };
        for (key, now) in looked {
            match now {
                Some(now) if self.told.get(&key) != Some(&now) => {
                    self.told.insert(key, now.clone());
                    event.here.push(now);
                }
                Some(_) => {}
                None if self.told.remove(&key).is_some() => event.left.push(key),
                None => {}
            }
        }
        event
    }
}
