//! Guardians: contacts who hold sealed shares of the recovery secret, and the letters by which shares travel.
//!
//! Owns what letters say, who is believed, and two home collections: this person's guardians, and the shares
//! that this person holds for others. The sharing itself is `stead_crypt::shares`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stead_access::{
    DeviceRecord, IdentityId, KeyBox, KeyPlace, LETTER_BOXES_MAX, RosterOp, decode_ops,
    open_letter, seal_letter,
};
use stead_base::limits::NAME_BYTES_MAX;
use stead_base::{DecodeError, DecodeFault, Decoder, DeviceId, DocId, Encoder, SpaceId, WriterId};
use stead_crypt::shares::{SHARE_BYTES_MAX, SHARES_MAX, SetId, Share, THRESHOLD_MIN, split};
use stead_crypt::{RecoveryPhrase, Zeroizing};

use crate::identity::{hex, unhex};
use crate::writing::Writing;
use crate::{Change, Edit, Replica, ReplicaError};

/// Home collection of this person's guardians, by their identity.
pub const GUARDIANS: &str = "@guardians";
/// Home collection of the shares held for others, by their identity.
pub const HELD: &str = "@held";

/// Somebody who was handed a share of this person's recovery secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guardian {
    /// Who.
    pub identity: IdentityId,
    /// Which share, from 1.
    pub index: u8,
    /// When their devices said that they keep it, Unix time in ms.
    pub held_ms: Option<u64>,
    /// When they last released it, and to which device.
    pub released: Option<(u64, String)>,
}

/// This person's guardians.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guardians {
    /// How many of them bring the secret back.
    pub threshold: u8,
    /// When the shares were made, Unix time in ms.
    pub made_ms: u64,
    /// By share.
    pub guardians: Vec<Guardian>,
}

/// A share that this person holds for somebody.
#[derive(Debug, Clone)]
pub struct HeldShare {
    /// For whom.
    pub owner: IdentityId,
    /// The share.
    pub share: Share,
    /// Since when, Unix time in ms, by the owner's clock.
    pub made_ms: u64,
}

/// What is said between an owner and a guardian. `docs/protocol/recover.md` has the bytes.
#[derive(Debug, Clone)]
pub enum Letter {
    /// Keep this share of mine.
    Keep {
        /// The owner.
        owner: IdentityId,
        /// The greater counts.
        made_ms: u64,
        /// The share.
        share: Share,
    },
    /// I keep your share.
    Kept {
        /// The owner.
        owner: IdentityId,
        /// Of which sharing.
        set: SetId,
    },
    /// Erase your share of mine, unless it is newer.
    Erase {
        /// The owner.
        owner: IdentityId,
        /// When this was said.
        made_ms: u64,
    },
    /// I released your share.
    Released {
        /// The owner.
        owner: IdentityId,
        /// Of which sharing.
        set: SetId,
        /// When.
        at_ms: u64,
        /// To which device.
        device: DeviceId,
    },
}

impl Letter {
    /// The letter's bytes, before sealing. They may hold a share.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Encoder::over(Vec::with_capacity(SHARE_BYTES_MAX + 64));
        match self {
            Self::Keep {
                owner,
                made_ms,
                share,
            } => {
                out.byte(0).raw(owner.as_bytes()).uint(*made_ms);
                out.bytes(&share.encode());
            }
            Self::Kept { owner, set } => {
                out.byte(1).raw(owner.as_bytes()).raw(set.as_bytes());
            }
            Self::Erase { owner, made_ms } => {
                out.byte(2).raw(owner.as_bytes()).uint(*made_ms);
            }
            Self::Released {
                owner,
                set,
                at_ms,
                device,
            } => {
                out.byte(3).raw(owner.as_bytes()).raw(set.as_bytes());
                out.uint(*at_ms).raw(device.as_bytes());
            }
        }
        Zeroizing::new(out.finish())
    }

    /// Reads an opened letter.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let undefined = input.error("letter", DecodeFault::Undefined);
        let kind = input.byte("letter")?;
        let owner = IdentityId::from_bytes(input.array("owner of a share")?);
        let letter = match kind {
            0 => {
                let made_ms = input.uint("time of a letter")?;
                let share = input.bytes(SHARE_BYTES_MAX, "share")?;
                Self::Keep {
                    owner,
                    made_ms,
                    share: Share::decode(share).map_err(|_| undefined)?,
                }
            }
            1 => Self::Kept {
                owner,
                set: SetId::from_bytes(input.array("sharing")?),
            },
            2 => Self::Erase {
                owner,
                made_ms: input.uint("time of a letter")?,
            },
            3 => Self::Released {
                owner,
                set: SetId::from_bytes(input.array("sharing")?),
                at_ms: input.uint("time of a letter")?,
                device: DeviceId::from_bytes(input.array("device")?),
            },
            _ => return Err(undefined),
        };
        input.finish("letter")?;
        Ok(letter)
    }
}

