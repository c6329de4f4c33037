//! A document as a row of bytes. Owns the row's format, described in `docs/formats/document.md`;
//! a damaged row is refused, never trusted.

use stead_base::{DecodeError, DecodeFault, Decoder, Hlc, codec::put_uint, limits};

use super::{
    Assign, Cell, Counter, Document, Lifecycle, LocalStamp, Member, More, Rich, Span, value_in,
};
use crate::dictionary::Dictionary;
use crate::ops::ParcelError;
use crate::rich::RichKind;
use crate::value::{self, Place};

/// First byte of a row without rich fields.
const VERSION: u8 = 1;
/// First byte of a row with rich fields.
const VERSION_RICH: u8 = 2;

/// A cell's header is `stamp << bits | what it has`.
const BITS: u32 = 4;
/// The same in a row with rich fields.
const BITS_RICH: u32 = 5;
const ASSIGN: u64 = 1;
const COUNTER: u64 = 2;
const MEMBERS: u64 = 4;
const CELLS: u64 = 8;
const RICH: u64 = 16;

/// Why a row was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The row is damaged.
    #[error("damaged document row")]
    Malformed(#[source] DecodeError),
    /// The row was written by a newer version.
    #[error("document row of a newer version: {what} {found} is not understood here")]
    NotUnderstood {
        /// The kind of thing met.
        what: &'static str,
        /// Its number.
        found: u64,
    },
    /// A field's number is not in the dictionary, or not in its place.
    #[error("document row has field number {number} where the dictionary does not put it")]
    Field {
        /// The number.
        number: u64,
    },
    /// A writer's number is not in the dictionary.
    #[error("document row has writer number {number}, unknown to the dictionary")]
    Writer {
        /// The number.
        number: u64,
    },
}

impl From<DecodeError> for RowError {
    fn from(err: DecodeError) -> Self {
        Self::Malformed(err)
    }
}

impl From<ParcelError> for RowError {
    fn from(err: ParcelError) -> Self {
        match err {
            ParcelError::Malformed(err) => Self::Malformed(err),
            ParcelError::NotUnderstood { what, found } => Self::NotUnderstood { what, found },
        }
    }
}

impl Document {
    /// Reads a row.
    pub fn decode<D: Dictionary>(row: &[u8], dictionary: &D) -> Result<Self, RowError> {
        let mut document = Self::default();
        document.decode_into(row, dictionary)?;
        Ok(document)
    }

    /// Reads a row into this document, whose allocations are used again. After an error the
    /// document is as if never written.
    pub fn decode_into<D: Dictionary>(
        &mut self,
        row: &[u8],
        dictionary: &D,
    ) -> Result<(), RowError> {
        self.clear();
        let result = self.read_row(row, dictionary);
        if result.is_err() {
            self.clear();
        }
        result
    }

    fn read_row<D: Dictionary>(&mut self, row: &[u8], dictionary: &D) -> Result<(), RowError> {
        let mut input = Decoder::new(row);
        if u32::try_from(row.len()).is_err() {
            return Err(input.error("row", DecodeFault::Truncated).into());
        }
        let version = input.byte("version")?;
        let bits = match version {
            VERSION => BITS,
            _ => BITS_RICH,
        };
        if version != VERSION && version != VERSION_RICH {
            return Err(RowError::NotUnderstood {
                what: "version",
                found: version.into(),
            });
        }
        let mut reader = Reader::stamps(&mut input, dictionary, bits)?;
        self.lifecycle = match input.byte("lifecycle")? {
            0 => None,
            state @ 1..=4 => {
                let alive = state & 1 == 1;
                let stamp = reader.stamp(&mut input)?;
                if state > 2 {
                    let purged = reader.stamp(&mut input)?;
                    if stamp.is_before(purged, dictionary) {
                        return Err(input.error("purge", DecodeFault::Undefined).into());
                    }
                    self.purged = Some(purged);
                }
                Some(Lifecycle { alive, stamp })
            }
            _ => return Err(input.error("lifecycle", DecodeFault::Undefined).into()),
        };
        reader.cells(&mut input, &mut self.cells, 1)?;
        input.clone().finish("row")?;
        if version == VERSION_RICH && !reader.has_rich {
            return Err(input.error("version", DecodeFault::NotCanonical).into());
        }
        self.has_rich = reader.has_rich;
        self.heap.extend_from_slice(row);
        Ok(())
    }

    /// Appends the row to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut stamps = Stamps::default();
        if let Some(lifecycle) = self.lifecycle {
            stamps.note(lifecycle.stamp);
        }
        if let Some(purged) = self.purged {
            stamps.note(purged);
        }
        stamps.note_all(&self.cells);
        let bits = match self.has_rich && any_rich(&self.cells) {
            true => BITS_RICH,
            false => BITS,
        };
        out.push(match bits {
            BITS => VERSION,
            _ => VERSION_RICH,
        });
        stamps.put(out);
        // A purge is a word on whether the document lives, so one without the other does not come.
        match self.lifecycle {
            None => out.push(0),
            Some(Lifecycle { alive, stamp }) => {
                let purged = if self.purged.is_some() { 2 } else { 0 };
                out.push(purged + if alive { 1 } else { 2 });
                put_uint(out, stamps.index(stamp));
                if let Some(purged) = self.purged {
                    put_uint(out, stamps.index(purged));
                }
            }
        }
        put_cells(out, &self.cells, &self.heap, &stamps, bits);
    }
}

