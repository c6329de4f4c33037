//! The content of rich fields, kept by Loro: text with marks, lists and trees that several people edit
//! at the same time.
//!
//! Owns everything that is Loro's: its document a field, its bytes, its panics. A panic or an error of
//! Loro ends one open field ([`RichError::Broken`]), never the program. It knows no store, no log and
//! no document; which updates belong to which field is its caller's business.

mod content;
mod guard;
mod json;
mod list;
mod text;
mod tree;

use loro::{EncodedBlobMode, LoroDoc, StyleConfig};
use serde_json::Value;
use stead_doc::{
    RICH_UPDATE_BYTES_MAX, RichContent, RichEngine, RichError, RichKind, RichSpan, SEED_AUTHOR,
};

use content::Content;
use guard::{broken, guarded, refused};

/// The name of the one container of a field's document.
pub(crate) const ROOT: &str = "f";

/// Opens fields kept by Loro.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoroEngine;

impl RichEngine for LoroEngine {
    fn open(
        &self,
        kind: RichKind,
        author: u64,
        snapshot: Option<&[u8]>,
    ) -> Result<Box<dyn RichContent>, RichError> {
        let content = guarded(|| Content::open(kind, author, snapshot))?;
        Ok(Box::new(content))
    }

    fn seed(&self, kind: RichKind, seed: &Value) -> Result<Vec<u8>, RichError> {
        guarded(|| {
            let mut content = Content::open(kind, SEED_AUTHOR, None)?;
            match (kind, seed) {
                (RichKind::Text, Value::String(text)) => text::seed(content.doc(), text)?,
                (RichKind::List, Value::Array(items)) => list::seed(content.doc(), items)?,
                _ => return Err(refused("a tree begins empty")),
            }
            let made = content.update()?;
            Ok(made.map(|(_, update)| update).unwrap_or_default())
        })
    }

    fn check(&self, author: u64, update: &[u8]) -> Result<RichSpan, RichError> {
        let hostile = |what: &str| RichError::Hostile {
            what: what.to_owned(),
        };
        if update.len() > RICH_UPDATE_BYTES_MAX {
            return Err(hostile("it is too large"));
        }
        let checked = guarded(|| {
            LoroDoc::decode_import_blob_meta(update, true).map_err(|error| RichError::Hostile {
                what: error.to_string(),
            })
        });
        let meta = match checked {
            Ok(meta) => meta,
            // What does not survive being read alone is no update, whoever panics at it.
            Err(RichError::Broken { what }) => return Err(RichError::Hostile { what }),
            Err(error) => return Err(error),
        };
        if meta.mode != EncodedBlobMode::Updates {
            return Err(hostile("it is no update"));
        }
        let mut ends = meta.partial_end_vv.iter();
        let (Some((peer, end)), None) = (ends.next(), ends.next()) else {
            return Err(hostile("it has operations of several authors, or none"));
        };
        let start = meta.partial_start_vv.get(peer).copied();
        match (start.map(u32::try_from), u32::try_from(*end)) {
            (Some(Ok(start)), Ok(end)) if *peer == author && start < end => {
                Ok(RichSpan { author, start, end })
            }
            _ => Err(hostile("it is not by the author of its entry")),
        }
    }
}

/// An empty document as every field's begins.
fn blank(author: u64) -> Result<LoroDoc, RichError> {
    let doc = LoroDoc::new();
    doc.config_default_text_style(Some(StyleConfig {
        expand: loro::ExpandType::After,
    }));
    doc.set_peer_id(author).map_err(broken)?;
    Ok(doc)
}
