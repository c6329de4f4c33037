//! Rights: what one decision costs in a large space, and what letting in, putting out and voiding
//! cost in time and in bytes of the log.

use std::hint::black_box;
use std::time::Instant;

use serde_json::json;
use stead_access::{
    Action, AddedBy, Card, CardDevice, DeviceRecord, Grant, IdentityId, Lengths, Name, Party, Path,
    RemovalTarget, Role, Roster, RosterOp, Subject, Whom, sign_claim, sign_genesis,
    sign_identity_device,
};
use stead_base::{DeviceId, SpaceId, WriterId};
use stead_crypt::{DeviceKeys, SigningKey};
use stead_replica::{Query, Replica};
use stead_store::{CollectionNo, Condition, Durability, Filter, Test};

use crate::data::{FIELDS, Random, places};
use crate::device::{fresh, now_ms, open, set, write_bulk};
use crate::rights_peers;
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

const MEMBERS: usize = 1_000;
const GRANTS: usize = 10_000;
const DECISIONS: usize = 1_000_000;
const GROUP: usize = 64;
/// How everything begins that the removed writer writes.
const LATE: &str = "late ";
const EXPLANATIONS: usize = 1_000;

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let mut rows = vec![decision()?];
    for members in [10, 100, 1_000] {
        if members <= scale.of(1_000) {
            rows.extend(in_and_out(members)?);
        }
    }
    rows.push(voided(scale)?);
    Ok(rows)
}

/// One question to the roster of a large space.
fn decision() -> Result<Row, Failure> {
    let space = SpaceId::from_bytes([42; 32]);
    let keys: Vec<DeviceKeys> = (0..MEMBERS).map(keys_of).collect();
    let record = |i: usize| DeviceRecord::of(&keys[i], Name::from_any("device"));
    let (name, nonce) = (Name::from_any("large"), [7; 32]);
    let signature = sign_genesis(
        keys[0].signing(),
        &writer(0),
        &nonce,
        &name,
        &record(0),
        None,
    );
    let genesis = RosterOp::Genesis {
        name,
        nonce,
        device: record(0),
        card: None,
        signature,
    };
    let paths = (0..GRANTS / MEMBERS)
        .map(|i| Path::of(["notes", &format!("document {i}")]))
        .collect::<Result<Vec<Path>, _>>()?;
    let mut entries = Vec::with_capacity(MEMBERS + GRANTS);
    for (i, keys) in keys.iter().enumerate().skip(1) {
        let claim = RosterOp::Claim {
            device: keys.id(),
            signature: sign_claim(keys.signing(), &space, &writer(i)),
        };
        entries.push((writer(i), 0, vec![claim]));
    }
    for i in 0..GRANTS {
        let grant = RosterOp::Grant(Grant {
            subject: Subject::Party(Party::Device(record(i % (MEMBERS - 1) + 1))),
            role: Role::ALL[i % 2],
            path: paths[i % paths.len()].clone(),
            since: Lengths::none(),
        });
        entries.push((writer(0), i as u64 + 1, vec![grant]));
    }
    let mut roster = Roster::new(space);
    roster.insert_genesis(writer(0), vec![genesis])?;
    roster.insert_all(entries);
    let asked = Path::of(["notes", "document 3", "title"])?;
    let writers: Vec<WriterId> = (0..MEMBERS).map(writer).collect();
    let start = Instant::now();
    let mut allowed = 0;
    for i in 0..DECISIONS {
        let writer = &writers[i * 7919 % MEMBERS];
        let may = roster.verdict(black_box(writer), i as u64, &asked, Action::Write);
        allowed += usize::from(may);
    }
    let each = start.elapsed().as_nanos() as f64 / DECISIONS as f64;
    if allowed == 0 {
        return Err("no decision was ever yes: the measurement asks the wrong thing".into());
    }
    Ok(Row::new(
        "a rights decision, 1 000 members and 10 000 grants",
        "ns",
        each,
        Aim::AtMost(1_000.0),
    ))
}

