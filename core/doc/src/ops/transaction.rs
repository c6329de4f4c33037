//! Collecting the operations of one transaction and encoding them as a parcel. Owns the collapse:
//! of what one transaction does to one place, only the outcome is written.

use std::collections::BTreeMap;

use stead_base::{DocId, Stamp, WriterId, codec::put_uint};

use super::{
    DocOps, KIND_BITS, LZ4, Mark, OpTable, PARCEL_BODY_BYTES_MAX, PARCEL_OPS_MAX,
    PARCEL_STAMPS_MAX, PLAIN, RawOp, STAMP_AUTHOR, STAMP_KNOWN_WRITER, STAMP_NEW_WRITER,
    STAMP_NONE, Span, What,
};
use crate::path::{PathRef, SEPARATOR};
use crate::rich::{RICH_UPDATE_BYTES_MAX, RichKind};

/// Bodies smaller than this are not worth the try, in bytes.
const COMPRESS_BYTES_MIN: usize = 256;

/// Why a transaction cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the transaction has {found} {what}, at most {max} are allowed; make several of it")]
pub struct TransactionError {
    /// What there is too much of.
    pub what: &'static str,
    /// How much there is.
    pub found: usize,
    /// How much is allowed.
    pub max: usize,
}

/// The operations of one transaction, over any number of documents.
#[derive(Debug, Clone)]
pub struct Transaction {
    pub(super) stamp: Stamp,
    pub(super) table: OpTable,
    pub(super) collections: Vec<Box<str>>,
    /// Runs of operations on one document, in the order they were made.
    pub(super) runs: Vec<Run>,
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) collection: u32,
    pub(super) id: DocId,
    pub(super) ops: Span,
}

/// A place in a transaction to return to when an edit fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransactionMark {
    table: Mark,
    runs: usize,
}

impl Transaction {
    /// Starts a transaction. All its operations bear `stamp`, which must be new and later than
    /// everything the author has seen.
    pub fn new(stamp: Stamp) -> Self {
        Self {
            stamp,
            table: OpTable::default(),
            collections: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Forgets all operations and starts anew at `stamp`, keeping the allocations.
    pub fn restart(&mut self, stamp: Stamp) {
        self.stamp = stamp;
        self.table.return_to(OpTable::default().mark());
        self.runs.clear();
    }

    /// The stamp of every operation in it.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.table.ops.is_empty()
    }

    /// How many operations were made.
    pub fn len(&self) -> usize {
        self.table.ops.len()
    }

    /// About as many bytes as the parcel has before compression, or more.
    pub fn bytes(&self) -> usize {
        let table = &self.table;
        table.text.len()
            + table.bytes.len()
            + 40 * table.stamps.len()
            + 4 * table.ops.len()
            + 20 * self.runs.len()
    }

    /// Bytes of values appended since `mark`.
    pub(crate) fn bytes_since(&self, mark: TransactionMark) -> usize {
        self.table.bytes.len() - mark.table.bytes
    }

    /// The documents touched, in the order they were first touched since another one was.
    pub fn documents(&self) -> impl Iterator<Item = (&str, &DocId)> {
        let touched = self.runs.iter().filter(|run| run.ops.start < run.ops.end);
        touched.map(|run| (&*self.collections[run.collection as usize], &run.id))
    }

    /// Directs the operations that follow to a document. The collection's name was checked.
    pub(crate) fn open(&mut self, collection: &str, id: &DocId) {
        if let Some(last) = self.runs.last()
            && last.id == *id
            && *self.collections[last.collection as usize] == *collection
        {
            return;
        }
        let known = self
            .collections
            .iter()
            .rposition(|name| **name == *collection);
        let collection = known.unwrap_or_else(|| {
            self.collections.push(collection.into());
            self.collections.len() - 1
        }) as u32;
        let at = self.table.ops.len() as u32;
        self.runs.push(Run {
            collection,
            id: id.clone(),
            ops: Span { start: at, end: at },
        });
    }

    pub(crate) fn mark(&self) -> TransactionMark {
        TransactionMark {
            table: self.table.mark(),
            runs: self.runs.len(),
        }
    }

    /// Takes back what was pushed since `mark`, in the run that was open then.
    pub(crate) fn return_to(&mut self, mark: TransactionMark) {
        self.table.return_to(mark.table);
        self.runs.truncate(mark.runs);
        if let Some(run) = self.runs.last_mut() {
            run.ops.end = mark.table.ops as u32;
        }
    }

    /// The operations pushed to the open document since `mark`.
    pub(crate) fn since(&self, mark: TransactionMark) -> Option<DocOps<'_>> {
        let run = self.runs.last()?;
        Some(DocOps {
            table: &self.table,
            ops: &self.table.ops[mark.table.ops..],
            collection: &self.collections[run.collection as usize],
            id: &run.id,
            stamp: self.stamp,
        })
    }

