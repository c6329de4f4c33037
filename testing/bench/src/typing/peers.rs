//! One text each: ours and the peers', with what they give to others after a keystroke and what they save.

use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjId, ObjType, ROOT, ReadDoc};
use stead_doc::{RichContent, RichEdit, RichEngine, RichKind, TextUnit};
use stead_rich::LoroEngine;
use yrs::updates::decoder::Decode as _;
use yrs::{GetString as _, ReadTxn as _, Text as _, Transact as _};

use super::trace::Patch;
use crate::Failure;

/// Somebody who types into a copy of a text.
pub(crate) trait Typist: Sized {
    fn new(agent: u64) -> Result<Self, Failure>;
    fn splice(&mut self, patch: &Patch) -> Result<(), Failure>;
    /// What was typed since the last call, for others.
    fn update(&mut self) -> Result<Vec<u8>, Failure>;
    fn take(&mut self, update: &[u8]) -> Result<(), Failure>;
    fn save(&mut self) -> Result<Vec<u8>, Failure>;
    fn load(saved: &[u8]) -> Result<Self, Failure>;
    fn text(&self) -> Result<String, Failure>;
}

/// A rich field as a replica keeps it open.
pub(crate) struct Ours(Box<dyn RichContent>);

impl Typist for Ours {
    fn new(agent: u64) -> Result<Self, Failure> {
        Ok(Self(LoroEngine.open(RichKind::Text, agent, None)?))
    }

    fn splice(&mut self, patch: &Patch) -> Result<(), Failure> {
        self.0.edit(&RichEdit::Splice {
            at: patch.at,
            delete: patch.delete,
            insert: patch.insert.clone(),
            unit: TextUnit::Scalar,
        })?;
        Ok(())
    }

    fn update(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self
            .0
            .take_update()?
            .map(|(_, update)| update)
            .unwrap_or_default())
    }

    fn take(&mut self, update: &[u8]) -> Result<(), Failure> {
        Ok(self.0.import(&[(0, update)])?)
    }

    fn save(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self.0.snapshot()?)
    }

    fn load(saved: &[u8]) -> Result<Self, Failure> {
        Ok(Self(LoroEngine.open(RichKind::Text, 7, Some(saved))?))
    }

    fn text(&self) -> Result<String, Failure> {
        Ok(self.0.value()?.as_str().unwrap_or_default().to_owned())
    }
}

/// Loro as it is.
pub(crate) struct Loro {
    doc: loro::LoroDoc,
    given: loro::VersionVector,
}

impl Typist for Loro {
    fn new(agent: u64) -> Result<Self, Failure> {
        let doc = loro::LoroDoc::new();
        doc.set_peer_id(agent)?;
        let given = doc.oplog_vv();
        Ok(Self { doc, given })
    }

    fn splice(&mut self, patch: &Patch) -> Result<(), Failure> {
        let text = self.doc.get_text("f");
        if patch.delete > 0 {
            text.delete(patch.at, patch.delete)?;
        }
        if !patch.insert.is_empty() {
            text.insert(patch.at, &patch.insert)?;
        }
        Ok(())
    }

    fn update(&mut self) -> Result<Vec<u8>, Failure> {
        self.doc.commit();
        let update = self.doc.export(loro::ExportMode::updates(&self.given))?;
        self.given = self.doc.oplog_vv();
        Ok(update)
    }

    fn take(&mut self, update: &[u8]) -> Result<(), Failure> {
        self.doc.import(update)?;
        self.given = self.doc.oplog_vv();
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self.doc.export(loro::ExportMode::Snapshot)?)
    }

    fn load(saved: &[u8]) -> Result<Self, Failure> {
        let doc = loro::LoroDoc::from_snapshot(saved)?;
        let given = doc.oplog_vv();
        Ok(Self { doc, given })
    }

    fn text(&self) -> Result<String, Failure> {
        Ok(self.doc.get_text("f").to_string())
    }
}