/// A share on its way to the device that collects them.
#[derive(Debug, Clone)]
pub struct ReleasedShare {
    /// Whose secret it is of.
    pub owner: IdentityId,
    /// Who held it.
    pub guardian: IdentityId,
    /// What the guardian's device calls itself.
    pub name: String,
    /// The share.
    pub share: Share,
}

impl ReleasedShare {
    /// The bytes before sealing. They hold the share.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let room = SHARE_BYTES_MAX + NAME_BYTES_MAX + 80;
        let mut out = Encoder::over(Vec::with_capacity(room));
        out.raw(self.owner.as_bytes())
            .raw(self.guardian.as_bytes())
            .text(&self.name)
            .bytes(&self.share.encode());
        Zeroizing::new(out.finish())
    }

    /// Reads what was opened. A share that does not fit its own commitment is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let owner = IdentityId::from_bytes(input.array("owner of a share")?);
        let guardian = IdentityId::from_bytes(input.array("guardian")?);
        let name = input.text(NAME_BYTES_MAX, "guardian's name")?;
        let name = name.replace(char::is_control, " ");
        let undefined = input.error("share", DecodeFault::Undefined);
        let share = input.bytes(SHARE_BYTES_MAX, "share")?;
        let share = Share::decode(share).map_err(|_| undefined)?;
        input.finish("released share")?;
        Ok(Self {
            owner,
            guardian,
            name,
            share,
        })
    }
}

/// What a set of shares given for one person comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// More are needed: how many good ones there are, and of how many.
    Need {
        /// Different shares of the sharing to which most belong.
        have: usize,
        /// How many bring the secret back.
        need: usize,
    },
    /// They bring a secret back that is not the owner's: whoever made them up lied.
    Forged,
    /// The secret is back.
    Back,
}

/// Puts shares together for the identity that their holders named. Also returns the places of those
/// that do not belong to the sharing of most: older ones, or made up.
pub fn put_together(given: &[ReleasedShare]) -> (Collected, Vec<usize>, Option<RecoveryPhrase>) {
    let key = |given: &ReleasedShare| (given.owner, given.share.set());
    let different = |of: (IdentityId, SetId)| {
        let same = given.iter().filter(|other| key(other) == of);
        let indices: BTreeSet<u8> = same.map(|other| other.share.index()).collect();
        indices.len()
    };
    // Of equals the earliest.
    let most = given.iter().rev().map(key).max_by_key(|of| different(*of));
    let Some(most) = most else {
        let need = THRESHOLD_MIN;
        return (Collected::Need { have: 0, need }, Vec::new(), None);
    };
    let strays = (0..given.len()).filter(|i| key(&given[*i]) != most);
    let strays: Vec<usize> = strays.collect();
    let good: Vec<Share> = given
        .iter()
        .filter(|given| key(given) == most)
        .map(|given| given.share.clone())
        .collect();
    let need = good
        .first()
        .map_or(THRESHOLD_MIN, |share| share.threshold().into());
    let have = different(most);
    let Ok(secret) = stead_crypt::shares::combine(Some(&most.1), &good) else {
        return (Collected::Need { have, need }, strays, None);
    };
    let phrase = RecoveryPhrase::from_entropy(&secret);
    match phrase.root().public() == *most.0.as_bytes() {
        true => (Collected::Back, strays, Some(phrase)),
        false => (Collected::Forged, strays, None),
    }
}

