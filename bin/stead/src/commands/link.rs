//! `stead link`: both sides of linking two devices.

use std::{io, path::Path, time::Duration};

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use serde_json::json;
use stead_api::{
    Client, Link as LinkText, LinkAccept, LinkCancel, LinkCreate, LinkCreated, LinkOutcome,
    LinkWait,
};

use crate::{
    args::Link,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
};

/// One call waits no longer, so that a stopped node is noticed.
const WAIT_MS: u64 = 20_000;

pub(crate) fn link(home: &Path, link: &Link, out: &Output) -> Result<(), Failure> {
    match &link.link {
        Some(text) => accept(home, text, out),
        None => offer(home, link, out),
    }
}

/// The device that has the data.
fn offer(home: &Path, args: &Link, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let created = client.call(&LinkCreate {
        valid_ms: Some(args.minutes * 60_000),
    })?;
    if out.json {
        out.json_line(&created);
    } else {
        show(&created, args, out);
    }
    if args.no_wait {
        return Ok(());
    }
    cancel_on_interrupt(home.to_owned(), created.link_id.clone());
    let spinner = spinner(
        out,
        "Waiting for the other device … Ctrl-C makes the link worthless.",
    );
    let outcome = wait(&mut client, &created);
    spinner.finish_and_clear();
    let outcome = outcome?;
    if out.json {
        out.json_line(&outcome);
    }
    match outcome {
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
        LinkOutcome::Refused { message } => Err(Failure::new(Code::Refused, message)
            .hint("The link is worthless now. If that was you, make a new one: stead link")),
        LinkOutcome::Expired => Err(
            Failure::new(Code::NoAnswer, "Nobody used the link in time.")
                .hint("Make a new one: stead link"),
        ),
        LinkOutcome::Cancelled => Err(Failure::new(Code::Interrupted, "The link was cancelled.")),
        LinkOutcome::Open => Err(Failure::new(Code::NoAnswer, "The link is still open.")),
    }
}

fn wait(client: &mut Client, created: &LinkCreated) -> Result<LinkOutcome, Failure> {
    loop {
        let outcome = client.call(&LinkWait {
            link_id: created.link_id.clone(),
            wait_ms: WAIT_MS,
        })?;
        if outcome != LinkOutcome::Open {
            return Ok(outcome);
        }
    }
}

fn show(created: &LinkCreated, args: &Link, out: &Output) {
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
        "It links one device, once, until {}. Whoever has it gets all your spaces: show it to nobody else.",
        look::time_of_day(created.expires_ms)
    ));
}

/// The link as a QR code, dark on light whatever the terminal's colours are.
fn qr(link: &LinkText) -> Option<String> {
    let code = QrCode::with_error_correction_level(link.to_qr_text(), EcLevel::L).ok()?;
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

/// Ctrl-C while waiting cancels the link, as whoever presses it expects.
fn cancel_on_interrupt(home: std::path::PathBuf, link_id: String) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let interrupted =
            runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok());
        if interrupted {
            let cancelled =
                connect(&home).and_then(|mut client| Ok(client.call(&LinkCancel { link_id })?));
            let word = match cancelled {
                Ok(_) => "The link was cancelled.",
                Err(_) => "Stead did not answer; the link may be open until its time is over.",
            };
            let _ = io::Write::write_all(&mut io::stderr(), format!("\n{word}\n").as_bytes());
            std::process::exit(Code::Interrupted as i32);
        }
    });
}

/// The new device.
fn accept(home: &Path, text: &str, out: &Output) -> Result<(), Failure> {
    let link: LinkText = text.parse().map_err(|err| {
        Failure::new(
            Code::Refused,
            format!("This is no link that can be used: {err}."),
        )
        .hint("Copy the whole text after \"stead link\" from the other device.")
    })?;
    if link.has_expired(look::now_ms()) {
        return Err(Failure::new(Code::Refused, "The link has expired.")
            .hint("Make a new one on the other device with: stead link"));
    }
    let mut client = connect(home)?;
    let spinner = spinner(out, "Reaching the other device …");
    let accepted = client.call(&LinkAccept {
        link: text.to_owned(),
    });
    spinner.finish_and_clear();
    let accepted = accepted?;
    out.json(&json!({"device": accepted.device, "spaces": accepted.spaces}));
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
    Ok(())
}

fn spinner(out: &Output, text: &str) -> indicatif::ProgressBar {
    if out.json {
        return indicatif::ProgressBar::hidden();
    }
    // Draws on standard error, and only if that is a terminal.
    let spinner = indicatif::ProgressBar::new_spinner().with_message(text.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_api::LinkSecret;

    #[test]
    fn a_link_with_addresses_and_relay_fits_a_code_for_a_small_terminal() {
        let link = LinkText {
            device: [1; 32],
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
}
