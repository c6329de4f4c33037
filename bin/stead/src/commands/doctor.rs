//! `stead doctor`.

use std::path::Path;

use stead_api::{Check, CheckState, DoctorRun};

use crate::{
    args::Doctor,
    client::connect,
    exit::{Code, Failure},
    look,
    output::Output,
};

pub(crate) fn doctor(home: &Path, doctor: &Doctor, out: &Output) -> Result<(), Failure> {
    let mut client = connect(home)?;
    if doctor.thorough {
        out.remark("Reading the whole store …");
    }
    if doctor.rebuild {
        out.remark("Building every document again from the logs …");
    }
    let diagnosis = client.call(&DoctorRun {
        thorough: doctor.thorough,
        rebuild: doctor.rebuild,
    })?;
    out.json(&diagnosis);
    let name_width = diagnosis
        .checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    for check in &diagnosis.checks {
        show(check, name_width, out);
    }
    let worst = diagnosis
        .checks
        .iter()
        .map(|check| check.state)
        .max()
        .unwrap_or(CheckState::Ok);
    let failed = diagnosis
        .checks
        .iter()
        .filter(|check| check.state == CheckState::Fail)
        .count();
    match worst {
        CheckState::Ok => out.say("\nAll is well."),
        CheckState::Warn => out.say("\nIt works, and something above deserves a look."),
        CheckState::Fail => {
            return Err(Failure::new(
                Code::Trouble,
                format!("{} found.", look::counted(failed as u64, "fault")),
            ));
        }
    }
    Ok(())
}

fn show(check: &Check, name_width: usize, out: &Output) {
    let mark = match check.state {
        CheckState::Ok => look::good("✔"),
        CheckState::Warn => look::warning("!"),
        CheckState::Fail => look::bad("✘"),
    };
    let name =
        console::pad_str(&check.name, name_width, console::Alignment::Left, None).into_owned();
    out.say(format!(
        "{mark} {}  {}",
        look::heading(&name),
        check.message
    ));
    if !check.hint.is_empty() {
        out.say(format!("  {}  {}", " ".repeat(name_width), check.hint));
    }
}
