//! Writing records: one face for all formats.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    Format, Record, WriteError, bitwarden::VaultWriter, csv_table::TableWriter,
    ical::CalendarWriter, markdown::FolderWriter, vcard,
};

/// Writes records. Nothing is complete before [`Writer::finish`]: a file appears only then under its own name.
pub struct Writer {
    path: PathBuf,
    /// The file that becomes `path` at the end.
    part: Option<PathBuf>,
    out: Box<dyn Write>,
    form: Form,
    count: u64,
}

enum Form {
    Json,
    JsonLines,
    Csv(TableWriter),
    Vcard,
    Ical(CalendarWriter),
    Markdown(FolderWriter),
    Bitwarden(VaultWriter),
}

impl Writer {
    /// Writes to a file, which is replaced if it exists, or for [`Format::Markdown`] into a folder, where notes of the
    /// same path are replaced and others stay.
    pub fn create(format: Format, path: &Path) -> Result<Self, WriteError> {
        if format == Format::Markdown {
            let folder = FolderWriter::create(path)?;
            return Ok(Self {
                path: path.into(),
                part: None,
                out: Box::new(io::sink()),
                form: Form::Markdown(folder),
                count: 0,
            });
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(WriteError::io(&part))?;
        let mut writer = Self::to_stream(format, path, Box::new(file));
        writer.part = Some(part);
        Ok(writer)
    }

    /// Writes to a stream, such as standard output. `name` stands in errors. [`Format::Markdown`] writes nothing here.
    pub fn to_stream(format: Format, name: &Path, stream: Box<dyn Write>) -> Self {
        Self {
            path: name.into(),
            part: None,
            out: Box::new(BufWriter::with_capacity(128 << 10, stream)),
            form: match format {
                Format::JsonLines => Form::JsonLines,
                Format::Csv => Form::Csv(TableWriter::default()),
                Format::Vcard => Form::Vcard,
                Format::Ical => Form::Ical(CalendarWriter::default()),
                Format::Bitwarden => Form::Bitwarden(VaultWriter::default()),
                Format::Json | Format::Markdown => Form::Json,
            },
            count: 0,
        }
    }

    /// Writes one record.
    pub fn write(&mut self, record: &Record) -> Result<(), WriteError> {
        let fields = record
            .value
            .as_object()
            .ok_or_else(|| WriteError::NotAnObject {
                id: record.id.clone().unwrap_or_default(),
            })?;
        self.count += 1;
        let text = match &mut self.form {
            Form::Json => {
                let before = if self.count == 1 { "[\n" } else { ",\n" };
                format!("{before}{}", object_text(record))
            }
            Form::JsonLines => format!("{}\n", object_text(record)),
            Form::Csv(table) => {
                table.push(&record.to_object().unwrap_or_default());
                return Ok(());
            }
            Form::Vcard => vcard::card_text(record),
            Form::Ical(calendar) => {
                calendar.push(record);
                return Ok(());
            }
            Form::Markdown(folder) => return folder.push(record, fields),
            Form::Bitwarden(vault) => {
                vault.push(record, fields);
                return Ok(());
            }
        };
        self.out
            .write_all(text.as_bytes())
            .map_err(WriteError::io(&self.path))
    }

    /// Completes the file; returns how many records it has.
    pub fn finish(mut self) -> Result<u64, WriteError> {
        let out = &mut self.out;
        match self.form {
            Form::Json if self.count == 0 => out.write_all(b"[]\n"),
            Form::Json => out.write_all(b"\n]\n"),
            Form::Csv(table) => table.finish(out),
            Form::Ical(calendar) => out.write_all(calendar.finish().as_bytes()),
            Form::Bitwarden(vault) => out.write_all(vault.finish().as_bytes()),
            Form::JsonLines | Form::Vcard | Form::Markdown(_) => Ok(()),
        }
        .and_then(|()| self.out.flush())
        .map_err(WriteError::io(&self.path))?;
        if let Some(part) = &self.part {
            drop(self.out);
            fs::rename(part, &self.path).map_err(WriteError::io(&self.path))?;
        }
        Ok(self.count)
    }
}

fn object_text(record: &Record) -> String {
    let object: Map<String, Value> = record.to_object().unwrap_or_default();
    Value::Object(object).to_string()
}
