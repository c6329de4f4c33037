//! The new device: uses a link or words, shows the code, and waits to be let in.

use std::{collections::BTreeMap, path::Path};

use serde_json::json;
use stead_api::{
    Client, ClientError, Keep, Link as LinkText, LinkAccept, LinkAccepted, LinkArrival, LinkArrive,
    LinkBegun, LinkGiveUp, LinkHear,
};

use super::{WAIT_MS, on_interrupt, spinner};
use crate::{
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
};

pub(super) fn with_link(
    home: &Path,
    text: &str,
    keep: BTreeMap<String, Keep>,
    out: &Output,
) -> Result<(), Failure> {
    text.parse::<LinkText>().map_err(|err| {
        Failure::new(
            Code::Refused,
            format!("This is no link that can be used: {err}."),
        )
        .hint("Copy the whole text after \"stead link\" from the other device.")
    })?;
    let link = LinkAccept {
        link: text.to_owned(),
        keep,
    };
    join(home, out, |client| client.call(&link))
}

pub(super) fn with_words(
    home: &Path,
    words: &str,
    at: Option<&str>,
    keep: BTreeMap<String, Keep>,
    out: &Output,
) -> Result<(), Failure> {
    let hear = LinkHear {
        words: words.to_owned(),
        at: at.map(str::to_owned),
        keep,
    };
    join(home, out, |client| client.call(&hear))
}

fn join(
    home: &Path,
    out: &Output,
    begin: impl FnOnce(&mut Client) -> Result<LinkBegun, ClientError>,
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let reaching = spinner(out, "Reaching the other device …");
    let begun = begin(&mut client);
    reaching.finish_and_clear();
    let begun = begun?;
    let give_up = LinkGiveUp {
        attempt: begun.attempt.clone(),
    };
    on_interrupt(
        home.to_owned(),
        move |client| client.call(&give_up).is_ok(),
        "This device was not linked.",
    );
    match (&begun.code, out.json) {
        (_, true) => out.json_line(&begun),
        (Some(code), _) => out.say(format!(
            "Type this code on the other device: {}",
            look::heading(code)
        )),
        (None, _) => out.say("The words are right. Say yes on the other device."),
    }
    let waiting = spinner(out, "Waiting to be let in …");
    let accepted = arrive(&mut client, &begun);
    waiting.finish_and_clear();
    let accepted = accepted?;
    if out.json {
        out.json_line(&json!({"device": accepted.device, "spaces": accepted.spaces}));
    }
    say_linked(&accepted, out);
    Ok(())
}

fn arrive(client: &mut Client, begun: &LinkBegun) -> Result<LinkAccepted, Failure> {
    loop {
        let arrival = client.call(&LinkArrive {
            attempt: begun.attempt.clone(),
            wait_ms: WAIT_MS,
        })?;
        if let LinkArrival::Linked(accepted) = arrival {
            return Ok(accepted);
        }
    }
}

fn say_linked(accepted: &LinkAccepted, out: &Output) {
    let names: Vec<_> = accepted
        .spaces
        .iter()
        .map(|space| look::heading(&space.name))
        .collect();
    let shared = match names.split_last() {
        None => String::new(),
        Some((last, [])) => format!(" You share {last}."),
        Some((last, rest)) => format!(" You share {} and {last}.", rest.join(", ")),
    };
    out.say(format!(
        "{} Linked with {}.{shared}",
        look::good("✔"),
        look::heading(&accepted.device.name)
    ));
    out.say(format!(
        "  Watch the data arrive with: {}",
        look::code("stead status --watch")
    ));
}
