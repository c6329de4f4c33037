//! CSV tables: typed columns in, stable columns out.
//!
//! A table is read twice: a survey finds for every column the narrowest kind that all its cells read back from, so that
//! the postcode `01234` does not make texts of some rows and numbers of others.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::Path,
};

use serde_json::{Map, Number, Value};

use crate::{Problem, ReadError, Record, input::Input};

/// Ends a column's name on export when its texts would otherwise read back as something else.
const TEXT_SUFFIX: &str = ":text";
const HEAD_BYTES: usize = 64 << 10;

/// What the cells of a column are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No cell seen yet.
    Unknown,
    Number,
    Bool,
    /// Arrays and empty objects.
    Json,
    Text,
}

impl Kind {
    fn of(cell: &str) -> Self {
        if number(cell).is_some() {
            Self::Number
        } else if matches!(cell, "true" | "false") {
            Self::Bool
        } else if json(cell).is_some() {
            Self::Json
        } else {
            Self::Text
        }
    }

    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, kind) | (kind, Self::Unknown) => kind,
            (a, b) if a == b => a,
            _ => Self::Text,
        }
    }

    fn read(self, cell: &str) -> Value {
        match self {
            Self::Number => number(cell).map(Value::Number),
            Self::Bool => Some(Value::Bool(cell == "true")),
            Self::Json => json(cell),
            Self::Text | Self::Unknown => None,
        }
        .unwrap_or_else(|| Value::from(cell))
    }
}

/// A number whose own text is the cell's.
fn number(cell: &str) -> Option<Number> {
    if !cell
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
    {
        return None;
    }
    let number: Number = serde_json::from_str(cell).ok()?;
    let fits = number.is_i64() || number.is_f64();
    (fits && number.to_string() == cell).then_some(number)
}

fn json(cell: &str) -> Option<Value> {
    if !(cell.starts_with('[') && cell.ends_with(']') || cell == "{}") {
        return None;
    }
    let value: Value = serde_json::from_str(cell).ok()?;
    let text = value.to_string();
    (text == cell).then_some(value)
}

struct Column {
    path: Vec<String>,
    kind: Kind,
}

/// What a survey of a whole table found.
pub(crate) struct Survey {
    delimiter: u8,
    columns: Vec<Column>,
}

/// Reads a table once to learn its columns.
pub(crate) fn survey(name: &Path, mut stream: impl Read) -> Result<Survey, ReadError> {
    let mut head = Vec::new();
    stream
        .by_ref()
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|err| ReadError::io(name, err))?;
    let delimiter = find_delimiter(&head);
    let start = if head.starts_with(b"\xEF\xBB\xBF") {
        3
    } else {
        0
    };
    let mut reader = builder(delimiter).from_reader(head[start..].chain(stream));
    let mut row = csv::StringRecord::new();
    if !next_row(name, &mut reader, &mut row)? {
        return Ok(Survey {
            delimiter,
            columns: Vec::new(),
        });
    }
    let (mut columns, fixed) = columns_of(&row);
    while next_row(name, &mut reader, &mut row)? {
        for ((column, cell), fixed) in columns.iter_mut().zip(&row).zip(&fixed) {
            if !fixed && column.kind != Kind::Text && !cell.is_empty() {
                column.kind = column.kind.with(Kind::of(cell));
            }
        }
    }
    Ok(Survey { delimiter, columns })
}

fn builder(delimiter: u8) -> csv::ReaderBuilder {
    let mut builder = csv::ReaderBuilder::new();
    builder
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter);
    builder
}

fn next_row(
    name: &Path,
    reader: &mut csv::Reader<impl Read>,
    row: &mut csv::StringRecord,
) -> Result<bool, ReadError> {
    reader.read_record(row).map_err(|err| {
        let line = err.position().map(csv::Position::line);
        let problem = match err.into_kind() {
            csv::ErrorKind::Io(err) => Problem::Io(err),
            csv::ErrorKind::Utf8 { .. } => Problem::NotUtf8,
            _ => Problem::Syntax("the table cannot be read here".into()),
        };
        let error = ReadError::new(name, problem);
        match line {
            Some(line) => error.at_line(line),
            None => error,
        }
    })
}

