//! Reading the parts of a parcel. Owns every check on foreign operations; what it has accepted can
//! be read and merged without errors.

use stead_base::{DecodeError, DecodeFault, Decoder, DocId, Hlc, Stamp, WriterId, limits};

use super::{
    ADD, ASSIGN, DELETE, KIND_BITS, KIND_MASK, OpTable, PARCEL_BODY_BYTES_MAX, PURGE, ParcelError,
    RESTORE, RICH, RawOp, SET_ADD, SET_REMOVE, STAMP_AUTHOR, STAMP_KNOWN_WRITER, STAMP_NEW_WRITER,
    STAMP_NONE, Span, What,
};
use crate::path::{SEPARATOR, check_name};
use crate::rich::{RICH_UPDATE_BYTES_MAX, RichKind};
use crate::value::{self, Place};

pub(super) fn too_long(
    input: &Decoder<'_>,
    what: &'static str,
    found: usize,
    max: usize,
) -> DecodeError {
    let (found, max) = (found as u64, max as u64);
    input.error(what, DecodeFault::TooLong { found, max })
}

pub(super) fn decompress(input: &mut Decoder<'_>, body: &mut Vec<u8>) -> Result<(), DecodeError> {
    let len = input.uint_max(PARCEL_BODY_BYTES_MAX as u64, "body length")? as usize;
    // No LZ4 block unfolds to more than 255 times its size.
    if len > input.remaining().saturating_mul(255) {
        return Err(input.error("body length", DecodeFault::Truncated));
    }
    body.clear();
    body.resize(len, 0);
    match lz4_flex::block::decompress_into(input.rest(), body) {
        Ok(found) if found == len => Ok(()),
        _ => Err(input.error("compressed body", DecodeFault::Undefined)),
    }
}

pub(super) fn read_id(input: &mut Decoder<'_>, named: bool) -> Result<DocId, DecodeError> {
    if !named {
        return Ok(DocId::Generated(input.array("document id")?));
    }
    let name = input.text(limits::DOC_NAME_BYTES_MAX, "document id")?;
    match DocId::parse(name) {
        Ok(id @ DocId::Named(_)) => Ok(id),
        _ => Err(input.error("document id", DecodeFault::Undefined)),
    }
}

pub(super) struct Reader<'t> {
    pub(super) table: &'t mut OpTable,
    pub(super) names: &'t mut Vec<Span>,
    pub(super) writers: &'t mut Vec<WriterId>,
    pub(super) stamp: Stamp,
    pub(super) text_max: usize,
    pub(super) ops_max: usize,
    pub(super) stamps_max: usize,
}

