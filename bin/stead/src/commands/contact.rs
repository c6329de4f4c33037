//! `stead contact`.

use std::path::Path;

use stead_api::{ContactAdd, ContactList, ContactVerify};

use crate::{args::Contact, client::connect, exit::Failure, look, output::Output, table::Table};

/// Words shown in one line.
const ROW: usize = 4;

pub(crate) fn contact(home: &Path, contact: Contact, out: &Output) -> Result<(), Failure> {
    match contact {
        Contact::Add { name, identity } => {
            let done = connect(home)?.call(&ContactAdd {
                name: name.clone(),
                identity,
            })?;
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
