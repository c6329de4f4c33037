//! `stead encrypt` and `stead decrypt`: what the database is while Stead is stopped.

use std::path::Path;

use serde_json::json;

use super::up::spinner;
use crate::{
    args::{Decrypt, Encrypt, Passphrase},
    ask,
    exit::Failure,
    look,
    output::Output,
    serve::{self, Converted, KeyKind, Keys},
};

pub(crate) fn encrypt(home: &Path, encrypt: &Encrypt, out: &Output) -> Result<(), Failure> {
    let typed = match serve::key_kind(home) {
        _ if encrypt.passphrase_file.is_some() || !ask::somebody() => None,
        Some(KeyKind::PassphraseFile) => Some(opening()?),
        Some(KeyKind::OwnerOnlyFile) if !encrypt.key_file && !serve::has_keyring() => {
            ask::new_passphrase(
                "The keys of this device lie in an open file. With a passphrase, only who knows \
                 it reads the database; each start asks for it.\nPassphrase (Enter for none): ",
            )?
        }
        _ => None,
    };
    let keys = Keys {
        passphrase: typed.as_ref(),
        passphrase_file: encrypt.passphrase_file.as_deref(),
        key_file: encrypt.key_file,
    };
    let working = spinner("Encrypting …", out);
    let converted = serve::change_at_rest(home, &keys, true);
    working.finish_and_clear();
    show(&converted?, out);
    Ok(())
}

pub(crate) fn decrypt(home: &Path, decrypt: &Decrypt, out: &Output) -> Result<(), Failure> {
    ask::confirm(
        "The database of this device becomes a plain file: whoever takes the disk can read it.",
        decrypt.yes,
        out,
    )?;
    let typed = match serve::key_kind(home) {
        Some(KeyKind::PassphraseFile) if decrypt.passphrase_file.is_none() && ask::somebody() => {
            Some(opening()?)
        }
        _ => None,
    };
    let keys = Keys {
        passphrase: typed.as_ref(),
        passphrase_file: decrypt.passphrase_file.as_deref(),
        key_file: false,
    };
    let working = spinner("Decrypting …", out);
    let converted = serve::change_at_rest(home, &keys, false);
    working.finish_and_clear();
    show(&converted?, out);
    Ok(())
}

fn opening() -> Result<Passphrase, Failure> {
    ask::passphrase("Passphrase of this device's keys: ")
}

fn show(converted: &Converted, out: &Output) {
    out.json(&json!({
        "encrypted": converted.encrypted,
        "rewritten": converted.rewritten,
        "keys_moved": converted.keys_moved,
        "protection": converted.protection,
    }));
    if !converted.rewritten && !converted.keys_moved {
        out.say("Nothing had to be done.");
    }
    out.say(format!("{} {}", look::good("●"), converted.protection));
    if converted.encrypted && converted.rewritten {
        out.say(look::faint(
            "  What was written in the open before may still lie in unused parts of the disk until they are written anew.",
        ));
    }
    out.say(format!("  Start it with: {}", look::code("stead up")));
}