impl Replica {
    /// This person's guardians.
    pub fn guardians(&self) -> Result<Guardians, ReplicaError> {
        let docs = self.home_documents(GUARDIANS)?;
        let made_ms = |doc: &Value| doc["made_ms"].as_u64();
        // An older device may have written an older set beside the newest.
        let latest = docs.iter().filter_map(|(_, doc)| made_ms(doc)).max();
        let mut found = Guardians {
            made_ms: latest.unwrap_or_default(),
            ..Guardians::default()
        };
        for (id, doc) in &docs {
            let (Ok(identity), true) = (id.parse(), made_ms(doc) == latest) else {
                continue;
            };
            let (Some(index), Some(set)) = (doc["index"].as_u64(), doc["set"].as_str()) else {
                continue;
            };
            found.threshold = doc["threshold"].as_u64().unwrap_or_default() as u8;
            let of_this = |field: &str| doc[field]["set"].as_str() == Some(set);
            let released = of_this("released").then(|| {
                let released = &doc["released"];
                let device = released["device"].as_str().unwrap_or_default();
                Some((released["at_ms"].as_u64()?, device.to_owned()))
            });
            found.guardians.push(Guardian {
                identity,
                index: index as u8,
                held_ms: of_this("kept")
                    .then(|| doc["kept"]["at_ms"].as_u64())
                    .flatten(),
                released: released.flatten(),
            });
        }
        found.guardians.sort_by_key(|guardian| guardian.index);
        Ok(found)
    }

    /// The shares that this person holds for others.
    pub fn held_shares(&self) -> Result<Vec<HeldShare>, ReplicaError> {
        let docs = self.home_documents(HELD)?.into_iter();
        let held = docs.filter_map(|(id, doc)| {
            let bytes = Zeroizing::new(unhex(doc["share"].as_str()?)?);
            Some(HeldShare {
                owner: id.parse().ok()?,
                share: Share::decode(&bytes).ok()?,
                made_ms: doc["made_ms"].as_u64()?,
            })
        });
        Ok(held.collect())
    }

    /// Shares the recovery secret out among contacts, so that any `threshold` of them bring it back; with no
    /// contacts, takes all shares back. Shares made before do not mix with these, and honest guardians erase theirs.
    pub fn set_guardians(
        &mut self,
        phrase: &RecoveryPhrase,
        threshold: usize,
        contacts: &[IdentityId],
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        let refuse = |text: String| Err(ReplicaError::Refused(text));
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        let owner = self.identity().ok_or(ReplicaError::NoHome)?;
        if phrase.root().public() != *owner.as_bytes() {
            return refuse("those are not the recovery words of this identity".to_owned());
        }
        let different: BTreeSet<&IdentityId> = contacts.iter().collect();
        if different.len() != contacts.len() || different.contains(&owner) {
            return refuse("guardians are different people, and not yourself".to_owned());
        }
        if !contacts.is_empty() && !(THRESHOLD_MIN..=contacts.len()).contains(&threshold) {
            return refuse(format!(
                "{threshold} of {} cannot be needed: it takes at least {THRESHOLD_MIN}, and at most all",
                contacts.len()
            ));
        }
        if contacts.len() > SHARES_MAX {
            return refuse(format!("more than {SHARES_MAX} guardians are too many"));
        }
        let before = self.guardians()?;
        let made_ms = now_ms.max(before.made_ms + 1);
        let shares = match contacts.is_empty() {
            true => Vec::new(),
            false => split(
                phrase.expose_entropy(),
                threshold,
                contacts.len(),
                &mut *self.entropy,
            )
            .map_err(|error| ReplicaError::Refused(error.to_string()))?,
        };
        let mut letters = Vec::new();
        let mut edits = Vec::new();
        for (contact, share) in contacts.iter().zip(shares) {
            let route = self.route(contact).ok_or_else(|| {
                ReplicaError::Refused(format!(
                    "you share no space with {}, so a share has no way to them: share one first",
                    self.called(contact)
                ))
            })?;
            edits.push((
                contact.to_string(),
                json!({
                    "set": hex(share.set().as_bytes()),
                    "index": share.index(),
                    "threshold": threshold,
                    "made_ms": made_ms,
                }),
            ));
            letters.push((
                route,
                Letter::Keep {
                    owner,
                    made_ms,
                    share,
                },
            ));
        }
        for gone in &before.guardians {
            if contacts.contains(&gone.identity) {
                continue;
            }
            // One who is out of reach keeps an old share; that is told where guardians are set.
            if let Some(route) = self.route(&gone.identity) {
                letters.push((route, Letter::Erase { owner, made_ms }));
            }
            let id = gone.identity.to_string();
            edits.push((id, json!({ "made_ms": 0, "index": null })));
        }
        self.write(now_ms, |writing| {
            for (id, value) in &edits {
                writing.put_home_doc(&home, GUARDIANS, id, value.clone())?;
            }
            for ((space, devices), letter) in &letters {
                writing.send_letter(space, devices, letter)?;
            }
            Ok(())
        })
    }

