//! Spaces of which a part is kept: here, who is asked for what and who was told which choice; elsewhere,
//! what each peer follows.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use stead_base::{DeviceId, SpaceId};
use stead_replica::{Ask, Choose, DocChange, Filled, Follower, ReceiveError};
use stead_sync::Input;
use stead_sync::limits::ASKS_IN_FLIGHT_MAX;

use super::Desk;
use crate::clock::{steady_ms, wall_ms};
use crate::sync::mailbox::{Mailbox, Note, SessionNo};

/// A device that had no answer is asked the same again after this long.
const REFUSED_MS: u64 = 10_000;
/// A log is taken anew at most this often.
const ANEW_MS: u64 = 60_000;
/// Logs that do not grow for this long have come as far as they will.
const QUIET_MS: u64 = 5_000;
/// An answer that could not be used is asked for again after this long.
const AGAIN_MS: u64 = 300;

/// What is on its way of parts of spaces.
#[derive(Default)]
pub(super) struct Parts {
    /// Sessions with devices that give slices, by space.
    givers: BTreeMap<SpaceId, BTreeSet<SessionNo>>,
    /// Devices that share a space and know nothing of parts.
    deaf: BTreeMap<SpaceId, BTreeSet<DeviceId>>,
    /// Questions without an answer yet.
    asked: BTreeMap<u64, Asked>,
    tokens: u64,
    /// Until when a session is not asked something again, on the steady clock.
    rests: BTreeMap<(SessionNo, SpaceId, Vec<u8>), u64>,
    /// What peers keep of spaces.
    followers: BTreeMap<(SessionNo, SpaceId), Follower>,
    /// Logs that were taken anew, and when.
    begun_ms: BTreeMap<(SpaceId, stead_base::WriterId), u64>,
    /// Spaces that wait for their logs, and when these last grew, on the steady clock.
    advanced_ms: BTreeMap<SpaceId, u64>,
    /// Peers whose queries may find something else now.
    to_stir: BTreeSet<(SessionNo, SpaceId)>,
}

struct Asked {
    space: SpaceId,
    to: SessionNo,
    ask: Ask,
}

impl Parts {
    /// Forgets a session.
    pub(super) fn leave(&mut self, no: SessionNo) {
        for givers in self.givers.values_mut() {
            givers.remove(&no);
        }
        self.asked.retain(|_, asked| asked.to != no);
        self.rests.retain(|(of, _, _), _| *of != no);
        self.followers.retain(|(of, _), _| *of != no);
        self.to_stir.retain(|(of, _)| *of != no);
    }

    /// Forgets a space that is shared anew.
    fn part_with(&mut self, space: SpaceId) {
        self.givers.remove(&space);
        self.deaf.remove(&space);
        self.asked.retain(|_, asked| asked.space != space);
        self.rests.retain(|(_, of, _), _| *of != space);
        self.followers.retain(|(_, of), _| *of != space);
    }
}

impl Desk {
    /// A peer shares a space of which a part is kept here: it is told the choice, if it understands.
    pub(crate) fn gives_parts(&mut self, space: SpaceId, mailbox: &Mailbox, gives: bool) {
        if !gives {
            self.parts
                .deaf
                .entry(space)
                .or_default()
                .insert(mailbox.peer());
            return;
        }
        self.parts
            .givers
            .entry(space)
            .or_default()
            .insert(mailbox.no());
        self.tell_choice(space, mailbox);
        self.ask_for_parts(space);
    }

    /// Tells a peer all that was chosen.
    fn tell_choice(&self, space: SpaceId, mailbox: &Mailbox) {
        let told = self.replica.told_choice(&space);
        let last = told.len().saturating_sub(1);
        for (at, choose) in told.into_iter().enumerate() {
            let revision = match at == last {
                true => self.replica.part_revision(&space).unwrap_or(0),
                false => 0,
            };
            mailbox.input(Input::Choose {
                space,
                revision,
                choice: choose.encode().into(),
            });
        }
    }

