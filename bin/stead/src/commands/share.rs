//! `stead share` and `stead join`: both sides of letting people into a space.

use std::path::Path;

use stead_api::{SpaceGrant, SpaceJoin, SpacePlanShare, SpaceShare};

use crate::{
    args::{Join, RoleName, Share},
    client::connect,
    exit::Failure,
    look,
    output::Output,
};

const DAY_MS: u64 = 24 * 3_600_000;

pub(crate) fn share(home: &Path, share: &Share, out: &Output) -> Result<(), Failure> {
    if share.everyone || share.group.is_some() || share.with.is_some() {
        return grant(home, share, out);
    }
    let uses = (!share.anyone).then_some(share.uses);
    let mut client = connect(home)?;
    let plan = client.call(&SpacePlanShare {
        space: share.space.clone(),
        role: share.role.to_string(),
        path: share.on.clone(),
        everyone: false,
    })?;
    out.remark(&plan.sentence);
    let made = client.call(&SpaceShare {
        space: share.space.clone(),
        role: share.role.to_string(),
        uses,
        valid_ms: Some(share.days * DAY_MS),
        path: share.on.clone(),
    })?;
    out.json(&made);
    let whom = match uses {
        Some(1) => "One person".to_owned(),
        Some(uses) => format!("{uses} people"),
        None => "Anyone who has it".to_owned(),
    };
    out.say(format!(
        "{whom} can join {} as {}{} with this invite, within {}, while this device is running:",
        look::heading(&share.space),
        share.role,
        match &plan.on[..] {
            "/" => String::new(),
            on => format!(" on {on}"),
        },
        match share.days {
            1 => "a day".to_owned(),
            days => format!("{days} days"),
        }
    ));
    out.say(String::new());
    out.say(format!("  stead join {}", made.invite));
    out.say(String::new());
    out.say("Send it as you would send a key: whoever has it first is let in.");
    out.say(format!(
        "  Take it back with:  {}",
        look::code(&format!("stead revoke {} {}", share.space, made.membership))
    ));
    Ok(())
}

/// Lets in who needs no invite, and says by which link if that is everyone.
fn grant(home: &Path, share: &Share, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let role = match share.everyone {
        true => RoleName::Reader.to_string(),
        false => share.role.to_string(),
    };
    let plan = client.call(&SpacePlanShare {
        space: share.space.clone(),
        role: role.clone(),
        path: share.on.clone(),
        everyone: share.everyone,
    })?;
    out.remark(&plan.sentence);
    let granted = client.call(&SpaceGrant {
        space: share.space.clone(),
        group: share.group.clone(),
        person: share.with.clone(),
        everyone: share.everyone,
        role,
        path: share.on.clone(),
    })?;
    out.json(&granted);
    out.say(format!("{} {}", look::good("✔"), granted.sentence));
    if let Some(link) = &granted.link {
        out.say("  They find it by this link, while this device is running:");
        out.say(String::new());
        out.say(format!("  stead join {link}"));
        out.say(String::new());
        out.say(format!(
            "  End it with:  {}",
            look::code(&format!("stead revoke {} everyone", share.space))
        ));
    } else {
        out.say("  The space opens on their devices by itself when they next meet one of yours.");
        out.say(format!(
            "  Who is in it:  {}",
            look::code(&format!("stead members {}", share.space))
        ));
    }
    Ok(())
}

pub(crate) fn join(home: &Path, join: &Join, out: &Output) -> Result<(), Failure> {
    let says = join.on_demand || join.budget.is_some() || !join.keep.is_empty();
    let joined = connect(home)?.call(&SpaceJoin {
        invite: join.invite.join(" "),
        keep: says.then(|| super::space::keep_of(&join.keep, join.budget)),
    })?;
    out.json(&joined);
    if joined.public {
        out.say(format!(
            "{} You read what is public in {}. Only its members write there.",
            look::good("✔"),
            look::heading(&joined.name)
        ));
        out.say(format!(
            "  What there is:  {}",
            look::code("stead space list")
        ));
        return Ok(());
    }
    out.say(format!(
        "{} You are in {}. What is in it is on its way to this device and to your others.",
        look::good("✔"),
        look::heading(&joined.name)
    ));
    out.say(format!(
        "  Who else is in it:  {}",
        look::code(&format!("stead members {}", joined.name))
    ));
    Ok(())
}
