//! The laboratory itself: hosts reach each other only over cables, and a cut cable carries nothing.

use std::path::Path;
use std::time::Duration;

use stead_lab::{Chain, Host, Lab, LabError, Pair, Running, eventually};

const PROBE: &str = env!("CARGO_BIN_EXE_lab-probe");

fn answering(host: &Host, dir: &Path) -> Running {
    let mut command = host.place().command(PROBE);
    command.args(["answer", "0.0.0.0:7000"]);
    Running::start(command, dir.join("answer.log")).expect("probe")
}

fn reaches(host: &Host, address: &str) -> bool {
    let mut command = host.place().command(PROBE);
    command.args(["ask", &format!("{address}:7000")]);
    command.output().expect("probe").status.success()
}

#[test]
fn a_cut_or_silent_cable_carries_nothing_until_it_is_restored() -> Result<(), LabError> {
    let Some(mut lab) = Lab::or_skip("a_cut_or_silent_cable_carries_nothing_until_it_is_restored")
    else {
        return Ok(());
    };
    let dir = tempfile::tempdir().expect("directory");
    let Pair { a, b, cable } = lab.pair()?;
    let _answering = answering(&b, dir.path());
    let reach = || reaches(&a, "10.77.1.2");
    eventually("the hosts reach each other", Duration::from_secs(5), reach);
    cable.cut()?;
    assert!(!reach(), "a pulled cable carried a packet");
    cable.restore()?;
    eventually("the cable carries again", Duration::from_secs(5), reach);
    cable.mute()?;
    assert!(!reach(), "a silent cable carried a packet");
    cable.unmute()?;
    eventually("the cable carries again", Duration::from_secs(5), reach);
    Ok(())
}

#[test]
fn hosts_on_different_networks_do_not_reach_each_other() -> Result<(), LabError> {
    let Some(mut lab) = Lab::or_skip("hosts_on_different_networks_do_not_reach_each_other") else {
        return Ok(());
    };
    let dir = tempfile::tempdir().expect("directory");
    let Chain {
        left,
        middle,
        right,
        cable,
    } = lab.chain()?;
    let _answering = answering(&right, dir.path());
    let middle_reaches = || reaches(&middle, "10.77.2.2");
    eventually("one network", Duration::from_secs(5), middle_reaches);
    assert!(!reaches(&left, "10.77.2.2"));
    cable.remove_address("10.77.2.2/24")?;
    assert!(!reaches(&middle, "10.77.2.2"));
    cable.add_address("10.77.2.4/24")?;
    let moved = || reaches(&middle, "10.77.2.4");
    eventually("the new address", Duration::from_secs(5), moved);
    Ok(())
}
