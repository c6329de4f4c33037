//! `stead identity`.

use std::path::Path;

use serde_json::json;
use stead_api::{IdentityPhrase, IdentityShow, IdentityShown, IdentityWritten, WordCheck};

use crate::{
    args::{Identity, IdentityAction},
    ask,
    client::connect,
    exit::Failure,
    look,
    output::Output,
    table::Table,
};

const WORDS: u32 = 24;
/// Words shown in one line.
const ROW: usize = 4;

pub(crate) fn identity(home: &Path, args: &Identity, out: &Output) -> Result<(), Failure> {
    match args.action {
        None | Some(IdentityAction::Show) => show(home, out),
        Some(IdentityAction::Qr) => qr(home, out),
        Some(IdentityAction::Phrase { written: false, .. }) => phrase(home, out),
        Some(IdentityAction::Phrase { written: true, yes }) => written(home, yes, out),
    }
}

fn show(home: &Path, out: &Output) -> Result<(), Failure> {
    let shown = connect(home)?.call(&IdentityShow {})?;
    out.json(&shown);
    out.say(format!("Your identity is {}", look::heading(&shown.id)));
    out.say("Others need it to let you in; it is no secret.\n");
    for line in devices(&shown, true).lines(0, out.width()) {
        out.say(line);
    }
    out.say(match shown.words_waiting {
        true => format!(
            "\n{} Your 24 recovery words wait to be written down: {}",
            look::warning("!"),
            look::code("stead identity phrase")
        ),
        false => "\nYour recovery words are not on this device: only you have them.".to_owned(),
    });
    if let Some(place) = shown.places.first() {
        out.say(look::faint(&format!("This device is reached at {place}")));
    }
    Ok(())
}

/// The identity as a code that another device scans.
fn qr(home: &Path, out: &Output) -> Result<(), Failure> {
    let shown = connect(home)?.call(&IdentityShow {})?;
    let text = format!("{}{}", super::contact::CODE, shown.id).to_uppercase();
    out.json(&json!({ "id": shown.id, "code": text }));
    if let Some(code) = super::link::qr_text(&text) {
        out.say(code);
    }
    out.say(text.clone());
    out.say(format!(
        "\nWho scans it from this screen, with you beside them, types: {}",
        look::code("stead contact add NAME CODE --face-to-face")
    ));
    Ok(())
}

/// Devices as a table; only the current ones, or all.
pub(crate) fn devices(shown: &IdentityShown, current_only: bool) -> Table {
    let now = look::now_ms();
    let mut table = Table::new(["device", "id", ">rank", "last seen"]);
    let listed = shown.devices.iter();
    for device in listed.filter(|device| device.current || !current_only) {
        let seen = match (device.current, device.this, device.seen_ms) {
            (false, ..) => "removed".to_owned(),
            (_, true, _) => "this device".to_owned(),
            (_, _, Some(seen)) => look::ago(seen, now),
            _ => "never".to_owned(),
        };
        table.row(vec![
            look::heading(&device.name),
            look::short(&device.id).to_owned(),
            device.rank.to_string(),
            seen,
        ]);
    }
    table
}

fn phrase(home: &Path, out: &Output) -> Result<(), Failure> {
    let phrase = connect(home)?.call(&IdentityPhrase {})?;
    let words: Vec<&str> = phrase.words.0.split(' ').collect();
    out.json(&json!({"words": words}));
    out.say("Write these 24 words on paper, in this order, and keep it where only you find it.");
    out.say("With them you get everything back if you lose all devices; whoever else has them is you.\n");
    for (row, chunk) in words.chunks(ROW).enumerate() {
        let cells = chunk.iter().enumerate().map(|(i, word)| {
            let number = row * ROW + i + 1;
            format!(
                "{number:>4}  {}",
                console::pad_str(word, 10, console::Alignment::Left, None)
            )
        });
        out.say(cells.collect::<String>().trim_end());
    }
    out.say(format!(
        "\nThen have this device forget them: {}",
        look::code("stead identity phrase --written")
    ));
    Ok(())
}

fn written(home: &Path, yes: bool, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let mut check = Vec::new();
    if !yes {
        // Asked first, so that nobody types words for nothing.
        client.call(&IdentityPhrase {})?;
        for position in two_places(look::now_ms()) {
            let word = ask::line(
                &format!("From your note, word {position}: "),
                "Say that the words are written down with --yes.",
                out,
            )?;
            check.push(WordCheck { position, word });
        }
    }
    let done = client.call(&IdentityWritten { check })?;
    out.json(&done);
    out.say(done.message);
    Ok(())
}

/// Two different places of the 24, by the clock: it only has to be another pair each time.
fn two_places(now_ms: u64) -> [u32; 2] {
    let first = (now_ms % u64::from(WORDS)) as u32;
    let step = 1 + (now_ms / u64::from(WORDS) % u64::from(WORDS - 1)) as u32;
    [first + 1, (first + step) % WORDS + 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_different_words_are_asked_for() {
        for now_ms in 0..2_000 {
            let [a, b] = two_places(now_ms);
            assert!(a != b && (1..=24).contains(&a) && (1..=24).contains(&b));
        }
    }
}
