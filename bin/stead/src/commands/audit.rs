//! `stead log --rights` and `stead verify`: who gave what to whom, and the proof of it.

use std::{fs, io, path::Path};

use serde_json::json;
use stead_api::{Rights, RightsLog, RightsProof};

use crate::{
    args::{Log, Verify},
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
    serve,
};

/// Longest proof file that is read, in bytes.
const PROOF_BYTES_MAX: u64 = 256 << 20;
/// Longest list of used challenges that is read, in bytes.
const USED_BYTES_MAX: u64 = 64 << 20;

/// `stead log SPACE --rights`.
pub(crate) fn rights(home: &Path, log: &Log, out: &Output) -> Result<(), Failure> {
    if log.subject.collection.is_some() {
        return Err(Failure::usage("Rights are kept for a space as a whole.")
            .hint(format!("stead log {} --rights", log.subject.space)));
    }
    let mut rights = connect(home)?.call(&RightsLog {
        space: log.subject.space.clone(),
        proof: log.export.is_some(),
    })?;
    let Some(file) = &log.export else {
        show(&rights, log.limit, out);
        return Ok(());
    };
    let proof = rights.proof.take().unwrap_or_default();
    // Nobody should hand on a proof that proves nothing.
    serve::check_proof(&proof)?;
    let text = serde_json::to_string_pretty(&proof)
        .map_err(|err| Failure::new(Code::Failed, format!("{err}.")))?;
    fs::write(file, text).map_err(|err| fault(file, &err))?;
    let missing = rights.entries.len().saturating_sub(proof.entries.len());
    let (entries, all) = (proof.entries.len(), !rights.more && missing == 0);
    out.json(&json!({"file": file, "entries": entries, "complete": all}));
    out.say(format!(
        "Wrote {} with what proves them to {}. Anyone can check it: {}",
        look::counted(entries as u64, "entry"),
        file.display(),
        look::code(&format!("stead verify {}", file.display()))
    ));
    out.remark(
        "Whoever has this file sees who was let into this space, as what and when; no document.",
    );
    if !all {
        out.remark(look::warning(
            "Some entries are not in it: they are too many, or not signed yet.",
        ));
    }
    Ok(())
}

fn show(rights: &Rights, limit: u64, out: &Output) {
    out.json(rights);
    let skipped = rights
        .entries
        .len()
        .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    for entry in rights.entries.iter().skip(skipped).rev() {
        let void = match entry.counts {
            true => String::new(),
            false => look::warning("  does not count"),
        };
        out.say(format!(
            "{}  {}  {}{void}",
            look::moment(entry.time.ms),
            look::heading(&entry.device.name),
            look::faint(&format!(
                "#{} of log {}",
                entry.index,
                look::short(&entry.writer)
            ))
        ));
        for said in &entry.says {
            out.say(format!("    {said}"));
        }
    }
    if skipped > 0 {
        out.remark(look::faint(&format!(
            "\n{skipped} older entries are not shown; --limit shows more."
        )));
    }
}

/// `stead verify`.
pub(crate) fn verify(args: &Verify, out: &Output) -> Result<(), Failure> {
    match (&args.file, &args.sign_in, &args.challenge) {
        (Some(file), ..) => verify_file(file, out),
        (None, Some(answer), Some(challenge)) => {
            verify_sign_in(answer, challenge, args.used.as_deref(), out)
        }
        _ => Err(Failure::usage(
            "Give a proof file, or an answer with its challenge.",
        )),
    }
}

fn verify_file(file: &Path, out: &Output) -> Result<(), Failure> {
    let text = read(file, PROOF_BYTES_MAX)?;
    let proof: RightsProof = serde_json::from_str(&text).map_err(|_| {
        Failure::new(
            Code::Refused,
            format!("{} is no proof file.", file.display()),
        )
    })?;
    let proven = serve::check_proof(&proof)?;
    out.json(&proven);
    out.say(format!(
        "{} Each of these {} stands in a log that its writer signed, in the space {}.",
        look::good("Proven."),
        look::counted(proven.entries.len() as u64, "entry"),
        look::short(&proven.space)
    ));
    for entry in &proven.entries {
        let who = match entry.device.is_empty() {
            true => format!("writer {}", look::short(&entry.writer)),
            false => format!("{} ({})", entry.device_name, look::short(&entry.device)),
        };
        let void = match entry.counts {
            true => String::new(),
            false => look::warning("  does not count"),
        };
        out.say(format!(
            "\n{}  {}  {}{void}",
            look::moment(entry.time_ms),
            look::heading(&who),
            look::faint(&format!(
                "#{} of log {}",
                entry.index,
                look::short(&entry.writer)
            ))
        ));
        for said in &entry.says {
            out.say(format!("    {said}"));
        }
    }
    if proven.founded {
        out.say(format!("\n{}", look::heading("Members, by these entries")));
        for member in &proven.members {
            let ended = if member.ended { ", ended" } else { "" };
            out.say(format!(
                "  {}: {} at {}{ended}",
                member.who, member.role, member.path
            ));
        }
    }
    out.remark(look::faint(
        "\nTimes are what the writers' clocks said. That nothing was left out of the file is not proven.",
    ));
    Ok(())
}

fn verify_sign_in(
    answer: &str,
    challenge: &str,
    used: Option<&Path>,
    out: &Output,
) -> Result<(), Failure> {
    let nonce = serve::sign_in_nonce(challenge)?;
    if let Some(file) = used {
        let known = match read(file, USED_BYTES_MAX) {
            Ok(known) => known,
            Err(failure) if failure.code == Code::NotFound => String::new(),
            Err(failure) => return Err(failure),
        };
        if known.lines().any(|line| line == nonce) {
            return Err(
                Failure::new(Code::Refused, "This challenge was answered before.")
                    .hint("Each challenge is good for one answer, right or wrong: make a new one."),
            );
        }
        // Right or wrong, an answer uses its challenge up.
        let text = format!("{known}{nonce}\n");
        fs::write(file, text).map_err(|err| fault(file, &err))?;
    }
    let visitor = serve::check_sign_in(answer, challenge)?;
    out.json(&json!({
        "identity": visitor.identity,
        "device": visitor.device,
        "device_name": visitor.device_name,
        "audience": visitor.audience,
    }));
    out.say(format!(
        "{} Identity {} signed in to {} with the device {}.",
        look::good("Proven."),
        look::heading(&visitor.identity),
        visitor.audience,
        visitor.device_name
    ));
    if used.is_none() {
        out.remark(look::faint(
            "Whether the challenge was answered before is not known: --used FILE remembers it.",
        ));
    }
    Ok(())
}

fn read(file: &Path, max: u64) -> Result<String, Failure> {
    use io::Read as _;
    let mut text = String::new();
    let read = fs::File::open(file).and_then(|file| file.take(max).read_to_string(&mut text));
    read.map_err(|err| fault(file, &err))?;
    Ok(text)
}

fn fault(file: &Path, err: &io::Error) -> Failure {
    match err.kind() {
        io::ErrorKind::NotFound => Failure::new(
            Code::NotFound,
            format!("There is no file {}.", file.display()),
        ),
        io::ErrorKind::InvalidData => Failure::new(
            Code::Refused,
            format!("{} is no proof file.", file.display()),
        ),
        _ => Failure::new(Code::Failed, format!("{}: {err}.", file.display())),
    }
}
