//! Questions at a terminal. Without a person to ask, nothing is done.

use crate::{
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
