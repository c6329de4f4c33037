//! `stead link`: both sides of linking two devices, with a link or with spoken words.
//!
//! Owns which side is meant by the words of the command, and what both sides show. The old device's waiting is in
//! `link/offer.rs`, the new one's in `link/join.rs`.

use std::{io, path::Path, time::Duration};

use stead_api::{Client, LinkApprove, LinkOutcome, LinkPending, LinkRefuse};

use crate::{
    args::Link,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
};

mod join;
mod offer;

pub(crate) use offer::qr_text;

/// One call waits no longer, so that a stopped node is noticed.
const WAIT_MS: u64 = 20_000;

pub(crate) fn link(home: &Path, link: &Link, out: &Output) -> Result<(), Failure> {
    let words: Vec<&str> = link.words.iter().map(String::as_str).collect();
    match (link.spoken, &words[..]) {
        (false, []) => offer::link(home, link, None, out),
        (true, []) => offer::spoken(home, link, None, out),
        (true, words) => {
            let keep = super::space::keep_by_space(&link.keep, link.on_demand);
            let at = link.at.as_deref();
            join::with_words(home, &words.join(" "), at, keep, out)
        }
        (false, ["approve", code @ ..]) => approve(home, &code.concat(), out),
        (false, ["refuse"]) => refuse(home, out),
        (false, ["pending"]) => pending(home, out),
        (false, text) => {
            let keep = super::space::keep_by_space(&link.keep, link.on_demand);
            join::with_link(home, &text.concat(), keep, out)
        }
    }
}

/// Releases the share that is held for somebody, to whoever shows that they hear the person at this device.
pub(crate) fn help(home: &Path, link: &Link, owner: &str, out: &Output) -> Result<(), Failure> {
    match link.spoken {
        true => offer::spoken(home, link, Some(owner), out),
        false => offer::link(home, link, Some(owner), out),
    }
}

/// The yes of a script, or of a person in another terminal.
fn approve(home: &Path, code: &str, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let code = (!code.is_empty()).then(|| code.to_owned());
    let outcome = client.call(&LinkApprove { code })?;
    out.json(&outcome);
    ended(outcome, None, out)
}

fn refuse(home: &Path, out: &Output) -> Result<(), Failure> {
    let done = connect(home)?.call(&LinkRefuse {})?;
    out.json(&done);
    out.say(done.message);
    Ok(())
}

fn pending(home: &Path, out: &Output) -> Result<(), Failure> {
    let asking = connect(home)?.call(&LinkPending {})?;
    out.json(&asking);
    out.say(match &asking.newcomer {
        None => "No device asks to be let in.".to_owned(),
        Some(newcomer) => {
            let code = if newcomer.by_code { " CODE" } else { "" };
            let name = look::heading(&newcomer.name);
            match &newcomer.help {
                None => format!(
                    "{name} asks to become one of your devices. Let it in with: stead link approve{code}"
                ),
                Some(owner) => format!(
                    "{name} asks for your share of {owner}'s recovery words. Give it with: stead link approve{code}"
                ),
            }
        }
    });
    Ok(())
}

/// Says how it ended.
fn ended(outcome: LinkOutcome, help: Option<&str>, out: &Output) -> Result<(), Failure> {
    match outcome {
        LinkOutcome::Linked { .. } if help.is_some() => {
            out.say(format!(
                "{} The share is on the other device. Yours is still here.",
                look::good("✔")
            ));
            Ok(())
        }
        LinkOutcome::Linked { device } => {
            out.say(format!(
                "{} {} is linked. What you have is on its way to it.",
                look::good("✔"),
                look::heading(&device.name)
            ));
            out.say(format!(
                "  See both devices with: {}",
                look::code("stead status")
            ));
            Ok(())
        }
        LinkOutcome::Refused { message } if help.is_some() => {
            Err(Failure::new(Code::Refused, message)
                .hint("Nothing was given. Begin again if it was a slip."))
        }
        LinkOutcome::Refused { message } => Err(Failure::new(Code::Refused, message)
            .hint("Nobody was let in. If that was you, begin again: stead link")),
        LinkOutcome::Expired => Err(Failure::new(Code::NoAnswer, "Nobody used it in time.")
            .hint("Make a new one: stead link")),
        LinkOutcome::Cancelled => Err(Failure::new(Code::Interrupted, "The link was cancelled.")),
        LinkOutcome::Open | LinkOutcome::Asking { .. } => {
            Err(Failure::new(Code::NoAnswer, "It is not decided yet."))
        }
    }
}

/// Ctrl-C while waiting ends it in the node too, as whoever presses it expects.
pub(crate) fn on_interrupt(
    home: std::path::PathBuf,
    end: impl FnOnce(&mut Client) -> bool + Send + 'static,
    said: &'static str,
) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let interrupted =
            runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok());
        if interrupted {
            let ended = connect(&home).is_ok_and(|mut client| end(&mut client));
            let word = match ended {
                true => said,
                false => "Stead did not answer; it ends by itself when its time is over.",
            };
            let _ = io::Write::write_all(&mut io::stderr(), format!("\n{word}\n").as_bytes());
            std::process::exit(Code::Interrupted as i32);
        }
    });
}

pub(crate) fn spinner(out: &Output, text: &str) -> indicatif::ProgressBar {
    if out.json {
        return indicatif::ProgressBar::hidden();
    }
    // Draws on standard error, and only if that is a terminal.
    let spinner = indicatif::ProgressBar::new_spinner().with_message(text.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