/// Letting one more reader in, and putting one out with new keys for all others.
fn in_and_out(members: usize) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir()?;
    let (mut replica, space) = fresh(&folder.path().join("stead.db"), Durability::Ordered)?;
    let whole = Path::whole_space();
    for i in 1..members {
        let party = Party::Identity(person(i));
        replica.grant(&space, party, Role::Reader, whole.clone(), now_ms())?;
    }
    replica.drain_events();
    let before = log_bytes(&replica, &space)?;
    let start = Instant::now();
    let last = person(members);
    let target = RemovalTarget::Identity(last.identity);
    replica.grant(&space, Party::Identity(last), Role::Reader, whole, now_ms())?;
    let adding = start.elapsed().as_secs_f64() * 1e3;
    let added = log_bytes(&replica, &space)?;
    let deciding = decide(&replica, &space, keys_of(members).id())?;
    let start = Instant::now();
    replica.revoke(&space, target, None, now_ms())?;
    let removing = start.elapsed().as_secs_f64() * 1e3;
    let removed = log_bytes(&replica, &space)?;
    let row = |what: &str, unit, value| {
        Row::new(format!("{what}, {members} members"), unit, value, Aim::None)
    };
    let mut add = row("add one reader", "ms", adding);
    let mut remove = row("remove one reader and renew all keys", "ms", removing);
    let mut decide = row("decide about one reader, and say why", "ns", deciding);
    for (name, measure) in rights_peers::PEERS {
        match measure(members) {
            Ok(costs) => {
                add = add.peer(name, costs.add_ms);
                remove = remove.peer(name, costs.remove_ms);
                decide = decide.peer(name, costs.decide_ns);
            }
            Err(error) => eprintln!("    {name} at {members} members: {error}"),
        }
    }
    Ok(vec![
        add,
        row("add one reader: bytes of log", "bytes", added - before),
        remove,
        row("remove one reader: bytes of log", "bytes", removed - added),
        decide,
    ])
}

/// Nanoseconds of one answer to whether a device may read, with the reasons.
fn decide(replica: &Replica, space: &SpaceId, asked: DeviceId) -> Result<f64, Failure> {
    let path = Path::of(["notes", "one"])?;
    let start = Instant::now();
    for _ in 0..EXPLANATIONS {
        let whom = Whom::Device(black_box(asked));
        if !replica.explain(space, whom, Action::Read, &path)?.allowed {
            return Err("who was let in may not read".into());
        }
    }
    Ok(start.elapsed().as_nanos() as f64 / EXPLANATIONS as f64)
}

