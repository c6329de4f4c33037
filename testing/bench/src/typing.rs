//! Typing: real keystroke traces into one text. CPU a keystroke, durable keystrokes, merging what two people
//! typed at once, loading and size.
//!
//! The traces are read where they lie: `automerge-paper` in the package of `loro-internal`, the others in
//! the folder that `STEAD_DATA` names. What is not there is said and skipped.

mod peers;
mod trace;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use stead_base::DocId;
use stead_replica::{Change, Edit, Folding, RichEdit, RichKind, TextUnit};
use stead_store::Durability;

use crate::device::{fresh, now_ms};
use crate::rows::{Aim, Row};
use crate::{Failure, Scale};
use peers::{Automerge, Loro, Ours, Typist, Yrs};
use trace::{Patch, Trace};

/// Durable keystrokes that are measured, each with a sync of its own.
const DURABLE: usize = 5_000;
/// Typists that share one sync.
const TYPISTS: usize = 16;

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for name in ["automerge-paper", "seph-blog1"] {
        let Some(trace) = Trace::find(name)? else {
            continue;
        };
        let patches: Vec<Patch> = trace.patches();
        let count = match scale.quick {
            true => patches.len() / 10,
            false => patches.len(),
        };
        let patches = &patches[..count];
        let is_whole = (!scale.quick).then_some(trace.end.as_str());
        let ours = replay::<Ours>(patches, is_whole)?;
        let loro = replay::<Loro>(patches, is_whole)?;
        let yrs = replay::<Yrs>(patches, is_whole)?;
        let automerge = replay::<Automerge>(&patches[..count.min(20_000)], None)?;
        rows.push(
            Row::new(
                format!("{name}: keystrokes with an update made of each, in memory"),
                "keystrokes/s",
                ours.rate,
                Aim::TimesPeer(1.0 / 1.2),
            )
            .peer("Loro", loro.rate)
            .peer("yrs", yrs.rate)
            .peer("Automerge (first 20 thousand)", automerge.rate),
        );
        rows.push(
            Row::new(
                format!("{name}: load and show"),
                "ms",
                ours.load_ms,
                Aim::None,
            )
            .peer("Loro", loro.load_ms)
            .peer("yrs", yrs.load_ms)
            .peer("Automerge (first 20 thousand)", automerge.load_ms),
        );
        rows.push(
            Row::new(format!("{name}: saved"), "bytes", ours.bytes, Aim::None)
                .peer("Loro", loro.bytes)
                .peer("yrs", yrs.bytes)
                .peer("Automerge (first 20 thousand)", automerge.bytes),
        );
        if name == "automerge-paper" {
            rows.extend(durable(&patches[..count.min(scale.of(DURABLE))])?);
        }
    }
    if let Some(trace) = Trace::find("friendsforever")? {
        let ours = merge::<Ours>(&trace)?;
        let loro = merge::<Loro>(&trace)?;
        let yrs = merge::<Yrs>(&trace)?;
        let automerge = merge::<Automerge>(&trace)?;
        rows.push(
            Row::new(
                "friendsforever: two people's updates merged by a third, one by one",
                "updates/s",
                ours,
                Aim::TimesPeer(1.0 / 1.2),
            )
            .peer("Loro", loro)
            .peer("yrs", yrs)
            .peer("Automerge", automerge),
        );
    }
    Ok(rows)
}

struct Replayed {
    rate: f64,
    load_ms: f64,
    bytes: f64,
}

fn replay<T: Typist>(patches: &[Patch], end: Option<&str>) -> Result<Replayed, Failure> {
    let mut typist = T::new(1)?;
    let start = Instant::now();
    let mut made = 0;
    for patch in patches {
        typist.splice(patch)?;
        made += typist.update()?.len();
    }
    let seconds = start.elapsed().as_secs_f64();
    std::hint::black_box(made);
    let saved = typist.save()?;
    let start = Instant::now();
    let loaded = T::load(&saved)?;
    let text = loaded.text()?;
    let load_ms = start.elapsed().as_secs_f64() * 1000.0;
    if end.is_some_and(|end| end != text) {
        return Err("a replayed trace ends in another text".into());
    }
    Ok(Replayed {
        rate: patches.len() as f64 / seconds,
        load_ms,
        bytes: saved.len() as f64,
    })
}

