//! A small network in one thread: devices with model logs, and links that hold frames until the
//! test lets them through.

use super::model::{Applied, Log, apply};
use crate::frame::FrameReader;
use crate::io::{CloseReason, Input, Output, ReadRequest};
use crate::limits::WINDOW_BYTES_MAX;
use crate::message::Message;
use crate::{Opening, PeerMisbehaved, Role, Session, SpaceMembership};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use stead_base::{DeviceId, Encoder, SpaceId, WriterId};
use stead_crypt::Zeroizing;
use stead_crypt::hash::derive;

pub(super) fn space(n: u8) -> SpaceId {
    SpaceId::from_bytes([n; 32])
}

pub(super) fn writer(n: u16) -> WriterId {
    WriterId::from_bytes(derive("test writer", &n.to_le_bytes()))
}

pub(super) fn secret(space: SpaceId) -> [u8; 32] {
    derive("test secret", space.as_bytes())
}

pub(super) fn device(n: usize) -> DeviceId {
    DeviceId::from_bytes([n as u8 + 1; 32])
}

/// Small deterministic randomness.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

#[derive(Default)]
pub(super) struct Device {
    pub(super) spaces: BTreeMap<SpaceId, BTreeMap<WriterId, Log>>,
    /// What sessions told, by link.
    pub(super) events: Vec<(usize, Output)>,
    /// So many of the next batches are dropped.
    pub(super) drops: usize,
    /// Reads wait here while the store is slow.
    pub(super) slow_reads: Option<VecDeque<(usize, usize, ReadRequest)>>,
    /// Batches wait here while the store is slow.
    pub(super) slow_store: Option<VecDeque<(usize, u64)>>,
}

/// One direction of a link.
#[derive(Default)]
pub(super) struct Way {
    pub(super) frames: VecDeque<Bytes>,
    reader: FrameReader,
    long: bool,
    /// The number of the space whose digest went out last.
    pub(super) space_number: Option<u64>,
    /// Ranges of the batches sent.
    pub(super) batches: Vec<(u64, u64)>,
    pub(super) wire_bytes: usize,
}

pub(super) struct Link {
    /// Dialer, listener.
    pub(super) ends: [usize; 2],
    pub(super) sessions: [Session; 2],
    /// Frames on their way from the dialer, from the listener.
    pub(super) ways: [Way; 2],
}

pub(super) struct Net {
    pub(super) devices: Vec<Device>,
    pub(super) links: BTreeMap<usize, Link>,
    pub(super) now_ms: u64,
    pub(super) auto_fetch: bool,
    pub(super) window_bytes: u64,
    /// Bytes on their way above which a driver calls its queue long.
    pub(super) queue_bytes: usize,
    /// Batches that are no model batches are thrown away.
    pub(super) lenient_store: bool,
    next_link: usize,
}

impl Net {
    pub(super) fn new(devices: usize) -> Self {
        Self {
            devices: (0..devices).map(|_| Device::default()).collect(),
            links: BTreeMap::new(),
            now_ms: 1_000,
            auto_fetch: true,
            window_bytes: WINDOW_BYTES_MAX,
            queue_bytes: usize::MAX,
            lenient_store: false,
            next_link: 0,
        }
    }

    pub(super) fn memberships(&self, device: usize) -> Vec<SpaceMembership> {
        let spaces = self.devices[device].spaces.iter();
        spaces
            .map(|(space, logs)| SpaceMembership {
                space: *space,
                secret: Zeroizing::new(secret(*space)),
                tips: logs.iter().map(|(w, log)| (*w, log.tip())).collect(),
            })
            .collect()
    }

    pub(super) fn opening(&self, role: Role, local: usize, remote: usize, n: usize) -> Opening {
        Opening {
            role,
            local: device(local),
            remote: device(remote),
            channel_binding: derive("test channel", &n.to_le_bytes()),
            seed: derive("test seed", &[n.to_le_bytes(), [role as u8; 8]].concat()),
            wall_ms: 1_700_000_000_000,
            window_bytes: self.window_bytes,
            auto_fetch: self.auto_fetch,
        }
    }

    pub(super) fn connect(&mut self, dialer: usize, listener: usize) -> usize {
        let link = self.next_link;
        self.next_link += 1;
        let session = |role, local, remote| {
            let opening = self.opening(role, local, remote, link);
            Session::new(opening, self.memberships(local), self.now_ms)
        };
        let sessions = [
            session(Role::Dialer, dialer, listener),
            session(Role::Listener, listener, dialer),
        ];
        let ends = [dialer, listener];
        let ways = Default::default();
        self.links.insert(
            link,
            Link {
                ends,
                sessions,
                ways,
            },
        );
        self.drain(link, 0);
        self.drain(link, 1);
        link
    }

    pub(super) fn cut(&mut self, link: usize) {
        self.links.remove(&link);
    }

