//! Bare devices on hosts of their own: how they find each other, which path they take and say they
//! take, and how they come back after what happens to networks.

use std::path::Path;
use std::time::Duration;

use stead_lab::{Chain, Host, Lab, LabError, Pair, Running, eventually};

const PEER: &str = env!("CARGO_BIN_EXE_lab-peer");
const RELAY: &str = env!("CARGO_BIN_EXE_lab-relay");

const SOON: Duration = Duration::from_secs(20);
const AFTER_TROUBLE: Duration = Duration::from_secs(60);

fn start(host: &Host, program: &str, args: &str, dir: &Path, name: &str) -> Running {
    let mut command = host.place().command(program);
    command.args(args.split_whitespace());
    if let Ok(filter) = std::env::var("RUST_LOG") {
        command.env("RUST_LOG", filter);
    }
    let running = Running::start(command, dir.join(name)).expect("start");
    eventually(&format!("{name} is ready"), SOON, || {
        running.output().contains("ready ")
    });
    running
}

/// Waits for a new line that begins with `echo` and contains `wanted`.
fn echoes(peer: &Running, wanted: &str, limit: Duration) {
    let before = peer.output().len();
    let start = std::time::Instant::now();
    loop {
        let output = peer.output();
        let found = output[before..]
            .lines()
            .any(|line| line.starts_with("echo ") && line.contains(wanted));
        if found {
            let seconds = start.elapsed().as_secs_f32();
            eprintln!("an echo with {wanted:?} after {seconds:.1} s");
            return;
        }
        assert!(
            start.elapsed() < limit,
            "no echo with {wanted:?} within {limit:?}:\n{output}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn devices_on_a_network_without_a_router_find_each_other() -> Result<(), LabError> {
    let Some(mut lab) = Lab::or_skip("devices_on_a_network_without_a_router_find_each_other")
    else {
        return Ok(());
    };
    let dir = tempfile::tempdir().expect("directory");
    let Pair { a, b, .. } = lab.pair()?;
    let _b = start(&b, PEER, "2", dir.path(), "b");
    let a = start(&a, PEER, "1 --keep 2", dir.path(), "a");
    echoes(&a, "direct: same network (10.77.1.2)", SOON);
    Ok(())
}

#[test]
fn a_device_on_two_networks_is_found_on_both() -> Result<(), LabError> {
    let Some(mut lab) = Lab::or_skip("a_device_on_two_networks_is_found_on_both") else {
        return Ok(());
    };
    let dir = tempfile::tempdir().expect("directory");
    let Chain {
        left,
        middle,
        right,
        ..
    } = lab.chain()?;
    let _b = start(&middle, PEER, "2", dir.path(), "b");
    let a = start(&left, PEER, "1 --keep 2", dir.path(), "a");
    let c = start(&right, PEER, "3 --keep 2", dir.path(), "c");
    echoes(&a, "direct: same network (10.77.1.9)", SOON);
    echoes(&c, "direct: same network (10.77.2.9)", SOON);
    Ok(())
}

#[test]
fn a_pulled_cable_and_a_changed_address_heal_by_themselves() -> Result<(), LabError> {
    let Some(mut lab) = Lab::or_skip("a_pulled_cable_and_a_changed_address_heal_by_themselves")
    else {
        return Ok(());
    };
    let dir = tempfile::tempdir().expect("directory");
    let Pair { a, b, cable } = lab.pair()?;
    let _b = start(&b, PEER, "2", dir.path(), "b");
    let a = start(&a, PEER, "1 --keep 2", dir.path(), "a");
    echoes(&a, "direct: same network", SOON);

    cable.cut()?;
    std::thread::sleep(Duration::from_secs(5));
    cable.restore()?;
    echoes(&a, "direct: same network", AFTER_TROUBLE);

    cable.mute()?;
    std::thread::sleep(Duration::from_secs(40));
    cable.unmute()?;
    echoes(&a, "direct: same network", AFTER_TROUBLE);

    cable.remove_address("10.77.1.2/24")?;
    cable.add_address("10.77.1.7/24")?;
    echoes(&a, "direct: same network (10.77.1.7)", AFTER_TROUBLE);
    Ok(())
}

#[test]
fn without_a_common_network_a_relay_carries_and_a_direct_path_takes_over() -> Result<(), LabError> {
    let test = "without_a_common_network_a_relay_carries_and_a_direct_path_takes_over";
    let Some(mut lab) = Lab::or_skip(test) else {
        return Ok(());
    };
    let dir = tempfile::tempdir().expect("directory");
    let Chain {
        left,
        middle,
        right,
        ..
    } = lab.chain()?;
    let common = lab.lan()?;
    let server = start(&middle, RELAY, "0.0.0.0:3340", dir.path(), "relay");
    let b_args = "2 --relay http://10.77.2.9:3340";
    let _b = start(&right, PEER, b_args, dir.path(), "b");
    let a_args = "1 --relay http://10.77.1.9:3340 --keep 2 --through http://10.77.1.9:3340";
    let a = start(&left, PEER, a_args, dir.path(), "a");
    echoes(&a, "relayed by http://10.77.1.9:3340: no direct path", SOON);

    let a_cable = lab.plug(&left, &common, "10.77.3.1/24")?;
    lab.plug(&right, &common, "10.77.3.2/24")?;
    echoes(&a, "direct: same network (10.77.3.2)", AFTER_TROUBLE);

    // Long enough for both ends to have given up every other path.
    std::thread::sleep(Duration::from_secs(12));
    a_cable.mute()?;
    echoes(&a, "relayed by http://10.77.1.9:3340", AFTER_TROUBLE);

    drop(server);
    std::thread::sleep(Duration::from_secs(8));
    let _server = start(&middle, RELAY, "0.0.0.0:3340", dir.path(), "relay-again");
    echoes(&a, "relayed by http://10.77.1.9:3340", AFTER_TROUBLE);
    Ok(())
}
