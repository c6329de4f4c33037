//! `stead contact`.

use std::path::Path;

use stead_api::{ContactAdd, ContactList, ContactVerify};

use crate::{args::Contact, client::connect, exit::Failure, look, output::Output, table::Table};

/// Words shown in one line.
const ROW: usize = 4;

pub(crate) fn contact(home: &Path, contact: Contact, out: &Output) -> Result<(), Failure> {
    match contact {
        Contact::Add {
            name,
            identity,
            face_to_face,
        } => {
            let mut client = connect(home)?;
            let done = client.call(&ContactAdd {
                name: name.clone(),
                identity: read_code(&identity),
            })?;
            if face_to_face {
                let verified = client.call(&ContactVerify { name, same: true })?;
                out.json(&verified.contact);
                out.say(format!("{} They are verified.", done.message));
                return Ok(());
            }
            out.json(&done);
            out.say(done.message);
            out.say(format!(
                "  Compare safety words with them: {}",
                look::code(&format!("stead contact verify {name}"))
            ));
            Ok(())
        }
        Contact::List => list(home, out),
        Contact::Verify { name, same } => verify(home, name, same, out),
    }
}

/// Begins what the QR code of an identity says.
pub(crate) const CODE: &str = "stead-contact:";

/// The identity in what somebody typed or scanned: bare, or behind the start of a code, in either case.
fn read_code(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    text.strip_prefix(CODE).unwrap_or(&text).to_owned()
}

fn list(home: &Path, out: &Output) -> Result<(), Failure> {
    let contacts = connect(home)?.call(&ContactList {})?;
    out.json(&contacts);
    if contacts.contacts.is_empty() {
        out.remark("You gave nobody a name yet: stead contact add NAME IDENTITY");
        return Ok(());
    }
    let mut table = Table::new(["name", "identity", "verified"]);
    for contact in &contacts.contacts {
        table.row(vec![
            look::heading(&contact.name),
            look::short(&contact.identity).to_owned(),
            match contact.verified_ms {
                Some(ms) => look::good(&look::moment(ms)),
                None => look::warning("no"),
            },
        ]);
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    Ok(())
}

fn verify(home: &Path, name: String, same: bool, out: &Output) -> Result<(), Failure> {
    let words = connect(home)?.call(&ContactVerify { name, same })?;
    out.json(&words);
    let name = look::heading(&words.contact.name);
    if same {
        out.say(format!("{name} is verified."));
        return Ok(());
    }
    out.say(format!(
        "Read these words to {name}, or have them read to you, by voice or face to face:\n"
    ));
    for row in words.words.chunks(ROW) {
        let cells = row
            .iter()
            .map(|word| console::pad_str(word, 12, console::Alignment::Left, None));
        out.say(format!("  {}", cells.collect::<String>().trim_end()));
    }
    out.say(format!(
        "\nIf {name} sees the same twelve: {}",
        look::code(&format!(
            "stead contact verify {} --same",
            words.contact.name
        ))
    ));
    out.say(
        "If one differs, somebody stands between you: do not share anything with this identity.",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_bare_and_as_its_qr_code_says() {
        let id = "5d".repeat(32);
        for text in [
            id.clone(),
            format!(" {CODE}{id}\n"),
            format!("{CODE}{id}").to_uppercase(),
        ] {
            assert_eq!(read_code(&text), id, "{text}");
        }
    }
}
