//! One simulated device: a replica over a simulated disk, and a session for each connection.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use stead_base::{DeviceId, SpaceId, WriterId};
use stead_crypt::DeviceKeys;
use stead_disk::SimDisk;
use stead_log::Batch;
use stead_replica::{Event, Folding, ProbeNext, ReceiveError, Replica, ReplicaError};
use stead_store::{Durability, Options, Store, StoreError};
use stead_sync::frame::FrameReader;
use stead_sync::{GoodbyeCode, Input, Opening, Output, Role, Session, SpaceMembership, Tip};
use zeroize::Zeroizing;

use crate::chance::Chance;
use crate::connection::ConnectionId;
use crate::malice::Malice;
use crate::parts::Parts;

/// A session and the bytes it waits for.
struct Line {
    session: Session,
    remote: DeviceId,
    reader: FrameReader,
    wake_at: Option<u64>,
}

/// One device.
pub(crate) struct Node {
    pub(crate) index: usize,
    /// Which key it has; a copied disk makes two devices with one key.
    pub(crate) key: u8,
    pub(crate) malice: Malice,
    pub(crate) disk: SimDisk,
    pub(crate) replica: Option<Replica>,
    /// How far this device's wall clock is off, in milliseconds.
    pub(crate) skew_ms: i64,
    lines: BTreeMap<ConnectionId, Line>,
    inputs: VecDeque<(ConnectionId, Input)>,
    pub(crate) chance: Chance,
    pub(crate) parts: Parts,
    /// Frames to be sent, with the connection.
    pub(crate) outbox: Vec<(ConnectionId, Vec<u8>)>,
    /// Connections that ended here.
    pub(crate) closed: Vec<ConnectionId>,
    /// Checkpoints that spaces begin with, and the fetches that wait for them.
    beginnings: BTreeMap<SpaceId, (WriterId, u64)>,
    waiting: Vec<(ConnectionId, Input)>,
    /// Logs of which a peer no longer has what comes next here.
    behind: BTreeMap<(SpaceId, WriterId), u64>,
    /// The store failed: the device must be started again.
    pub(crate) broken: bool,
    pub(crate) restarts: u64,
}

impl Node {
    pub(crate) fn new(index: usize, chance: &mut Chance) -> Self {
        let mut chance = chance.fork();
        Self {
            index,
            key: index as u8 + 1,
            malice: Malice::default(),
            disk: SimDisk::new(chance.below(u64::MAX)),
            replica: None,
            skew_ms: 0,
            lines: BTreeMap::new(),
            inputs: VecDeque::new(),
            chance,
            parts: Parts::default(),
            outbox: Vec::new(),
            closed: Vec::new(),
            beginnings: BTreeMap::new(),
            waiting: Vec::new(),
            behind: BTreeMap::new(),
            broken: false,
            restarts: 0,
        }
    }

    /// The device's key, the same at every start.
    fn keys(&self) -> DeviceKeys {
        DeviceKeys::from_seed(&[self.key; 32])
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.keys().id()
    }