/// The separator that is most frequent in the header row, outside of quotes.
fn find_delimiter(head: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for &byte in head {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            _ if !quoted => {
                for (delimiter, count) in &mut counts {
                    *count += i32::from(byte == *delimiter);
                }
            }
            _ => {}
        }
    }
    // Among equals the first wins.
    let best = counts.iter().map(|&(_, count)| count).max().unwrap_or(0);
    counts
        .iter()
        .find(|&&(_, count)| count == best)
        .map_or(b',', |&(delimiter, _)| delimiter)
}

/// The columns of a header row, and which of them say their kind themselves.
fn columns_of(header: &csv::StringRecord) -> (Vec<Column>, Vec<bool>) {
    let mut names: Vec<String> = Vec::new();
    let mut fixed = Vec::new();
    for (index, cell) in header.iter().enumerate() {
        let text = cell
            .strip_suffix(TEXT_SUFFIX)
            .filter(|name| !name.is_empty());
        fixed.push(text.is_some() || cell == crate::record::ID_FIELD);
        let name = match text.unwrap_or(cell) {
            "" => format!("column_{}", index + 1),
            name => name.to_owned(),
        };
        let free = (1..)
            .map(|n| {
                if n == 1 {
                    name.clone()
                } else {
                    format!("{name}_{n}")
                }
            })
            .find(|name| !names.contains(name));
        names.extend(free);
    }
    let paths: Vec<_> = names.iter().map(|name| split_path(name)).collect();
    // A column `a` beside a column `a.b` cannot be nested.
    let nests = paths
        .iter()
        .all(|path| (1..path.len()).all(|len| !paths.iter().any(|other| other == &path[..len])));
    let columns = names
        .into_iter()
        .zip(paths)
        .zip(&fixed)
        .map(|((name, path), fixed)| Column {
            path: if nests { path } else { vec![name] },
            kind: if *fixed { Kind::Text } else { Kind::Unknown },
        })
        .collect();
    (columns, fixed)
}

/// `name.common` is nested; `U.S. total` and `Nr.` are plain names; `\.` is a dot that does not nest.
fn split_path(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('.' | '\\')) => {
                let escaped = chars.next();
                parts
                    .last_mut()
                    .into_iter()
                    .for_each(|part| part.extend(escaped));
            }
            ('.', _) => parts.push(String::new()),
            _ => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    match parts
        .iter()
        .all(|part| !part.is_empty() && part.trim() == part)
    {
        true => parts,
        false => vec![name.to_owned()],
    }
}

fn join_path(path: &[&str]) -> String {
    let escaped: Vec<_> = path
        .iter()
        .map(|part| part.replace('\\', "\\\\").replace('.', "\\."))
        .collect();
    let joined = escaped.join(".");
    // Names that would not be split again need no escapes.
    match path {
        [name] if split_path(name) == [*name] => (*name).to_owned(),
        _ => joined,
    }
}

/// The rows of a table.
pub(crate) struct Table {
    name: std::path::PathBuf,
    reader: csv::Reader<Input>,
    columns: Vec<Column>,
    row: csv::StringRecord,
    count: u64,
    done: bool,
}

impl Table {
    pub(crate) fn open(mut input: Input, survey: Survey) -> Result<Self, ReadError> {
        input.skip_bom()?;
        let name = input.name().to_owned();
        let mut reader = builder(survey.delimiter).from_reader(input);
        let mut row = csv::StringRecord::new();
        let done = !next_row(&name, &mut reader, &mut row)?;
        Ok(Self {
            name,
            reader,
            columns: survey.columns,
            row,
            count: 0,
            done,
        })
    }
}