fn any_rich(cells: &[Cell]) -> bool {
    let mut cells = cells.iter();
    cells.any(|cell| cell.rich().is_some() || any_rich(cell.cells()))
}

/// The stamps of a document, each written once.
#[derive(Default)]
struct Stamps {
    sorted: Vec<LocalStamp>,
}

impl Stamps {
    fn note(&mut self, stamp: LocalStamp) {
        if self.sorted.last() != Some(&stamp) {
            self.sorted.push(stamp);
        }
    }

    fn note_all(&mut self, cells: &[Cell]) {
        for cell in cells {
            if let Some(stamp) = cell.assigned() {
                self.note(stamp);
            }
            if let Some(base) = cell.counter().and_then(|counter| counter.base) {
                self.note(base);
            }
            if let Some(base) = cell.rich().and_then(|rich| rich.base) {
                self.note(base);
            }
            for member in cell.members() {
                self.note(member.stamp);
            }
            self.note_all(cell.cells());
        }
    }

    fn put(&mut self, out: &mut Vec<u8>) {
        self.sorted.sort_unstable();
        self.sorted.dedup();
        put_uint(out, self.sorted.len() as u64);
        let mut last = 0;
        for stamp in &self.sorted {
            put_uint(out, stamp.hlc.to_u64() - last);
            put_uint(out, stamp.writer.into());
            last = stamp.hlc.to_u64();
        }
    }

    fn index(&self, stamp: LocalStamp) -> u64 {
        // All stamps were noted.
        self.sorted.binary_search(&stamp).unwrap_or_default() as u64
    }
}

fn put_cells(out: &mut Vec<u8>, cells: &[Cell], heap: &[u8], stamps: &Stamps, header: u32) {
    put_uint(out, cells.len() as u64);
    for cell in cells {
        put_uint(out, cell.field.into());
        let has = |bit, there: bool| if there { bit } else { 0 };
        let bits = has(ASSIGN, cell.assign.is_some())
            | has(COUNTER, cell.counter().is_some())
            | has(MEMBERS, !cell.members().is_empty())
            | has(CELLS, !cell.cells().is_empty())
            | has(RICH, cell.rich().is_some());
        let stamp = cell.assigned().map_or(0, |stamp| stamps.index(stamp));
        put_uint(out, stamp << header | bits);
        if let Some(assign) = cell.assign {
            out.extend_from_slice(value_in(heap, assign.value).bytes());
        }
        if let Some(counter) = cell.counter() {
            put_uint(out, counter.base.map_or(0, |base| stamps.index(base) + 1));
            put_uint(out, (counter.sum << 1 ^ counter.sum >> 63) as u64);
        }
        if !cell.members().is_empty() {
            put_uint(out, cell.members().len() as u64);
            for member in cell.members() {
                out.extend_from_slice(value_in(heap, member.elem).bytes());
                put_uint(
                    out,
                    stamps.index(member.stamp) << 1 | u64::from(member.present),
                );
            }
        }
        if let Some(rich) = cell.rich() {
            put_uint(out, rich.base.map_or(0, |base| stamps.index(base) + 1));
            out.push(rich.kinds);
        }
        if !cell.cells().is_empty() {
            put_cells(out, cell.cells(), heap, stamps, header);
        }
    }
}

struct Reader<'d, D> {
    stamps: Vec<LocalStamp>,
    dictionary: &'d D,
    /// How far a cell's header has its stamp shifted.
    header: u32,
    has_rich: bool,
}

impl<'d, D: Dictionary> Reader<'d, D> {
    fn stamps(input: &mut Decoder<'_>, dictionary: &'d D, header: u32) -> Result<Self, RowError> {
        let count = input.count(usize::MAX, 2, "stamps")?;
        let mut stamps: Vec<LocalStamp> = Vec::with_capacity(count);
        let mut hlc = 0u64;
        for _ in 0..count {
            let after = input.uint("stamp")?;
            hlc = hlc
                .checked_add(after)
                .ok_or(input.error("stamp", DecodeFault::Undefined))?;
            let number = input.uint("writer")?;
            let known = u32::try_from(number).ok();
            let writer = known.filter(|&writer| dictionary.writer(writer).is_some());
            let stamp = LocalStamp {
                hlc: Hlc::from_u64(hlc),
                writer: writer.ok_or(RowError::Writer { number })?,
            };
            if stamps.last().is_some_and(|last| *last >= stamp) {
                return Err(input.error("stamp", DecodeFault::NotCanonical).into());
            }
            stamps.push(stamp);
        }
        Ok(Self {
            stamps,
            dictionary,
            header,
            has_rich: false,
        })
    }

