//! Writes to a node as fast as it answers, and remembers what was acknowledged.

use serde_json::json;
use stead_api::{Client, ClientError, DocGet, DocPut, Edit, ErrorKind, Op};

use crate::stead::Stead;

/// Where the documents go.
const SPACE: &str = "home";
const COLLECTION: &str = "acknowledged";

/// Documents that a node has acknowledged.
#[derive(Debug, Default)]
pub struct Acknowledged {
    ids: Vec<String>,
}

impl Acknowledged {
    /// How many.
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// Writes one document after the other, each with `bytes` of text, `ahead` of them on their way
    /// at a time, until something fails or `count` were acknowledged; returns what failed.
    pub fn write(
        &mut self,
        client: &mut Client,
        name: &str,
        count: usize,
        bytes: usize,
        ahead: usize,
    ) -> Option<ClientError> {
        let mut sent = Vec::new();
        for number in 0..count + ahead {
            if number >= ahead
                && let Some((id, request)) = sent.get(number - ahead)
            {
                match client.receive::<DocPut>(*request) {
                    Ok(_) => self.ids.push(String::clone(id)),
                    Err(error) => return Some(error),
                }
            }
            if number < count {
                let id = format!("{name}-{number}");
                match client.send(&put(&id, bytes)) {
                    Ok(request) => sent.push((id, request)),
                    Err(error) => return Some(error),
                }
            }
        }
        None
    }

    /// What of it a node does not have.
    pub fn missing(&self, node: &Stead) -> Result<Vec<String>, ClientError> {
        let mut client = node.client()?;
        let mut missing = Vec::new();
        for id in &self.ids {
            let get = DocGet {
                space: SPACE.to_owned(),
                collection: COLLECTION.to_owned(),
                id: id.clone(),
                deleted: false,
                ..DocGet::default()
            };
            match client.call(&get) {
                Ok(got) if got.doc.value["id"] == id.as_str() => {}
                Err(ClientError::Api(error)) if error.kind != ErrorKind::NotFound => {
                    return Err(error.into());
                }
                Ok(_) | Err(ClientError::Api(_)) => missing.push(id.clone()),
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }
}

fn put(id: &str, bytes: usize) -> DocPut {
    DocPut {
        space: SPACE.to_owned(),
        edits: vec![Edit {
            collection: COLLECTION.to_owned(),
            id: Some(id.to_owned()),
            op: Op::Put {
                value: json!({"id": id, "text": "x".repeat(bytes)}),
                replace: false,
            },
        }],
        ..DocPut::default()
    }
}