    /// Appends an operation on the open document; `what` points into the table.
    pub(super) fn push(&mut self, path: PathRef<'_>, what: What) {
        let start = self.table.text.len() as u32;
        self.table.text.push_str(path.0);
        let end = self.table.text.len() as u32;
        let path = Span { start, end };
        self.table.ops.push(RawOp { path, what });
        if let Some(run) = self.runs.last_mut() {
            run.ops.end = self.table.ops.len() as u32;
        }
    }

    /// Assigns the value that `put` appends, unless `put` says no.
    pub(crate) fn assign(&mut self, path: PathRef<'_>, put: impl FnOnce(&mut Vec<u8>) -> bool) {
        let bytes = &mut self.table.bytes;
        let start = bytes.len();
        if put(bytes) {
            let value = span(start, bytes.len());
            self.push(path, What::Assign(value));
        } else {
            bytes.truncate(start);
        }
    }

    pub(crate) fn add(&mut self, path: PathRef<'_>, delta: i64, base: Option<Stamp>) {
        let base = self.put_stamps(base);
        self.push(path, What::Add { delta, base });
    }

    pub(crate) fn set_add(&mut self, path: PathRef<'_>, elem: &[u8]) {
        let elem = self.put_bytes(elem);
        self.push(path, What::SetAdd(elem));
    }

    pub(crate) fn set_remove(
        &mut self,
        path: PathRef<'_>,
        elem: &[u8],
        observed: impl IntoIterator<Item = Stamp>,
    ) {
        let elem = self.put_bytes(elem);
        let observed = self.put_stamps(observed);
        self.push(path, What::SetRemove { elem, observed });
    }

    /// Adds an update to a rich field.
    pub(crate) fn rich(
        &mut self,
        path: PathRef<'_>,
        kind: RichKind,
        base: Option<Stamp>,
        update: &[u8],
    ) {
        let base = self.put_stamps(base);
        let start = self.table.bytes.len();
        put_uint(&mut self.table.bytes, update.len() as u64);
        self.table.bytes.extend_from_slice(update);
        let updates = span(start, self.table.bytes.len());
        self.push(
            path,
            What::Rich {
                kind,
                base,
                updates,
            },
        );
    }

    pub(crate) fn restore(&mut self) {
        self.push(PathRef::ROOT, What::Restore);
    }

    pub(crate) fn delete(&mut self) {
        self.push(PathRef::ROOT, What::Delete);
    }

