//! Keystrokes that are each on the medium before the next: ours, and the peers' updates appended to a file and
//! synced.
//!
//! How long a sync takes changes from second to second. So all are measured in turn, several times, and the
//! middle one of each is told.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use stead_base::{DocId, SpaceId};
use stead_replica::{Change, Edit, Folding, Replica, RichEdit, RichKind, TextUnit};
use stead_store::Durability;

use super::peers::{Automerge, Loro, Typist, Yrs};
use super::trace::{Patch, Trace};
use crate::device::{fresh, now_ms};
use crate::rows::{Aim, Row, median};
use crate::{Failure, Scale};

/// Keystrokes that are measured, each with a sync of its own.
const COUNT: usize = 5_000;
/// Typists that share one sync.
const TYPISTS: usize = 16;
/// How often each is measured.
const TURNS: usize = 5;

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

/// Keystrokes a second of people who use one node; `type_all` says how many they made. As in a node, commits
/// are in order, and a flush puts on the medium, and signs, what is acknowledged then.
fn typed(
    path: &Path,
    type_all: impl FnOnce(&mut Replica, SpaceId) -> Result<usize, Failure>,
) -> Result<f64, Failure> {
    let (mut replica, space) = fresh(path, Durability::Ordered)?;
    replica.set_folding(Folding::WhenRead);
    let signer = replica.signer();
    let signing = std::thread::spawn(move || signer.run());
    let start = Instant::now();
    let count = type_all(&mut replica, space)?;
    let seconds = start.elapsed().as_secs_f64();
    drop(replica);
    signing.join().map_err(|_| "the signing thread panicked")?;
    Ok(count as f64 / seconds)
}

/// One person's keystrokes into one text.
fn alone(path: &Path, patches: &[Patch]) -> Result<f64, Failure> {
    let id = DocId::parse("paper")?;
    typed(path, |replica, space| {
        for patch in patches {
            replica.transact(&space, &[splice(&id, patch)], now_ms())?;
            replica.flush()?;
            replica.drain_events();
        }
        Ok(patches.len())
    })
}

/// Several people's keystrokes, each into a text of their own, a keystroke of each at a time.
fn together(path: &Path, patches: &[Patch]) -> Result<f64, Failure> {
    let ids = (0..TYPISTS)
        .map(|n| DocId::parse(&format!("paper-{n}")))
        .collect::<Result<Vec<_>, _>>()?;
    let patches = &patches[..patches.len() / 4];
    typed(path, |replica, space| {
        for patch in patches {
            let waiting: Vec<_> = ids
                .iter()
                .map(|id| (space, vec![splice(id, patch)]))
                .collect();
            for receipt in replica.transact_many(&waiting, now_ms())? {
                receipt?;
            }
            replica.flush()?;
            replica.drain_events();
        }
        Ok(patches.len() * TYPISTS)
    })
}

pub(crate) fn run(scale: Scale) -> Result<Vec<Row>, Failure> {
    let Some(trace) = Trace::find("automerge-paper")? else {
        return Ok(Vec::new());
    };
    let patches: Vec<Patch> = trace.patches();
    let patches = &patches[..patches.len().min(scale.of(COUNT))];
    let mut rates = [const { Vec::new() }; 5];
    for _ in 0..TURNS {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        rates[0].push(appended::<Loro>(&path("loro"), patches)?);
        rates[1].push(alone(&path("alone.db"), patches)?);
        rates[2].push(appended::<Yrs>(&path("yrs"), patches)?);
        rates[3].push(appended::<Automerge>(&path("automerge"), patches)?);
        rates[4].push(together(&path("together.db"), patches)?);
    }
    let [loro, alone, yrs, automerge, together] = rates.map(median);
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
