//! The device that has the data: shows a link or words, and asks its person whether who comes may in.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use stead_api::{
    Client, ClientError, ErrorKind, Link as LinkText, LinkApprove, LinkCancel, LinkCreate,
    LinkCreated, LinkNewcomer, LinkOutcome, LinkRefuse, LinkSpeak, LinkSpoken, LinkWait,
};

use super::{WAIT_MS, ended, on_interrupt, spinner};
use crate::{args::Link, client::connect, exit::Failure, look, output::Output};

/// While a person thinks, the node is asked this often whether it matters still.
const GLANCE: Duration = Duration::from_millis(300);

pub(super) fn link(
    home: &Path,
    args: &Link,
    help: Option<&str>,
    out: &Output,
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let created = client.call(&LinkCreate {
        valid_ms: Some(args.minutes * 60_000),
        help: help.map(str::to_owned),
    })?;
    match out.json {
        true => out.json_line(&created),
        false => match help {
            None => show_link(&created, args, out),
            Some(_) => show_help(&created, out),
        },
    }
    attend(home, client, &created.link_id, args, help, out)
}

pub(super) fn spoken(
    home: &Path,
    args: &Link,
    help: Option<&str>,
    out: &Output,
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let spoken = client.call(&LinkSpeak {
        valid_ms: Some(args.minutes * 60_000),
        help: help.map(str::to_owned),
    })?;
    match out.json {
        true => out.json_line(&spoken),
        false => show_words(&spoken, help.is_some(), out),
    }
    attend(home, client, &spoken.link_id, args, help, out)
}

/// Waits for somebody to come, asks the person, and says how it ended.
fn attend(
    home: &Path,
    mut client: Client,
    link_id: &str,
    args: &Link,
    help: Option<&str>,
    out: &Output,
) -> Result<(), Failure> {
    if args.no_wait {
        return Ok(());
    }
    let cancel = LinkCancel {
        link_id: link_id.to_owned(),
    };
    on_interrupt(
        home.to_owned(),
        move |client| client.call(&cancel).is_ok(),
        "The link was cancelled.",
    );
    let waiting = spinner(
        out,
        "Waiting for the other device … Ctrl-C makes it worthless.",
    );
    let outcome = wait(&mut client, link_id, WAIT_MS, false);
    waiting.finish_and_clear();
    let mut outcome = outcome?;
    if let LinkOutcome::Asking { newcomer } = &outcome {
        if out.json {
            out.json_line(&outcome);
        } else {
            introduce(newcomer, out);
        }
        outcome = match io::stdin().is_terminal() && !out.json {
            true => ask(&mut client, link_id, newcomer)?,
            false => wait(&mut client, link_id, WAIT_MS, true)?,
        };
    }
    if out.json {
        out.json_line(&outcome);
    }
    ended(outcome, help, out)
}

fn wait(
    client: &mut Client,
    link_id: &str,
    wait_ms: u64,
    beyond_asking: bool,
) -> Result<LinkOutcome, Failure> {
    loop {
        let outcome = client.call(&LinkWait {
            link_id: link_id.to_owned(),
            wait_ms,
            beyond_asking,
        })?;
        match outcome {
            LinkOutcome::Open => {}
            LinkOutcome::Asking { .. } if beyond_asking => {}
            decided => return Ok(decided),
        }
    }
}

/// Who has come, and how to let it in from elsewhere.
fn introduce(newcomer: &LinkNewcomer, out: &Output) {
    out.say(match &newcomer.help {
        None => format!(
            "{} asks to become one of your devices and to get all your spaces.",
            look::heading(&newcomer.name)
        ),
        Some(owner) => format!(
            "A device that calls itself {} asks for your share of {owner}'s recovery words.",
            look::heading(&newcomer.name)
        ),
    });
    if !io::stdin().is_terminal() {
        let code = if newcomer.by_code { " CODE" } else { "" };
        out.say(format!(
            "Let it in with {}, or send it away with {}.",
            look::code(&format!("stead link approve{code}")),
            look::code("stead link refuse")
        ));
    }
}

