//! Groups: people who are let into spaces together, managed in one place and used in many.
//!
//! A group is a space of its own: its roster says who is in it (owners keep it, the others are writers)
//! and its documents which spaces it was let into. Owns making and changing groups and what a grant to
//! one names. Carrying changes into the spaces is `mirror`'s; what counts there is the roster's to say.

mod mirror;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_access::{
    Card, DeviceRecord, Grant, GroupPart, IdentityId, MemberSubject, Name, OpId, Party, PartyId,
    Path, RemovalPlan, RemovalTarget, Role, RosterOp, Subject,
};
use stead_base::{DeviceId, DocId, SpaceId};
use stead_store::{Query, Read};

use crate::identity::{Names, hex, unhex};
use crate::space::SpaceState;
use crate::writing::Writing;
use crate::{Change, Edit, Replica, ReplicaError};

/// Collection by whose one document a space is known to be a group.
const ABOUT: &str = "@group";
const ABOUT_DOC: &str = "about";
/// Collection of a group's space that lists the spaces it was let into.
const SPACES: &str = "@spaces";
/// Collection of a group's space in which each device keeps its card.
const CARDS: &str = "@cards";
/// Most documents of one of these collections that are looked at.
const DOCS_MAX: u64 = 4096;
/// Most parts that one grant names; more follow one by one.
const PARTS_MAX: usize = stead_access::GROUP_PARTS_MAX;

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// A person or a device.
    pub party: PartyId,
    /// Whether they keep it: add and remove others.
    pub keeper: bool,
    /// Steps from the founder: a keeper removes those with a greater number.
    pub rank: u32,
    /// The devices that act for them, with their names.
    pub devices: Vec<(DeviceId, String)>,
    /// Whether it is this person.
    pub is_own: bool,
}

/// A group that this person is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// The group's own space.
    pub id: SpaceId,
    /// Its name.
    pub name: String,
    /// Whether this device may add and remove people.
    pub keeps: bool,
    /// Who is in it, by rank.
    pub members: Vec<GroupMember>,
    /// Where it has rights: the space, its name, the role and the path.
    pub holds: Vec<(SpaceId, String, Role, Path)>,
}

/// Where somebody stands in a group, by the group's own roster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Standing {
    /// In it now.
    is_in: bool,
    keeper: bool,
    rank: u32,
}

impl SpaceState {
    /// Everyone who is or was in the group whose space this is. Empty as long as its roster is not here.
    fn standings(&self) -> BTreeMap<PartyId, Standing> {
        let mut found: BTreeMap<PartyId, Standing> = BTreeMap::new();
        for member in self.roster.members().values() {
            let MemberSubject::Party(party) = member.subject else {
                continue;
            };
            let at = found.entry(party).or_default();
            if member.ended.is_none() {
                at.rank = match at.is_in {
                    true => at.rank.min(member.rank),
                    false => member.rank,
                };
                at.is_in = true;
                at.keeper |= member.role == Role::Owner && member.path.is_whole_space();
            }
        }
        found
    }
}

impl Replica {
    /// Makes a group: a space of its own, kept by this person.
    pub fn create_group(&mut self, name: &str, now_ms: u64) -> Result<SpaceId, ReplicaError> {
        let mark = [Edit {
            collection: ABOUT.to_owned(),
            id: Some(doc_id(ABOUT_DOC)?),
            change: Change::Put {
                value: json!({ "group": true }),
                replace: false,
            },
        }];
        self.make_space(name, &mark, now_ms)
    }

    /// Whether a space is the space of a group.
    pub fn is_group(&self, id: &SpaceId) -> bool {
        let marked = doc_id(ABOUT_DOC).and_then(|doc| self.get(id, ABOUT, &doc));
        matches!(marked, Ok(Some(found)) if !found.deleted)
    }

    /// The groups that this device's person is in, by name.
    pub fn groups(&self) -> Result<Vec<GroupInfo>, ReplicaError> {
        let own = self.device();
        let ids = self.spaces.values().filter(|space| space.is_member(&own));
        let ids: Vec<SpaceId> = ids.map(|space| space.id).collect();
        let mut found = Vec::new();
        for id in ids.iter().filter(|id| self.is_group(id)) {
            found.push(self.group(id)?);
        }
        found.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(found)
    }