impl Iterator for Table {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        self.count += 1;
        match next_row(&self.name, &mut self.reader, &mut self.row) {
            Ok(true) => {}
            Ok(false) => {
                self.done = true;
                return None;
            }
            Err(err) => {
                // A cell that is not UTF-8 costs its row only.
                self.done = !matches!(err.problem, Problem::NotUtf8);
                return Some(Err(err.in_record(self.count)));
            }
        }
        if self.row.len() > self.columns.len() {
            let problem = format!(
                "the row has {} cells and the header row {}",
                self.row.len(),
                self.columns.len()
            );
            let error = ReadError::new(&self.name, Problem::Syntax(problem));
            let line = self.row.position().map_or(0, csv::Position::line);
            return Some(Err(error.at_line(line).in_record(self.count)));
        }
        let mut fields = Map::new();
        for (column, cell) in self.columns.iter().zip(&self.row) {
            if !cell.is_empty() {
                insert(&mut fields, &column.path, column.kind.read(cell));
            }
        }
        Some(Ok(Record::from_object(fields)))
    }
}

fn insert(fields: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            fields.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let below = fields
                .entry(name.as_str())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

/// Gathers records, so that the header row can name every column, and then writes them.
#[derive(Default)]
pub(crate) struct TableWriter {
    columns: BTreeMap<String, usize>,
    /// For every column: its name, what its cells would be read as, and whether all of them are texts.
    seen: Vec<(String, Kind, bool)>,
    rows: Vec<Vec<(usize, Box<str>)>>,
}

impl TableWriter {
    pub(crate) fn push(&mut self, fields: &Map<String, Value>) {
        let mut row = Vec::with_capacity(fields.len());
        self.flatten(&mut row, &mut Vec::new(), fields);
        self.rows.push(row);
    }

    fn flatten<'a>(
        &mut self,
        row: &mut Vec<(usize, Box<str>)>,
        path: &mut Vec<&'a str>,
        fields: &'a Map<String, Value>,
    ) {
        for (name, value) in fields {
            path.push(name);
            match value {
                Value::Object(below) if !below.is_empty() => self.flatten(row, path, below),
                _ => {
                    let cell = match value {
                        Value::Null => String::new(),
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    let column = join_path(path);
                    let next = self.seen.len();
                    let index = *self.columns.entry(column).or_insert_with_key(|name| {
                        self.seen.push((name.clone(), Kind::Unknown, true));
                        next
                    });
                    if !cell.is_empty() {
                        let (_, kind, texts) = &mut self.seen[index];
                        *kind = kind.with(Kind::of(&cell));
                        *texts &= value.is_string();
                        row.push((index, cell.into()));
                    }
                }
            }
            path.pop();
        }
    }

    pub(crate) fn finish(self, out: &mut dyn Write) -> io::Result<()> {
        if self.seen.is_empty() {
            return Ok(());
        }
        let mut writer = csv::Writer::from_writer(out);
        // The id first, then the others by name: the same documents always make the same table.
        let mut order: Vec<usize> = self.columns.into_values().collect();
        order.sort_by_key(|&index| self.seen[index].0 != crate::record::ID_FIELD);
        let header = order.iter().map(|&index| {
            let (name, kind, texts) = &self.seen[index];
            let drifts = *texts && !matches!(kind, Kind::Text | Kind::Unknown);
            match (drifts || name.ends_with(TEXT_SUFFIX)) && name != crate::record::ID_FIELD {
                true => format!("{name}{TEXT_SUFFIX}"),
                false => name.clone(),
            }
        });
        writer.write_record(header)?;
        let mut cells = vec![""; self.seen.len()];
        for row in &self.rows {
            cells.fill("");
            for (index, cell) in row {
                cells[*index] = cell;
            }
            writer.write_record(order.iter().map(|&index| cells[index]))?;
        }
        writer.flush()
    }
}
