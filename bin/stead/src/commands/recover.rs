//! `stead recover`: the words, what was found, and which devices are lost.

use std::{
    io::Read as _,
    path::Path,
    time::{Duration, Instant},
};

use stead_api::{
    Client, RecoverAnew, RecoverBegin, RecoverFinish, RecoverGiveUp, RecoverLook, RecoverPhase,
    RecoverShare, RecoverShares, RecoverState, Words,
};

use crate::{
    args::Recover,
    ask,
    client::connect,
    commands::link::{on_interrupt, spinner},
    exit::{Code, Failure},
    look,
    output::Output,
};

/// Longest text that is read for recovery words, in bytes.
const WORDS_BYTES_MAX: u64 = 4096;
const WORDS: usize = 24;
/// One call waits no longer, so that a stopped node is noticed.
const WAIT_MS: u64 = 5_000;
/// Rounds without an answer after which the person is told.
const ROUNDS_PATIENT: u32 = 3;

pub(crate) fn recover(home: &Path, args: &Recover, out: &Output) -> Result<(), Failure> {
    let silent = out.json || !console::Term::stderr().is_term();
    if silent && !args.keep_devices && !args.yes {
        return Err(Failure::usage(
            "Nobody is here to say which of your devices are lost.",
        )
        .hint("Keep them all with --keep-devices, or take out those that do not answer with --yes."));
    }
    let mut client = connect(home)?;
    let words = match args.guardians {
        true => {
            collect(&mut client, args, out)?;
            None
        }
        false => Some(Words(read_words(args.words_from.as_deref(), out)?)),
    };
    let begin = RecoverBegin {
        words,
        at: args.at.clone(),
        anew: args.begin_anew,
    };
    let begun = client.call(&begin)?;
    on_interrupt(
        home.to_owned(),
        |client| client.call(&RecoverGiveUp {}).is_ok(),
        "This device has forgotten your words. What has arrived stays; run `stead recover` again to go on.",
    );
    attend(&mut client, begun, args, out)
}

/// The 24 words, from a file, a pipe or the person; never from the command line, which others can see.
pub(crate) fn read_words(from: Option<&str>, out: &Output) -> Result<String, Failure> {
    let mut text = String::new();
    match from {
        Some("-") => {
            let read = std::io::stdin()
                .take(WORDS_BYTES_MAX)
                .read_to_string(&mut text);
            read.map_err(|err| Failure::new(Code::Failed, format!("standard input: {err}.")))?;
        }
        Some(file) => {
            let read = std::fs::File::open(file)
                .and_then(|file| file.take(WORDS_BYTES_MAX).read_to_string(&mut text));
            read.map_err(|err| {
                let code = match err.kind() {
                    std::io::ErrorKind::NotFound => Code::NotFound,
                    _ => Code::Failed,
                };
                Failure::new(code, format!("{file}: {err}."))
            })?;
        }
        None => {
            let hint = "Put the words into a file and name it with --words-from.";
            out.remark("Type your 24 recovery words, in as many lines as you like.");
            while text.split_whitespace().count() < WORDS {
                let number = text.split_whitespace().count() + 1;
                let line = ask::line(&format!("From word {number} on: "), hint, out)?;
                if line.trim().is_empty() {
                    break;
                }
                text.push_str(&line);
                text.push(' ');
            }
        }
    }
    Ok(text)
}

