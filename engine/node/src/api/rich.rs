//! Calls about texts, lists and trees, and their conversion; undo and redo.

use stead_api::{
    ApiError, DocRedo, DocUndo, ErrorKind, ListEdit, PLACES_MAX, RichShow, RichShown, TextEdit,
    TreeEdit, Undone,
};
use stead_replica::{Change, NodeName, ReplicaError, RichAsk, RichEdit, RichKind, TextUnit};

use super::{Node, convert};
use crate::clock::wall_ms;
use crate::faults;

pub(super) const fn unit(unit: stead_api::TextUnit) -> TextUnit {
    match unit {
        stead_api::TextUnit::Scalar => TextUnit::Scalar,
        stead_api::TextUnit::Utf16 => TextUnit::Utf16,
    }
}

pub(super) fn text(path: Vec<String>, of: stead_api::TextUnit, edit: TextEdit) -> Change {
    let unit = unit(of);
    let edit = match edit {
        TextEdit::Splice { at, delete, insert } => RichEdit::Splice {
            at,
            delete,
            insert,
            unit,
        },
        TextEdit::Mark {
            start,
            end,
            mark,
            value,
        } => RichEdit::Mark {
            start,
            end,
            mark,
            value,
            unit,
        },
    };
    Change::Rich {
        path,
        kind: RichKind::Text,
        edit,
    }
}

pub(super) fn list(path: Vec<String>, edit: ListEdit) -> Change {
    let edit = match edit {
        ListEdit::Insert { at, values } => RichEdit::ListInsert { at, values },
        ListEdit::Delete { at, count } => RichEdit::ListDelete { at, count },
        ListEdit::Set { at, value } => RichEdit::ListSet { at, value },
        ListEdit::Move { from, to } => RichEdit::ListMove { from, to },
    };
    Change::Rich {
        path,
        kind: RichKind::List,
        edit,
    }
}

pub(super) fn tree(path: Vec<String>, edit: TreeEdit) -> Change {
    let edit = match edit {
        TreeEdit::Create { parent, at, fields } => RichEdit::TreeCreate {
            parent: parent.map(NodeName),
            at,
            fields,
        },
        TreeEdit::Move { node, parent, at } => RichEdit::TreeMove {
            node: NodeName(node),
            parent: parent.map(NodeName),
            at,
        },
        TreeEdit::Delete { node } => RichEdit::TreeDelete {
            node: NodeName(node),
        },
        TreeEdit::Set { node, field, value } => RichEdit::TreeSet {
            node: NodeName(node),
            field,
            value,
        },
    };
    Change::Rich {
        path,
        kind: RichKind::Tree,
        edit,
    }
}

impl Node {
    pub(super) async fn undo(&self, undo: DocUndo) -> Result<Undone, ApiError> {
        let space = self.find_space(&undo.space)?;
        let undone = self
            .store
            .change(move |desk| desk.replica.undo(&space, wall_ms()))
            .await?;
        said(undone)
    }

    pub(super) async fn redo(&self, redo: DocRedo) -> Result<Undone, ApiError> {
        let space = self.find_space(&redo.space)?;
        let undone = self
            .store
            .change(move |desk| desk.replica.redo(&space, wall_ms()))
            .await?;
        said(undone)
    }

    pub(super) async fn show_rich(&self, show: RichShow) -> Result<RichShown, ApiError> {
        let space = self.find_space(&show.space)?;
        self.veil(&space, &show.collection).check_edit()?;
        let id = convert::doc_id(&show.id)?;
        if show.places.len().max(show.positions.len()) > PLACES_MAX {
            let message = format!("One call takes at most {PLACES_MAX} places.");
            return Err(ApiError::new(ErrorKind::TooLarge, message));
        }
        let ask = RichAsk {
            unit: unit(show.unit),
            places: show.places,
            positions: show.positions,
        };
        let seen = self
            .seen(space, &show.collection, show.revision.as_deref())
            .await?;
        let (collection, path) = (show.collection.clone(), seen.key(&show.path)?.path);
        // The store thread has the fields that are being edited open.
        let shown = self
            .store
            .look(move |desk| {
                desk.replica
                    .show_rich(&space, &collection, &id, &path, &ask)
            })
            .await?
            .map_err(|error| faults::replica(&error))?;
        let Some(shown) = shown else {
            return Err(ApiError::new(
                ErrorKind::NotFound,
                format!(
                    "There is nothing at {} of {}/{}.",
                    show.path.join("."),
                    show.collection,
                    show.id
                ),
            )
            .hint("`stead get` shows the document."));
        };
        let kind = shown.kind.map(|kind| match kind {
            RichKind::Text => "text".to_owned(),
            RichKind::List => "list".to_owned(),
            RichKind::Tree => "tree".to_owned(),
        });
        let is_text = shown.value.is_string();
        Ok(RichShown {
            kind,
            value: shown.value,
            marked: if is_text {
                shown.marked
            } else {
                Default::default()
            },
            places: shown.places,
            names: shown.names,
        })
    }
}

fn said(undone: Result<stead_replica::Undone, ReplicaError>) -> Result<Undone, ApiError> {
    let undone = undone.map_err(|error| faults::replica(&error))?;
    Ok(Undone {
        documents: undone
            .documents
            .iter()
            .map(|(collection, id)| format!("{collection}/{id}"))
            .collect(),
        kept: undone.kept,
        entry: undone.entry.map(|(_, seq)| seq),
    })
}