    pub(crate) fn purge(&mut self) {
        self.push(PathRef::ROOT, What::Purge);
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> Span {
        let start = self.table.bytes.len();
        self.table.bytes.extend_from_slice(bytes);
        span(start, self.table.bytes.len())
    }

    fn put_stamps(&mut self, stamps: impl IntoIterator<Item = Stamp>) -> Span {
        let start = self.table.stamps.len();
        self.table.stamps.extend(stamps);
        span(start, self.table.stamps.len())
    }

    /// Appends the parcel's plaintext to `out`. The order and the repetitions in which operations
    /// were made do not show, only their outcome.
    pub fn encode(&mut self, out: &mut Vec<u8>) -> Result<(), TransactionError> {
        self.check_max("operations", self.table.ops.len(), PARCEL_OPS_MAX)?;
        let stamps = self.table.stamps.len();
        self.check_max("observed additions", stamps, PARCEL_STAMPS_MAX)?;
        self.check_max(
            "bytes of paths",
            self.table.text.len(),
            PARCEL_BODY_BYTES_MAX,
        )?;
        let start = out.len();
        out.push(PLAIN);
        let rich = self.encode_body(out);
        self.check_max(
            "bytes of updates of one rich field",
            rich,
            RICH_UPDATE_BYTES_MAX,
        )
        .inspect_err(|_| out.truncate(start))?;
        let body = out.len() - start - 1;
        self.check_max("bytes", body, PARCEL_BODY_BYTES_MAX)
            .inspect_err(|_| out.truncate(start))?;
        if body >= COMPRESS_BYTES_MIN {
            compress(out, start);
        }
        Ok(())
    }

    fn check_max(
        &self,
        what: &'static str,
        found: usize,
        max: usize,
    ) -> Result<(), TransactionError> {
        if found > max {
            return Err(TransactionError { what, found, max });
        }
        Ok(())
    }

    /// Returns the most bytes that the updates of one rich field take.
    fn encode_body(&mut self, out: &mut Vec<u8>) -> usize {
        let mut order: Vec<usize> = (0..self.runs.len())
            .filter(|&i| self.runs[i].ops.start < self.runs[i].ops.end)
            .collect();
        let (runs, collections) = (&self.runs, &self.collections);
        let key = |i: usize| (&*collections[runs[i].collection as usize], &runs[i].id);
        if !order.is_sorted_by(|&a, &b| key(a) < key(b)) {
            order.sort_by(|&a, &b| key(a).cmp(&key(b)));
        }
        let mut docs = Vec::with_capacity(order.len());
        let mut outcome = Vec::with_capacity(self.table.ops.len());
        let mut ops = Vec::new();
        for runs_of_doc in order.chunk_by(|&a, &b| key(a) == key(b)) {
            for &run in runs_of_doc {
                ops.extend_from_slice(&self.table.ops[runs[run].ops.range()]);
            }
            collapse(&mut self.table, &mut ops);
            docs.push((&runs[runs_of_doc[0]], ops.len()));
            outcome.append(&mut ops);
        }
        let mut writer = Writer::new(&self.table, self.stamp);
        let mut rest = &outcome[..];
        for of_collection in docs.chunk_by(|(a, _), (b, _)| a.collection == b.collection) {
            writer.name(out, &collections[of_collection[0].0.collection as usize]);
            put_uint(out, of_collection.len() as u64);
            for &(run, count) in of_collection {
                let (ops, after) = rest.split_at(count);
                rest = after;
                put_id(out, &run.id, count);
                for raw in ops {
                    writer.op(out, raw);
                }
            }
        }
        let rich = outcome.iter().map(|raw| match raw.what {
            What::Rich { updates, .. } => updates.range().len(),
            _ => 0,
        });
        rich.max().unwrap_or_default()
    }
}

fn span(start: usize, end: usize) -> Span {
    Span {
        start: start as u32,
        end: end as u32,
    }
}

fn put_id(out: &mut Vec<u8>, id: &DocId, ops: usize) {
    let ops = (ops as u64) << 1;
    match id {
        DocId::Generated(bytes) => {
            put_uint(out, ops);
            out.extend_from_slice(bytes);
        }
        DocId::Named(name) => {
            put_uint(out, ops | 1);
            put_uint(out, name.as_str().len() as u64);
            out.extend_from_slice(name.as_str().as_bytes());
        }
    }
}

/// Replaces the plain body in `out` by a compressed one, if that is shorter.
fn compress(out: &mut Vec<u8>, start: usize) {
    let body = &out[start + 1..];
    let mut packed = vec![LZ4];
    put_uint(&mut packed, body.len() as u64);
    let header = packed.len();
    packed.resize(
        header + lz4_flex::block::get_maximum_output_size(body.len()),
        0,
    );
    if let Ok(len) = lz4_flex::block::compress_into(body, &mut packed[header..])
        && header + len < 1 + body.len()
    {
        out.truncate(start);
        out.extend_from_slice(&packed[..header + len]);
    }
}

/// Reduces the operations on one document to their outcome, sorted by key.
fn collapse(table: &mut OpTable, ops: &mut Vec<RawOp>) {
    // Keys put an ancestor before what is below it: made in that order, nothing is undone, but for what a purge
    // that is not the first undoes.
    let undoes = |raw: &RawOp| matches!(raw.what, What::Purge);
    if ops.is_sorted_by(|a, b| table.key(a) < table.key(b)) && !ops.iter().skip(1).any(undoes) {
        return;
    }
    let mut stamps = std::mem::take(&mut table.stamps);
    let mut bytes = Joined {
        before: &table.bytes,
        more: Vec::new(),
    };
    // Stable: operations with one key stay in the order they were made.
    let mut made: Vec<(usize, RawOp)> = ops.drain(..).enumerate().collect();
    made.sort_by(|(_, a), (_, b)| table.key(a).cmp(&table.key(b)));
    // The assignments at and above the current path, a purge being one of the root: the end of each path, and
    // when it was made.
    let mut above: Vec<(Span, usize)> = Vec::new();
    for group in made.chunk_by(|(_, a), (_, b)| table.path(a) == table.path(b)) {
        let path = group[0].1.path;
        let name = |span: Span| &table.text[span.range()];
        while above
            .last()
            .is_some_and(|&(top, _)| !is_below(name(path), name(top)))
        {
            above.pop();
        }
        let assigned = group
            .iter()
            .filter(|(_, raw)| matches!(raw.what, What::Assign(_) | What::Purge))
            .map(|&(made, _)| made)
            .next_back();
        let latest = above.last().map(|&(_, made)| made).max(assigned);
        if let Some(made) = latest {
            above.push((path, made));
        }
        let kept = group.iter().filter(|&&(made, _)| Some(made) >= latest);
        for &(_, raw) in kept {
            match ops.last() {
                Some(last) if table.key(last) == table.key(&raw) => {
                    let joined = join(&mut stamps, &mut bytes, last.what, raw.what);
                    if let Some(last) = ops.last_mut() {
                        last.what = joined;
                    }
                }
                _ => ops.push(raw),
            }
        }
    }
    let more = bytes.more;
    table.bytes.extend_from_slice(&more);
    table.stamps = stamps;
}

/// The bytes of a table, and those that joining adds behind them.
struct Joined<'t> {
    before: &'t [u8],
    more: Vec<u8>,
}

