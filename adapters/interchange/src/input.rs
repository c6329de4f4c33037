//! A byte stream that counts bytes and lines as they are consumed, and can look one byte ahead.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{Problem, RECORD_BYTES_MAX, ReadError};

const BUFFER_BYTES: usize = 128 << 10;
const BOM: &[u8] = b"\xEF\xBB\xBF";

pub(crate) struct Input {
    name: PathBuf,
    stream: BufReader<Box<dyn Read>>,
    read: Arc<AtomicU64>,
    line: u64,
}

impl Input {
    pub(crate) fn new(name: &Path, stream: Box<dyn Read>, read: Arc<AtomicU64>) -> Self {
        Self {
            name: name.into(),
            stream: BufReader::with_capacity(BUFFER_BYTES, stream),
            read,
            line: 1,
        }
    }

    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    /// The line of the next byte, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    pub(crate) fn error(&self, problem: Problem) -> ReadError {
        ReadError::new(&self.name, problem)
    }

    /// Takes a byte-order mark away; only right at the start.
    pub(crate) fn skip_bom(&mut self) -> Result<(), ReadError> {
        if self.fill()?.starts_with(BOM) {
            self.advance(BOM.len());
        }
        Ok(())
    }

    /// The next byte, without consuming it.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        Ok(self.fill()?.first().copied())
    }

    /// Skips blanks and line ends, then the same as [`Input::peek`].
    pub(crate) fn peek_past_blanks(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.advance(1),
                other => return Ok(other),
            }
        }
    }

    /// Consumes bytes that were peeked.
    pub(crate) fn advance(&mut self, len: usize) {
        let lines = self.stream.buffer()[..len]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        self.line += lines as u64;
        self.stream.consume(len);
        self.read.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Appends the next line without its end; false at the end of the stream.
    pub(crate) fn read_line(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        let start = out.len();
        let limit = (RECORD_BYTES_MAX + 1).saturating_sub(start) as u64;
        let len = self
            .stream
            .by_ref()
            .take(limit)
            .read_until(b'\n', out)
            .map_err(|err| ReadError::io(&self.name, err))?;
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        if out.len() > RECORD_BYTES_MAX {
            return Err(self.error(Problem::TooLarge).at_line(self.line));
        }
        self.line += 1;
        if out[start..].ends_with(b"\n") {
            out.pop();
            if out[start..].ends_with(b"\r") {
                out.pop();
            }
        }
        Ok(len > 0)
    }

    /// The same input with bytes put back that were taken from it since it was at `line`.
    pub(crate) fn rewound(self, bytes: Cursor<Vec<u8>>, len: usize, line: u64) -> Self {
        self.read.fetch_sub(len as u64, Ordering::Relaxed);
        let stream: Box<dyn Read> = Box::new(bytes.chain(self.stream));
        Self {
            name: self.name,
            stream: BufReader::with_capacity(BUFFER_BYTES, stream),
            read: self.read,
            line,
        }
    }

    fn fill(&mut self) -> Result<&[u8], ReadError> {
        let Self { stream, name, .. } = self;
        stream.fill_buf().map_err(|err| ReadError::io(name, err))
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let filled = self.stream.fill_buf()?;
        let len = filled.len().min(out.len());
        out[..len].copy_from_slice(&filled[..len]);
        self.advance(len);
        Ok(len)
    }
}