    /// One group.
    pub fn group(&self, id: &SpaceId) -> Result<GroupInfo, ReplicaError> {
        let space = self.space(id)?;
        let own = self.device();
        let identity = self.identity().map(PartyId::Identity);
        let named = |device: &DeviceId| {
            let name = space.roster.name_of(device).unwrap_or_default();
            (*device, name)
        };
        let standings = space.standings().into_iter();
        let mut members: Vec<GroupMember> = standings
            .filter(|(_, at)| at.is_in)
            .map(|(party, at)| GroupMember {
                party,
                keeper: at.keeper,
                rank: at.rank,
                devices: match party {
                    PartyId::Device(device) => vec![named(&device)],
                    PartyId::Identity(person) => space
                        .current_devices(person)
                        .iter()
                        .map(|record| named(&record.id))
                        .collect(),
                },
                is_own: Some(party) == identity || party == PartyId::Device(own),
            })
            .collect();
        members.sort_by_key(|member| (member.rank, member.party));
        let mut holds = Vec::new();
        for other in self.spaces.values() {
            for member in other.roster.members().values() {
                if member.subject == MemberSubject::Group(*id) && member.ended.is_none() {
                    let name = other.record.name.clone();
                    holds.push((other.id, name, member.role, member.path.clone()));
                }
            }
        }
        Ok(GroupInfo {
            id: *id,
            name: space.record.name.clone(),
            keeps: space.keeps(&own),
            members,
            holds,
        })
    }

    /// A group as another space knows it: who is in it there, and its name if this person is in it too.
    pub fn group_in(&self, space: &SpaceId, group: &SpaceId) -> Result<GroupInfo, ReplicaError> {
        let roster = &self.space(space)?.roster;
        let own = self.device();
        let identity = self.identity().map(PartyId::Identity);
        let mut members: Vec<GroupMember> = Vec::new();
        for part in roster.current_parts(MemberSubject::Group(*group)) {
            if let Some(known) = members.iter_mut().find(|it| it.party == part.party) {
                known.keeper |= part.keeper;
                known.rank = known.rank.min(part.rank);
                continue;
            }
            let devices = part.devices();
            members.push(GroupMember {
                party: part.party,
                keeper: part.keeper,
                rank: part.rank,
                devices: devices
                    .map(|record| (record.id, record.name.as_str().to_owned()))
                    .collect(),
                is_own: Some(part.party) == identity || part.party == PartyId::Device(own),
            });
        }
        members.sort_by_key(|member| (member.rank, member.party));
        let known = self.spaces.get(group);
        Ok(GroupInfo {
            id: *group,
            name: known.map_or_else(String::new, |known| known.record.name.clone()),
            keeps: known.is_some_and(|known| known.keeps(&own)),
            members,
            holds: Vec::new(),
        })
    }

    /// A group by its name or the start of its id.
    pub fn find_group(&self, wanted: &str) -> Result<SpaceId, ReplicaError> {
        let no_group = || {
            ReplicaError::Refused(format!(
                "there is no group {wanted:?} on this device; `stead group list` shows them"
            ))
        };
        let id = self.find_space(wanted).map_err(|error| match error {
            ReplicaError::NoSuchSpace { .. } => no_group(),
            other => other,
        })?;
        match self.is_group(&id) {
            true => Ok(id),
            false => Err(no_group()),
        }
    }

    /// Lets a person into a group whose card is known here, and tells their devices of it through a
    /// space that both share.
    pub fn add_to_group(
        &mut self,
        group: &SpaceId,
        person: IdentityId,
        keeper: bool,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        self.check_keeper(group)?;
        let role = if keeper { Role::Owner } else { Role::Writer };
        if let Some(at) = self
            .space(group)?
            .standings()
            .get(&PartyId::Identity(person))
            && at.is_in
            && (at.keeper || !keeper)
        {
            return Err(ReplicaError::Refused(format!(
                "they are in the group already{}",
                if at.keeper { ", as keeper" } else { "" }
            )));
        }
        self.grant_person(group, person, role, Path::whole_space(), now_ms)?;
        self.reconcile(now_ms).map(drop)
    }

    /// Lets a person into a space whose card is known here, and tells their devices of it through a
    /// space that both share.
    pub fn grant_person(
        &mut self,
        id: &SpaceId,
        person: IdentityId,
        role: Role,
        path: Path,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        let card = self.known_card(person).ok_or_else(|| {
            ReplicaError::Refused(format!(
                "nothing is known here of the devices of {}: you share no space with them yet; send them an invite instead",
                person.short()
            ))
        })?;
        self.grant(id, Party::Identity(card), role, path, now_ms)?;
        self.offer(id, person, now_ms)
    }