impl Joined<'_> {
    fn copy_of(&self, span: Span) -> Vec<u8> {
        let (start, end) = (span.start as usize, span.end as usize);
        match start.checked_sub(self.before.len()) {
            None => self.before[start..end].to_vec(),
            Some(start) => self.more[start..end - self.before.len()].to_vec(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Span {
        let start = self.before.len() + self.more.len();
        self.more.extend_from_slice(bytes);
        span(start, start + bytes.len())
    }
}

pub(super) fn is_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor)
        .is_some_and(|rest| ancestor.is_empty() || rest.is_empty() || rest.starts_with(SEPARATOR))
}

/// The outcome of two operations with one key, the second made later.
fn join(stamps: &mut Vec<Stamp>, bytes: &mut Joined<'_>, first: What, second: What) -> What {
    match (first, second) {
        (
            What::Add { delta: a, base },
            What::Add {
                delta: b,
                base: later,
            },
        ) if stamps[base.range()] == stamps[later.range()] => {
            let delta = a.wrapping_add(b);
            What::Add { delta, base }
        }
        (What::SetRemove { observed: a, .. }, What::SetRemove { elem, observed: b }) => {
            let mut latest: BTreeMap<WriterId, Stamp> = BTreeMap::new();
            for stamp in stamps[a.range()].iter().chain(&stamps[b.range()]) {
                let known = latest.entry(stamp.writer).or_insert(*stamp);
                *known = (*known).max(*stamp);
            }
            let start = stamps.len();
            stamps.extend(latest.into_values());
            let observed = span(start, stamps.len());
            What::SetRemove { elem, observed }
        }
        (
            What::Rich {
                base: earlier,
                updates: a,
                ..
            },
            What::Rich {
                kind,
                base,
                updates: b,
            },
        ) if stamps[earlier.range()] == stamps[base.range()] => {
            let mut both = bytes.copy_of(a);
            both.extend_from_slice(&bytes.copy_of(b));
            let updates = bytes.put(&both);
            What::Rich {
                kind,
                base,
                updates,
            }
        }
        (_, second) => second,
    }
}