    /// Tells an owner that their share was released to a device, on whichever devices they have left.
    pub fn share_released(
        &mut self,
        held: &HeldShare,
        device: &DeviceId,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        let letter = Letter::Released {
            owner: held.owner,
            set: held.share.set(),
            at_ms: now_ms,
            device: *device,
        };
        let Some((space, devices)) = self.route(&held.owner) else {
            return Ok(());
        };
        self.write(now_ms, |writing| {
            writing.send_letter(&space, &devices, &letter)
        })
    }

    /// The space over which a letter goes to somebody, the one with the fewest devices, and their devices there.
    fn route(&self, to: &IdentityId) -> Option<(SpaceId, Vec<DeviceRecord>)> {
        let own = self.device();
        let home = self.home();
        let spaces = self
            .spaces
            .values()
            .filter(|space| Some(space.id) != home && space.is_member(&own));
        let reaching = spaces.filter_map(|space| {
            let mut devices = space.current_devices(*to);
            devices.truncate(LETTER_BOXES_MAX);
            (!devices.is_empty()).then(|| (space.roster.devices().len(), space.id, devices))
        });
        let nearest = reaching.min_by_key(|(count, id, _)| (*count, *id));
        nearest.map(|(_, id, devices)| (id, devices))
    }

    fn called(&self, contact: &IdentityId) -> String {
        let contacts = self.contacts().unwrap_or_default();
        let named = contacts.into_iter().find(|it| it.identity == *contact);
        named.map_or_else(|| contact.short(), |it| it.name)
    }

    /// Whether letters may wait that nobody has looked for.
    pub(crate) fn letters_wait(&self) -> bool {
        let unread =
            |space: &crate::space::SpaceState| space.letters_read < space.record.roster.len();
        self.spaces.values().any(unread)
    }

    /// Looks through what came into rosters for letters to this device, and does what they say. Returns whether
    /// anything was done.
    pub(crate) fn read_letters(&mut self, now_ms: u64) -> Result<bool, ReplicaError> {
        let Some(home) = self.home() else {
            return Ok(false);
        };
        // Letters are answered, and kept in the home space: both need this device to be in.
        if !self.space(&home)?.is_member(&self.device()) {
            return Ok(false);
        }
        let mut todo = Vec::new();
        for space in self.spaces.values() {
            for entry in space.record.roster.iter().skip(space.letters_read) {
                let place = KeyPlace {
                    space: space.id,
                    granted_at: (entry.writer, entry.seq),
                };
                for letter in self.letters_in(&entry.parcel, &place) {
                    todo.push((space.id, entry.writer, letter));
                }
            }
        }
        let mut done = false;
        for (space, writer, letter) in todo {
            done |= self.heed(&home, &space, &writer, letter, now_ms)?;
        }
        for space in self.spaces.values_mut() {
            space.letters_read = space.record.roster.len();
        }
        Ok(done)
    }

    fn letters_in(&self, parcel: &[u8], place: &KeyPlace) -> Vec<Letter> {
        let (own, kem) = (self.device(), self.keys.kem());
        let ops = decode_ops(parcel).unwrap_or_default();
        let boxes = ops.iter().flat_map(|op| match op {
            RosterOp::Letter { boxes } => &boxes[..],
            _ => &[],
        });
        let mine = boxes.filter(|letter: &&KeyBox| letter.is_for(kem.public(), &place.space));
        mine.filter_map(|sealed| {
            let opened = open_letter(kem, &own, place, sealed);
            let opened = opened.inspect_err(
                |error| tracing::warn!(%error, "a letter for this device does not open"),
            );
            Letter::decode(&opened.ok()?)
                .inspect_err(|error| tracing::warn!(%error, "a letter is not understood"))
                .ok()
        })
        .collect()
    }

