//! `stead members`, `stead revoke`, `stead can`.

use std::path::Path;

use serde_json::json;
use stead_api::{Member, MemberList, Members, SpaceCan, SpaceList, SpacePlanRevoke, SpaceRevoke};

use crate::{
    args::{Can, Leave, MembersArgs, Revoke},
    ask,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
    table::Table,
};

pub(crate) fn members(home: &Path, args: &MembersArgs, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let spaces = match &args.space {
        Some(space) => vec![space.clone()],
        None => {
            let spaces = client.call(&SpaceList::default())?.spaces;
            spaces.into_iter().map(|space| space.id).collect()
        }
    };
    let mut listed: Vec<Members> = Vec::with_capacity(spaces.len());
    for space in spaces {
        listed.push(client.call(&MemberList {
            space,
            ended: args.ended,
        })?);
    }
    match (&args.space, &listed[..]) {
        (Some(_), [only]) => out.json(only),
        _ => out.json(&json!({"spaces": listed})),
    }
    for (i, space) in listed.iter().enumerate() {
        if args.space.is_none() {
            let gap = if i == 0 { "" } else { "\n" };
            out.say(format!("{gap}{}", look::heading(&space.name)));
        }
        let mut table = Table::new(["member", "role", "on", "let in", "devices", "membership"]);
        for member in &space.members {
            table.row(row(member));
            for part in &member.parts {
                let devices: Vec<&str> = part.devices.iter().map(|it| it.name.as_str()).collect();
                table.row(vec![
                    format!("  {}", part.who),
                    String::new(),
                    String::new(),
                    if part.keeper {
                        "keeps the group"
                    } else {
                        "in the group"
                    }
                    .to_owned(),
                    devices.join(", "),
                    String::new(),
                ]);
            }
        }
        for line in table.lines(0, out.width()) {
            out.say(line);
        }
    }
    Ok(())
}

fn row(member: &Member) -> Vec<String> {
    let mut devices: Vec<&str> = member.devices.iter().map(|it| it.name.as_str()).collect();
    if !member.parts.is_empty() {
        // They stand with the people below.
        devices.clear();
    }
    let verified = match member.verified && !member.own {
        true => format!(" {}", look::good("✓")),
        false => String::new(),
    };
    let role = match member.ended {
        true => format!("{} (ended)", member.role),
        false => member.role.clone(),
    };
    vec![
        format!("{}{verified}", look::heading(&member.who)),
        role,
        member.path.clone(),
        member.given_by.clone(),
        devices.join(", "),
        look::faint(&member.membership),
    ]
}

pub(crate) fn revoke(home: &Path, args: Revoke, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let plan = client.call(&SpacePlanRevoke {
        space: args.space.clone(),
        member: args.member,
    })?;
    if plan.memberships.is_empty() {
        return Err(Failure::new(Code::NotFound, plan.sentence));
    }
    if args.yes {
        out.remark(&plan.sentence);
    }
    ask::confirm(&plan.sentence, args.yes, out)?;
    let done = client.call(&SpaceRevoke {
        space: args.space,
        // The id, so that it is surely the one that the sentence was about.
        member: plan.id,
        reason: args.reason,
    })?;
    out.json(&done);
    out.say(match done.took_effect {
        true => look::good(&done.sentence),
        false => look::warning(&done.sentence),
    });
    Ok(())
}

pub(crate) fn leave(home: &Path, leave: Leave, out: &Output) -> Result<(), Failure> {
    let name = leave.space.clone();
    revoke(
        home,
        Revoke {
            space: leave.space,
            member: "me".to_owned(),
            reason: leave.reason,
            yes: leave.yes,
        },
        out,
    )?;
    out.say(format!(
        "  Erase it on this device, once another has heard of it:  {}",
        look::code(&format!("stead space leave {name}"))
    ));
    Ok(())
}

pub(crate) fn can(home: &Path, args: Can, out: &Output) -> Result<(), Failure> {
    let decision = connect(home)?.call(&SpaceCan {
        space: args.space,
        who: args.who,
        action: args.action,
        path: args.path,
    })?;
    out.json(&decision);
    out.say(match decision.allowed {
        true => look::good(&decision.sentence),
        false => look::warning(&decision.sentence),
    });
    for reason in &decision.because {
        out.say(format!("  {}", reason.text));
        for step in &reason.chain {
            out.say(look::faint(&format!("    which rests on {step}")));
        }
    }
    Ok(())
}
