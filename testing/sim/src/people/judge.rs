//! What must hold after a run of people: honest members equal, promises kept, nothing shown to who
//! is out.

use std::collections::{BTreeMap, BTreeSet};

use stead_access::{MemberSubject, PartyId};
use stead_replica::Replica;

use super::{Kept, People};
use crate::node::Node;
use crate::world::dump;

impl People {
    pub(super) fn judge(&mut self) -> Result<(), String> {
        self.report.crashes = self.stage.crashes;
        let members = self.honest_members()?;
        let safe = self.safe();
        let promised: Vec<&Kept> = (self.kept.iter())
            .filter(|kept| safe.contains(&self.person[kept.node]))
            .collect();
        self.report.promised = promised.len();
        let first = self.shown(0)?;
        for person in &safe {
            if !members.contains(person) && self.joined.contains(person) {
                return Err(format!("person {person} was put out by nobody with a say"));
            }
        }
        for index in &members {
            let replica = self.stage.nodes[*index].replica.as_ref();
            let replica = replica.ok_or_else(|| format!("node {index} is down"))?;
            let names = self
                .ledger
                .check_whole(replica, &self.space)
                .map_err(|what| format!("node {index}: {what}"))?;
            if let Some(lost) = promised.iter().find(|kept| !names.contains(&kept.name)) {
                return Err(format!(
                    "node {index}: acknowledged transaction {} of step {} is missing",
                    lost.name, lost.step
                ));
            }
            let shown = self.shown(*index)?;
            if shown != first {
                let other = shown.iter().zip(&first).find(|(a, b)| a != b);
                return Err(format!(
                    "node {index} differs from the founder: {other:?}, {} against {} lines",
                    shown.len(),
                    first.len()
                ));
            }
        }
        self.judge_secrets()
    }

    /// Who is in and what is written, as one replica shows it.
    fn shown(&self, node: usize) -> Result<Vec<String>, String> {
        let replica = self.stage.nodes[node].replica.as_ref();
        let replica = replica.ok_or_else(|| format!("node {node} is down"))?;
        let members = replica.members(&self.space);
        let members = members.map_err(|error| format!("node {node}: {error}"))?;
        let mut shown: Vec<String> = members
            .iter()
            .filter(|member| !matches!(member.subject, MemberSubject::Invite { .. }))
            .map(|member| {
                let who = match member.subject {
                    MemberSubject::Party(PartyId::Identity(person)) => person.short(),
                    other => format!("{other:?}"),
                };
                let devices: Vec<String> = member.devices.iter().map(|it| it.0.short()).collect();
                let (role, rank, ended) = (member.role, member.rank, member.has_ended);
                format!("{} {who} {role:?} {rank} {ended} {devices:?}", member.id)
            })
            .collect();
        shown.extend(dump(replica, &self.space)?);
        Ok(shown)
    }

    /// Nobody shows what was written by someone who knew that they are out, unless somebody who could
    /// read it gave them the keys since: that no software can prevent.
    fn judge_secrets(&mut self) -> Result<(), String> {
        let founder = self.stage.nodes[0].replica.as_ref();
        let out = founder.map(|founder| self.known_to_be_out(founder));
        let out = out.unwrap_or_default();
        let mut secrets = 0;
        for node in &self.stage.nodes {
            let person = self.person[node.index];
            let (Some(memberships), Some(replica)) = (out.get(&person), node.replica.as_ref())
            else {
                continue;
            };
            let given = self.given_keys.get(&person).copied().unwrap_or(0);
            if *memberships != given {
                continue;
            }
            let kept_from: Vec<&Kept> = (self.kept.iter())
                .filter(|kept| kept.from.get(&person) == Some(memberships))
                .collect();
            secrets += kept_from.len();
            if kept_from.is_empty() || !replica.space_ids().contains(&self.space) {
                continue;
            }
            let names = self.ledger.check_whole(replica, &self.space)?;
            if let Some(seen) = kept_from.iter().find(|kept| names.contains(&kept.name)) {
                return Err(format!(
                    "node {} shows {}, which was written at step {} by one who knew that it was put out",
                    node.index, seen.name, seen.step
                ));
            }
        }
        self.report.secrets = secrets;
        Ok(())
    }

