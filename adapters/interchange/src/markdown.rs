//! A folder of Markdown notes: front matter becomes fields, the text becomes `body`, the path becomes the id.
//!
//! The id is the path without `.md` and with `:` for `/`. A path that cannot be written so is kept in a field `path`.
//! Front matter that YAML would not give back letter for letter is kept in `front_matter`, and used again on the way
//! out for as long as the fields still say the same.

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Map, Value};
use serde_yaml_ng as yaml;
use stead_base::DocId;

use crate::{
    Problem, RECORD_BYTES_MAX, ReadError, Record, WriteError,
    record::{hashed_id, id_of},
};

const FRONT_MATTER_BYTES_MAX: usize = 256 << 10;
const FENCE: &str = "---\n";
const OWN_FIELDS: [&str; 3] = ["body", "path", "front_matter"];

/// The notes below a folder, by path. Hidden files and folders, links and files of other kinds are left out.
pub(crate) struct Folder {
    root: PathBuf,
    files: VecDeque<(PathBuf, u64)>,
    bytes_total: u64,
    read: Arc<AtomicU64>,
    count: u64,
}

impl Folder {
    pub(crate) fn open(root: &Path, read: Arc<AtomicU64>) -> Result<Self, ReadError> {
        let data = fs::metadata(root).map_err(|err| ReadError::io(root, err))?;
        if !data.is_dir() {
            return Err(ReadError::new(root, Problem::NoFolder));
        }
        let mut files = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).map_err(|err| ReadError::io(&folder, err))?;
            for entry in entries {
                let entry = entry.map_err(|err| ReadError::io(&folder, err))?;
                let path = entry.path();
                let kind = entry.file_type().map_err(|err| ReadError::io(&path, err))?;
                if entry.file_name().to_string_lossy().starts_with('.') {
                    continue;
                }
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() && is_markdown(&path) {
                    let len = entry
                        .metadata()
                        .map_err(|err| ReadError::io(&path, err))?
                        .len();
                    files.push((path, len));
                }
            }
        }
        files.sort();
        Ok(Self {
            root: root.to_owned(),
            bytes_total: files.iter().map(|(_, len)| len).sum(),
            files: files.into(),
            read,
            count: 0,
        })
    }

    pub(crate) fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    fn note(&self, path: &Path, len: u64) -> Result<Record, ReadError> {
        if len > RECORD_BYTES_MAX as u64 {
            return Err(ReadError::new(path, Problem::TooLarge));
        }
        let bytes = fs::read(path).map_err(|err| ReadError::io(path, err))?;
        let text = String::from_utf8(bytes).map_err(|_| ReadError::new(path, Problem::NotUtf8))?;
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        let Some(inside) = inside.to_str() else {
            return Err(ReadError::new(path, Problem::NotUtf8));
        };
        Ok(record_of(
            &inside.replace(std::path::MAIN_SEPARATOR, "/"),
            &text,
        ))
    }
}

impl Iterator for Folder {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (path, len) = self.files.pop_front()?;
        self.count += 1;
        let note = self.note(&path, len);
        self.read.fetch_add(len, Ordering::Relaxed);
        Some(note.map_err(|err| err.in_record(self.count)))
    }
}

fn is_markdown(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        let extension = extension.to_ascii_lowercase();
        extension == "md" || extension == "markdown"
    })
}

/// The record of a note at a path that is relative to its folder and has `/` between its parts.
fn record_of(path: &str, text: &str) -> Record {
    let (front, body) = split_front(text);
    let mut fields = Map::new();
    if let Some(front) = front {
        let parsed = parse_front(front);
        let clashes = parsed
            .as_ref()
            .is_some_and(|front| OWN_FIELDS.iter().any(|own| front.contains_key(*own)));
        match parsed {
            Some(parsed) if !clashes => {
                let same = !front.is_empty() && write_front(&parsed).as_deref() == Some(front);
                fields = parsed;
                if !same {
                    fields.insert("front_matter".into(), front.into());
                }
            }
            _ => {
                fields.insert("front_matter".into(), front.into());
            }
        }
    }
    fields.insert("body".into(), body.into());
    let id = match id_of_path(path) {
        Some(id) => id,
        None => {
            fields.insert("path".into(), path.into());
            hashed_id(path)
        }
    };
    Record {
        id: Some(id),
        value: Value::Object(fields),
    }
}

/// The id from which [`path_of_id`] gives this very path again.
fn id_of_path(path: &str) -> Option<String> {
    let id = path.strip_suffix(".md")?.replace('/', ":");
    (DocId::parse(&id).is_ok() && path_of_id(&id).as_deref() == Some(path)).then_some(id)
}

fn path_of_id(id: &str) -> Option<String> {
    let path = format!("{}.md", id.replace(':', "/"));
    is_safe(&path).then_some(path)
}