    fn heed(
        &mut self,
        home: &SpaceId,
        space: &SpaceId,
        writer: &WriterId,
        letter: Letter,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        let me = self.identity().ok_or(ReplicaError::NoHome)?;
        let by = |identity: &IdentityId| {
            let from = self.spaces.get(space);
            from.is_some_and(|from| {
                let device = from.roster.device_of(writer);
                device.is_some_and(|device| from.acts_for(*identity, &device))
            })
        };
        match letter {
            Letter::Keep {
                owner,
                made_ms,
                share,
            } if by(&owner) && owner != me => {
                let doc = self.home_document(HELD, &owner)?;
                if doc["made_ms"].as_u64().is_some_and(|held| held >= made_ms) {
                    return Ok(false);
                }
                let set = share.set();
                let value = json!({ "share": hex(&share.encode()), "made_ms": made_ms });
                let from = self.space(space)?.current_devices(owner);
                self.write(now_ms, |writing| {
                    writing.put_home_doc(home, HELD, &owner.to_string(), value)?;
                    writing.send_letter(space, &from, &Letter::Kept { owner, set })
                })?;
                Ok(true)
            }
            Letter::Erase { owner, made_ms } if by(&owner) => {
                let doc = self.home_document(HELD, &owner)?;
                let held = doc["made_ms"].as_u64();
                if held.is_none_or(|held| held >= made_ms) {
                    return Ok(false);
                }
                let value = json!({ "share": null, "made_ms": made_ms });
                self.write(now_ms, |writing| {
                    writing.put_home_doc(home, HELD, &owner.to_string(), value)
                })?;
                Ok(true)
            }
            Letter::Kept { owner, set } if owner == me => {
                let at = json!({ "set": hex(set.as_bytes()), "at_ms": now_ms });
                self.note_guardian(home, space, writer, &set, "kept", at, now_ms)
            }
            Letter::Released {
                owner,
                set,
                at_ms,
                device,
            } if owner == me => {
                let at = json!({ "set": hex(set.as_bytes()), "at_ms": at_ms, "device": device.to_string() });
                self.note_guardian(home, space, writer, &set, "released", at, now_ms)
            }
            _ => Ok(false),
        }
    }

    /// Notes what a guardian said, if the writer is one of that sharing and it is news.
    #[expect(clippy::too_many_arguments, reason = "one sentence in parts")]
    fn note_guardian(
        &mut self,
        home: &SpaceId,
        space: &SpaceId,
        writer: &WriterId,
        set: &SetId,
        field: &str,
        value: Value,
        now_ms: u64,
    ) -> Result<bool, ReplicaError> {
        let set = hex(set.as_bytes());
        let mut found = None;
        for (id, doc) in self.home_documents(GUARDIANS)? {
            let Ok(identity) = id.parse::<IdentityId>() else {
                continue;
            };
            let from = self.space(space)?;
            let speaks = from
                .roster
                .device_of(writer)
                .is_some_and(|device| from.acts_for(identity, &device));
            let later = |what: &Value| what[field]["at_ms"].as_u64().unwrap_or_default();
            let is_news = doc[field]["set"].as_str() != Some(&set)
                || (field == "released"
                    && later(&doc) < value["at_ms"].as_u64().unwrap_or_default());
            if speaks && doc["set"].as_str() == Some(&set) && is_news {
                found = Some(id);
            }
        }
        let Some(id) = found else {
            return Ok(false);
        };
        let value = json!({ field: value });
        self.write(now_ms, |writing| {
            writing.put_home_doc(home, GUARDIANS, &id, value)
        })?;
        Ok(true)
    }

    fn home_document(
        &self,
        collection: &str,
        identity: &IdentityId,
    ) -> Result<Value, ReplicaError> {
        let home = self.home().ok_or(ReplicaError::NoHome)?;
        let id = DocId::parse(&identity.to_string())
            .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let found = self.get(&home, collection, &id)?;
        Ok(found
            .and_then(|found| serde_json::from_str(&found.json).ok())
            .unwrap_or_default())
    }
}

impl Writing<'_> {
    /// Writes one entry with a letter to the devices named.
    fn send_letter(
        &mut self,
        space: &SpaceId,
        devices: &[DeviceRecord],
        letter: &Letter,
    ) -> Result<(), ReplicaError> {
        if devices.is_empty() {
            return Ok(());
        }
        let writer = self.own_writer(space)?;
        let place = KeyPlace {
            space: *space,
            granted_at: (writer, self.writer_len(space, &writer)?),
        };
        let text = letter.encode();
        let devices = devices.iter().take(LETTER_BOXES_MAX);
        let boxes = devices
            .map(|device| seal_letter(device, &place, &text, &mut *self.entropy))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let hlc = self.clock.tick(self.now_ms);
        self.append_own(space, hlc, &[RosterOp::Letter { boxes }], &[], &[])?;
        Ok(())
    }

    /// Merges fields into a document of the home space.
    pub(crate) fn put_home_doc(
        &mut self,
        home: &SpaceId,
        collection: &str,
        id: &str,
        value: Value,
    ) -> Result<(), ReplicaError> {
        let id = DocId::parse(id).map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let edit = Edit {
            collection: collection.to_owned(),
            id: Some(id),
            change: Change::Put {
                value,
                replace: false,
            },
        };
        self.transact(home, &[edit]).map(drop)
    }
}
