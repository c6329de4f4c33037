//! A device that keeps a part of a space, and one that gives slices to it: what the node's desk does.

use std::collections::BTreeMap;

use bytes::Bytes;
use stead_base::{SpaceId, WriterId};
use stead_log::ThinBatch;
use stead_replica::{Ask, Choose, Filled, Follower, ReceiveError};
use stead_sync::{Input, ReadRequest};

use crate::connection::ConnectionId;
use crate::node::Node;

/// What is on its way of parts of spaces.
#[derive(Default)]
pub(crate) struct Parts {
    givers: Vec<(ConnectionId, SpaceId)>,
    asked: BTreeMap<u64, (SpaceId, ConnectionId, Ask)>,
    tokens: u64,
    followers: BTreeMap<(ConnectionId, SpaceId), Follower>,
}

impl Parts {
    pub(crate) fn leave(&mut self, connection: ConnectionId) {
        self.givers.retain(|(of, _)| *of != connection);
        self.asked.retain(|_, (_, of, _)| *of != connection);
        self.followers.retain(|(of, _), _| *of != connection);
    }

    fn part_with(&mut self, space: SpaceId) {
        self.givers.retain(|(_, of)| *of != space);
        self.asked.retain(|_, (of, _, _)| *of != space);
        self.followers.retain(|(_, of), _| *of != space);
    }
}

impl Node {
    /// A peer understands parts: it is told the choice.
    pub(crate) fn gives_parts(&mut self, connection: ConnectionId, space: SpaceId, gives: bool) {
        let Some(replica) = self.replica.as_ref().filter(|_| gives) else {
            return;
        };
        let told = replica.told_choice(&space);
        let revision = replica.part_revision(&space).unwrap_or(0);
        let last = told.len().saturating_sub(1);
        self.parts.givers.push((connection, space));
        for (at, choose) in told.into_iter().enumerate() {
            self.answer(
                connection,
                Input::Choose {
                    space,
                    revision: if at == last { revision } else { 0 },
                    choice: choose.encode().into(),
                },
            );
        }
        self.ask_for_parts(space);
    }

    /// What is kept of a space is another part.
    pub(crate) fn part_changed(&mut self, space: SpaceId, told: Option<Choose>, revision: u64) {
        let Some(replica) = &self.replica else { return };
        match told {
            Some(choose) => {
                let choice: Bytes = choose.encode().into();
                for (connection, of) in self.parts.givers.clone() {
                    if of == space {
                        let choice = choice.clone();
                        self.answer(
                            connection,
                            Input::Choose {
                                space,
                                revision,
                                choice,
                            },
                        );
                    }
                }
            }
            None => {
                let thin = replica.thin_lengths(&space);
                let membership = crate::node::membership(replica, space);
                self.parts.part_with(space);
                self.tell_sessions(&Input::RemoveSpace { space });
                if let Some(thin) = thin {
                    self.tell_sessions(&Input::Part { space, thin });
                }
                if let Some(membership) = membership {
                    self.tell_sessions(&Input::AddSpace(membership));
                }
            }
        }
        self.ask_for_parts(space);
    }

    /// Asks who is connected for what is to be filled.
    pub(crate) fn ask_for_parts(&mut self, space: SpaceId) {
        let Some(replica) = &self.replica else { return };
        let mut asks = Vec::new();
        for ask in replica.part_asks(&space) {
            let known = self.parts.asked.values();
            if known.filter(|it| it.0 == space).any(|it| it.2 == ask) {
                continue;
            }
            let fit = self.parts.givers.iter().filter(|(connection, of)| {
                let peer = self.remote(*connection);
                *of == space && peer.is_some_and(|peer| replica.may_ask(&space, &peer, &ask))
            });
            let fit: Vec<ConnectionId> = fit.map(|(connection, _)| *connection).collect();
            if !fit.is_empty() {
                asks.push((ask, fit));
            }
        }
        for (ask, fit) in asks {
            let connection = fit[self.chance.below(fit.len() as u64) as usize];
            self.parts.tokens += 1;
            let token = self.parts.tokens;
            let encoded = ask.encode().into();
            self.parts.asked.insert(token, (space, connection, ask));
            self.answer(
                connection,
                Input::Ask {
                    space,
                    token,
                    ask: encoded,
                },
            );
        }
    }