/// Whether a path leads to a visible Markdown file below the folder it is relative to, on any system.
fn is_safe(path: &str) -> bool {
    let names = path.split('/').all(|name| {
        !name.is_empty()
            && !name.starts_with('.')
            && !name.ends_with([' ', '.'])
            && name.len() <= 255
            && !name
                .chars()
                .any(|c| c.is_control() || "\\:*?\"<>|".contains(c))
    });
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    names && plain && is_markdown(Path::new(path))
}

/// Splits the text between `---` lines at the start from what follows.
fn split_front(text: &str) -> (Option<&str>, &str) {
    let Some(rest) = text.strip_prefix(FENCE) else {
        return (None, text);
    };
    if let Some(body) = rest.strip_prefix(FENCE) {
        return (Some(""), body);
    }
    match rest.find("\n---\n") {
        Some(at) if at < FRONT_MATTER_BYTES_MAX => (Some(&rest[..=at]), &rest[at + 5..]),
        _ => (None, text),
    }
}

fn parse_front(front: &str) -> Option<Map<String, Value>> {
    if front.is_empty() {
        return Some(Map::new());
    }
    match json_of(yaml::from_str(front).ok()?)? {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// JSON for what JSON can hold: no tags, no infinite numbers, no keys that are lists.
fn json_of(value: yaml::Value) -> Option<Value> {
    Some(match value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(flag) => flag.into(),
        yaml::Value::String(text) => text.into(),
        yaml::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => int.into(),
            (None, Some(float)) => serde_json::Number::from_f64(float)?.into(),
            (None, None) => return None,
        },
        yaml::Value::Sequence(items) => items.into_iter().map(json_of).collect::<Option<_>>()?,
        yaml::Value::Mapping(entries) => {
            let mut fields = Map::new();
            for (key, value) in entries {
                let key = match json_of(key)? {
                    Value::String(text) => text,
                    key @ (Value::Number(_) | Value::Bool(_) | Value::Null) => key.to_string(),
                    _ => return None,
                };
                fields.insert(key, json_of(value)?);
            }
            Value::Object(fields)
        }
        yaml::Value::Tagged(_) => return None,
    })
}

fn write_front(fields: &Map<String, Value>) -> Option<String> {
    match fields.is_empty() {
        true => Some(String::new()),
        false => yaml::to_string(fields).ok(),
    }
}

/// The text of a note. Returns none for a record that is no object.
fn note_text(fields: &Map<String, Value>) -> String {
    let mut front = fields.clone();
    let body = match front.get("body") {
        Some(Value::String(_)) => front.shift_remove("body"),
        _ => None,
    };
    let body = body.as_ref().and_then(Value::as_str).unwrap_or_default();
    if front
        .get("path")
        .and_then(Value::as_str)
        .is_some_and(is_safe)
    {
        front.shift_remove("path");
    }
    let kept = match front.get("front_matter") {
        Some(Value::String(kept)) => Some(kept.clone()),
        _ => None,
    };
    if let Some(kept) = kept {
        let mut rest = front.clone();
        rest.shift_remove("front_matter");
        let parsed = parse_front(&kept)
            .filter(|front| !OWN_FIELDS.iter().any(|own| front.contains_key(*own)))
            .unwrap_or_default();
        let fenced = format!("{FENCE}{kept}{FENCE}");
        if parsed == rest && split_front(&fenced) == (Some(kept.as_str()), "") {
            return fenced + body;
        }
        if !parsed.is_empty() {
            // The fields have changed since: they are what counts.
            front.shift_remove("front_matter");
        }
    }
    match write_front(&front) {
        Some(front) if front.is_empty() && split_front(body).0.is_none() => body.to_owned(),
        Some(front) => format!("{FENCE}{front}{FENCE}{body}"),
        None => body.to_owned(),
    }
}

/// Writes notes below a folder.
pub(crate) struct FolderWriter {
    root: PathBuf,
    written: BTreeSet<String>,
}

impl FolderWriter {
    pub(crate) fn create(root: &Path) -> Result<Self, WriteError> {
        fs::create_dir_all(root).map_err(WriteError::io(root))?;
        Ok(Self {
            root: root.to_owned(),
            written: BTreeSet::new(),
        })
    }

    pub(crate) fn push(
        &mut self,
        record: &Record,
        fields: &Map<String, Value>,
    ) -> Result<(), WriteError> {
        let given = fields
            .get("path")
            .and_then(Value::as_str)
            .filter(|path| is_safe(path));
        let id = record.id.as_deref().unwrap_or("note");
        let mut path = given
            .map(str::to_owned)
            .or_else(|| path_of_id(id))
            .unwrap_or_else(|| format!("{}.md", hashed_id(id)));
        // Some systems take `A.md` and `a.md` for one file.
        if !self.written.insert(path.to_lowercase()) {
            let stem = path.trim_end_matches(".markdown").trim_end_matches(".md");
            path = format!("{stem}-{}.md", id_of(&hashed_id(id)));
            self.written.insert(path.to_lowercase());
        }
        let target = self.root.join(&path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(WriteError::io(folder))?;
        }
        fs::write(&target, note_text(fields)).map_err(WriteError::io(&target))
    }
}

#[cfg(test)]
mod tests;