impl Reader<'_> {
    /// Reads a name: `2 * len` and the bytes the first time, then `2 * index + 1`.
    pub(super) fn name<'a>(
        &mut self,
        input: &mut Decoder<'a>,
        source: &'a [u8],
    ) -> Result<&'a str, ParcelError> {
        let header = input.uint("name")?;
        let bytes = if header & 1 == 0 {
            let len = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let start = input.offset();
            let bytes = input.raw(len, "name")?;
            self.names.push(Span {
                start: start as u32,
                end: (start + len) as u32,
            });
            bytes
        } else {
            let index = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let span = self.names.get(index);
            &source[span
                .ok_or(input.error("name", DecodeFault::Undefined))?
                .range()]
        };
        let name =
            std::str::from_utf8(bytes).map_err(|_| input.error("name", DecodeFault::NotUtf8))?;
        if check_name(name).is_err() {
            return Err(input.error("name", DecodeFault::Undefined).into());
        }
        Ok(name)
    }

    pub(super) fn ops<'a>(
        &mut self,
        input: &mut Decoder<'a>,
        source: &'a [u8],
        count: u64,
    ) -> Result<Span, ParcelError> {
        let start = self.table.ops.len();
        if count == 0 || count > input.remaining() as u64 {
            return Err(input.error("operations", DecodeFault::Truncated).into());
        }
        let left = self.ops_max.saturating_sub(start);
        if count > left as u64 {
            return Err(too_long(input, "operations", count as usize, left).into());
        }
        for index in 0..count {
            let raw = self.op(input, source)?;
            if index > 0
                && let Some(last) = self.table.ops.last()
                && self.table.key(last) >= self.table.key(&raw)
            {
                return Err(input.error("operation", DecodeFault::NotCanonical).into());
            }
            self.table.ops.push(raw);
        }
        Ok(Span {
            start: start as u32,
            end: self.table.ops.len() as u32,
        })
    }

    fn op<'a>(&mut self, input: &mut Decoder<'a>, source: &'a [u8]) -> Result<RawOp, ParcelError> {
        let header = input.uint("operation")?;
        let (kind, depth) = (header & KIND_MASK, header >> KIND_BITS);
        if kind > PURGE {
            return Err(ParcelError::NotUnderstood {
                what: "operation",
                found: kind,
            });
        }
        let at_root = matches!(kind, RESTORE | DELETE | PURGE);
        if (depth == 0) != at_root || depth > limits::PATH_DEPTH_MAX as u64 {
            return Err(input.error("path", DecodeFault::Undefined).into());
        }
        let path = self.path(input, source, depth)?;
        let what = match kind {
            ASSIGN => What::Assign(self.value(input, Place::Field)?),
            ADD => What::Add {
                delta: input.int("delta")?,
                base: self.base(input)?,
            },
            SET_ADD => What::SetAdd(self.value(input, Place::Element)?),
            SET_REMOVE => What::SetRemove {
                elem: self.value(input, Place::Element)?,
                observed: self.observed(input)?,
            },
            RESTORE => What::Restore,
            RICH => self.rich(input)?,
            PURGE => What::Purge,
            _ => What::Delete,
        };
        Ok(RawOp { path, what })
    }

    fn path<'a>(
        &mut self,
        input: &mut Decoder<'a>,
        source: &'a [u8],
        depth: u64,
    ) -> Result<Span, ParcelError> {
        let start = self.table.text.len();
        for level in 0..depth {
            let name = self.name(input, source)?;
            if level > 0 {
                self.table.text.push(SEPARATOR);
            }
            self.table.text.push_str(name);
        }
        let end = self.table.text.len();
        if end > self.text_max {
            return Err(too_long(input, "paths", end, self.text_max).into());
        }
        Ok(Span {
            start: start as u32,
            end: end as u32,
        })
    }

    fn value(&mut self, input: &mut Decoder<'_>, place: Place) -> Result<Span, ParcelError> {
        let value = value::read(input, place, 0)?;
        let start = self.table.bytes.len() as u32;
        self.table.bytes.extend_from_slice(value.bytes());
        Ok(Span {
            start,
            end: self.table.bytes.len() as u32,
        })
    }

    fn rich(&mut self, input: &mut Decoder<'_>) -> Result<What, ParcelError> {
        let tag = input.byte("rich kind")?;
        let kind = RichKind::from_tag(tag).ok_or(ParcelError::NotUnderstood {
            what: "rich kind",
            found: tag.into(),
        })?;
        let base = self.base(input)?;
        let len = input.count(RICH_UPDATE_BYTES_MAX, 1, "updates")?;
        let bytes = input.raw(len, "updates")?;
        let mut inner = Decoder::new(bytes);
        while inner.remaining() > 0 {
            let len = inner.uint("update")?;
            inner.raw(usize::try_from(len).unwrap_or(usize::MAX), "update")?;
            if len == 0 {
                return Err(input.error("update", DecodeFault::NotCanonical).into());
            }
        }
        if bytes.is_empty() {
            return Err(input.error("updates", DecodeFault::NotCanonical).into());
        }
        let start = self.table.bytes.len() as u32;
        self.table.bytes.extend_from_slice(bytes);
        let end = self.table.bytes.len() as u32;
        Ok(What::Rich {
            kind,
            base,
            updates: Span { start, end },
        })
    }

    fn base(&mut self, input: &mut Decoder<'_>) -> Result<Span, ParcelError> {
        let start = self.table.stamps.len() as u32;
        let base = self.stamp(input)?;
        self.table.stamps.extend(base);
        Ok(Span {
            start,
            end: self.table.stamps.len() as u32,
        })
    }

    fn observed(&mut self, input: &mut Decoder<'_>) -> Result<Span, ParcelError> {
        let start = self.table.stamps.len() as u32;
        for _ in 0..input.count(limits::WRITERS_MAX, 2, "observed additions")? {
            let stamp = self.stamp(input)?;
            let stamp = stamp.ok_or(input.error("addition", DecodeFault::Undefined))?;
            self.table.stamps.push(stamp);
        }
        let len = self.table.stamps.len();
        if len > self.stamps_max {
            return Err(too_long(input, "observed additions", len, self.stamps_max).into());
        }
        Ok(Span {
            start,
            end: self.table.stamps.len() as u32,
        })
    }

    /// Reads a stamp: its writer, then how much earlier than this transaction it is. So no
    /// operation can refer to the future.
    fn stamp(&mut self, input: &mut Decoder<'_>) -> Result<Option<Stamp>, ParcelError> {
        let writer = match input.uint("writer")? {
            STAMP_NONE => return Ok(None),
            STAMP_AUTHOR => self.stamp.writer,
            STAMP_NEW_WRITER => {
                let writer = WriterId::from_bytes(input.array("writer")?);
                self.writers.push(writer);
                writer
            }
            known => {
                let index = usize::try_from(known - STAMP_KNOWN_WRITER).unwrap_or(usize::MAX);
                let writer = self.writers.get(index).copied();
                writer.ok_or(input.error("writer", DecodeFault::Undefined))?
            }
        };
        let hlc = self.stamp.hlc.to_u64();
        let earlier = input.uint_max(hlc, "time before")?;
        Ok(Some(Stamp {
            hlc: Hlc::from_u64(hlc - earlier),
            writer,
        }))
    }
}