    /// Gives a group rights in a space, and lists the space for everyone in the group.
    pub fn grant_group(
        &mut self,
        id: &SpaceId,
        group: &SpaceId,
        role: Role,
        path: Path,
        now_ms: u64,
    ) -> Result<OpId, ReplicaError> {
        self.not_home(id)?;
        if id == group {
            return Err(ReplicaError::Refused(
                "a group is not let into its own space".to_owned(),
            ));
        }
        let mut parts = Vec::new();
        let standings = self.space(group)?.standings();
        let mut standing: Vec<_> = standings.iter().filter(|(_, at)| at.is_in).collect();
        standing.sort_by_key(|(party, at)| (at.rank, !at.keeper, **party));
        for (party, at) in standing {
            let (Some(named), true) = (self.party_in(group, *party)?, parts.len() < PARTS_MAX)
            else {
                continue;
            };
            parts.push(GroupPart {
                party: named,
                keeper: at.keeper,
                stay: self.space(id)?.part_stay(*group, *party),
                rank: at.rank.min(stead_access::GROUP_RANK_MAX),
            });
        }
        if parts.is_empty() {
            return Err(ReplicaError::Refused(
                "nobody of that group is known here yet: let its space come in step first"
                    .to_owned(),
            ));
        }
        let records: Vec<DeviceRecord> = parts.iter().flat_map(|it| records(&it.party)).collect();
        let devices: Vec<DeviceId> = records.iter().map(|record| record.id).collect();
        let (group, id) = (*group, *id);
        let op = self.write(now_ms, |writing| {
            let grant = RosterOp::Grant(Grant {
                subject: Subject::Group { group, parts },
                role,
                path: path.clone(),
                since: writing.space(&id)?.lengths_of(&devices),
            });
            writing.check_op(&id, &grant)?;
            writing.ensure_scope(&id, &path)?;
            let op = writing.say(&id, grant)?;
            writing.welcome(&id, &records)?;
            writing.list_in_group(&group, &id)?;
            Ok::<_, ReplicaError>(op)
        })?;
        self.reconcile(now_ms)?;
        Ok(op)
    }

    /// Takes someone out of a group, and out of every space where they are through it.
    pub fn remove_from_group(
        &mut self,
        group: &SpaceId,
        target: RemovalTarget,
        reason: Option<String>,
        now_ms: u64,
    ) -> Result<crate::Revoked, ReplicaError> {
        let revoked = self.revoke(group, target, reason, now_ms)?;
        self.reconcile(now_ms)?;
        Ok(revoked)
    }

    /// Names a space anew, for everyone in it.
    pub fn rename_space(
        &mut self,
        id: &SpaceId,
        name: &str,
        now_ms: u64,
    ) -> Result<(), ReplicaError> {
        self.not_home(id)?;
        let name = Name::new(name).map_err(|error| ReplicaError::Refused(error.to_string()))?;
        let taken = |space: &SpaceState| space.id != *id && space.record.name == name.as_str();
        if self.spaces.values().any(taken) {
            return Err(ReplicaError::Refused(format!(
                "there is already a space called {:?} on this device",
                name.as_str()
            )));
        }
        self.write(now_ms, |writing| {
            let turn = writing.space(id)?.roster.next_name_turn();
            writing.say(id, RosterOp::Rename { name, turn }).map(drop)
        })
    }

    /// Ends a group: puts it out of every space where this device may, and everyone out of it, this
    /// person last. Other devices carry that on to where this one has no say.
    pub fn delete_group(&mut self, group: &SpaceId, now_ms: u64) -> Result<(), ReplicaError> {
        self.check_keeper(group)?;
        let own = self.device();
        let space = self.space(group)?;
        let current = |id: &&OpId| {
            let member = space.roster.members().get(id);
            member.is_some_and(|member| member.ended.is_none())
        };
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        for id in space.roster.members().keys().filter(current) {
            if !space.roster.ends_alone(&own, id) {
                return Err(ReplicaError::Refused(
                    "somebody in the group is not junior to you: only the most senior keeper ends a group, the others leave it".to_owned(),
                ));
            }
            let held = space.roster.members().get(id);
            match held.is_some_and(|member| member.is_held_by(&own)) {
                true => mine.push(*id),
                false => others.push(*id),
            }
        }
        let mut everywhere: Vec<(SpaceId, RemovalPlan)> = Vec::new();
        for other in self.spaces.values() {
            let mut plan = other.roster.plan_removal(RemovalTarget::Group(*group));
            let may = |id: &OpId| other.roster.ends_alone(&own, id);
            plan.memberships.retain(may);
            if !plan.memberships.is_empty() {
                everywhere.push((other.id, plan));
            }
        }
        // All at once, this person included: afterwards nobody is left who could read more of it.
        let mut end = RemovalPlan::default();
        for id in others.iter().chain(&mine) {
            let plan = space.roster.plan_removal(RemovalTarget::Membership(*id));
            end.memberships.extend(plan.memberships);
            end.devices.extend(plan.devices);
            end.writers.extend(plan.writers);
        }
        let group = *group;
        self.write(now_ms, |writing| {
            for (id, plan) in &everywhere {
                writing.put_out(id, plan, None)?;
            }
            writing.empty_group(&group)?;
            writing.put_out(&group, &end, None)?;
            Ok::<_, ReplicaError>(())
        })?;
        self.reconcile(now_ms).map(drop)
    }

