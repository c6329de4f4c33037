//! `stead space keep`: how much of a space this device keeps.

use std::{collections::BTreeMap, path::Path};

use stead_api::{DocQuery, Keep, SpaceKeep, SpaceKept};

use crate::{args::Space, client::connect, exit::Failure, look, output::Output};

/// What `stead join` and `stead link` say of one space: collections and documents.
pub(crate) fn keep_of(what: &[String], budget: Option<u64>) -> Keep {
    let (documents, collections) = what.iter().cloned().partition(|it| it.contains('/'));
    Keep {
        collections,
        documents,
        queries: Vec::new(),
        budget,
    }
}

/// What `stead link --keep` says of which space: SPACE, SPACE/COLLECTION or SPACE/COLLECTION/DOCUMENT.
pub(crate) fn keep_by_space(what: &[String], on_demand: bool) -> BTreeMap<String, Keep> {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for text in what {
        let (space, rest) = text.split_once('/').unwrap_or((text, ""));
        let of = named.entry(space.to_owned()).or_default();
        if !rest.is_empty() {
            of.push(rest.to_owned());
        }
    }
    let mut kept: BTreeMap<String, Keep> = named
        .into_iter()
        .map(|(space, what)| (space, keep_of(&what, None)))
        .collect();
    if on_demand {
        kept.entry("*".to_owned()).or_default();
    }
    kept
}

pub(super) fn keep(home: &Path, asked: Space, out: &Output) -> Result<(), Failure> {
    let Space::Keep {
        space,
        collection,
        document,
        query,
        conditions,
        sort,
        limit,
        on_demand,
        budget,
        all,
        lose_unsynced,
    } = asked
    else {
        return Ok(());
    };
    let mut client = connect(home)?;
    let query = query.map(|collection| DocQuery {
        space: space.clone(),
        collection,
        filters: crate::query::conditions(&conditions, None),
        sort: sort.into_iter().map(|key| key.0).collect(),
        limit,
        ..DocQuery::default()
    });
    let says = on_demand || !collection.is_empty() || !document.is_empty() || query.is_some();
    let mut ask = SpaceKeep {
        space: space.clone(),
        all,
        lose_unsynced,
        ..SpaceKeep::default()
    };
    if says {
        ask.keep = Some(Keep {
            collections: collection,
            documents: document,
            queries: query.into_iter().collect(),
            budget,
        });
    } else if budget.is_some() {
        return Err(
            Failure::usage("A budget says how much room what is looked at may take.")
                .hint("Say with it what is kept besides, or --on-demand."),
        );
    }
    let kept = client.call(&ask)?;
    out.json(&kept);
    say(&kept, out);
    Ok(())
}

fn say(kept: &SpaceKept, out: &Output) {
    if !kept.partial {
        out.say(format!(
            "This device keeps all of {}: {}.",
            look::heading(&kept.space),
            look::counted(kept.documents, "document")
        ));
        out.say(format!(
            "  Keep a part:  {}",
            look::code(&format!(
                "stead space keep {} --collection NAME",
                kept.space
            ))
        ));
        return;
    }
    out.say(format!(
        "This device keeps a part of {}:",
        look::heading(&kept.space)
    ));
    let keep = &kept.keep;
    for name in &keep.collections {
        let state = match kept.unfilled.contains(name) {
            true => "  (on its way)",
            false => "",
        };
        out.say(format!("  all of {name}{state}"));
    }
    for name in &keep.documents {
        out.say(format!("  {name}"));
    }
    for query in &keep.queries {
        out.say(format!("  what a query finds in {}", query.collection));
    }
    let budget = keep.budget.unwrap_or_default();
    out.say(format!(
        "  and what is looked at: {} in {} of {}",
        look::counted(kept.on_demand, "document"),
        look::bytes(kept.on_demand_bytes),
        look::bytes(budget)
    ));
    out.say(format!(
        "Here: {}, and {} of the {} that others wrote.",
        look::counted(kept.documents, "document"),
        look::count(kept.kept_entries),
        look::counted(kept.log_entries, "log entry")
    ));
    if kept.waiting > 0 {
        out.say(format!(
            "{} to come, from a device that has all of the space.",
            look::counted(kept.waiting, "document")
        ));
    }
    for name in &kept.cannot_give {
        out.say(format!(
            "{} runs an older Stead that gives nothing to a device that keeps a part: update it.",
            look::heading(name)
        ));
    }
}
