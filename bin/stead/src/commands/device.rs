//! `stead device`.

use std::path::Path;

use stead_api::{DevicePlanRemoval, DeviceRemove, DeviceRename, IdentityShow, Words};

use crate::{
    args::Device,
    ask,
    client::connect,
    commands::identity,
    exit::{Code, Failure},
    look,
    output::Output,
};

/// Longest file that is read for recovery words, in bytes.
const WORDS_BYTES_MAX: u64 = 4096;

pub(crate) fn device(home: &Path, device: Device, out: &Output) -> Result<(), Failure> {
    match device {
        Device::List => list(home, out),
        Device::Rename { device, name } => {
            let done = connect(home)?.call(&DeviceRename { device, name })?;
            out.json(&done);
            out.say(done.message);
            Ok(())
        }
        Device::Remove {
            device,
            words_file,
            yes,
        } => remove(home, device, words_file.as_deref(), yes, out),
    }
}

fn list(home: &Path, out: &Output) -> Result<(), Failure> {
    let shown = connect(home)?.call(&IdentityShow {})?;
    out.json(&shown.devices);
    for line in identity::devices(&shown, false).lines(0, out.width()) {
        out.say(line);
    }
    if shown.devices.iter().filter(|device| device.current).count() < 2 {
        out.say(format!(
            "\nLink another one with: {}",
            look::code("stead link")
        ));
    }
    Ok(())
}

fn remove(
    home: &Path,
    device: String,
    words_file: Option<&Path>,
    yes: bool,
    out: &Output,
) -> Result<(), Failure> {
    let mut client = connect(home)?;
    let plan = client.call(&DevicePlanRemoval {
        device: device.clone(),
    })?;
    if yes {
        out.remark(&plan.sentence);
    }
    ask::confirm(&plan.sentence, yes, out)?;
    let words = match (words_file, plan.needs_words) {
        (Some(file), _) => Some(read_words(file)?),
        (None, false) => None,
        (None, true) => {
            out.remark(format!(
                "{} is not junior to this device: that takes your recovery words.",
                plan.name
            ));
            let hint = "Put the words into a file and name it with --words-file.";
            Some(Words(ask::line("Your 24 recovery words: ", hint, out)?))
        }
    };
    let removed = client.call(&DeviceRemove {
        // The id, so that it is surely the device that the sentence was about.
        device: plan.id.clone(),
        words,
    })?;
    out.json(&removed);
    out.say(format!(
        "Removed {}. Your other devices hear of it when they are next reached.",
        look::heading(&removed.name)
    ));
    Ok(())
}

fn read_words(file: &Path) -> Result<Words, Failure> {
    use std::io::Read as _;
    let failed = |err: std::io::Error| {
        let code = match err.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            _ => Code::Failed,
        };
        Failure::new(code, format!("{}: {err}.", file.display()))
    };
    let mut text = String::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(WORDS_BYTES_MAX).read_to_string(&mut text))
        .map_err(failed)?;
    Ok(Words(text))
}
