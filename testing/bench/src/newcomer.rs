//! The first open of a shared space of a million fields by a newcomer that holds nothing: from a
//! checkpoint, and by replaying the whole log. Ours is verified and durable when it answers; the
//! peers load the same data into memory.

use std::time::Instant;

use automerge::{AutoCommit, ReadDoc};
use loro::{ExportMode, LoroDoc};
use stead_base::DocId;
use stead_crypt::DeviceKeys;
use stead_replica::{CheckpointInfo, Query, Replica};
use stead_store::{CollectionNo, Condition, Durability, Filter, Scalar, Test};

use crate::data::{Records, places};
use crate::device::{fresh, now_ms, write_bulk};
use crate::remote::{BATCH_BYTES, read_new, receiver, take_up};
use crate::resident::{automerge_of, loro_of};
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};

/// What all are asked to count.
const COUNTRY: &str = "PT";

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let records = places(scale.of(1_000_000) / 6);
    let ours = stead(&records)?;
    let loro = loro(&records)?;
    let automerge = automerge(&records)?;
    let all = [&ours, &loro, &automerge];
    let found = ours.begun.found;
    if found == 0
        || all
            .iter()
            .any(|it| it.begun.found != found || it.replayed.found != found)
    {
        return Err("the systems do not count the same documents".into());
    }
    let fields = records.ids.len() * 6;
    let row = |what: &str, unit, aim, figure: fn(&Newcomer) -> f64| {
        Row::new(format!("{what}, {fields} fields"), unit, figure(&ours), aim)
            .peer("Loro, snapshot or all updates imported", figure(&loro))
            .peer("Automerge, load or apply_changes", figure(&automerge))
    };
    Ok(vec![
        row(
            "a newcomer opens a space from a checkpoint, until it reads a document",
            "ms",
            Aim::Smallest,
            |it| it.begun.first_ms,
        ),
        row(
            "the same, until all documents are asked",
            "ms",
            Aim::Smallest,
            |it| it.begun.all_ms,
        ),
        row(
            "a newcomer replays a space without a checkpoint, until all documents are asked",
            "ms",
            Aim::None,
            |it| it.replayed.all_ms,
        ),
        row("a checkpoint on the wire", "bytes", Aim::None, |it| {
            it.bytes as f64
        }),
    ])
}

/// What a newcomer needs of one system.
struct Newcomer {
    /// From a checkpoint or what comes nearest to one.
    begun: Opened,
    /// From every change that was ever made.
    replayed: Opened,
    /// Size of the checkpoint.
    bytes: usize,
}

/// Milliseconds from nothing but bytes to an answer.
struct Opened {
    /// Until one document was read.
    first_ms: f64,
    /// Until a count over all documents was answered.
    all_ms: f64,
    found: u64,
}

fn opened<T>(
    open: impl FnOnce() -> Result<T, Failure>,
    read: impl FnOnce(&T) -> Result<bool, Failure>,
    count: impl FnOnce(&T) -> Result<u64, Failure>,
) -> Result<Opened, Failure> {
    let start = Instant::now();
    let system = open()?;
    let is_there = read(&system)?;
    let first_ms = start.elapsed().as_secs_f64() * 1e3;
    let found = count(&system)?;
    let all_ms = start.elapsed().as_secs_f64() * 1e3;
    if !is_there {
        return Err("a document is missing".into());
    }
    Ok(Opened {
        first_ms,
        all_ms,
        found,
    })
}