    /// Tries again what could not be used, and what waited for the logs.
    pub(crate) fn tend_parts(&mut self, now: u64) {
        let wall = self.wall(now);
        let spaces = self
            .replica
            .as_ref()
            .map(|it| it.space_ids())
            .unwrap_or_default();
        for space in spaces {
            if self.replica.as_ref().is_some_and(|it| it.is_part(&space)) {
                if self.parts.givers.iter().any(|(_, of)| *of == space) {
                    self.act(|replica| replica.logs_have_come(&space, wall).map(drop));
                }
                self.act(|replica| replica.take_parked(&space, wall).map(drop));
                self.act(|replica| {
                    replica.part_stirred(&space);
                    Ok(())
                });
                self.ask_for_parts(space);
            }
        }
    }

    pub(crate) fn sliced(
        &mut self,
        connection: ConnectionId,
        token: u64,
        slice: Option<&Bytes>,
        now: u64,
    ) {
        let wall = self.wall(now);
        let Some((space, _, ask)) = self.parts.asked.remove(&token) else {
            return;
        };
        let (Some(peer), Some(bytes)) = (self.remote(connection), slice) else {
            return;
        };
        let Some(replica) = &mut self.replica else {
            return;
        };
        match replica.take_slice(&space, &peer, &ask, bytes, wall) {
            Ok(Filled::Taken | Filled::Parked) => self.ask_for_parts(space),
            // Asked again at the next tick.
            Ok(Filled::Again) => {}
            Err(error) => self.refuse(connection, &error),
        }
    }

    pub(crate) fn chosen(&mut self, connection: ConnectionId, space: SpaceId, choice: &Bytes) {
        if let Ok(choose) = Choose::decode(choice) {
            let follower = self.parts.followers.entry((connection, space));
            follower.or_default().choose(choose);
        }
    }

    pub(crate) fn asked(
        &mut self,
        connection: ConnectionId,
        space: SpaceId,
        token: u64,
        ask: &Bytes,
        now: u64,
    ) {
        let wall = self.wall(now);
        let follower = self.parts.followers.get(&(connection, space)).cloned();
        let slice = match (Ask::decode(ask), self.remote(connection)) {
            (Ok(ask), Some(peer)) => self.act(|replica| {
                replica.slice(&space, &peer, &follower.unwrap_or_default(), &ask, wall)
            }),
            _ => None,
        };
        let slice = slice.flatten().map(Bytes::from);
        self.answer(
            connection,
            Input::Sliced {
                space,
                token,
                slice,
            },
        );
    }

    pub(crate) fn read_thin(&mut self, connection: ConnectionId, request: &ReadRequest) {
        let (space, writer, from) = (request.space, request.writer, request.from);
        let follower = self.parts.followers.get(&(connection, space)).cloned();
        let read = follower.and_then(|follower| {
            self.act(|replica| {
                let range = (from, request.upto);
                replica.read_thin(&space, &writer, range, request.bytes_max, &follower)
            })
        });
        let done = read.flatten().and_then(|bytes| {
            let upto = ThinBatch::decode(&bytes).ok()?.len;
            Some(Input::ReadDone {
                space,
                writer,
                from,
                upto,
                batch: bytes.into(),
            })
        });
        let failed = Input::ReadFailed { space, writer };
        self.answer(connection, done.unwrap_or(failed));
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one frame")]
    pub(crate) fn receive_thin(
        &mut self,
        connection: ConnectionId,
        (space, writer): (SpaceId, WriterId),
        revision: u64,
        batch: &[u8],
        credit: u64,
        now: u64,
    ) {
        let wall = self.wall(now);
        let Some(peer) = self.remote(connection) else {
            return;
        };
        let Some(replica) = &mut self.replica else {
            return;
        };
        match replica.receive_thin(&space, batch, revision, &peer, wall) {
            Ok(_)
            | Err(
                ReceiveError::NotAdmitted { .. }
                | ReceiveError::NoSuchSpace(_)
                | ReceiveError::Contradiction { .. },
            ) => self.answer(connection, Input::Stored { credit }),
            // Whoever leaves out what only others may leave out is not asked again.
            Err(ReceiveError::NotTrusted { .. }) => {
                self.answer(connection, Input::Stored { credit });
            }
            Err(ReceiveError::Gap { .. }) => self.answer(
                connection,
                Input::Dropped {
                    space,
                    writer,
                    credit,
                },
            ),
            Err(error) => self.refuse(connection, &error),
        }
        self.act(|replica| replica.take_parked(&space, wall).map(drop));
    }
}