    /// Devices that share a space and give nothing of it to one that keeps a part.
    pub(crate) fn deaf_to_parts(&self, space: &SpaceId) -> Vec<DeviceId> {
        let deaf = self.parts.deaf.get(space);
        deaf.map_or_else(Vec::new, |deaf| deaf.iter().copied().collect())
    }

    /// Whether any device is connected that may be asked for what is not here.
    pub(crate) fn has_giver(&self, space: &SpaceId, ask: &Ask) -> bool {
        let givers = self.parts.givers.get(space);
        let mut givers = givers.into_iter().flatten();
        givers.any(|no| {
            let peer = self.peer_of(*no);
            peer.is_some_and(|peer| self.replica.may_ask(space, &peer, ask))
        })
    }

    /// Whether any device is connected that gives slices of a space or knows nothing of them.
    pub(crate) fn has_peers(&self, space: &SpaceId) -> bool {
        let deaf = self.parts.deaf.get(space).is_some_and(|it| !it.is_empty());
        deaf || self
            .parts
            .givers
            .get(space)
            .is_some_and(|it| !it.is_empty())
    }

    fn peer_of(&self, no: SessionNo) -> Option<DeviceId> {
        let session = self.sessions.iter().find(|session| session.no() == no)?;
        Some(session.peer())
    }

    /// No peer has more of the logs of a space than is here.
    pub(crate) fn logs_have_come(&mut self, space: SpaceId) {
        self.parts.advanced_ms.remove(&space);
        let come = self.replica.logs_have_come(&space, wall_ms());
        self.dirty |= matches!(come, Ok(true));
        self.note_outcome(&come);
    }

    /// A peer no longer has what comes next of a log: it is taken anew, though not again and again.
    pub(super) fn part_behind(&mut self, space: SpaceId, writer: stead_base::WriterId, from: u64) {
        let now_ms = steady_ms();
        let last = self.parts.begun_ms.get(&(space, writer));
        if last.is_some_and(|at| at + ANEW_MS > now_ms) {
            return;
        }
        let behind = self.replica.part_behind(&space, &writer, from, wall_ms());
        if matches!(behind, Ok(true)) {
            self.parts.begun_ms.insert((space, writer), now_ms);
            self.parts.advanced_ms.insert(space, now_ms);
            self.dirty = true;
        }
        self.note_outcome(&behind);
    }

    /// What is kept of a space is another part.
    pub(super) fn part_changed(&mut self, space: SpaceId, told: Option<Choose>, revision: u64) {
        let Some(choose) = told else {
            return self.share_anew(space);
        };
        let choice: Bytes = choose.encode().into();
        let givers = self.parts.givers.get(&space);
        for session in &self.sessions {
            if !givers.is_some_and(|givers| givers.contains(&session.no())) {
                continue;
            }
            if matches!(choose, Choose::All(_)) {
                self.tell_choice(space, session);
            } else {
                session.input(Input::Choose {
                    space,
                    revision,
                    choice: choice.clone(),
                });
            }
        }
        self.ask_for_parts(space);
    }

    /// Has a space shared with every peer as it is kept now.
    fn share_anew(&mut self, space: SpaceId) {
        self.parts.part_with(space);
        self.board.fetches.forget_space(space);
        self.publish_space(&space);
        self.publish_names();
        let Some(membership) = self.membership(&space) else {
            return;
        };
        let thin = self.replica.thin_lengths(&space);
        for session in &self.sessions {
            if self.replica.was_removed(&space, &session.peer()) {
                continue;
            }
            session.input(Input::RemoveSpace { space });
            if let Some(thin) = thin.clone() {
                session.input(Input::Part { space, thin });
            }
            session.input(Input::AddSpace(membership.clone()));
        }
    }

