//! `stead group`: people who are let into spaces together.

use std::path::Path;

use stead_api::{
    Group, GroupAdd, GroupCreate, GroupDelete, GroupList, GroupPerson, GroupRename, GroupShow,
    GroupTake, SpacePlanRevoke, SpaceShare,
};

use crate::{
    args::Group as Action,
    ask,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
    table::Table,
};

const DAY_MS: u64 = 24 * 3_600_000;

pub(crate) fn group(home: &Path, action: Action, out: &Output) -> Result<(), Failure> {
    match action {
        Action::Create { name } => create(home, name, out),
        Action::List => list(home, out),
        Action::Show { group } => {
            let group = connect(home)?.call(&GroupShow { group })?;
            out.json(&group);
            show(&group, out);
            Ok(())
        }
        Action::Add {
            group,
            who: Some(who),
            keeper,
            ..
        } => {
            let added = connect(home)?.call(&GroupAdd {
                group,
                who: who.clone(),
                keeper,
            })?;
            out.json(&added);
            out.say(format!(
                "{} {who} is in {} now, and in every space it is let into. Their devices hear of it when they next meet one of yours.",
                look::good("✔"),
                look::heading(&added.name)
            ));
            Ok(())
        }
        Action::Add {
            group,
            who: None,
            keeper,
            uses,
            days,
        } => invite(home, group, keeper, uses, days, out),
        Action::Remove {
            group,
            who,
            reason,
            yes,
        } => remove(home, group, who, reason, yes, out),
        Action::Rename { group, name } => {
            let done = connect(home)?.call(&GroupRename { group, name })?;
            out.json(&done);
            out.say(done.message);
            Ok(())
        }
        Action::Delete { group, yes } => delete(home, group, yes, out),
    }
}

fn create(home: &Path, name: String, out: &Output) -> Result<(), Failure> {
    let group = connect(home)?.call(&GroupCreate { name })?;
    out.json(&group);
    out.say(format!(
        "Made the group {}. You keep it.",
        look::heading(&group.name)
    ));
    out.say(format!(
        "  Let people in:        {}",
        look::code(&format!("stead group add {}", group.name))
    ));
    out.say(format!(
        "  Let it into a space:  {}",
        look::code(&format!("stead share SPACE --group {}", group.name))
    ));
    Ok(())
}

fn list(home: &Path, out: &Output) -> Result<(), Failure> {
    let groups = connect(home)?.call(&GroupList {})?;
    out.json(&groups);
    if groups.groups.is_empty() {
        out.remark("You are in no group yet: stead group create NAME");
        return Ok(());
    }
    let mut table = Table::new(["group", ">people", "you", "spaces"]);
    for group in &groups.groups {
        let mut spaces: Vec<&str> = group.spaces.iter().map(|it| it.name.as_str()).collect();
        spaces.dedup();
        table.row(vec![
            look::heading(&group.name),
            look::count(group.members.len() as u64),
            if group.keeper { "keep it" } else { "are in it" }.to_owned(),
            spaces.join(", "),
        ]);
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    Ok(())
}

fn show(group: &Group, out: &Output) {
    out.say(look::heading(&group.name));
    let mut table = Table::new(["person", "", "devices"]);
    for person in &group.members {
        table.row(row(person));
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    if group.spaces.is_empty() {
        out.say(format!(
            "\nIt has no rights anywhere yet: {}",
            look::code(&format!("stead share SPACE --group {}", group.name))
        ));
        return;
    }
    out.say("");
    let mut table = Table::new(["space", "role", "on"]);
    for right in &group.spaces {
        table.row(vec![
            look::heading(&right.name),
            right.role.clone(),
            right.path.clone(),
        ]);
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
}

/// A person of a group as cells: who, keeper or not, devices.
fn row(person: &GroupPerson) -> Vec<String> {
    let devices: Vec<&str> = person.devices.iter().map(|it| it.name.as_str()).collect();
    vec![
        look::heading(&person.who).to_string(),
        if person.keeper { "keeper" } else { "" }.to_owned(),
        devices.join(", "),
    ]
}

fn invite(
    home: &Path,
    group: String,
    keeper: bool,
    uses: u32,
    days: u64,
    out: &Output,
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let group = client.call(&GroupShow { group })?;
    let role = if keeper { "owner" } else { "writer" };
    let made = client.call(&SpaceShare {
        space: group.id,
        role: role.to_owned(),
        uses: Some(uses),
        valid_ms: Some(days * DAY_MS),
        path: None,
    })?;
    out.json(&made);
    let whom = match uses {
        1 => "One person".to_owned(),
        uses => format!("{uses} people"),
    };
    out.say(format!(
        "{whom} can join the group {} with this invite{}, within {}, while this device is running:",
        look::heading(&group.name),
        if keeper { " and keep it" } else { "" },
        match days {
            1 => "a day".to_owned(),
            days => format!("{days} days"),
        }
    ));
    out.say(String::new());
    out.say(format!("  stead join {}", made.invite));
    out.say(String::new());
    out.say("They come into every space that the group is let into, now and later.");
    Ok(())
}

fn remove(
    home: &Path,
    group: String,
    who: String,
    reason: Option<String>,
    yes: bool,
    out: &Output,
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let shown = client.call(&GroupShow { group })?;
    let plan = client.call(&SpacePlanRevoke {
        space: shown.id.clone(),
        member: who,
    })?;
    if plan.memberships.is_empty() {
        return Err(Failure::new(Code::NotFound, plan.sentence));
    }
    if yes {
        out.remark(&plan.sentence);
    }
    ask::confirm(&plan.sentence, yes, out)?;
    let done = client.call(&GroupTake {
        group: shown.id,
        who: plan.id,
        reason,
    })?;
    out.json(&done);
    out.say(match done.took_effect {
        true => look::good(&done.sentence),
        false => look::warning(&done.sentence),
    });
    Ok(())
}

fn delete(home: &Path, group: String, yes: bool, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let shown = client.call(&GroupShow { group })?;
    let mut spaces: Vec<&str> = shown.spaces.iter().map(|it| it.name.as_str()).collect();
    spaces.dedup();
    let sentence = format!(
        "The group {} ends: {} lose what it gave them{}, and the keys there are made anew.",
        shown.name,
        look::counted(shown.members.len() as u64, "member"),
        match &spaces[..] {
            [] => String::new(),
            spaces => format!(" in {}", spaces.join(", ")),
        }
    );
    if yes {
        out.remark(&sentence);
    }
    ask::confirm(&sentence, yes, out)?;
    let done = client.call(&GroupDelete { group: shown.id })?;
    out.json(&done);
    out.say(look::good(&done.message));
    Ok(())
}
