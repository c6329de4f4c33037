//! Questions at a terminal. Without a person to ask, nothing is done.

use std::io::IsTerminal as _;

use crate::{
    args::Passphrase,
    exit::{Code, Failure},
    output::Output,
};

/// Says what will happen and asks; passes at once if `yes`.
pub(crate) fn confirm(sentence: &str, yes: bool, out: &Output) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let term = console::Term::stderr();
    if out.json || !term.is_term() {
        return Err(Failure::usage(sentence).hint("Say that you mean it with --yes."));
    }
    let _ = term.write_str(&format!("{sentence} Go on? [y/N] "));
    let answer = term.read_line().unwrap_or_default();
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Interrupted, "Nothing was done.")),
    }
}

/// Whether a person can see a question and answer it.
pub(crate) fn somebody() -> bool {
    console::Term::stderr().is_term() && std::io::stdin().is_terminal()
}

/// Asks a question to which most people say yes.
pub(crate) fn yes_by_default(question: &str) -> Result<bool, Failure> {
    let term = console::Term::stderr();
    let answer = term
        .write_str(&format!("{question} [Y/n] "))
        .and_then(|()| term.read_line())
        .map_err(|_| Failure::new(Code::Interrupted, "Nothing was done."))?;
    Ok(!matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "n" | "no"
    ))
}

/// Asks for a passphrase, which is not shown.
pub(crate) fn passphrase(question: &str) -> Result<Passphrase, Failure> {
    let term = console::Term::stderr();
    let typed = term
        .write_str(question)
        .and_then(|()| term.read_secure_line());
    typed.map(Passphrase).map_err(|err| {
        Failure::new(Code::Failed, format!("No passphrase was read: {err}."))
            .hint("Give it with --passphrase-file FILE.")
    })
}

/// Asks for a new passphrase, twice; none if nothing is typed.
pub(crate) fn new_passphrase(question: &str) -> Result<Option<Passphrase>, Failure> {
    loop {
        let first = passphrase(question)?;
        if first.0.is_empty() {
            return Ok(None);
        }
        if passphrase("The same again: ")?.0 == first.0 {
            return Ok(Some(first));
        }
        let _ = console::Term::stderr().write_line("They differ.");
    }
}

/// Asks for something to be typed; `hint` says what to do where nobody can be asked.
pub(crate) fn line(question: &str, hint: &str, out: &Output) -> Result<String, Failure> {
    let term = console::Term::stderr();
    if out.json || !term.is_term() {
        return Err(Failure::usage(question.trim_end_matches([':', ' '])).hint(hint));
    }
    let _ = term.write_str(question);
    term.read_line()
        .map_err(|_| Failure::new(Code::Interrupted, "Nothing was done."))
}
