//! `stead guardians`: setting them, what is held for others, and helping somebody.

use std::path::Path;

use stead_api::{
    GuardianHeld, GuardianPlanHelp, GuardianSet, GuardianShow, GuardiansShown, HeldShares, Words,
};

use crate::{
    args::{Guardians, GuardiansAction, Link},
    ask,
    client::connect,
    commands::{link, recover},
    exit::Failure,
    look,
    output::Output,
    table::Table,
};

pub(crate) fn guardians(home: &Path, args: &Guardians, out: &Output) -> Result<(), Failure> {
    match &args.action {
        None | Some(GuardiansAction::Show) => show(home, out),
        Some(GuardiansAction::Set {
            k,
            names,
            words_from,
            yes,
        }) => set(home, *k, names, words_from.as_deref(), *yes, out),
        Some(GuardiansAction::Clear { words_from, yes }) => {
            set(home, 0, &[], words_from.as_deref(), *yes, out)
        }
        Some(GuardiansAction::Held) => held(home, out),
        Some(GuardiansAction::Help {
            person,
            spoken,
            minutes,
            no_wait,
            yes,
        }) => {
            let link = Link {
                words: Vec::new(),
                spoken: *spoken,
                at: None,
                minutes: *minutes,
                no_qr: true,
                no_wait: *no_wait,
                keep: Vec::new(),
                on_demand: false,
            };
            help(home, person, &link, *yes, out)
        }
    }
}

fn show(home: &Path, out: &Output) -> Result<(), Failure> {
    let shown = connect(home)?.call(&GuardianShow {})?;
    out.json(&shown);
    if shown.guardians.is_empty() {
        out.say("You have no guardians: if you lose your devices and your words, nobody can help.");
        out.say(format!(
            "  Choose some with: {}",
            look::code("stead guardians set -k 2 NAME NAME NAME")
        ));
        return Ok(());
    }
    out.say(format!(
        "Any {} of these {} can give you your recovery words back:\n",
        shown.threshold,
        shown.guardians.len()
    ));
    for line in table(&shown).lines(0, out.width()) {
        out.say(line);
    }
    if shown.guardians.iter().any(|guardian| !guardian.verified) {
        out.say(format!(
            "\n{} Compare safety words with each of them, so that you know whom you trust: {}",
            look::warning("!"),
            look::code("stead contact verify NAME")
        ));
    }
    Ok(())
}

fn table(shown: &GuardiansShown) -> Table {
    let now = look::now_ms();
    let mut table = Table::new(["guardian", "share", "verified"]);
    for guardian in &shown.guardians {
        let share = match (guardian.released_ms, guardian.held_ms) {
            (Some(released), _) => look::warning(&format!("released {}", look::ago(released, now))),
            (None, Some(held)) => format!("kept, said {}", look::ago(held, now)),
            (None, None) => "on its way".to_owned(),
        };
        table.row(vec![
            look::heading(&guardian.name),
            share,
            if guardian.verified { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

fn set(
    home: &Path,
    k: u32,
    names: &[String],
    words_from: Option<&str>,
    yes: bool,
    out: &Output,
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let before = client.call(&GuardianShow {})?;
    let again = match before.guardians.is_empty() {
        true => "",
        false => {
            " Earlier shares do not mix with the new ones, and your guardians' devices erase them; somebody who kept one in secret, with enough others who did, could still use it, for the words stay the same."
        }
    };
    let sentence = match names {
        [] => format!("Nobody can help you then if you lose your words.{again}"),
        names => format!(
            "Any {k} of {} together will be able to become you; fewer learn nothing.{again}",
            names.join(", ")
        ),
    };
    if yes {
        out.remark(&sentence);
    }
    ask::confirm(&sentence, yes, out)?;
    let words = match (words_from, before.words_here) {
        (None, true) => None,
        (from, _) => Some(Words(recover::read_words(from, out)?)),
    };
    let shown = client.call(&GuardianSet {
        threshold: k,
        names: names.to_vec(),
        words,
    })?;
    out.json(&shown);
    out.say(match names {
        [] => "You have no guardians any more.".to_owned(),
        _ => format!(
            "Shares are on their way to {}. See who keeps one: {}",
            names.join(", "),
            look::code("stead guardians")
        ),
    });
    Ok(())
}

fn held(home: &Path, out: &Output) -> Result<(), Failure> {
    let held: HeldShares = connect(home)?.call(&GuardianHeld {})?;
    out.json(&held);
    if held.shares.is_empty() {
        out.say("You hold no share of anybody's recovery words.");
        return Ok(());
    }
    let now = look::now_ms();
    let mut table = Table::new(["for", "needed", "since"]);
    for share in &held.shares {
        table.row(vec![
            look::heading(&share.name),
            format!("{} of {}", share.threshold, share.count),
            look::ago(share.since_ms, now),
        ]);
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    Ok(())
}

fn help(home: &Path, person: &str, link: &Link, yes: bool, out: &Output) -> Result<(), Failure> {
    let plan = connect(home)?.call(&GuardianPlanHelp {
        person: person.to_owned(),
    })?;
    if yes {
        out.remark(&plan.sentence);
    }
    ask::confirm(&plan.sentence, yes, out)?;
    link::help(home, link, &plan.share.identity, out)
}