/// Asks until the person has decided, or it does not matter any more.
fn ask(
    client: &mut Client,
    link_id: &str,
    newcomer: &LinkNewcomer,
) -> Result<LinkOutcome, Failure> {
    let question = match newcomer.by_code {
        true if newcomer.help.is_some() => {
            "Type the code that you hear, from the voice you know; or `no` to send it away: "
        }
        true => "Type the code that it shows, or `no` to send it away: ",
        false if newcomer.help.is_some() => {
            "Does the voice you know say that the words were right just now? Give the share? [y/N] "
        }
        false => "Is it the device in front of you? Let it in? [y/N] ",
    };
    let lines = lines_of_stdin();
    loop {
        let _ = write!(io::stderr(), "{question}");
        let _ = io::stderr().flush();
        let Some(line) = line_or_end(client, link_id, &lines)? else {
            let _ = writeln!(io::stderr());
            return wait(client, link_id, WAIT_MS, true);
        };
        let code = match (answer(&line, newcomer.by_code), newcomer.by_code) {
            (Answer::No, _) => {
                // It may have gone by itself meanwhile.
                match client.call(&LinkRefuse {}) {
                    Err(ClientError::Api(error)) if error.kind == ErrorKind::LinkNobody => {}
                    refused => drop(refused?),
                }
                return wait(client, link_id, WAIT_MS, true);
            }
            (Answer::Nothing, _) => continue,
            (Answer::Yes, by_code) => by_code.then_some(line),
        };
        match client.call(&LinkApprove { code }) {
            Ok(outcome) => return Ok(outcome),
            // A slip: nothing is lost.
            Err(ClientError::Api(error)) if error.kind == ErrorKind::InvalidParams => {
                let _ = writeln!(io::stderr(), "{}", error.message);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

enum Answer {
    Yes,
    No,
    Nothing,
}

fn answer(line: &str, by_code: bool) -> Answer {
    match line.trim().to_lowercase().as_str() {
        "n" | "no" => Answer::No,
        "" if by_code => Answer::Nothing,
        _ if by_code => Answer::Yes,
        "y" | "yes" => Answer::Yes,
        // As the capital N says.
        _ => Answer::No,
    }
}

/// What the person types; reading blocks, so it has a thread of its own, which ends with the program.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if typed.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The next line; none if it was decided meanwhile, or nobody types any more.
fn line_or_end(
    client: &mut Client,
    link_id: &str,
    lines: &mpsc::Receiver<String>,
) -> Result<Option<String>, Failure> {
    loop {
        match lines.recv_timeout(GLANCE) {
            Ok(line) => return Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        let outcome = client.call(&LinkWait {
            link_id: link_id.to_owned(),
            wait_ms: 0,
            beyond_asking: true,
        })?;
        if !matches!(outcome, LinkOutcome::Asking { .. }) {
            return Ok(None);
        }
    }
}

fn show_link(created: &LinkCreated, args: &Link, out: &Output) {
    out.say("On the other device, start Stead and use this link:\n");
    // Kept in one piece, so that it can be copied.
    out.say(format!(
        "{}\n",
        look::code(&format!("stead link {}", created.link))
    ));
    let code = created
        .link
        .parse::<LinkText>()
        .ok()
        .and_then(|link| qr(&link));
    if let (Some(code), true) = (code, out.is_terminal() && !args.no_qr) {
        out.say(code);
    }
    out.say(format!(
        "It works once, until {}. The other device then shows a code; nobody is in before you have typed it here.",
        look::time_of_day(created.expires_ms)
    ));
}

/// The text by which a guardian helps.
fn show_help(created: &LinkCreated, out: &Output) {
    out.say("Send this to the person you help; they give it to `stead recover --guardians`:\n");
    out.say(format!("{}\n", look::code(&created.link)));
    out.say(format!(
        "It works once, until {}. Their device then shows a code, which they read out to you.",
        look::time_of_day(created.expires_ms)
    ));
}

fn show_words(spoken: &LinkSpoken, helps: bool, out: &Output) {
    if helps {
        out.say("Say these words to the person you help; they give them to `stead recover --guardians`:\n");
        out.say(format!("{}\n", look::code(&spoken.words)));
        out.say(format!(
            "The words work once, until {}, on one local network. You are asked again when a device comes with them.",
            look::time_of_day(spoken.expires_ms)
        ));
        if let Some(place) = spoken.places.first() {
            out.say(format!(
                "If their device does not find this one: {}",
                look::code(&format!("--at {place}"))
            ));
        }
        return;
    }
    out.say("On the other device, start Stead and type:\n");
    out.say(format!(
        "{}\n",
        look::code(&format!("stead link --spoken {}", spoken.words))
    ));
    out.say(format!(
        "The words work once, until {}, on your local network; nobody is in before you have said yes here.",
        look::time_of_day(spoken.expires_ms)
    ));
    if let Some(place) = spoken.places.first() {
        out.say(format!(
            "If it does not find this device: {}",
            look::code(&format!(
                "stead link --spoken {} --at {place}",
                spoken.words
            ))
        ));
    }
}

/// The link as a QR code.
fn qr(link: &LinkText) -> Option<String> {
    qr_text(&link.to_qr_text())
}

/// A text as a QR code, dark on light whatever the terminal's colours are.
pub(crate) fn qr_text(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let mut renderer = code.render::<Dense1x2>();
    let lines = match console::colors_enabled() {
        true => {
            let image = renderer.build();
            image
                .lines()
                .map(|line| format!("  \x1b[38;5;16;48;5;231m{line}\x1b[0m"))
                .collect::<Vec<_>>()
        }
        // Most terminals are dark.
        false => {
            let image = renderer
                .dark_color(Dense1x2::Light)
                .light_color(Dense1x2::Dark)
                .build();
            image.lines().map(|line| format!("  {line}")).collect()
        }
    };
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_api::LinkSecret;

    #[test]
    fn a_link_with_addresses_and_relay_fits_a_code_for_a_small_terminal() {
        let link = LinkText {
            device: [1; 32],
            key_hash: [3; 32],
            secret: LinkSecret([2; 32]),
            expires_ms: 1_800_000_000_000,
            addresses: vec!["192.168.100.200:51234".parse().unwrap(); 3],
            relay: Some("http://relay.example.org:3340".into()),
        };
        let code = qr(&link).unwrap();
        let width = code.lines().map(console::measure_text_width).max().unwrap();
        assert!(
            width <= 80 && code.lines().count() <= 40,
            "{width} x {}",
            code.lines().count()
        );
    }

    #[test]
    fn silence_lets_nobody_in() {
        assert!(matches!(answer("", true), Answer::Nothing));
        assert!(matches!(answer(" ", false), Answer::No));
        assert!(matches!(answer("maybe", false), Answer::No));
        assert!(matches!(answer(" Yes\n", false), Answer::Yes));
        assert!(matches!(answer("no", true), Answer::No));
        assert!(matches!(answer("042 917", true), Answer::Yes));
    }
}
