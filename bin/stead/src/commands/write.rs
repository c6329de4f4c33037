//! `stead put`, `delete` and `restore`.

use std::{io, path::Path};

use stead_api::{Client, DocPut, Edit, Op};

use crate::{
    address::DocAddress,
    args::{Delete, Put, Restore},
    ask,
    client::connect,
    edits::edits_of,
    exit::Failure,
    look,
    output::Output,
};

pub(crate) fn put(home: &Path, put: Put, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let edits = edits_of(&put, io::stdin().lock())?;
    let space = put.document.space.clone();
    let commit = client.call(&DocPut {
        space: space.clone(),
        edits,
        revisions: put
            .revision
            .iter()
            .map(|revision| (put.document.collection.clone(), revision.clone()))
            .collect(),
        ..DocPut::default()
    })?;
    out.json(&commit);
    // Edits of one document follow one another.
    let mut ids: Vec<(&str, bool)> = Vec::new();
    for (at, id) in commit.ids.iter().enumerate() {
        let has_changed = commit.has_changed(at);
        match ids.last_mut() {
            Some((last, changed)) if last == id => *changed |= has_changed,
            _ => ids.push((id, has_changed)),
        }
    }
    for (id, changed) in ids.iter().take(10) {
        let (verb, remark) = match changed {
            true => ("Wrote", ""),
            false => ("Nothing to change in", ": it says so already"),
        };
        out.say(format!(
            "{verb} {space}/{}/{id}{remark}.",
            put.document.collection
        ));
    }
    if ids.len() > 10 {
        out.say(format!(
            "{} in all.",
            look::counted(ids.len() as u64, "document")
        ));
    }
    Ok(())
}

pub(crate) fn delete(home: &Path, delete: &Delete, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let op = match delete.purge {
        true => Op::Purge,
        false => Op::Delete,
    };
    if delete.purge {
        let what = look::counted(delete.documents.len() as u64, "document");
        let sentence = format!("What {what} held goes for ever, on every device.");
        ask::confirm(&sentence, delete.yes, out)?;
    }
    let changed = each_space(&mut client, &delete.documents, op, out)?;
    for (document, changed) in delete.documents.iter().zip(&changed) {
        out.say(match (delete.purge, changed) {
            (true, true) => format!("Purged {document}."),
            (true, false) => format!("{document} holds nothing: there was nothing to purge."),
            (false, true) => format!("Deleted {document}."),
            (false, false) => format!("{document} is not there: nothing was deleted."),
        });
    }
    let mut done = delete.documents.iter().zip(changed);
    if let Some((first, _)) = done.find(|(_, changed)| *changed) {
        out.say(look::faint(&match delete.purge {
            true => format!(
                "  Its history still shows what it was. To take that, too: stead redact {first}"
            ),
            false => format!("  Bring it back with: stead restore {first}"),
        }));
    }
    Ok(())
}

pub(crate) fn restore(home: &Path, restore: &Restore, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let changed = each_space(&mut client, &restore.documents, Op::Restore, out)?;
    for (document, changed) in restore.documents.iter().zip(changed) {
        out.say(match changed {
            true => format!("{document} is back."),
            false => format!("{document} was not deleted: there was nothing to bring back."),
        });
    }
    Ok(())
}

/// Does one thing to documents: one transaction a space, in the order in which the spaces are first named. Returns
/// for each document whether that changed it.
fn each_space(
    client: &mut Client,
    documents: &[DocAddress],
    op: Op,
    out: &Output,
) -> Result<Vec<bool>, Failure> {
    let mut changed = vec![false; documents.len()];
    let mut spaces: Vec<(&str, Vec<usize>)> = Vec::new();
    for (at, document) in documents.iter().enumerate() {
        let known = spaces
            .iter_mut()
            .find(|(space, _)| *space == document.space);
        match known {
            Some((_, places)) => places.push(at),
            None => spaces.push((&document.space, vec![at])),
        }
    }
    for (space, places) in spaces {
        let edits = places.iter().map(|at| Edit {
            collection: documents[*at].collection.clone(),
            id: Some(documents[*at].id.clone()),
            op: op.clone(),
        });
        let commit = client.call(&DocPut {
            space: space.to_owned(),
            edits: edits.collect(),
            ..DocPut::default()
        })?;
        for (edit, at) in places.into_iter().enumerate() {
            changed[at] = commit.has_changed(edit);
        }
        out.json(&commit);
    }
    Ok(changed)
}