    /// The best card of a person that the rosters here, and their own word in groups, make up.
    pub(crate) fn known_card(&self, person: IdentityId) -> Option<Card> {
        let mut cards: Vec<Card> = Vec::new();
        for space in self.spaces.values() {
            cards.extend(space.roster.cards_of(person).into_iter().cloned());
            if space.roster.person_parts(person, false).is_empty() {
                continue;
            }
            cards.extend(self.published_cards(&space.id, person).ok()?);
        }
        cards.retain(|card| card.verify().is_ok());
        let merged = Card::merged(&cards)?;
        // Where the person is, they keep the list of their devices current.
        let gone = |device: &DeviceId| {
            self.spaces.values().any(|space| {
                let current = space.current_devices(person);
                !current.is_empty()
                    && !current.iter().any(|record| record.id == *device)
                    && space.had_device(person, device)
            })
        };
        Some(merged.without(&gone)).filter(|card| !card.devices.is_empty())
    }

    /// How a part of a group is named in a grant: a person with a card of the devices they have now.
    fn party_in(&self, group: &SpaceId, party: PartyId) -> Result<Option<Party>, ReplicaError> {
        let record = |device: &DeviceId| self.space(group).ok()?.roster.record_of(device).cloned();
        Ok(match party {
            PartyId::Device(device) => record(&device).map(Party::Device),
            PartyId::Identity(person) => self.known_card(person).map(Party::Identity),
        })
    }

    fn published_cards(
        &self,
        group: &SpaceId,
        person: IdentityId,
    ) -> Result<Vec<Card>, ReplicaError> {
        let docs = self.documents_of(group, CARDS)?.into_iter();
        let cards =
            docs.filter_map(|(_, doc)| Card::from_bytes(&unhex(doc["card"].as_str()?)?).ok());
        Ok(cards.filter(|card| card.identity == person).collect())
    }

    pub(crate) fn documents_of(
        &self,
        space: &SpaceId,
        collection: &str,
    ) -> Result<Vec<(String, Value)>, ReplicaError> {
        let Some(collection) = self.store.collection(self.space(space)?.no, collection)? else {
            return Ok(Vec::new());
        };
        let query = Query {
            limit: Some(DOCS_MAX),
            ..Query::all(collection)
        };
        let found = self.store.query(&query)?.into_iter();
        Ok(found
            .filter_map(|doc| Some((doc.id.to_string(), serde_json::from_str(&doc.json).ok()?)))
            .collect())
    }

    fn check_keeper(&self, group: &SpaceId) -> Result<(), ReplicaError> {
        match self.space(group)?.keeps(&self.device()) {
            true => Ok(()),
            false => Err(ReplicaError::Refused(format!(
                "only its keepers change the group {:?}; `stead group show` names them",
                self.space(group)?.record.name
            ))),
        }
    }
}

impl SpaceState {
    fn keeps(&self, device: &DeviceId) -> bool {
        let whole = Path::whole_space();
        let keep = stead_access::Action::Grant(Role::Owner);
        self.roster.can(device, &whole, keep)
    }
}

impl Writing<'_> {
    /// Lists a space for everyone in a group, with what they need to find it.
    fn list_in_group(&mut self, group: &SpaceId, id: &SpaceId) -> Result<(), ReplicaError> {
        let space = self.space(id)?;
        let secret = stead_base::Hash::from_bytes(space.record.secret).to_string();
        let value = json!({ "name": space.record.name, "secret": secret });
        let edit = Edit {
            collection: SPACES.to_owned(),
            id: Some(doc_id(&id.to_string())?),
            change: Change::Put {
                value,
                replace: false,
            },
        };
        self.transact(group, &[edit]).map(drop)
    }

    /// Keeps this device's card where the others of a group find it.
    fn publish_card(&mut self, group: &SpaceId, card: &Card) -> Result<(), ReplicaError> {
        let own = self.keys.id();
        let edit = Edit {
            collection: CARDS.to_owned(),
            id: Some(doc_id(&own.to_string())?),
            change: Change::Put {
                value: json!({ "card": hex(&card.to_bytes()) }),
                replace: false,
            },
        };
        self.transact(group, &[edit]).map(drop)
    }
}

/// The devices that a party names.
fn records(party: &Party) -> Vec<DeviceRecord> {
    match party {
        Party::Device(record) => vec![record.clone()],
        Party::Identity(card) => card.devices.iter().map(|it| it.record.clone()).collect(),
    }
}

pub(crate) fn doc_id(text: &str) -> Result<DocId, ReplicaError> {
    DocId::parse(text).map_err(|error| ReplicaError::Refused(error.to_string()))
}