/// A peer's keystrokes, each appended to a file and synced.
fn appended<T: Typist>(path: &Path, patches: &[Patch]) -> Result<f64, Failure> {
    let mut file = File::create(path)?;
    let mut typist = T::new(1)?;
    let start = Instant::now();
    for patch in patches {
        typist.splice(patch)?;
        let update = typist.update()?;
        file.write_all(&(update.len() as u32).to_le_bytes())?;
        file.write_all(&update)?;
        file.sync_data()?;
    }
    Ok(patches.len() as f64 / start.elapsed().as_secs_f64())
}

fn splice(id: &DocId, patch: &Patch) -> Edit {
    Edit {
        collection: "notes".to_owned(),
        id: Some(id.clone()),
        change: Change::Rich {
            path: vec!["body".to_owned()],
            kind: RichKind::Text,
            edit: RichEdit::Splice {
                at: patch.at,
                delete: patch.delete,
                insert: patch.insert.clone(),
                unit: TextUnit::Scalar,
            },
        },
    }
}

fn durable(patches: &[Patch]) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir()?;
    let loro = appended::<Loro>(&folder.path().join("loro"), patches)?;
    let yrs = appended::<Yrs>(&folder.path().join("yrs"), patches)?;
    let automerge = appended::<Automerge>(&folder.path().join("automerge"), patches)?;
    let (mut replica, space) = fresh(&folder.path().join("stead.db"), Durability::Flushed)?;
    replica.set_folding(Folding::WhenRead);
    let signer = replica.signer();
    let signing = std::thread::spawn(move || signer.run());
    let id = DocId::parse("paper")?;
    let start = Instant::now();
    for patch in patches {
        replica.transact(&space, &[splice(&id, patch)], now_ms())?;
        replica.drain_events();
    }
    replica.flush()?;
    let alone = patches.len() as f64 / start.elapsed().as_secs_f64();
    let ids = (0..TYPISTS)
        .map(|n| DocId::parse(&format!("paper-{n}")))
        .collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let mut typed = 0;
    for patch in &patches[..patches.len() / 4] {
        let waiting: Vec<_> = ids
            .iter()
            .map(|id| (space, vec![splice(id, patch)]))
            .collect();
        for receipt in replica.transact_many(&waiting, now_ms())? {
            receipt?;
            typed += 1;
        }
        replica.drain_events();
    }
    replica.flush()?;
    let together = f64::from(typed) / start.elapsed().as_secs_f64();
    drop(replica);
    signing.join().map_err(|_| "the signing thread panicked")?;
    let row = |name: String, ours| {
        Row::new(name, "keystrokes/s", ours, Aim::TimesPeer(1.0))
            .peer("Loro, updates appended and synced", loro)
            .peer("yrs, the same", yrs)
            .peer("Automerge, the same", automerge)
    };
    Ok(vec![
        row(
            "automerge-paper: each keystroke on the medium, sealed and signed, one typist"
                .to_owned(),
            alone,
        ),
        row(
            format!("automerge-paper: each keystroke on the medium, {TYPISTS} typists of one node"),
            together,
        ),
    ])
}

/// Two people's typing as it was, then all updates taken up by a third, one by one.
fn merge<T: Typist>(trace: &Trace) -> Result<f64, Failure> {
    let updates = trace.typed_apart::<T>()?;
    let mut third = T::new(1000)?;
    let start = Instant::now();
    for update in &updates {
        third.take(update)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    // Engines place concurrent insertions differently; what matters is that nothing is missing.
    if third.text()?.is_empty() {
        return Err("nothing came of the merge".into());
    }
    Ok(updates.len() as f64 / seconds)
}