    /// A thin log goes further.
    pub(super) fn thin_advanced(&mut self, space: SpaceId, writer: stead_base::WriterId, len: u64) {
        if let Some(published) = self.published.get_mut(&space) {
            published.tips.remove(&writer);
        }
        for session in &self.sessions {
            session.input(Input::ThinAdvanced { space, writer, len });
        }
        if self.replica.waits_for_logs(&space) {
            self.parts.advanced_ms.insert(space, steady_ms());
        }
        self.board.fetches.stored((space, writer), len, steady_ms());
        match self.replica.take_parked(&space, wall_ms()) {
            Ok(true) => self.filled(space),
            Ok(false) => {}
            Err(error) => self.note_outcome::<()>(&Err(error)),
        }
    }

    /// Asks who has all of a space for what is still to be filled.
    pub(super) fn ask_for_parts(&mut self, space: SpaceId) {
        let Some(givers) = self.parts.givers.get(&space).cloned() else {
            return;
        };
        let now_ms = steady_ms();
        self.parts.rests.retain(|_, until| *until > now_ms);
        for ask in self.replica.part_asks(&space) {
            let of_space = self.parts.asked.values().filter(|it| it.space == space);
            if of_space.clone().count() >= ASKS_IN_FLIGHT_MAX {
                return;
            }
            if of_space.clone().any(|it| it.ask == ask) {
                continue;
            }
            let encoded = ask.encode();
            let load = |no: SessionNo| self.parts.asked.values().filter(|it| it.to == no).count();
            let fit = givers.iter().copied().filter(|no| {
                let rests = self
                    .parts
                    .rests
                    .contains_key(&(*no, space, encoded.clone()));
                let peer = self.peer_of(*no);
                !rests && peer.is_some_and(|peer| self.replica.may_ask(&space, &peer, &ask))
            });
            let Some(to) = fit.min_by_key(|no| load(*no)) else {
                continue;
            };
            self.parts.tokens += 1;
            let token = self.parts.tokens;
            if let Some(session) = self.sessions.iter().find(|session| session.no() == to) {
                session.input(Input::Ask {
                    space,
                    token,
                    ask: encoded.into(),
                });
            }
            self.parts.asked.insert(token, Asked { space, to, ask });
        }
    }

    /// Asks again what had to rest. Returns when that is due next, in Unix milliseconds.
    pub(super) fn ask_rested(&mut self) {
        let now_ms = steady_ms();
        let quiet = self.parts.advanced_ms.iter();
        let quiet = quiet.filter(|(_, at)| **at + QUIET_MS <= now_ms);
        for space in quiet.map(|(space, _)| *space).collect::<Vec<_>>() {
            self.logs_have_come(space);
        }
        let spaces: Vec<SpaceId> = self.parts.givers.keys().copied().collect();
        for space in spaces {
            match self.replica.take_parked(&space, wall_ms()) {
                Ok(true) => self.filled(space),
                Ok(false) => {}
                Err(error) => self.note_outcome::<()>(&Err(error)),
            }
            self.ask_for_parts(space);
        }
    }

    /// When [`Self::ask_rested`] is due, in Unix milliseconds.
    pub(super) fn parts_due(&self) -> Option<u64> {
        let now_ms = steady_ms();
        let rests = self.parts.rests.values().copied();
        let quiet = self.parts.advanced_ms.values().map(|at| at + QUIET_MS);
        let next = rests.chain(quiet).min()?;
        Some(wall_ms() + next.saturating_sub(now_ms))
    }

    /// An answer, or none.
    pub(crate) fn sliced(&mut self, token: u64, slice: Option<&Bytes>, mailbox: &Mailbox) {
        let Some(Asked { space, to, ask }) = self.parts.asked.remove(&token) else {
            return;
        };
        if to != mailbox.no() {
            return;
        }
        let rest = |ms: u64| ((to, space, ask.encode()), steady_ms() + ms);
        let Some(bytes) = slice else {
            self.parts.rests.extend([rest(REFUSED_MS)]);
            self.tell_parts();
            return self.ask_for_parts(space);
        };
        match self
            .replica
            .take_slice(&space, &mailbox.peer(), &ask, bytes, wall_ms())
        {
            Ok(Filled::Taken | Filled::Parked) => self.filled(space),
            Ok(Filled::Again) => {
                self.parts.rests.extend([rest(AGAIN_MS)]);
                self.ask_for_parts(space);
            }
            Err(ReceiveError::Misbehaved { detail, .. }) => {
                mailbox.note(Note::Misbehaved { detail });
            }
            Err(error) => {
                tracing::warn!(%error, "a slice could not be taken");
                self.parts.rests.extend([rest(REFUSED_MS)]);
            }
        }
    }

