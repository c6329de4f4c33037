//! `stead put`, `delete` and `restore`.

use std::{collections::BTreeSet, io, path::Path};

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
    let mut ids = commit.ids.clone();
    ids.dedup();
    let (verb, remark) = match commit.entry {
        Some(_) => ("Wrote", ""),
        None => ("Nothing to change in", ": it says so already"),
    };
    for id in ids.iter().take(10) {
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
    let is_done = |document: &&DocAddress| changed.contains(&document.space[..]);
    for document in &delete.documents {
        out.say(match (delete.purge, is_done(&document)) {
            (true, true) => format!("Purged {document}."),
            (true, false) => format!("{document} holds nothing: there was nothing to purge."),
            (false, true) => format!("Deleted {document}."),
            (false, false) => format!("{document} is not there: nothing was deleted."),
        });
    }
    if let Some(first) = delete.documents.iter().find(is_done) {
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
    for document in &restore.documents {
        out.say(match changed.contains(&document.space[..]) {
            true => format!("{document} is back."),
            false => format!("{document} was not deleted: there was nothing to bring back."),
        });
    }
    Ok(())
}

/// Does one thing to documents: one transaction a space. Returns the spaces where that changed anything.
fn each_space<'d>(
    client: &mut Client,
    documents: &'d [DocAddress],
    op: Op,
    out: &Output,
) -> Result<BTreeSet<&'d str>, Failure> {
    let mut changed = BTreeSet::new();
    let mut spaces: Vec<&str> = documents
        .iter()
        .map(|document| document.space.as_str())
        .collect();
    spaces.dedup();
    for space in spaces {
        let edits = documents
            .iter()
            .filter(|document| document.space == space)
            .map(|document| Edit {
                collection: document.collection.clone(),
                id: Some(document.id.clone()),
                op: op.clone(),
            });
        let commit = client.call(&DocPut {
            space: space.to_owned(),
            edits: edits.collect(),
            ..DocPut::default()
        })?;
        if commit.entry.is_some() {
            changed.insert(space);
        }
        out.json(&commit);
    }
    Ok(changed)
}
