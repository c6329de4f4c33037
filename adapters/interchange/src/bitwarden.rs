//! Bitwarden's unencrypted JSON export: logins, notes, cards, identities and SSH keys, with folders, custom
//! fields, one-time codes and passkeys.
//!
//! An item becomes a record with every field it has, plus `kind` in words and the name of its `folder`; so what a
//! newer Bitwarden adds comes through too. Folders without items and an organization's collections are records of their
//! own. Encrypted exports are refused: nothing here decrypts.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    vec,
};

use serde_json::{Map, Value, json};

use crate::{
    Problem, ReadError, Record,
    input::Input,
    json::kind_of,
    record::{hashed_id, id_of},
};

/// Largest export that is read, in bytes; it is held in memory whole.
const EXPORT_BYTES_MAX: usize = 256 << 20;
/// What Bitwarden's numbers of item types mean, and the field in which each keeps its own.
const KINDS: [(u64, &str, &str); 5] = [
    (1, "login", "login"),
    (2, "note", "secureNote"),
    (3, "card", "card"),
    (4, "identity", "identity"),
    (5, "ssh_key", "sshKey"),
];
const FOLDER: &str = "folder";
const COLLECTION: &str = "collection";

/// The records of an export.
pub(crate) struct Vault(vec::IntoIter<Result<Record, ReadError>>);

impl Vault {
    pub(crate) fn open(mut input: Input) -> Result<Self, ReadError> {
        input.skip_bom()?;
        let name = input.name().to_owned();
        let mut bytes = Vec::new();
        let room = EXPORT_BYTES_MAX as u64 + 1;
        let read = input.by_ref().take(room).read_to_end(&mut bytes);
        read.map_err(|err| ReadError::io(&name, err))?;
        let fail = |problem| ReadError::new(&name, problem);
        if bytes.len() > EXPORT_BYTES_MAX {
            return Err(fail(Problem::TooLarge));
        }
        let whole: Value = serde_json::from_slice(&bytes).map_err(|err| {
            let line = err.line() as u64;
            fail(Problem::Syntax(err.to_string())).at_line(line)
        })?;
        let Value::Object(mut whole) = whole else {
            let found = kind_of(&whole);
            return Err(fail(Problem::NotAnObject { found }));
        };
        if whole.get("encrypted").is_some_and(|it| *it != json!(false)) {
            return Err(fail(Problem::Encrypted));
        }
        let list = |whole: &mut Map<String, Value>, name: &str| match whole.remove(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(fail(Problem::Syntax(format!(
                "\"{name}\" should be a list and is {}",
                kind_of(&other)
            )))),
        };
        if !whole.contains_key("items") {
            let what = "this is no Bitwarden export: it has no \"items\"".to_owned();
            return Err(fail(Problem::Syntax(what)));
        }
        let items = list(&mut whole, "items")?;
        let folders = list(&mut whole, "folders")?;
        let collections = list(&mut whole, "collections")?;
        let names: BTreeMap<String, String> = folders
            .iter()
            .filter_map(|folder| Some((text(folder, "id")?, text(folder, "name")?)))
            .collect();
        let used: BTreeSet<String> = items
            .iter()
            .filter_map(|item| text(item, "folderId"))
            .collect();
        let empty = folders
            .into_iter()
            .filter(|folder| text(folder, "id").is_none_or(|id| !used.contains(&id)));
        let mut records = Vec::with_capacity(items.len());
        let all = empty
            .map(|it| (it, Some(FOLDER)))
            .chain(collections.into_iter().map(|it| (it, Some(COLLECTION))))
            .chain(items.into_iter().map(|it| (it, None)));
        for (place, (found, kind)) in (1..).zip(all) {
            records.push(match found {
                Value::Object(fields) => Ok(record(fields, kind, &names)),
                other => {
                    let found = kind_of(&other);
                    Err(fail(Problem::NotAnObject { found }).in_record(place))
                }
            });
        }
        Ok(Self(records.into_iter()))
    }
}

impl Iterator for Vault {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(str::to_owned)
}

