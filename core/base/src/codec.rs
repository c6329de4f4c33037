//! The canonical encoding under every format: little decisions made once.
//!
//! Integers are minimal LEB128 (unsigned) or zigzag LEB128 (signed); bytes and text carry their
//! length. One value has one encoding: a decoder refuses the others, and never reads past its
//! input, allocates by an unchecked length, or panics.

/// Why bytes were refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {fault} at byte {offset}")]
pub struct DecodeError {
    /// The field being read.
    pub what: &'static str,
    /// Distance from the start of the input, in bytes.
    pub offset: usize,
    /// What was wrong with it.
    pub fault: DecodeFault,
}

/// What was wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// The input ended inside the value.
    #[error("input ends early")]
    Truncated,
    /// An integer has a longer encoding than it needs, or does not fit 64 bits.
    #[error("integer is not in its shortest form")]
    NotCanonical,
    /// A length or count is above its limit.
    #[error("length {found} is above the limit of {max}")]
    TooLong {
        /// Length found.
        found: u64,
        /// Greatest length allowed.
        max: u64,
    },
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A tag or value that the format does not define.
    #[error("value is not defined by the format")]
    Undefined,
    /// Bytes are left over after the value.
    #[error("bytes are left over")]
    Trailing,
}

/// Appends values to a growing buffer.
#[derive(Debug, Default, Clone)]
pub struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// Starts empty.
    pub const fn new() -> Self {
        Self { out: Vec::new() }
    }

    /// Continues an existing buffer, to reuse its allocation.
    pub const fn over(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Writes one byte.
    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.out.push(value);
        self
    }

    /// Writes an unsigned integer as LEB128.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        put_uint(&mut self.out, value);
        self
    }

    /// Writes a signed integer as zigzag LEB128.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.uint((value << 1 ^ value >> 63) as u64)
    }

    /// Writes bytes without a length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Writes bytes after their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.uint(bytes.len() as u64).raw(bytes)
    }

    /// Writes text after its length in bytes.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// What was written.
    pub fn as_slice(&self) -> &[u8] {
        &self.out
    }

    /// Ends the encoding.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Appends an unsigned integer to `out` as LEB128.
pub fn put_uint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Length in bytes of `value` as LEB128.
pub const fn uint_len(value: u64) -> usize {
    (63 - (value | 1).leading_zeros() as usize) / 7 + 1
}

/// Reads values from the front of a slice.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte of `input`.
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// Bytes read so far.
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Bytes left.
    pub const fn remaining(&self) -> usize {
        self.input.len() - self.at
    }

    /// The bytes left, without reading them.
    pub fn rest(&self) -> &'a [u8] {
        &self.input[self.at..]
    }

    /// An error about the field at the current place.
    pub const fn error(&self, what: &'static str, fault: DecodeFault) -> DecodeError {
        DecodeError {
            what,
            offset: self.at,
            fault,
        }
    }

    /// Reads one byte.
    #[inline]
    pub fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let byte = *self
            .input
            .get(self.at)
            .ok_or(self.error(what, DecodeFault::Truncated))?;
        self.at += 1;
        Ok(byte)
    }

    /// Reads an unsigned integer; refuses any but its shortest form.
    #[inline]
    pub fn uint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let first = *self
            .input
            .get(self.at)
            .ok_or(self.error(what, DecodeFault::Truncated))?;
        if first < 0x80 {
            self.at += 1;
            return Ok(first.into());
        }
        self.long_uint(what)
    }

    fn long_uint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for i in 0..10 {
            let byte = *self
                .input
                .get(self.at + i)
                .ok_or(self.error(what, DecodeFault::Truncated))?;
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if byte == 0 {
                    break;
                }
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(self.error(what, DecodeFault::NotCanonical))
    }

    /// Reads a signed integer.
    pub fn int(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let value = self.uint(what)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Reads an unsigned integer no greater than `max`.
    #[inline]
    pub fn uint_max(&mut self, max: u64, what: &'static str) -> Result<u64, DecodeError> {
        let at = self.at;
        let found = self.uint(what)?;
        if found > max {
            return Err(DecodeError {
                what,
                offset: at,
                fault: DecodeFault::TooLong { found, max },
            });
        }
        Ok(found)
    }

    /// Reads a count of things that take at least `each` bytes of what is left.
    pub fn count(
        &mut self,
        max: usize,
        each: usize,
        what: &'static str,
    ) -> Result<usize, DecodeError> {
        let count = self.uint_max(max as u64, what)? as usize;
        if count.saturating_mul(each) > self.remaining() {
            return Err(self.error(what, DecodeFault::Truncated));
        }
        Ok(count)
    }

    /// Reads `len` bytes.
    #[inline]
    pub fn raw(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        if len > self.remaining() {
            return Err(self.error(what, DecodeFault::Truncated));
        }
        let bytes = &self.input[self.at..self.at + len];
        self.at += len;
        Ok(bytes)
    }

    /// Reads `N` bytes into an array.
    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.raw(N, what)?);
        Ok(out)
    }

    /// Reads bytes after their length, which is at most `max`.
    #[inline]
    pub fn bytes(&mut self, max: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.uint_max(max as u64, what)? as usize;
        self.raw(len, what)
    }

    /// Reads text of at most `max` bytes.
    pub fn text(&mut self, max: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        let at = self.at;
        std::str::from_utf8(self.bytes(max, what)?).map_err(|_| DecodeError {
            what,
            offset: at,
            fault: DecodeFault::NotUtf8,
        })
    }

    /// Ends the reading; refuses bytes left over.
    pub const fn finish(self, what: &'static str) -> Result<(), DecodeError> {
        if self.remaining() > 0 {
            return Err(self.error(what, DecodeFault::Trailing));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_read_back_and_have_the_stated_length(value: u64, signed: i64) {
            let mut out = Encoder::new();
            out.uint(value).int(signed);
            let mut input = Decoder::new(out.as_slice());
            prop_assert_eq!(input.uint("value"), Ok(value));
            prop_assert_eq!(input.offset(), uint_len(value));
            prop_assert_eq!(input.int("signed"), Ok(signed));
            prop_assert!(input.finish("end").is_ok());
        }

        #[test]
        fn an_accepted_integer_has_no_second_encoding(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut input = Decoder::new(&bytes);
            if let Ok(value) = input.uint("value") {
                let mut out = Vec::new();
                put_uint(&mut out, value);
                prop_assert_eq!(&out[..], &bytes[..input.offset()]);
            }
        }
    }

    #[test]
    fn a_length_beyond_the_input_is_refused_before_anything_is_allocated() {
        let mut input = Decoder::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        let err = input.bytes(usize::MAX, "body").unwrap_err();
        assert_eq!(err.fault, DecodeFault::Truncated);
    }
}
