//! Typing: real keystroke traces into one text. CPU a keystroke, merging what two people typed at once, loading
//! and size; what it takes to have each keystroke on the medium is in `keystrokes`.
//!
//! The traces are read where they lie: `automerge-paper` in the package of `loro-internal`, the others in
//! the folder that `STEAD_DATA` names. What is not there is said and skipped.

pub(crate) mod keystrokes;
mod peers;
mod trace;

use std::time::Instant;

use crate::rows::{Aim, Row};
use crate::{Failure, Scale};
use peers::{Automerge, Loro, Ours, Typist, Yrs};
use trace::{Patch, Trace};

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