/// An item, or a folder or collection, as a record.
fn record(
    mut fields: Map<String, Value>,
    kind: Option<&str>,
    folders: &BTreeMap<String, String>,
) -> Record {
    let id = match fields.get("id") {
        Some(Value::String(own)) if !own.is_empty() => {
            let id = id_of(own);
            if id == *own {
                fields.shift_remove("id");
            }
            Some(id)
        }
        _ => None,
    };
    let number = fields.get("type").and_then(Value::as_u64);
    let named = KINDS.iter().find(|it| Some(it.0) == number).map(|it| it.1);
    if let (Some(kind), false) = (kind.or(named), fields.contains_key("kind")) {
        fields.insert("kind".to_owned(), kind.into());
    }
    let folder = fields.get("folderId").and_then(Value::as_str);
    if let (Some(name), false) = (
        folder.and_then(|id| folders.get(id)).cloned(),
        fields.contains_key(FOLDER),
    ) {
        fields.insert(FOLDER.to_owned(), name.into());
    }
    Record {
        id,
        value: Value::Object(fields),
    }
}

/// An export in the making.
#[derive(Default)]
pub(crate) struct VaultWriter {
    /// Names of folders by their ids.
    folders: BTreeMap<String, Value>,
    collections: Vec<Value>,
    items: Vec<Value>,
}

impl VaultWriter {
    pub(crate) fn push(&mut self, record: &Record, fields: &Map<String, Value>) {
        let mut fields = fields.clone();
        if let (Some(id), false) = (&record.id, fields.contains_key("id")) {
            fields.shift_insert(0, "id".to_owned(), id.as_str().into());
        }
        let kind = fields
            .get("kind")
            .and_then(Value::as_str)
            .map(str::to_owned);
        match kind.as_deref() {
            Some(FOLDER) if !fields.contains_key("type") => {
                fields.shift_remove("kind");
                if let Some(id) = fields.get("id").and_then(Value::as_str) {
                    self.folders.insert(id.to_owned(), Value::Object(fields));
                }
            }
            Some(COLLECTION) if !fields.contains_key("type") => {
                fields.shift_remove("kind");
                self.collections.push(Value::Object(fields));
            }
            _ => self.push_item(fields, kind.as_deref()),
        }
    }

    fn push_item(&mut self, mut fields: Map<String, Value>, kind: Option<&str>) {
        let number = fields.get("type").and_then(Value::as_u64);
        let by_number = KINDS.iter().find(|it| Some(it.0) == number);
        let by_name = KINDS.iter().find(|it| Some(it.1) == kind);
        let by_part = KINDS.iter().find(|it| fields.contains_key(it.2));
        let of = by_number.or(by_name).or(by_part).unwrap_or(&KINDS[1]);
        if kind == Some(of.1) {
            fields.shift_remove("kind");
        }
        if !fields.contains_key("type") {
            fields.insert("type".to_owned(), of.0.into());
        }
        // What Bitwarden cannot do without, for documents that no Bitwarden made.
        if !fields.contains_key("name") {
            fields.insert("name".to_owned(), "".into());
        }
        let is_known = number.is_none() || by_number.is_some();
        if is_known && !fields.contains_key(of.2) {
            let part = if of.0 == 2 {
                json!({"type": 0})
            } else {
                json!({})
            };
            fields.insert(of.2.to_owned(), part);
        }
        if let Some(name) = fields
            .get(FOLDER)
            .and_then(Value::as_str)
            .map(str::to_owned)
        {
            fields.shift_remove(FOLDER);
            let id = match fields.get("folderId").and_then(Value::as_str) {
                Some(id) => id.to_owned(),
                None => {
                    let id = hashed_id(&name);
                    fields.insert("folderId".to_owned(), id.as_str().into());
                    id
                }
            };
            self.folders
                .entry(id.clone())
                .or_insert_with(|| json!({"id": id, "name": name}));
        }
        self.items.push(Value::Object(fields));
    }

    /// The whole file. Bitwarden writes folders for a person's vault and collections for an organization's.
    pub(crate) fn finish(self) -> String {
        let mut whole = Map::new();
        whole.insert("encrypted".to_owned(), false.into());
        if self.collections.is_empty() || !self.folders.is_empty() {
            let folders: Vec<Value> = self.folders.into_values().collect();
            whole.insert("folders".to_owned(), folders.into());
        }
        if !self.collections.is_empty() {
            whole.insert("collections".to_owned(), self.collections.into());
        }
        whole.insert("items".to_owned(), self.items.into());
        format!("{:#}\n", Value::Object(whole))
    }
}