/// yrs, the port of Yjs.
pub(crate) struct Yrs {
    doc: yrs::Doc,
    text: yrs::TextRef,
    given: yrs::StateVector,
}

impl Yrs {
    fn over(doc: yrs::Doc) -> Self {
        let text = doc.get_or_insert_text("f");
        let given = doc.transact().state_vector();
        Self { doc, text, given }
    }
}

impl Typist for Yrs {
    fn new(agent: u64) -> Result<Self, Failure> {
        let options = yrs::Options {
            offset_kind: yrs::OffsetKind::Utf16,
            ..yrs::Options::with_client_id(yrs::block::ClientID::new(agent))
        };
        Ok(Self::over(yrs::Doc::with_options(options)))
    }

    fn splice(&mut self, patch: &Patch) -> Result<(), Failure> {
        let mut txn = self.doc.transact_mut();
        if patch.delete > 0 {
            self.text
                .remove_range(&mut txn, patch.at as u32, patch.delete as u32);
        }
        if !patch.insert.is_empty() {
            self.text.insert(&mut txn, patch.at as u32, &patch.insert);
        }
        Ok(())
    }

    fn update(&mut self) -> Result<Vec<u8>, Failure> {
        let txn = self.doc.transact();
        let update = txn.encode_diff_v1(&self.given);
        self.given = txn.state_vector();
        Ok(update)
    }

    fn take(&mut self, update: &[u8]) -> Result<(), Failure> {
        let mut txn = self.doc.transact_mut();
        txn.apply_update(yrs::Update::decode_v1(update)?)?;
        self.given = txn.state_vector();
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, Failure> {
        let all = yrs::StateVector::default();
        Ok(self.doc.transact().encode_state_as_update_v1(&all))
    }

    fn load(saved: &[u8]) -> Result<Self, Failure> {
        let mut loaded = Self::new(7)?;
        loaded.take(saved)?;
        Ok(loaded)
    }

    fn text(&self) -> Result<String, Failure> {
        Ok(self.text.get_string(&self.doc.transact()))
    }
}

/// Automerge.
pub(crate) struct Automerge {
    doc: AutoCommit,
    text: ObjId,
}

impl Automerge {
    /// A text that all copies begin with.
    fn begun() -> Result<Vec<u8>, Failure> {
        let mut doc = AutoCommit::new().with_actor(automerge::ActorId::from([0u8; 16]));
        doc.put_object(ROOT, "f", ObjType::Text)?;
        Ok(doc.save())
    }
}

impl Typist for Automerge {
    fn new(agent: u64) -> Result<Self, Failure> {
        let mut begun = Self::load(&Self::begun()?)?;
        let mut actor = [1u8; 16];
        actor[..8].copy_from_slice(&agent.to_be_bytes());
        begun.doc.set_actor(automerge::ActorId::from(actor));
        begun.doc.save_incremental();
        Ok(begun)
    }

    fn splice(&mut self, patch: &Patch) -> Result<(), Failure> {
        let delete = patch.delete as isize;
        Ok(self
            .doc
            .splice_text(&self.text, patch.at, delete, &patch.insert)?)
    }

    fn update(&mut self) -> Result<Vec<u8>, Failure> {
        self.doc.commit();
        Ok(self.doc.save_incremental())
    }

    fn take(&mut self, update: &[u8]) -> Result<(), Failure> {
        self.doc.load_incremental(update)?;
        // What came is not given to others again.
        self.doc.save_incremental();
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(self.doc.save())
    }

    fn load(saved: &[u8]) -> Result<Self, Failure> {
        let doc = AutoCommit::load(saved)?;
        let text = doc.get(ROOT, "f")?.ok_or("no text")?.1;
        Ok(Self { doc, text })
    }

    fn text(&self) -> Result<String, Failure> {
        Ok(self.doc.text(&self.text)?)
    }
}