    fn stamp(&self, input: &mut Decoder<'_>) -> Result<LocalStamp, RowError> {
        let index = input.uint("stamp")?;
        Ok(self.stamp_at(index, input)?)
    }

    fn stamp_at(&self, index: u64, input: &Decoder<'_>) -> Result<LocalStamp, DecodeError> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let stamp = self.stamps.get(index).copied();
        stamp.ok_or(input.error("stamp", DecodeFault::Undefined))
    }

    fn cells(
        &mut self,
        input: &mut Decoder<'_>,
        cells: &mut Vec<Cell>,
        depth: usize,
    ) -> Result<(), RowError> {
        let count = input.count(usize::MAX, 3, "cells")?;
        if count > 0 && depth > limits::PATH_DEPTH_MAX {
            return Err(input.error("depth", DecodeFault::Undefined).into());
        }
        cells.reserve(count);
        let mut last = None;
        for _ in 0..count {
            let number = input.uint("field")?;
            let field = u32::try_from(number).ok();
            let name = field.and_then(|field| self.dictionary.field(field));
            if name.is_none() || last >= name {
                return Err(RowError::Field { number });
            }
            last = name;
            let cell = self.cell(input, field.unwrap_or_default(), depth)?;
            cells.push(cell);
        }
        Ok(())
    }

    fn cell(
        &mut self,
        input: &mut Decoder<'_>,
        field: u32,
        depth: usize,
    ) -> Result<Cell, RowError> {
        let header = input.uint("cell")?;
        let mut cell = Cell::new(field);
        if header & ASSIGN != 0 {
            let stamp = self.stamp_at(header >> self.header, input)?;
            let value = read_value(input, Place::Field)?;
            cell.assign = Some(Assign { value, stamp });
        } else if header >> self.header != 0 {
            return Err(input.error("cell", DecodeFault::NotCanonical).into());
        }
        let has = header & ((1 << self.header) - 1);
        match has & (COUNTER | MEMBERS | CELLS | RICH) {
            0 if cell.assign.is_none() => {
                return Err(input.error("cell", DecodeFault::NotCanonical).into());
            }
            0 => {}
            bits => cell.more = Some(Box::new(self.more(input, bits, depth)?)),
        }
        Ok(cell)
    }

    fn more(&mut self, input: &mut Decoder<'_>, bits: u64, depth: usize) -> Result<More, RowError> {
        let mut more = More::default();
        if bits & COUNTER != 0 {
            let base = match input.uint("base")? {
                0 => None,
                index => Some(self.stamp_at(index - 1, input)?),
            };
            let sum = input.int("sum")?;
            more.counter = Some(Counter { base, sum });
        }
        if bits & MEMBERS != 0 {
            self.members(input, &mut more.members)?;
        }
        if bits & RICH != 0 {
            let base = match input.uint("base")? {
                0 => None,
                index => Some(self.stamp_at(index - 1, input)?),
            };
            let kinds = input.byte("kinds")?;
            if !(1..1 << RichKind::ALL.len()).contains(&kinds) {
                return Err(input.error("kinds", DecodeFault::Undefined).into());
            }
            more.rich = Some(Rich { base, kinds });
            self.has_rich = true;
        }
        if bits & CELLS != 0 {
            self.cells(input, &mut more.cells, depth + 1)?;
            if more.cells.is_empty() {
                return Err(input.error("cells", DecodeFault::NotCanonical).into());
            }
        }
        Ok(more)
    }

    fn members(
        &mut self,
        input: &mut Decoder<'_>,
        members: &mut Vec<Member>,
    ) -> Result<(), RowError> {
        let count = input.count(usize::MAX, 2, "members")?;
        if count == 0 {
            return Err(input.error("members", DecodeFault::NotCanonical).into());
        }
        members.reserve(count);
        let mut last = None;
        for _ in 0..count {
            let start = input.offset();
            let elem = value::read(input, Place::Element, 0)?;
            let header = input.uint("member")?;
            let stamp = self.stamp_at(header >> 1, input)?;
            let in_order = last.is_none_or(|(before, writer): (value::ValueRef<'_>, u32)| {
                let order = before.cmp_elements(elem);
                order.then(writer.cmp(&stamp.writer)).is_lt()
            });
            if !in_order {
                return Err(input.error("member", DecodeFault::NotCanonical).into());
            }
            last = Some((elem, stamp.writer));
            members.push(Member {
                elem: Span {
                    start: start as u32,
                    len: elem.bytes().len() as u32,
                },
                stamp,
                present: header & 1 == 1,
            });
        }
        Ok(())
    }
}

fn read_value(input: &mut Decoder<'_>, place: Place) -> Result<Span, RowError> {
    let start = input.offset() as u32;
    let value = value::read(input, place, 0)?;
    Ok(Span {
        start,
        len: value.bytes().len() as u32,
    })
}