    pub(super) fn join(&mut self, device: usize, space: SpaceId) {
        self.devices[device].spaces.entry(space).or_default();
        let membership = self
            .memberships(device)
            .into_iter()
            .find(|membership| membership.space == space)
            .unwrap();
        self.tell(device, Input::AddSpace(membership));
    }

    pub(super) fn leave(&mut self, device: usize, space: SpaceId) {
        self.devices[device].spaces.remove(&space);
        self.tell(device, Input::RemoveSpace { space });
    }

    /// Writes entries on a device, as its own.
    pub(super) fn write(
        &mut self,
        device: usize,
        space: SpaceId,
        writer: WriterId,
        entries: &[&[u8]],
    ) {
        let log = self.devices[device]
            .spaces
            .entry(space)
            .or_default()
            .entry(writer)
            .or_default();
        for entry in entries {
            log.push(Bytes::copy_from_slice(entry));
        }
        let tip = log.tip();
        self.tell(
            device,
            Input::LocalAdvanced {
                space,
                writer,
                tip,
                eager: true,
            },
        );
    }

    /// Tells all sessions of a device.
    pub(super) fn tell(&mut self, device: usize, input: Input) {
        let ends: Vec<(usize, usize)> = self
            .links
            .iter()
            .flat_map(|(link, l)| [(*link, 0), (*link, 1)].map(|end| (end, l.ends[end.1])))
            .filter(|(_, of)| *of == device)
            .map(|(end, _)| end)
            .collect();
        for (link, side) in ends {
            self.input(link, side, input.clone());
        }
    }

    pub(super) fn input(&mut self, link: usize, side: usize, input: Input) {
        self.try_input(link, side, input).unwrap();
    }

    pub(super) fn try_input(
        &mut self,
        link: usize,
        side: usize,
        input: Input,
    ) -> Result<(), PeerMisbehaved> {
        let Some(l) = self.links.get_mut(&link) else {
            return Ok(());
        };
        l.sessions[side].handle(input, self.now_ms)?;
        self.drain(link, side);
        self.assert_nothing_undone(link, side);
        Ok(())
    }

    /// After its outputs are drained a session waits for something: a tick alone brings no frame.
    fn assert_nothing_undone(&mut self, link: usize, side: usize) {
        let Some(l) = self.links.get_mut(&link) else {
            return;
        };
        l.sessions[side].handle(Input::Tick, self.now_ms).unwrap();
        while let Some(output) = l.sessions[side].poll_output() {
            assert!(
                matches!(output, Output::WakeAt(_)),
                "left undone: {output:?}"
            );
        }
    }

    fn drain(&mut self, link: usize, side: usize) {
        while let Some(l) = self.links.get_mut(&link)
            && let Some(output) = l.sessions[side].poll_output()
        {
            let device = l.ends[side];
            match output {
                Output::Send(frame) => {
                    l.ways[side].send(&frame.to_vec());
                    self.report_queue(link, side);
                }
                Output::Read(read) => self.read(link, side, device, read),
                Output::Batch {
                    space,
                    writer,
                    from,
                    batch,
                    credit,
                    ..
                } => self.store(link, side, device, (space, writer), from, &batch, credit),
                Output::WakeAt(_) => {}
                output => {
                    if let Output::Available {
                        space,
                        writer,
                        have,
                        remote_len,
                    } = output
                    {
                        self.input(
                            link,
                            side,
                            Input::Fetch {
                                space,
                                writer,
                                from: have,
                                upto: remote_len,
                            },
                        );
                    }
                    self.devices[device].events.push((link, output));
                }
            }
        }
    }

    /// A batch that continues a device's log with one entry of about `bytes`.
    pub(super) fn model_batch(
        &self,
        device: usize,
        space: SpaceId,
        writer: WriterId,
        bytes: usize,
    ) -> Bytes {
        let log = &self.devices[device].spaces[&space][&writer];
        let mut out = Encoder::new();
        out.raw(log.tip().root.as_bytes());
        out.bytes(&vec![0; bytes - 36]);
        out.finish().into()
    }

    fn report_queue(&mut self, link: usize, side: usize) {
        let Some(l) = self.links.get_mut(&link) else {
            return;
        };
        let queued: usize = l.ways[side].frames.iter().map(Bytes::len).sum();
        let long = queued > self.queue_bytes;
        if long != l.ways[side].long {
            l.ways[side].long = long;
            self.input(link, side, Input::Congested(long));
        }
    }

    /// Answers the oldest read that waits. Returns whether there was one.
    pub(super) fn answer_read(&mut self, device: usize) -> bool {
        let reads = self.devices[device].slow_reads.as_mut();
        let Some((link, side, read)) = reads.and_then(VecDeque::pop_front) else {
            return false;
        };
        if self.links.contains_key(&link) {
            self.answer(link, side, device, &read);
        }
        true
    }

    fn read(&mut self, link: usize, side: usize, device: usize, read: ReadRequest) {
        match &mut self.devices[device].slow_reads {
            Some(waiting) => waiting.push_back((link, side, read)),
            None => self.answer(link, side, device, &read),
        }
    }

