//! Conversions between files that other programs use and documents. It knows no space, no node and no network.
//!
//! Reading is a stream of [`Record`]s with the bytes consumed so far, so that a large file never has to fit in
//! memory; writing is the reverse. What a format cannot hold is kept beside it in a way that reads back, except in CSV,
//! whose limits are listed in [`Format::Csv`].

mod bitwarden;
mod component;
mod content_line;
mod csv_table;
mod error;
mod ical;
mod input;
mod json;
mod markdown;
mod record;
mod shape;
mod vcard;
mod write;

use std::{
    fmt,
    fs::File,
    io::Read,
    path::Path,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use error::{Problem, ReadError, WriteError};
pub use record::Record;
pub use write::Writer;

/// Largest single record that is read, in bytes of its file.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An array of objects, objects one after the other, or an object of objects, whose keys become ids.
    Json,
    /// One JSON object a line.
    JsonLines,
    /// A table with a header row, separated by commas, semicolons or tabs. A column is read as integers, numbers,
    /// booleans or JSON arrays when every cell of it reads back as the same text, and as text otherwise. Nested objects
    /// are columns with dots. Nulls and empty texts are empty cells, which read as absent.
    Csv,
    /// vCard 2.1, 3.0 and 4.0 (RFC 2426, RFC 6350).
    Vcard,
    /// iCalendar (RFC 5545).
    Ical,
    /// A folder of Markdown files with YAML front matter.
    Markdown,
    /// Bitwarden's unencrypted JSON export of a vault.
    Bitwarden,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] = [
        Self::Json,
        Self::JsonLines,
        Self::Csv,
        Self::Vcard,
        Self::Ical,
        Self::Markdown,
        Self::Bitwarden,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Vcard => "vcard",
            Self::Ical => "ical",
            Self::Markdown => "markdown",
            Self::Bitwarden => "bitwarden",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no format \"{name}\"; there are json, jsonl, csv, vcard, ical, markdown and bitwarden"
)]
pub struct UnknownFormat {
    /// The text.
    pub name: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat { name: name.into() })
    }
}

/// The records of a file or folder, read as they are asked for.
///
/// After an error the next record can be asked for: a format that can go on does, one that cannot ends.
pub struct Records {
    inner: Box<dyn Iterator<Item = Result<Record, ReadError>>>,
    read: Arc<AtomicU64>,
    bytes_total: Option<u64>,
}

impl Records {
    /// Opens a file, or for [`Format::Markdown`] a folder.
    pub fn open(format: Format, path: &Path) -> Result<Self, ReadError> {
        if format == Format::Markdown {
            let read = Arc::new(AtomicU64::new(0));
            let folder = markdown::Folder::open(path, read.clone())?;
            return Ok(Self {
                bytes_total: Some(folder.bytes_total()),
                inner: Box::new(folder),
                read,
            });
        }
        let open = || File::open(path).map_err(|err| ReadError::io(path, err));
        let file = open()?;
        let bytes_total = file.metadata().ok().map(|data| data.len());
        if path.is_dir() {
            return Err(ReadError::new(path, Problem::Folder));
        }
        let mut records = match format {
            Format::Csv => {
                let kinds = csv_table::survey(path, open()?)?;
                Self::start(|read| {
                    let input = input::Input::new(path, Box::new(file), read);
                    Ok(Box::new(csv_table::Table::open(input, kinds)?))
                })?
            }
            _ => Self::stream(format, path, Box::new(file))?,
        };
        records.bytes_total = bytes_total;
        Ok(records)
    }

    /// Reads from a stream that can be read once, such as standard input. A CSV table is held in memory; a folder of
    /// Markdown cannot come this way. `name` stands in errors.
    pub fn from_stream(
        format: Format,
        name: &Path,
        mut stream: Box<dyn Read>,
    ) -> Result<Self, ReadError> {
        match format {
            Format::Markdown => Err(ReadError::new(name, Problem::NoFolder)),
            Format::Csv => {
                let mut bytes = Vec::new();
                stream
                    .read_to_end(&mut bytes)
                    .map_err(|err| ReadError::io(name, err))?;
                let kinds = csv_table::survey(name, bytes.as_slice())?;
                Self::start(|read| {
                    let stream = Box::new(std::io::Cursor::new(bytes));
                    let input = input::Input::new(name, stream, read);
                    Ok(Box::new(csv_table::Table::open(input, kinds)?))
                })
            }
            _ => Self::stream(format, name, stream),
        }
    }

    fn stream(format: Format, name: &Path, stream: Box<dyn Read>) -> Result<Self, ReadError> {
        Self::start(|read| {
            let input = input::Input::new(name, stream, read);
            Ok(match format {
                Format::Vcard => Box::new(vcard::Cards::new(input)),
                Format::Ical => Box::new(ical::Calendar::new(input)),
                Format::Bitwarden => Box::new(bitwarden::Vault::open(input)?),
                _ => Box::new(json::Objects::open(input)?),
            })
        })
    }

    fn start(
        make: impl FnOnce(
            Arc<AtomicU64>,
        )
            -> Result<Box<dyn Iterator<Item = Result<Record, ReadError>>>, ReadError>,
    ) -> Result<Self, ReadError> {
        let read = Arc::new(AtomicU64::new(0));
        Ok(Self {
            inner: make(read.clone())?,
            read,
            bytes_total: None,
        })
    }

    /// Bytes consumed so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes there are in all, where that can be known.
    pub fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.inner.next()
    }
}