    fn filled(&mut self, space: SpaceId) {
        self.dirty = true;
        let trimmed = self.replica.trim(&space, wall_ms()).map(drop);
        self.note_outcome(&trimmed);
        self.tell_parts();
        self.ask_for_parts(space);
    }

    /// Whoever waits for a document looks again.
    fn tell_parts(&self) {
        self.board.parts.send_modify(|count| *count += 1);
    }

    /// A thin batch came.
    pub(crate) fn store_thin(
        &mut self,
        log: crate::sync::mailbox::LogKey,
        upto: u64,
        revision: u64,
        batch: &Bytes,
        mailbox: &Mailbox,
    ) {
        self.dirty = true;
        let peer = mailbox.peer();
        let stored = self
            .replica
            .receive_thin(&log.0, batch, revision, &peer, wall_ms());
        match stored {
            Ok(_) => self.recovered(),
            Err(error) => {
                let note = self.refusal(log, upto, error);
                mailbox.note(note);
            }
        }
    }

    /// What a query finds may have changed at a peer.
    pub(crate) fn stirred(&mut self, space: SpaceId) {
        self.replica.part_stirred(&space);
        self.ask_for_parts(space);
    }

    /// A peer keeps a part of a space.
    pub(crate) fn chosen(&mut self, space: SpaceId, choice: &Bytes, mailbox: &Mailbox) {
        match Choose::decode(choice) {
            Ok(choose) => {
                let key = (mailbox.no(), space);
                if !self.parts.followers.entry(key).or_default().choose(choose) {
                    let detail = "more is chosen of a space than may be".to_owned();
                    mailbox.note(Note::Misbehaved { detail });
                }
            }
            Err(error) => mailbox.note(Note::Misbehaved {
                detail: error.to_string(),
            }),
        }
    }

    /// What a peer keeps of a space.
    pub(crate) fn follower(&self, space: SpaceId, mailbox: &Mailbox) -> Option<&Follower> {
        self.parts.followers.get(&(mailbox.no(), space))
    }

    /// A peer asks for a slice.
    pub(crate) fn asked(&mut self, space: SpaceId, token: u64, ask: &Bytes, mailbox: &Mailbox) {
        let ask = match Ask::decode(ask) {
            Ok(ask) => ask,
            Err(error) => {
                let detail = error.to_string();
                return mailbox.note(Note::Misbehaved { detail });
            }
        };
        let follower = self.follower(space, mailbox).cloned().unwrap_or_default();
        let made = self
            .replica
            .slice(&space, &mailbox.peer(), &follower, &ask, wall_ms());
        self.dirty = true;
        let slice = made.unwrap_or_else(|error| {
            tracing::warn!(%error, "a slice could not be made for a peer");
            None
        });
        mailbox.input(Input::Sliced {
            space,
            token,
            slice: slice.map(Bytes::from),
        });
    }

    /// Documents changed: queries that peers chose may find others.
    pub(super) fn note_stirred(&mut self, space: SpaceId, docs: &[DocChange], many: bool) {
        for ((no, of), follower) in &self.parts.followers {
            let is_about = |doc: &DocChange| follower.asks_about(&doc.collection);
            if *of == space && (many || docs.iter().any(is_about)) {
                self.parts.to_stir.insert((*no, space));
            }
        }
    }

    /// Tells peers whose queries may find something else.
    pub(super) fn stir(&mut self) {
        for (no, space) in std::mem::take(&mut self.parts.to_stir) {
            if let Some(session) = self.sessions.iter().find(|session| session.no() == no) {
                session.input(Input::Stir { space });
            }
        }
    }
}