/// Writes operations; remembers what was spelled out before and is now referred to by number.
struct Writer<'t> {
    table: &'t OpTable,
    names: BTreeMap<&'t str, u64>,
    writers: BTreeMap<WriterId, u64>,
    stamp: Stamp,
}

impl<'t> Writer<'t> {
    fn new(table: &'t OpTable, stamp: Stamp) -> Self {
        Self {
            table,
            names: BTreeMap::new(),
            writers: BTreeMap::new(),
            stamp,
        }
    }

    fn name(&mut self, out: &mut Vec<u8>, name: &'t str) {
        if let Some(index) = self.names.get(name) {
            return put_uint(out, index << 1 | 1);
        }
        self.names.insert(name, self.names.len() as u64);
        put_uint(out, (name.len() as u64) << 1);
        out.extend_from_slice(name.as_bytes());
    }

    fn op(&mut self, out: &mut Vec<u8>, raw: &RawOp) {
        let path = PathRef(self.table.path(raw));
        let depth = path.names().count() as u64;
        put_uint(out, depth << KIND_BITS | raw.what.kind());
        for name in path.names() {
            self.name(out, name);
        }
        match raw.what {
            What::Assign(value) | What::SetAdd(value) => {
                out.extend_from_slice(self.table.value(value).bytes());
            }
            What::Add { delta, base } => {
                put_uint(out, (delta << 1 ^ delta >> 63) as u64);
                match self.table.stamps(base) {
                    [base, ..] => self.stamp(out, *base),
                    [] => put_uint(out, STAMP_NONE),
                }
            }
            What::SetRemove { elem, observed } => {
                out.extend_from_slice(self.table.value(elem).bytes());
                let observed = self.table.stamps(observed);
                put_uint(out, observed.len() as u64);
                for &stamp in observed {
                    self.stamp(out, stamp);
                }
            }
            What::Restore | What::Delete | What::Purge => {}
            What::Rich {
                kind,
                base,
                updates,
            } => {
                out.push(kind.tag());
                match self.table.stamps(base) {
                    [base, ..] => self.stamp(out, *base),
                    [] => put_uint(out, STAMP_NONE),
                }
                let updates = &self.table.bytes[updates.range()];
                put_uint(out, updates.len() as u64);
                out.extend_from_slice(updates);
            }
        }
    }

    fn stamp(&mut self, out: &mut Vec<u8>, stamp: Stamp) {
        if stamp.writer == self.stamp.writer {
            put_uint(out, STAMP_AUTHOR);
        } else if let Some(index) = self.writers.get(&stamp.writer) {
            put_uint(out, STAMP_KNOWN_WRITER + index);
        } else {
            self.writers.insert(stamp.writer, self.writers.len() as u64);
            put_uint(out, STAMP_NEW_WRITER);
            out.extend_from_slice(stamp.writer.as_bytes());
        }
        let now = self.stamp.hlc.to_u64();
        put_uint(out, now.saturating_sub(stamp.hlc.to_u64()));
    }
}