/// A removal that makes entries void that documents already hold.
fn voided(scale: Scale) -> Result<Row, Failure> {
    let count = scale.of(100_000);
    let records = places(scale.of(100_000));
    let folder = tempfile::tempdir()?;
    let (mut a, space) = fresh(&folder.path().join("a.db"), Durability::Ordered)?;
    write_bulk(&mut a, &space, &records)?;
    let keys = keys_of(1);
    let mut b = open(&folder.path().join("b.db"), keys, Durability::Ordered)?;
    b.create_home(now_ms())?;
    let card = b.card()?;
    let identity = card.identity;
    let whole = Path::whole_space();
    a.grant(&space, Party::Identity(card), Role::Writer, whole, now_ms())?;
    let ticket = a.ticket(&space).ok_or("no ticket")?;
    b.join_shared(&ticket, now_ms())?;
    deliver(&a, &mut b, &space)?;
    // A third device learns what B writes before it learns of the removal.
    let mut c = open(&folder.path().join("c.db"), keys_of(2), Durability::Ordered)?;
    c.create_home(now_ms())?;
    let whole = Path::whole_space();
    let party = Party::Identity(c.card()?);
    a.grant(&space, party, Role::Reader, whole, now_ms())?;
    let ticket = a.ticket(&space).ok_or("no ticket")?;
    c.join_shared(&ticket, now_ms())?;
    let mut random = Random(11);
    for round in 0..count / GROUP {
        let group: Vec<_> = (0..GROUP)
            .map(|i| {
                let id = &records.ids[random.below(records.ids.len())];
                let value = json!(format!("{LATE}{round}.{i}"));
                (space, vec![set(id, FIELDS[i % 4], value)])
            })
            .collect();
        for receipt in b.transact_many(&group, now_ms())? {
            receipt?;
        }
        b.drain_events();
    }
    deliver(&a, &mut c, &space)?;
    deliver(&b, &mut c, &space)?;
    if late(&c, &space)? == 0 {
        return Err("the writer's entries do not count before the removal".into());
    }
    a.revoke(&space, RemovalTarget::Identity(identity), None, now_ms())?;
    let start = Instant::now();
    deliver(&a, &mut c, &space)?;
    let seconds = start.elapsed().as_secs_f64();
    let left = late(&c, &space)?;
    if left != 0 {
        return Err(format!("{left} documents still show what the removal made void").into());
    }
    Ok(Row::new(
        format!("a removal that voids {} thousand entries", count / 1000),
        "s",
        seconds,
        Aim::None,
    ))
}

/// Documents whose name is one that the removed writer wrote.
fn late(replica: &Replica, space: &SpaceId) -> Result<u64, Failure> {
    let query = Query {
        filter: vec![Filter::Is(Condition {
            path: vec![FIELDS[0].to_owned()],
            test: Test::Prefix(LATE.to_owned()),
        })],
        ..Query::all(CollectionNo(0))
    };
    Ok(replica.count(space, "cities", query)?)
}

/// Gives one replica everything that the other has of a space.
fn deliver(from: &Replica, to: &mut Replica, space: &SpaceId) -> Result<(), Failure> {
    let preparer = to.preparer();
    for item in from.frontier(space)? {
        let held = to.frontier(space)?;
        let held = held.iter().find(|held| held.writer == item.writer);
        let mut at = held.map_or(0, |held| held.len);
        while let Some(batch) = from.read_batch(space, &item.writer, at, item.len, 1 << 20)? {
            at = stead_log::Batch::decode(&batch)?.end();
            let prepared = preparer.prepare(*space, batch);
            for result in to.store_batches(vec![prepared], now_ms()) {
                result?;
            }
        }
    }
    to.merge_pending(now_ms())?;
    to.drain_events();
    Ok(())
}

fn log_bytes(replica: &Replica, space: &SpaceId) -> Result<f64, Failure> {
    let mut bytes = 0;
    for item in replica.frontier(space)? {
        let mut at = 0;
        while let Some(batch) = replica.read_batch(space, &item.writer, at, item.len, 1 << 20)? {
            let decoded = stead_log::Batch::decode(&batch)?;
            at = decoded.end();
            bytes += decoded.entries.len();
        }
    }
    Ok(bytes as f64)
}

fn keys_of(i: usize) -> DeviceKeys {
    let mut seed = [1; 32];
    seed[..8].copy_from_slice(&(i as u64).to_be_bytes());
    DeviceKeys::from_seed(&seed)
}

fn person(i: usize) -> Card {
    let mut seed = [2; 32];
    seed[..8].copy_from_slice(&(i as u64).to_be_bytes());
    let root = SigningKey::from_seed(&seed);
    let identity = IdentityId::from_bytes(root.public());
    let record = DeviceRecord::of(&keys_of(i), Name::from_any("device"));
    let signature = sign_identity_device(&root, &identity, &record, 0, None);
    Card {
        identity,
        devices: vec![CardDevice {
            record,
            stay: 0,
            added_by: AddedBy::Root,
            signature,
        }],
    }
}

fn writer(i: usize) -> WriterId {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&(i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    WriterId::from_bytes(id)
}