fn stead(records: &Records) -> Result<Newcomer, Failure> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let (mut old, space) = fresh(&path("old.db"), Durability::Ordered)?;
    write_bulk(&mut old, &space, records)?;
    let id = middle(records);
    let read = |new: &Replica| Ok(new.get(&space, "cities", id)?.is_some());
    let count = |new: &Replica| Ok(new.count(&space, "cities", of_country())?);

    let keys = DeviceKeys::from_seed(&[8; 32]);
    let mut new = receiver(&mut old, &space, &path("replaying.db"), keys)?;
    let batches = read_new(&old, &new, &space)?;
    let replay = || {
        take_up(&mut new, &space, batches)?;
        Ok(new)
    };
    let replayed = opened(replay, read, count)?;

    let keys = DeviceKeys::from_seed(&[9; 32]);
    let mut new = receiver(&mut old, &space, &path("beginning.db"), keys)?;
    let made = old.make_checkpoint(&space, now_ms())?;
    old.flush()?;
    let batches = checkpoint(&old, &made, &space)?;
    let bytes = batches.iter().map(Vec::len).sum();
    let begin = || {
        take_up(&mut new, &space, batches)?;
        if !new.begin_from(&space, &made.log, now_ms())? {
            return Err("the newcomer has no keys for the checkpoint".into());
        }
        new.flush()?;
        Ok(new)
    };
    Ok(Newcomer {
        begun: opened(begin, read, count)?,
        replayed,
        bytes,
    })
}

/// The batches of a checkpoint's log.
fn checkpoint(
    old: &Replica,
    made: &CheckpointInfo,
    space: &stead_base::SpaceId,
) -> Result<Vec<Vec<u8>>, Failure> {
    let (mut batches, mut from) = (Vec::new(), 0);
    while let Some(batch) = old.read_batch(space, &made.log, from, made.entries, BATCH_BYTES)? {
        from = stead_log::Batch::decode(&batch)?.end();
        batches.push(batch);
    }
    Ok(batches)
}

fn of_country() -> Query {
    Query {
        filter: vec![Filter::Is(Condition {
            path: vec!["country".to_owned()],
            test: Test::Eq(Scalar::Text(COUNTRY.to_owned())),
        })],
        ..Query::all(CollectionNo(0))
    }
}

fn middle(records: &Records) -> &DocId {
    &records.ids[records.ids.len() / 2]
}

fn loro(records: &Records) -> Result<Newcomer, Failure> {
    let (snapshot, updates) = {
        let doc = loro_of(records)?;
        (
            doc.export(ExportMode::Snapshot)?,
            doc.export(ExportMode::all_updates())?,
        )
    };
    let path = format!("docs/{}/name", middle(records));
    let open = |bytes: &[u8]| {
        let begin = || {
            let doc = LoroDoc::new();
            doc.import(bytes)?;
            Ok(doc)
        };
        let read = |doc: &LoroDoc| Ok(doc.get_by_str_path(&path).is_some());
        opened(begin, read, |doc| Ok(loro_count(doc)))
    };
    Ok(Newcomer {
        begun: open(&snapshot)?,
        replayed: open(&updates)?,
        bytes: snapshot.len(),
    })
}

fn loro_count(doc: &LoroDoc) -> u64 {
    let mut found = 0;
    doc.get_map("docs").for_each(|_, document| {
        let country = document
            .as_container()
            .and_then(|it| it.as_map()?.get("country")?.into_value().ok());
        let is_asked =
            |value: loro::LoroValue| value.as_string().is_some_and(|it| ***it == *COUNTRY);
        found += u64::from(country.is_some_and(is_asked));
    });
    found
}

fn automerge(records: &Records) -> Result<Newcomer, Failure> {
    let (saved, changes) = {
        let mut doc = automerge_of(records)?;
        (doc.save(), doc.get_changes(&[]))
    };
    let id = middle(records).to_string();
    let read = |doc: &AutoCommit| Ok(doc.get(automerge::ROOT, id.as_str())?.is_some());
    let replay = || {
        let mut doc = AutoCommit::new();
        doc.apply_changes(changes)?;
        Ok(doc)
    };
    Ok(Newcomer {
        begun: opened(|| Ok(AutoCommit::load(&saved)?), read, automerge_count)?,
        replayed: opened(replay, read, automerge_count)?,
        bytes: saved.len(),
    })
}

fn automerge_count(doc: &AutoCommit) -> Result<u64, Failure> {
    let mut found = 0;
    for entry in doc.map_range(automerge::ROOT, ..) {
        let country = doc.get(entry.id(), "country")?;
        let is_asked = country.is_some_and(|(value, _)| value.as_str() == Some(COUNTRY));
        found += u64::from(is_asked);
    }
    Ok(found)
}
