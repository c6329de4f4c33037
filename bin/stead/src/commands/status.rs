//! `stead status` and `stead devices`.

use std::{path::Path, thread, time::Duration};

use console::Term;
use stead_api::{DeviceList, NodeStatus, PathKind, PeerInfo, Status, SyncPhase, Warning};

use crate::{args, client, exit::Failure, look, output::Output, table::Table};

/// A clock that differs less is not worth a word.
const CLOCK_DIFFERENCE_SHOWN_MS: u64 = 2_000;
const REFRESH: Duration = Duration::from_secs(1);

pub(crate) fn status(home: &Path, args: &args::Status, out: &Output) -> Result<(), Failure> {
    let mut client = client::connect(home)?;
    let status = client.call(&NodeStatus {})?;
    client::check_version(status.api)?;
    out.json(&status);
    if !args.watch {
        for line in view(&status, out.width()) {
            out.say(line);
        }
        return Ok(());
    }
    let term = Term::stdout();
    loop {
        let status = client.call(&NodeStatus {})?;
        let lines = view(&status, out.width());
        // Drawn at once, so that it does not flicker.
        let _ = term.write_str(&format!("\x1b[2J\x1b[H{}\n", lines.join("\n")));
        thread::sleep(REFRESH);
    }
}

pub(crate) fn devices(home: &Path, out: &Output) -> Result<(), Failure> {
    let devices = client::connect(home)?.call(&DeviceList {})?;
    out.json(&devices);
    let now = look::now_ms();
    let mut table = Table::new(["device", "id", "linked", "last seen"]);
    for device in &devices.devices {
        let seen = match (device.this, device.seen_ms) {
            (true, _) => "this device".into(),
            (false, Some(seen)) => look::ago(seen, now),
            (false, None) => "never".into(),
        };
        let linked = device.linked_ms.map(look::moment).unwrap_or_default();
        table.row(vec![
            look::heading(&device.name),
            look::short(&device.id).into(),
            linked,
            seen,
        ]);
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    if devices.devices.len() < 2 {
        out.say(format!(
            "\nLink another one with: {}",
            look::code("stead link")
        ));
    }
    Ok(())
}

/// The lines of a status, for people.
fn view(status: &Status, width: Option<usize>) -> Vec<String> {
    let now = look::now_ms();
    let mut lines = vec![format!(
        "{} Stead is running on {} {}",
        look::good("●"),
        look::heading(&status.device.name),
        look::faint(&format!(
            "for {}",
            look::span(Duration::from_millis(status.uptime_ms))
        ))
    )];
    let mut facts = Table::new(["", ""]);
    let mut fact = |name: &str, text: String| facts.row(vec![look::faint(name), text]);
    let keys = &status.keys.explanation;
    fact(
        "keys",
        keys.strip_prefix("The keys are ")
            .unwrap_or(keys)
            .to_owned(),
    );
    let free = status.store.free_bytes.map_or(String::new(), |free| {
        format!(", {} free", look::bytes(free))
    });
    fact(
        "data",
        format!(
            "{} in {}{free}",
            look::bytes(status.store.bytes),
            status.home
        ),
    );
    let protection = &status.store.protection;
    if !protection.is_empty() {
        fact(
            "at rest",
            match status.store.encrypted {
                true => protection.clone(),
                false => look::warning(protection),
            },
        );
    }
    if let Some(relay) = &status.relay {
        let state = match relay.connected {
            true => look::good("connected"),
            false => look::warning(&format!("not connected: {}", relay.why)),
        };
        fact("relay", format!("{}, {state}", relay.url));
    }
    fact(
        "network",
        match (status.addresses.is_empty(), status.lan_discovery) {
            (false, true) => format!(
                "{}; finds devices on the local network",
                status.addresses.join(", ")
            ),
            (false, false) => format!(
                "{}; does not look on the local network",
                status.addresses.join(", ")
            ),
            (true, _) => look::warning("no network address"),
        },
    );
    for index in &status.indexing {
        let fields: Vec<String> = index
            .fields
            .iter()
            .map(|path| crate::query::path_text(path))
            .collect();
        fact(
            "indexing",
            format!(
                "{}/{} by {}: {} of {} documents",
                index.space,
                index.collection,
                fields.join(", "),
                look::count(index.done),
                look::count(index.total)
            ),
        );
    }
    lines.extend(facts.lines(2, width));

    lines.push(format!("\n{}", look::heading("Spaces")));
    let mut spaces = Table::new(["", ">", ""]);
    for space in &status.spaces {
        let detail = match space.sync.phase {
            SyncPhase::InStep => look::good(&space.sync.detail),
            SyncPhase::Syncing => look::warning(&space.sync.detail),
            SyncPhase::Alone | SyncPhase::Waiting => look::faint(&space.sync.detail),
        };
        spaces.row(vec![
            space.name.clone(),
            look::counted(space.documents, "document"),
            format!("{detail}{}", super::space::remark_history(space)),
        ]);
    }
    lines.extend(spaces.lines(2, width));

    lines.push(format!("\n{}", look::heading("Other devices")));
    if status.peers.is_empty() {
        lines.push(format!(
            "  None yet. Link one with: {}",
            look::code("stead link")
        ));
    }
    let mut peers = Table::new(["", "", ""]);
    for peer in &status.peers {
        peers.row(vec![
            peer.name.clone(),
            path(peer),
            look::faint(&circumstances(peer, now)),
        ]);
    }
    lines.extend(peers.lines(2, width));

    let mut warnings = status.warnings.clone();
    warnings.extend(status.peers.iter().filter_map(clock_warning));
    for warning in &warnings {
        lines.push(format!("\n{} {}", look::warning("!"), warning.message));
        if !warning.hint.is_empty() {
            lines.push(format!("  {}", warning.hint));
        }
    }
    lines
}

fn path(peer: &PeerInfo) -> String {
    match peer.path {
        PathKind::Direct => look::good("direct"),
        PathKind::Relayed => look::warning("relayed"),
        PathKind::Offline => look::faint("offline"),
    }
}

fn circumstances(peer: &PeerInfo, now: u64) -> String {
    let rtt = peer.rtt_ms.map(|rtt| match rtt < 10.0 {
        true => format!("{rtt:.1} ms"),
        false => format!("{rtt:.0} ms"),
    });
    let seen = match (peer.path, peer.seen_ms) {
        (PathKind::Offline, Some(seen)) => Some(format!("last seen {}", look::ago(seen, now))),
        _ => None,
    };
    let facts = [
        peer.address
            .clone()
            .filter(|_| peer.path != PathKind::Offline),
        rtt,
        seen,
        Some(peer.why.clone()),
    ];
    facts
        .into_iter()
        .flatten()
        .filter(|fact| !fact.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

fn clock_warning(peer: &PeerInfo) -> Option<Warning> {
    let difference = peer.clock_difference_ms?;
    let size = difference.unsigned_abs();
    (size >= CLOCK_DIFFERENCE_SHOWN_MS).then(|| Warning {
        message: format!(
            "The clock of {} is {} {} this one's.",
            peer.name,
            look::span(Duration::from_millis(size)),
            if difference > 0 { "ahead of" } else { "behind" }
        ),
        hint: "Set both clocks by the network: times of changes are compared with them.".into(),
    })
}