/// Collects guardians' shares until the words are back.
fn collect(client: &mut Client, args: &Recover, out: &Output) -> Result<(), Failure> {
    let mut given = args.share.iter();
    let mut here = client.call(&RecoverShares { wait_ms: 0 })?;
    if !out.json && given.len() == 0 {
        out.remark("Call your guardians, one after the other. Each runs `stead guardians help` with the name they have for you, and gives you a text or three words.");
    }
    while !here.ready {
        let text = match given.next() {
            Some(text) => text.clone(),
            None => {
                let hint = "Give what your guardians gave you, each with --share TEXT.";
                ask::line("What a guardian gave you: ", hint, out)?
            }
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let is_link = text.to_lowercase().starts_with("stead-help:");
        let share = RecoverShare {
            link: is_link.then(|| text.to_owned()),
            words: (!is_link).then(|| text.to_owned()),
            at: (!is_link).then(|| args.at.first().cloned()).flatten(),
        };
        let came = client
            .call(&share)
            .map_err(Failure::from)
            .and_then(|begun| {
                match (&begun.code, out.json) {
                    (_, true) => out.json_line(&begun),
                    (Some(code), _) => out.remark(format!(
                        "Read this code out to your guardian: {}",
                        look::heading(code)
                    )),
                    (None, _) => out.remark("The words are right. Say so to your guardian."),
                }
                let waiting = spinner(out, "Waiting for your guardian …");
                let came = loop {
                    match client.call(&RecoverShares { wait_ms: WAIT_MS }) {
                        Ok(shares) if shares.waiting => {}
                        Ok(shares) => break Ok(shares),
                        Err(error) => break Err(Failure::from(error)),
                    }
                };
                waiting.finish_and_clear();
                came
            });
        match came {
            Ok(shares) => here = shares,
            // A person tries again; a script has said all it had to say.
            Err(failure) if args.share.is_empty() => {
                out.remark(format!("{} {}", failure.message, failure.hint));
                continue;
            }
            Err(failure) => return Err(failure),
        }
        for share in &here.shares {
            if let Some(wrong) = &share.wrong {
                out.remark(format!("{} {wrong}", look::warning("!")));
            }
        }
        if !here.ready {
            out.remark(format!(
                "{} of the {} shares needed are here.",
                here.have, here.need
            ));
            if !args.share.is_empty() && given.len() == 0 {
                return Err(Failure::new(
                    Code::Refused,
                    format!("Only {} of the {} shares needed are here.", here.have, here.need),
                )
                .hint("They are kept until Stead stops: run it again with another guardian's --share."));
            }
        }
    }
    out.remark("Your recovery words are back.");
    Ok(())
}

/// Waits until everything is here, then asks what is lost.
fn attend(
    client: &mut Client,
    begun: RecoverState,
    args: &Recover,
    out: &Output,
) -> Result<(), Failure> {
    let give_up = args
        .wait
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let searching = spinner(out, "Looking for devices that hold something of yours …");
    let mut state = begun;
    let (mut told_nobody, mut told_holders) = (false, 0);
    let state = loop {
        if state.holders.len() > told_holders {
            for holder in &state.holders[told_holders..] {
                searching.suspend(|| {
                    out.remark(format!(
                        "{} holds something of yours.",
                        look::heading(&holder.name)
                    ));
                });
            }
            told_holders = state.holders.len();
        }
        match state.phase {
            RecoverPhase::Arrived => break state,
            RecoverPhase::Looking if state.rounds >= ROUNDS_PATIENT && !told_nobody => {
                told_nobody = true;
                searching.suspend(|| say_nobody(&state, out));
            }
            RecoverPhase::NoHome if state.rounds >= ROUNDS_PATIENT => {
                searching.suspend(|| say_no_home(&state, out));
                let sentence = "Begin a new home space with what was found? What only your own devices held (your contacts, the list of your spaces, spaces that you shared with nobody) does not come back.";
                match searching.suspend(|| ask::confirm(sentence, false, out)) {
                    Ok(()) => {
                        state = client.call(&RecoverAnew {})?;
                        continue;
                    }
                    Err(failure) => {
                        client.call(&RecoverGiveUp {})?;
                        return Err(failure.hint(
                            "Start one of your own devices and run it again, or begin anew with --begin-anew.",
                        ));
                    }
                }
            }
            RecoverPhase::Arriving => searching.set_message(arriving(&state)),
            _ => {}
        }
        if give_up.is_some_and(|at| Instant::now() >= at) {
            searching.finish_and_clear();
            client.call(&RecoverGiveUp {})?;
            return Err(timed_out(&state));
        }
        state = client.call(&RecoverLook { wait_ms: WAIT_MS })?;
    };
    searching.finish_and_clear();
    let lost = lost(&state, args, out)?;
    let done = client.call(&RecoverFinish {
        remove: lost.clone(),
    })?;
    out.json(&serde_json::json!({
        "identity": state.identity,
        "spaces": state.spaces,
        "holders": state.holders,
        "removed": done.removed,
    }));
    out.say(format!(
        "{} You are back: {} on this device.",
        look::good("✔"),
        match state.spaces.len() {
            1 => "one space is".to_owned(),
            count => format!("{count} spaces are"),
        }
    ));
    out.say(done.message);
    if args.guardians {
        out.say(format!(
            "Write your recovery words down now: {}",
            look::code("stead identity phrase")
        ));
    }
    Ok(())
}

/// Which devices are to be taken out: those that did not answer, if the person says so.
fn lost(state: &RecoverState, args: &Recover, out: &Output) -> Result<Vec<String>, Failure> {
    let silent: Vec<_> = state
        .devices
        .iter()
        .filter(|device| !device.reached)
        .collect();
    if args.keep_devices || silent.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = silent.iter().map(|device| device.name.as_str()).collect();
    let sentence = format!(
        "{} {} not answer. If lost, whoever has {} can go on reading and writing as you until you take {} out, which also renews every key.",
        names.join(", "),
        if names.len() == 1 { "does" } else { "do" },
        if names.len() == 1 { "it" } else { "them" },
        if names.len() == 1 { "it" } else { "them" },
    );
    let question = format!("{sentence} Take out {}?", names.join(", "));
    if args.yes {
        out.remark(&sentence);
    }
    match ask::confirm(&question, args.yes, out) {
        Ok(()) => Ok(silent.iter().map(|device| device.id.clone()).collect()),
        Err(failure) if failure.code == Code::Interrupted => {
            out.remark(format!(
                "They stay. Take one out later with: {}",
                look::code("stead device remove NAME")
            ));
            Ok(Vec::new())
        }
        Err(failure) => Err(failure),
    }
}

fn say_nobody(state: &RecoverState, out: &Output) {
    out.remark(match state.asked {
        0 => "No device was found to ask. Bring this one onto a network with a device that holds something of yours, or name one with --at.".to_owned(),
        1 => "One device was asked, and holds nothing of this identity.".to_owned(),
        asked => format!("{asked} devices were asked, and none holds anything of this identity."),
    });
    out.remark("Still looking. Nothing is lost by stopping (Ctrl-C) and running it again later.");
}

fn say_no_home(state: &RecoverState, out: &Output) {
    let holders: Vec<&str> = state.holders.iter().map(|it| it.name.as_str()).collect();
    let spaces: Vec<&str> = state.spaces.iter().map(|it| it.name.as_str()).collect();
    out.remark(format!(
        "{} can give back {}. None of your own devices was reached.",
        holders.join(", "),
        spaces.join(", ")
    ));
}

fn arriving(state: &RecoverState) -> String {
    let complete = state.spaces.iter().filter(|space| space.complete).count();
    let missing: u64 = state.spaces.iter().filter_map(|space| space.missing).sum();
    format!(
        "Your data is on its way: {complete} of {} spaces are here, {missing} changes to go …",
        state.spaces.len()
    )
}

fn timed_out(state: &RecoverState) -> Failure {
    let message = match state.phase {
        RecoverPhase::Looking => "No device was reached that holds anything of this identity.",
        RecoverPhase::NoHome => "None of your own devices was reached, only other people's.",
        RecoverPhase::Arriving | RecoverPhase::Arrived => "Not everything has arrived yet.",
    };
    Failure::new(Code::NoAnswer, message).hint(match state.phase {
        RecoverPhase::NoHome => {
            "Start one of your own devices and run it again, or begin anew with --begin-anew."
        }
        RecoverPhase::Looking => {
            "Name a device with --at ID@ADDRESS, as `stead identity` shows it there, or run it again on its network."
        }
        _ => "It goes on by itself; run it again to see, and to take out lost devices.",
    })
}
