//! A record and its id: how ids travel inside files that have no place of their own for them.

use serde_json::{Map, Value};
use stead_base::DocId;

/// The field that carries a document's id in JSON and CSV files.
pub(crate) const ID_FIELD: &str = "_id";

/// A document on its way in or out.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The document's id, where the file gives one. It is always one that a document can have.
    pub id: Option<String>,
    /// A JSON object.
    pub value: Value,
}

impl Record {
    /// The object with the id in a field `_id`. A field that is called so already gets one more underscore.
    pub(crate) fn to_object(&self) -> Option<Map<String, Value>> {
        let fields = self.value.as_object()?;
        let Some(id) = &self.id else {
            return Some(fields.clone());
        };
        let own = fields.iter().map(|(name, value)| {
            let name = if is_escaped_id(name) || name == ID_FIELD {
                format!("_{name}")
            } else {
                name.clone()
            };
            (name, value.clone())
        });
        Some(
            std::iter::once((ID_FIELD.to_owned(), Value::from(id.as_str())))
                .chain(own)
                .collect(),
        )
    }

    /// The reverse of [`Record::to_object`]; an object whose `_id` is no text has no id.
    pub(crate) fn from_object(mut fields: Map<String, Value>) -> Self {
        let Some(Value::String(id)) = fields.get(ID_FIELD) else {
            return Self {
                id: None,
                value: Value::Object(fields),
            };
        };
        let id = id_of(id);
        fields.shift_remove(ID_FIELD);
        if fields.keys().any(|name| is_escaped_id(name)) {
            fields = fields
                .into_iter()
                .map(|(name, value)| match is_escaped_id(&name) {
                    true => (name[1..].to_owned(), value),
                    false => (name, value),
                })
                .collect();
        }
        Self {
            id: Some(id),
            value: Value::Object(fields),
        }
    }

    /// Takes the id from a field (dots lead into nested objects), which stays where it is. Texts, integers and
    /// booleans can be ids; returns whether this record has one now.
    pub fn take_id_from(&mut self, field: &str) -> bool {
        let found = self.value.get(field).or_else(|| {
            field
                .split('.')
                .try_fold(&self.value, |value, name| value.get(name))
        });
        let text = match found {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(flag)) => flag.to_string(),
            _ => return false,
        };
        self.id = Some(id_of(&text));
        true
    }
}

/// `__id`, `___id` and so on.
fn is_escaped_id(name: &str) -> bool {
    name.len() > ID_FIELD.len()
        && name.ends_with(ID_FIELD)
        && name.bytes().take(name.len() - 2).all(|b| b == b'_')
}

/// The text itself where a document can have it as its id, else a name made of its hash; always the same for one text.
pub(crate) fn id_of(text: &str) -> String {
    match DocId::parse(text) {
        Ok(_) => text.to_owned(),
        Err(_) => hashed_id(text),
    }
}

/// A short name made of a hash.
pub(crate) fn hashed_id(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    format!("x-{}", &hash[..24])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_travels_in_a_field_and_hides_no_other() {
        let record = Record {
            id: Some("a".into()),
            value: json!({"_id": {"$oid": 1}, "__id": 2, "x__id": 3, "b": 4}),
        };
        let object = record.to_object().unwrap();
        assert_eq!(object["_id"], "a");
        assert_eq!(object["__id"], json!({"$oid": 1}));
        assert_eq!(Record::from_object(object), record);
    }

    #[test]
    fn an_object_without_an_id_keeps_its_fields() {
        let fields = json!({"_id": 5, "__id": 6});
        let record = Record::from_object(fields.as_object().unwrap().clone());
        assert_eq!(record.id, None);
        assert_eq!(record.value, fields);
    }

    #[test]
    fn an_id_that_no_document_can_have_becomes_a_short_name() {
        assert_eq!(id_of("ch-be"), "ch-be");
        let id = id_of("a/b");
        assert_eq!(id, id_of("a/b"));
        assert_ne!(id, id_of("a/c"));
        assert!(DocId::parse(&id).is_ok());
    }

    #[test]
    fn ids_come_from_fields_by_their_path() {
        let mut record = Record {
            id: None,
            value: json!({"name": {"common": "Bern"}, "a.b": 7, "list": []}),
        };
        assert!(record.take_id_from("name.common"));
        assert_eq!(record.id.as_deref(), Some("Bern"));
        assert!(record.take_id_from("a.b"));
        assert_eq!(record.id.as_deref(), Some("7"));
        assert!(!record.take_id_from("list"));
        assert!(!record.take_id_from("none"));
    }
}
