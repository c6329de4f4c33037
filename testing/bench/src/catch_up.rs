//! Catching up between two real nodes over loopback QUIC: verified, decrypted, merged, durable.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use stead_api::{Client, LinkAccept, LinkApprove, LinkArrive, LinkCreate, NodeStatus};
use stead_base::SpaceId;
use stead_keys::Keystore;
use stead_node::{KeyPolicy, Lan, Node, NodeConfig};
use stead_replica::Replica;
use stead_store::Durability;

use crate::data::{FIELDS, Random, places};
use crate::device::{OsEntropy, now_ms, open, set, write_bulk};
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

/// Transactions made under one signature while the data is prepared.
const GROUP: usize = 64;
/// A run that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often the second node is asked how far it is. Rarely enough that it sees its stream pause
/// between two questions: it merges what came in when nobody has wanted anything for 25 ms.
const ASK_EVERY: Duration = Duration::from_millis(60);

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let count = scale.of(1_000_000);
    let documents = scale.of(100_000);
    let ceiling = ed25519_ceiling();
    let loro_single = loro_import(documents, count, true)?;
    let loro_bulk = loro_import(count / 6, count / 6 * 6, false)?;

    let single = measure(&runtime, |home, policy| {
        let (mut replica, space) = fill_home(home, policy)?;
        let records = places(documents);
        let mut random = Random(7);
        for round in 0..count / GROUP {
            let group: Vec<_> = (0..GROUP)
                .map(|i| {
                    let id = &records.ids[random.below(records.ids.len())];
                    (
                        space,
                        vec![set(id, FIELDS[i % 4], json!(format!("value {round}.{i}")))],
                    )
                })
                .collect();
            for receipt in replica.transact_many(&group, now_ms())? {
                receipt?;
            }
            replica.drain_events();
        }
        replica.checkpoint()?;
        Ok(space)
    })?;
    let single = (count / GROUP * GROUP) as f64 / single;

    let records = places(count / 6);
    let bulk = measure(&runtime, |home, policy| {
        let (mut replica, space) = fill_home(home, policy)?;
        write_bulk(&mut replica, &space, &records)?;
        replica.checkpoint()?;
        Ok(space)
    })?;
    let bulk = (count / 6 * 6) as f64 / bulk;
    Ok(vec![
        Row::new(
            "catch-up over QUIC, single-field transactions",
            "transactions/s",
            single,
            Aim::AtLeast(300_000.0),
        )
        .peer("one Ed25519 check an operation, nothing else", ceiling)
        .peer("Loro import, in memory", loro_single),
        Row::new(
            "catch-up over QUIC, fields in bulk",
            "fields/s",
            bulk,
            Aim::AtLeast(800_000.0),
        )
        .peer("one Ed25519 check an operation, nothing else", ceiling)
        .peer("Loro import, in memory", loro_bulk),
    ])
}

/// A replica in a node's data directory, with an identity and one space.
fn fill_home(home: &Path, policy: &KeyPolicy) -> Result<(Replica, SpaceId), Failure> {
    let keys = Keystore::open(home, policy, &mut OsEntropy)?.device_keys();
    let mut replica = open(
        &home.join(stead_node::STORE_FILE),
        keys,
        Durability::Ordered,
    )?;
    replica.create_home(now_ms())?;
    let space = replica.create_space("bench", now_ms())?;
    Ok((replica, space))
}

/// Seconds from the moment a linked device starts to fetch until it holds everything.
fn measure(
    runtime: &tokio::runtime::Runtime,
    fill: impl FnOnce(&Path, &KeyPolicy) -> Result<SpaceId, Failure>,
) -> Result<f64, Failure> {
    let folder = tempfile::tempdir()?;
    let (home_a, home_b) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::create_dir_all(&home_a)?;
    let policy = KeyPolicy::owner_only_file();
    fill(&home_a, &policy)?;
    let config = |home: &Path, name: &str| NodeConfig {
        lan: Lan::Off,
        websocket: false,
        ..NodeConfig::new(home, name)
    };
    let a = runtime.block_on(Node::start(config(&home_a, "a")))?;
    let b = runtime.block_on(Node::start(config(&home_b, "b")))?;
    let mut client_a = Client::connect(&home_a)?;
    let mut client_b = Client::connect(&home_b)?;
    let wanted = entries(&mut client_a)?;
    let link = client_a
        .call(&LinkCreate {
            valid_ms: None,
            help: None,
        })?
        .link;
    let begun = client_b.call(&LinkAccept {
        link,
        ..LinkAccept::default()
    })?;
    let start = Instant::now();
    client_a.call(&LinkApprove { code: begun.code })?;
    // Answers when the device has moved in and has begun to fetch.
    client_b.call(&LinkArrive {
        attempt: begun.attempt,
        wait_ms: PATIENCE.as_millis() as u64,
    })?;
    while entries(&mut client_b)? < wanted || waiting(&mut client_b)? {
        if start.elapsed() > PATIENCE {
            return Err("the second node did not catch up in five minutes".into());
        }
        std::thread::sleep(ASK_EVERY);
    }
    let seconds = start.elapsed().as_secs_f64();
    runtime.block_on(async {
        b.stop().await;
        a.stop().await;
    });
    Ok(seconds)
}

fn bench_space(client: &mut Client) -> Result<Option<stead_api::SpaceInfo>, Failure> {
    let status = client.call(&NodeStatus {})?;
    Ok(status
        .spaces
        .into_iter()
        .find(|space| space.name == "bench"))
}

fn entries(client: &mut Client) -> Result<u64, Failure> {
    Ok(bench_space(client)?.map_or(0, |space| space.entries))
}

fn waiting(client: &mut Client) -> Result<bool, Failure> {
    Ok(bench_space(client)?.is_none_or(|space| space.sync.held_back > 0))
}

/// Signatures of small messages that one core checks in a second.
fn ed25519_ceiling() -> f64 {
    let key = stead_crypt::SigningKey::from_seed(&[1; 32]);
    let message = [7; 120];
    let signature = key.sign(&message);
    let public = key.public();
    let start = Instant::now();
    let mut checked = 0u32;
    while start.elapsed() < Duration::from_secs(1) {
        for _ in 0..100 {
            checked += u32::from(stead_crypt::verify(&public, &message, &signature).is_ok());
        }
    }
    f64::from(checked) / start.elapsed().as_secs_f64()
}

/// Changes a second when another Loro document imports them, in memory.
fn loro_import(documents: usize, changes: usize, single: bool) -> Result<f64, Failure> {
    let doc = loro::LoroDoc::new();
    let root = doc.get_map("docs");
    let mut random = Random(7);
    if single {
        let maps = (0..documents)
            .map(|i| root.insert_container(&i.to_string(), loro::LoroMap::new()))
            .collect::<Result<Vec<_>, _>>()?;
        for i in 0..changes {
            maps[random.below(documents)].insert(FIELDS[i % 4], format!("value {i}"))?;
            doc.commit();
        }
    } else {
        for i in 0..documents {
            let map = root.insert_container(&i.to_string(), loro::LoroMap::new())?;
            for field in 0..6 {
                map.insert(&format!("field{field}"), format!("value {i}.{field}"))?;
            }
        }
        doc.commit();
    }
    let bytes = doc.export(loro::ExportMode::all_updates())?;
    let other = loro::LoroDoc::new();
    let start = Instant::now();
    other.import(&bytes)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(changes as f64 / seconds)
}