    fn answer(&mut self, link: usize, side: usize, device: usize, read: &ReadRequest) {
        let (space, writer) = (read.space, read.writer);
        let log = self.devices[device]
            .spaces
            .get(&space)
            .and_then(|logs| logs.get(&writer));
        let input = match log.and_then(|log| log.batch(read)) {
            Some((upto, batch)) => Input::ReadDone {
                space,
                writer,
                from: read.from,
                upto,
                batch,
            },
            None => Input::ReadFailed { space, writer },
        };
        self.input(link, side, input);
    }

    #[allow(clippy::too_many_arguments)]
    fn store(
        &mut self,
        link: usize,
        side: usize,
        device: usize,
        (space, writer): (SpaceId, WriterId),
        from: u64,
        batch: &[u8],
        credit: u64,
    ) {
        if self.devices[device].drops > 0 {
            self.devices[device].drops -= 1;
            let dropped = Input::Dropped {
                space,
                writer,
                credit,
            };
            return self.input(link, side, dropped);
        }
        let Some(logs) = self.devices[device].spaces.get_mut(&space) else {
            return self.input(link, side, Input::Stored { credit });
        };
        let log = logs.entry(writer).or_default();
        let applied = match apply(log, from, batch) {
            Err(_) if self.lenient_store => Applied::Nothing,
            applied => applied.unwrap(),
        };
        let tip = log.tip();
        match applied {
            Applied::Grew => self.tell(
                device,
                Input::LocalAdvanced {
                    space,
                    writer,
                    tip,
                    eager: false,
                },
            ),
            Applied::Contradicts => self.input(link, side, Input::Conflict { space, writer }),
            Applied::Nothing => {}
        }
        match &mut self.devices[device].slow_store {
            Some(waiting) => waiting.push_back((link, credit)),
            None => self.input(link, side, Input::Stored { credit }),
        }
    }

    /// Lets one frame through. Returns whether there was one.
    pub(super) fn deliver(&mut self, link: usize, from_side: usize) -> bool {
        self.try_deliver(link, from_side).unwrap()
    }

    pub(super) fn try_deliver(
        &mut self,
        link: usize,
        from_side: usize,
    ) -> Result<bool, PeerMisbehaved> {
        let Some(l) = self.links.get_mut(&link) else {
            return Ok(false);
        };
        let Some(frame) = l.ways[from_side].frames.pop_front() else {
            return Ok(false);
        };
        self.report_queue(link, from_side);
        self.try_input(link, 1 - from_side, Input::Frame(frame))?;
        Ok(true)
    }

    /// Lets frames through in random order of links until none is left.
    pub(super) fn settle(&mut self, dice: &mut Dice) {
        for _ in 0..2_000_000 {
            let busy: Vec<(usize, usize)> = self
                .links
                .iter()
                .flat_map(|(link, l)| {
                    (0..2)
                        .filter(|side| !l.ways[*side].frames.is_empty())
                        .map(|side| (*link, side))
                })
                .collect();
            if busy.is_empty() {
                return;
            }
            let (link, side) = busy[dice.below(busy.len())];
            self.deliver(link, side);
        }
        panic!("the network does not come to rest");
    }

    /// Lets time pass, with ticks.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        let links: Vec<usize> = self.links.keys().copied().collect();
        for link in links {
            self.input(link, 0, Input::Tick);
            self.input(link, 1, Input::Tick);
        }
    }

    pub(super) fn assert_equal(&self, devices: &[usize]) {
        for pair in devices.windows(2) {
            let (left, right) = (&self.devices[pair[0]], &self.devices[pair[1]]);
            for (space, logs) in &left.spaces {
                if let Some(others) = right.spaces.get(space) {
                    assert_eq!(logs, others, "{space} on {pair:?}");
                }
            }
        }
    }

    pub(super) fn events(&self, device: usize, link: usize) -> Vec<&Output> {
        self.devices[device]
            .events
            .iter()
            .filter(|(of, _)| *of == link)
            .map(|(_, output)| output)
            .collect()
    }

    pub(super) fn closed(&self, link: usize, side: usize) -> Option<&CloseReason> {
        self.links[&link].sessions[side].closed()
    }
}

impl Way {
    fn send(&mut self, wire: &[u8]) {
        self.wire_bytes += wire.len();
        self.reader.push(Bytes::copy_from_slice(wire));
        while let Some(frame) = self.reader.next_frame().unwrap() {
            match Message::decode(&frame).unwrap() {
                Message::Batch { from, count, .. } => self.batches.push((from, from + count)),
                Message::Digest { space, .. } => self.space_number = Some(space),
                _ => {}
            }
            self.frames.push_back(frame);
        }
    }

    /// The frames on their way, read.
    pub(super) fn messages(&self) -> Vec<Message> {
        let frames = self.frames.iter();
        frames.map(|f| Message::decode(f).unwrap()).collect()
    }
}