    /// What this device's wall clock shows at world time `now`.
    pub(crate) fn wall(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.skew_ms)
    }

    /// Starts the device on what its disk holds.
    pub(crate) fn start(&mut self, now: u64) -> Result<(), String> {
        let options = Options {
            durability: Durability::Flushed,
            ..self.disk.options()
        };
        let store = Store::open("stead.db", options).map_err(|error| format!("open: {error}"))?;
        let entropy = Box::new(self.chance.fork());
        let name = format!("device {}", self.index);
        let mut replica = Replica::open(store, self.keys(), &name, entropy, self.wall(now))
            .map_err(|error| format!("open replica: {error}"))?;
        // As in a node; everything here is read where it is written.
        replica.set_folding(Folding::WhenRead);
        self.replica = Some(replica);
        self.broken = false;
        self.restarts += 1;
        Ok(())
    }

    /// Loses the power: what was not synced may be gone.
    pub(crate) fn crash(&mut self) {
        self.disk.power_off();
        self.replica = None;
        self.closed
            .extend(std::mem::take(&mut self.lines).into_keys());
        self.inputs.clear();
        self.parts = Parts::default();
        self.beginnings.clear();
        self.waiting.clear();
        self.outbox.clear();
        self.disk.clear_faults();
        self.disk.crash();
    }

    /// Opens this end of a connection.
    pub(crate) fn connect(
        &mut self,
        connection: ConnectionId,
        role: Role,
        remote: DeviceId,
        channel_binding: [u8; 32],
        now: u64,
    ) {
        let mut seed = [0; 32];
        stead_base::Entropy::fill(&mut self.chance, &mut seed);
        let opening = Opening {
            role,
            local: self.id(),
            remote,
            channel_binding,
            seed,
            wall_ms: self.wall(now),
            window_bytes: 0,
            auto_fetch: self.chance.one_in(2),
        };
        let Some(replica) = &self.replica else { return };
        let memberships = replica
            .space_ids()
            .into_iter()
            .filter_map(|space| membership(replica, space));
        let session = Session::new(opening, memberships, now);
        for space in replica.space_ids() {
            if let Some(thin) = replica.thin_lengths(&space) {
                let part = Input::Part { space, thin };
                self.inputs.push_back((connection, part));
            }
            if let Some(log) = replica.newest_checkpoint(&space) {
                let beginning = Input::Beginning { space, log };
                self.inputs.push_back((connection, beginning));
            }
        }
        self.lines.insert(
            connection,
            Line {
                session,
                remote,
                reader: FrameReader::default(),
                wake_at: None,
            },
        );
        // What the session says first waits in it until it is handed something.
        self.inputs.push_back((connection, Input::Tick));
        self.pump(now);
    }

    /// Ends this end of a connection.
    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        self.lines.remove(&connection);
        self.parts.leave(connection);
        // Whoever was to bring a checkpoint is gone: all logs are fetched whole.
        self.beginnings.clear();
        self.inputs.extend(self.waiting.drain(..));
        self.inputs.retain(|(id, _)| *id != connection);
        self.outbox.retain(|(id, _)| *id != connection);
    }

    /// Takes bytes from a connection.
    pub(crate) fn arrive(&mut self, connection: ConnectionId, bytes: &[u8], now: u64) {
        let Some(line) = self.lines.get_mut(&connection) else {
            return;
        };
        line.reader.push(Bytes::copy_from_slice(bytes));
        loop {
            let Some(line) = self.lines.get_mut(&connection) else {
                return;
            };
            match line.reader.next_frame() {
                Ok(Some(frame)) => {
                    self.inputs.push_back((connection, Input::Frame(frame)));
                    self.pump(now);
                }
                Ok(None) => return,
                Err(_) => {
                    self.disconnect(connection);
                    self.closed.push(connection);
                    return;
                }
            }
        }
    }

    /// When this device wants to be woken.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        self.lines.values().filter_map(|line| line.wake_at).min()
    }

    /// Passes time.
    pub(crate) fn tick(&mut self, now: u64) {
        let due = self
            .lines
            .iter()
            .filter(|(_, line)| line.wake_at.is_some_and(|at| at <= now));
        let due: Vec<ConnectionId> = due.map(|(id, _)| *id).collect();
        for connection in due {
            self.inputs.push_back((connection, Input::Tick));
        }
        let wall = self.wall(now);
        self.act(|replica| replica.merge_pending(wall));
        self.act(|replica| replica.tick(wall).map(drop));
        self.begin_again(now);
        self.tend_parts(now);
        // What could not be done when it was due, because the disk failed, is tried again.
        self.act(|replica| replica.reconcile(wall).map(drop));
        self.pump(now);
    }

    /// Does something with the replica. A store that fails breaks the device.
    pub(crate) fn act<T>(
        &mut self,
        f: impl FnOnce(&mut Replica) -> Result<T, ReplicaError>,
    ) -> Option<T> {
        let replica = self.replica.as_mut()?;
        match f(replica) {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn failed(&mut self, error: &ReplicaError) {
        // A full disk or one failed write does not end a device; anything else does.
        if !self.disk.is_powered() || !matches!(error, ReplicaError::Store(StoreError::DiskFull)) {
            self.broken |= matches!(error, ReplicaError::Store(_));
        }
    }

    /// Moves inputs through sessions and replica until nothing moves.
    pub(crate) fn pump(&mut self, now: u64) {
        loop {
            self.tell_events(now);
            let Some((connection, input)) = self.inputs.pop_front() else {
                return;
            };
            let Some(line) = self.lines.get_mut(&connection) else {
                continue;
            };
            // A peer that broke the rules shows as `Output::Closed` below.
            let _ = line.session.handle(input, now);
            while let Some(output) = self
                .lines
                .get_mut(&connection)
                .and_then(|line| line.session.poll_output())
            {
                self.take(connection, output, now);
            }
        }
    }

    /// Tells every session what changed in the replica.
    fn tell_events(&mut self, now: u64) {
        let wall = self.wall(now);
        let events = match &mut self.replica {
            Some(replica) => replica.drain_events(),
            None => return,
        };
        let mut reconcile = false;
        for event in events {
            match event {
                Event::Advanced { space, writer, .. } | Event::Forked { space, writer, .. } => {
                    self.tell_log(space, writer);
                }
                Event::ThinAdvanced { space, writer, len } => {
                    self.tell_sessions(&Input::ThinAdvanced { space, writer, len });
                }
                Event::PartChanged {
                    space,
                    told,
                    revision,
                } => self.part_changed(space, told, revision),
                Event::PartAsks { space } => self.ask_for_parts(space),
                Event::DocsChanged { space, docs, many } => {
                    reconcile |= self.replica.as_ref().and_then(Replica::home) == Some(space);
                    reconcile |= many || docs.iter().any(|doc| doc.collection.starts_with('@'));
                }
                Event::RosterChanged { space } => {
                    self.ask_for_parts(space);
                    reconcile = true;
                }
                Event::SpaceAdded { space } => {
                    reconcile = true;
                    let joined = self
                        .replica
                        .as_ref()
                        .and_then(|replica| membership(replica, space));
                    let thin = self.replica.as_ref().and_then(|it| it.thin_lengths(&space));
                    if let Some(thin) = thin {
                        self.tell_sessions(&Input::Part { space, thin });
                    }
                    if let Some(joined) = joined {
                        self.tell_sessions(&Input::AddSpace(joined));
                    }
                }
                Event::SpaceLeft { space } => self.tell_sessions(&Input::RemoveSpace { space }),
                Event::WriterRetired { .. } => {}
            }
        }
        if reconcile {
            self.act(|replica| replica.reconcile(wall).map(drop));
            if self.replica.as_ref().is_some_and(|_| !self.broken) {
                self.tell_events(now);
            }
        }
    }

    fn tell_log(&mut self, space: SpaceId, writer: WriterId) {
        let Some(replica) = &self.replica else { return };
        let tip = tip(replica, &space, &writer).unwrap_or(Tip::EMPTY);
        if tip.frozen {
            if let Ok(Some(proof)) = replica.fork_proof(&space, &writer) {
                self.tell_sessions(&Input::Frozen {
                    space,
                    writer,
                    tip,
                    proof: proof.into(),
                });
            }
        } else {
            let eager = self.chance.one_in(2);
            self.tell_sessions(&Input::LocalAdvanced {
                space,
                writer,
                tip,
                eager,
            });
        }
    }

    /// The device at the other end of a connection.
    pub(crate) fn remote(&self, connection: ConnectionId) -> Option<DeviceId> {
        self.lines.get(&connection).map(|line| line.remote)
    }

    pub(crate) fn tell_sessions(&mut self, input: &Input) {
        for connection in self.lines.keys() {
            self.inputs.push_back((*connection, input.clone()));
        }
    }

    pub(crate) fn answer(&mut self, connection: ConnectionId, input: Input) {
        self.inputs.push_back((connection, input));
    }

    fn take(&mut self, connection: ConnectionId, output: Output, now: u64) {
        match output {
            Output::Send(frame) => {
                let bytes = [&frame.head[..], &frame.payload[..]].concat();
                self.outbox.push((connection, bytes));
            }
            Output::WakeAt(at) => {
                if let Some(line) = self.lines.get_mut(&connection) {
                    line.wake_at = Some(at);
                }
            }
            Output::Available {
                space,
                writer,
                have,
                remote_len,
            } => {
                let fetch = Input::Fetch {
                    space,
                    writer,
                    from: have,
                    upto: remote_len,
                };
                match self.beginnings.get_mut(&space) {
                    Some((log, _)) if *log != writer => self.waiting.push((connection, fetch)),
                    Some((_, upto)) => {
                        *upto = remote_len.max(*upto);
                        self.answer(connection, fetch);
                    }
                    None => self.answer(connection, fetch),
                }
            }
            Output::Start { space, log } => {
                let is_new = self
                    .replica
                    .as_ref()
                    .is_some_and(|replica| replica.is_new_here(&space));
                if is_new && self.chance.one_in(2) {
                    self.beginnings.insert(space, (log, 0));
                }
            }
            Output::Listed { space } => self.begin_if_here(space, now),
            Output::Unavailable {
                space,
                writer,
                from,
            } => {
                let wall = self.wall(now);
                self.act(|replica| replica.part_behind(&space, &writer, from, wall).map(drop));
                self.behind.insert((space, writer), from);
                self.begin_again(now);
                if self
                    .beginnings
                    .get(&space)
                    .is_some_and(|(log, _)| *log == writer)
                {
                    self.begun(space);
                }
            }
            Output::Batch {
                space,
                writer,
                batch,
                credit,
                ..
            } => {
                self.receive(connection, space, writer, &batch, credit, now);
            }
            Output::Read(request) => {
                let (space, writer, from) = (request.space, request.writer, request.from);
                let read = self.act(|replica| {
                    replica.read_batch(&space, &writer, from, request.upto, request.bytes_max)
                });
                let read = match self.malice.hides(&space, &writer) {
                    true => None,
                    false => read.flatten(),
                };
                let read = read.map(|bytes| self.malice.forge(bytes, &mut self.chance));
                let done = read.and_then(|bytes| {
                    let upto = Batch::decode(&bytes).ok()?.end();
                    Some(Input::ReadDone {
                        space,
                        writer,
                        from,
                        upto,
                        batch: Bytes::from(bytes),
                    })
                });
                self.answer(
                    connection,
                    done.unwrap_or(Input::ReadFailed { space, writer }),
                );
            }
            Output::ReadThin(request) => self.read_thin(connection, &request),
            Output::Thin {
                space,
                writer,
                revision,
                batch,
                credit,
                ..
            } => self.receive_thin(connection, (space, writer), revision, &batch, credit, now),
            Output::GivesParts { space, gives } => self.gives_parts(connection, space, gives),
            Output::Chosen { space, choice, .. } => self.chosen(connection, space, &choice),
            Output::Asked { space, token, ask } => {
                self.asked(connection, space, token, &ask, now);
            }
            Output::Slice { token, slice, .. } => {
                self.sliced(connection, token, slice.as_ref(), now);
            }
            Output::Stirred { space } => {
                self.act(|replica| {
                    replica.part_stirred(&space);
                    Ok(())
                });
                self.ask_for_parts(space);
            }
            Output::Diverged { space, writer, .. } => self.search(connection, space, writer),
            Output::ProbeAsked { space, writer, at } => {
                let reply = self
                    .act(|replica| replica.probe(&space, &writer, at))
                    .unwrap_or_default();
                self.answer(
                    connection,
                    Input::ProbeReply {
                        space,
                        writer,
                        at,
                        reply: reply.into(),
                    },
                );
            }
            Output::ProbeAnswered {
                space,
                writer,
                at,
                reply,
            } => {
                let wall = self.wall(now);
                let Some(replica) = &mut self.replica else {
                    return;
                };
                match replica.probe_answered(&space, &writer, at, &reply, wall) {
                    Ok(next) => self.probe_next(connection, space, writer, next),
                    Err(error) => self.refuse(connection, &error),
                }
            }
            Output::ForkProofWanted { space, writer } => self.tell_log(space, writer),
            Output::ForkProof {
                space,
                writer,
                proof,
            } => {
                let wall = self.wall(now);
                let Some(replica) = &mut self.replica else {
                    return;
                };
                if let Err(error) = replica.accept_fork(&space, &writer, &proof, wall) {
                    self.refuse(connection, &error);
                }
            }
            Output::Closed(_) => {
                self.disconnect(connection);
                self.closed.push(connection);
            }
            Output::PeerClock { .. }
            | Output::Shared { .. }
            | Output::Left { .. }
            | Output::Confirmed { .. }
            | Output::Presence { .. }
            | Output::PresenceLost { .. }
            | Output::RoundTrip { .. } => {}
        }
    }

    fn receive(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        writer: WriterId,
        batch: &[u8],
        credit: u64,
        now: u64,
    ) {
        let wall = self.wall(now);
        if self.malice.is_deaf_to(&space, &writer) {
            self.answer(connection, Input::Stored { credit });
            return;
        }
        let Some(replica) = &mut self.replica else {
            return;
        };
        // Half of the batches are stored now and merged at the next tick, if there is one.
        let received = if self.chance.below(2) == 0 {
            replica.receive(&space, batch, wall)
        } else {
            let prepared = replica.preparer().prepare(space, batch.to_vec());
            let results = replica.store_batches(vec![prepared], wall);
            results
                .into_iter()
                .next()
                .unwrap_or(Err(ReceiveError::NoSuchSpace(space)))
        };
        match received {
            Ok(_) | Err(ReceiveError::NotAdmitted { .. } | ReceiveError::NoSuchSpace(_)) => {
                self.answer(connection, Input::Stored { credit });
                if self.beginnings.get(&space).is_some_and(|it| it.0 == writer) {
                    self.begin_if_here(space, now);
                }
            }
            Err(ReceiveError::Gap { .. }) => self.answer(
                connection,
                Input::Dropped {
                    space,
                    writer,
                    credit,
                },
            ),
            Err(ReceiveError::NotTrusted { .. }) => {
                self.answer(connection, Input::Stored { credit });
            }
            Err(ReceiveError::Contradiction { .. }) => {
                self.answer(connection, Input::Stored { credit });
                self.answer(connection, Input::Conflict { space, writer });
                self.search(connection, space, writer);
            }
            Err(error @ ReceiveError::Misbehaved { .. }) => self.refuse(connection, &error),
            Err(ReceiveError::Replica(error)) => {
                self.failed(&error);
                self.answer(
                    connection,
                    Input::Dropped {
                        space,
                        writer,
                        credit,
                    },
                );
            }
        }
    }

    /// Begins with the checkpoint that a space was waiting for, if all that peers named of it is here.
    fn begin_if_here(&mut self, space: SpaceId, now: u64) {
        let (Some((log, upto)), Some(replica)) = (self.beginnings.get(&space), &self.replica)
        else {
            return;
        };
        let (log, len) = (*log, tip(replica, &space, log).map_or(0, |tip| tip.len));
        if len >= *upto {
            let wall = self.wall(now);
            // One that cannot be used is done without.
            self.act(|replica| match replica.is_new_here(&space) {
                true => replica.begin_from(&space, &log, wall).map(drop),
                false => Ok(()),
            });
            self.begun(space);
        }
    }

    /// Begins again from checkpoints where peers no longer have what comes next.
    fn begin_again(&mut self, now: u64) {
        let wall = self.wall(now);
        for ((space, writer), from) in self.behind.clone() {
            if self.act(|replica| replica.begin_again(&space, &writer, from, wall)) == Some(true) {
                self.behind.retain(|(of, _), _| *of != space);
            }
        }
    }

    /// A space began, or does without a checkpoint: its logs are fetched from where they stand.
    fn begun(&mut self, space: SpaceId) {
        self.beginnings.remove(&space);
        for (connection, input) in std::mem::take(&mut self.waiting) {
            let Input::Fetch {
                space,
                writer,
                upto,
                ..
            } = input
            else {
                continue;
            };
            let replica = self.replica.as_ref();
            let held = replica.and_then(|replica| tip(replica, &space, &writer));
            let from = held.map_or(0, |tip| tip.len);
            if from < upto {
                let fetch = Input::Fetch {
                    space,
                    writer,
                    from,
                    upto,
                };
                self.answer(connection, fetch);
            }
        }
    }

    fn search(&mut self, connection: ConnectionId, space: SpaceId, writer: WriterId) {
        if let Some(next) = self.act(|replica| replica.fork_search(&space, &writer)) {
            self.probe_next(connection, space, writer, next);
        }
    }

    fn probe_next(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        writer: WriterId,
        next: ProbeNext,
    ) {
        if let ProbeNext::Ask(at) = next {
            self.answer(connection, Input::Probe { space, writer, at });
        }
    }

    pub(crate) fn refuse(&mut self, connection: ConnectionId, error: &ReceiveError) {
        if let ReceiveError::Replica(error) = error {
            self.failed(error);
        }
        let text = error.to_string();
        self.answer(
            connection,
            Input::Close {
                code: GoodbyeCode::Refused,
                text,
            },
        );
    }
}

pub(crate) fn membership(replica: &Replica, space: SpaceId) -> Option<SpaceMembership> {
    let frontier = replica.frontier(&space).ok()?;
    let tips = frontier
        .into_iter()
        .map(|item| {
            (
                item.writer,
                Tip {
                    len: item.len,
                    root: item.root,
                    frozen: item.frozen,
                },
            )
        })
        .collect();
    Some(SpaceMembership {
        space,
        secret: Zeroizing::new(replica.membership_secret(&space)?),
        tips,
    })
}

fn tip(replica: &Replica, space: &SpaceId, writer: &WriterId) -> Option<Tip> {
    let frontier = replica.frontier(space).ok()?;
    let item = frontier.into_iter().find(|item| item.writer == *writer)?;
    Some(Tip {
        len: item.len,
        root: item.root,
        frozen: item.frozen,
    })
}