    /// People who were in and are out, and how many memberships they had.
    pub(super) fn known_to_be_out(&self, replica: &Replica) -> BTreeMap<usize, usize> {
        let mut held: BTreeMap<PartyId, (usize, bool)> = BTreeMap::new();
        for member in replica.members(&self.space).unwrap_or_default() {
            if let MemberSubject::Party(party) = member.subject {
                let (count, is_in) = held.entry(party).or_default();
                *count += 1;
                *is_in |= !member.has_ended;
            }
        }
        let person = |node: &Node| {
            let identity = node.replica.as_ref()?.identity()?;
            let (count, is_in) = held.get(&PartyId::Identity(identity))?;
            (!is_in).then_some((self.person[node.index], *count))
        };
        self.stage.nodes.iter().filter_map(person).collect()
    }

    /// Honest devices that the founder's replica lists as members.
    fn honest_members(&self) -> Result<Vec<usize>, String> {
        let founder = self.stage.nodes[0].replica.as_ref().ok_or("founder down")?;
        let info = founder.outline(&self.space).map_err(|e| e.to_string())?;
        let is_in = |node: &&Node| info.devices.iter().any(|it| it.id == node.id());
        let honest = self.stage.nodes.iter();
        let honest = honest.filter(|node| !node.malice.is_hostile).filter(is_in);
        // Who lost power before it had the ticket has to be invited again.
        let has = |node: &&Node| {
            let replica = node.replica.as_ref();
            self.joined.contains(&node.index)
                || replica.is_some_and(|replica| replica.space_ids().contains(&self.space))
        };
        Ok(honest.filter(has).map(|node| node.index).collect())
    }

    /// People on whose membership nobody with a say ever laid a hand, whoever let them in included.
    fn safe(&self) -> BTreeSet<usize> {
        let mut safe = BTreeSet::from([0]);
        loop {
            let more = self.first_let_in.iter().find(|(person, by)| {
                safe.contains(*by)
                    && !safe.contains(*person)
                    && !self.put_out.contains(*person)
                    && !self.is_hostile(**person)
            });
            let Some((person, _)) = more else {
                return safe;
            };
            safe.insert(*person);
        }
    }

    /// What every device knows, and who is who.
    pub(super) fn describe(&self) -> String {
        let tell = |node: &Node| {
            let replica = node.replica.as_ref();
            let info = replica.and_then(|replica| replica.space_info(&self.space).ok());
            let Some(info) = info else {
                return format!("  node {}: not there\n", node.index);
            };
            let identity = replica.and_then(Replica::identity);
            let devices: Vec<String> = (info.devices.iter())
                .map(|it| format!("{} {:?} {:?}", it.id.short(), it.role, it.writers))
                .collect();
            let logs = replica.and_then(|replica| replica.frontier(&self.space).ok());
            let logs: Vec<String> = (logs.iter().flatten())
                .map(|log| {
                    format!(
                        "{} {}{}",
                        log.writer.short(),
                        log.len,
                        if log.frozen { "!" } else { "" }
                    )
                })
                .collect();
            format!(
                "  node {} of {} key {} {} {} hostile {} out {} let in by {:?}: {:?} documents {} entries {} waiting {} skipped {}\n    {devices:?}\n    {logs:?}\n",
                node.index,
                self.person[node.index],
                node.key,
                node.id().short(),
                identity.map(|id| id.short()).unwrap_or_default(),
                node.malice.is_hostile,
                self.put_out.contains(&self.person[node.index]),
                self.first_let_in.get(&self.person[node.index]),
                info.role,
                info.documents,
                info.entries,
                info.waiting,
                info.skipped,
            )
        };
        let shown = self.shown(0).unwrap_or_default();
        let members = shown.iter().take_while(|line| !line.contains('/'));
        let members: String = members.map(|line| format!("  {line}\n")).collect();
        let nodes: String = self.stage.nodes.iter().map(tell).collect();
        format!("{nodes}{members}")
    }
}
