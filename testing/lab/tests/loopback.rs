//! Real `stead` processes on this machine's loopback: two and three of them, linked by hand.

use std::error::Error;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use stead_lab::{Place, Stead, SteadError, eventually};

const SOON: Duration = Duration::from_secs(30);

type Outcome = Result<(), Box<dyn Error>>;

fn node(name: &str, dir: &Path) -> Result<Stead, SteadError> {
    let mut node = Stead::new(name, Place::Here, dir);
    up(&mut node)?;
    Ok(node)
}

/// Starts a node that stays on loopback, on a port of its own choice.
fn up(node: &mut Stead) -> Result<(), SteadError> {
    up_at(node, "127.0.0.1:0")
}

fn up_at(node: &mut Stead, addr: &str) -> Result<(), SteadError> {
    node.up(&["--no-mdns", "--bind", addr])
}

/// An address that was free a moment ago.
fn free_address() -> Result<String, Box<dyn Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    Ok(socket.local_addr()?.to_string())
}

fn shows(node: &Stead, document: &str, field: &str, text: &str) {
    let what = format!(
        "{text:?} in {document}.{field} on {}",
        node.home().display()
    );
    eventually(&what, SOON, || {
        node.field(document, field) == Some(json!(text))
    });
}

#[test]
fn edits_made_apart_by_two_processes_end_up_equal_on_both() -> Outcome {
    let dir = tempfile::tempdir()?;
    let (a_addr, b_addr) = (free_address()?, free_address()?);
    let mut a = Stead::new("ann", Place::Here, dir.path());
    let mut b = Stead::new("ben", Place::Here, dir.path());
    up_at(&mut a, &a_addr)?;
    up_at(&mut b, &b_addr)?;
    a.link(&b)?;
    a.run(&["space", "create", "family"])?;
    a.run(&["put", "family/people/ada", "name=Ada"])?;
    shows(&b, "family/people/ada", "name", "Ada");

    b.kill();
    a.run(&["put", "family/people/ada", "home=London"])?;
    a.down();
    up_at(&mut b, &b_addr)?;
    b.run(&["put", "family/people/ada", "work=mathematics"])?;
    up_at(&mut a, &a_addr)?;
    for node in [&a, &b] {
        shows(node, "family/people/ada", "home", "London");
        shows(node, "family/people/ada", "work", "mathematics");
        shows(node, "family/people/ada", "name", "Ada");
    }
    let (path, why) = a.path_to("ben").unwrap_or_default();
    assert_eq!(
        (path.as_str(), why.as_str()),
        ("direct", "direct: this machine (127.0.0.1)")
    );
    Ok(())
}

#[test]
fn three_processes_share_what_each_of_them_writes() -> Outcome {
    let dir = tempfile::tempdir()?;
    let names = ["ann", "ben", "cat"];
    let nodes = names.map(|name| node(name, dir.path()));
    let [a, b, c] = nodes;
    let (a, b, c) = (a?, b?, c?);
    a.link(&b)?;
    b.link(&c)?;
    a.run(&["space", "create", "family"])?;
    a.run(&["put", "family/people/ada", "by_a=ann"])?;
    for node in [&b, &c] {
        shows(node, "family/people/ada", "by_a", "ann");
    }
    b.run(&["put", "family/people/ada", "by_b=ben"])?;
    c.run(&["put", "family/people/ada", "by_c=cat"])?;
    for node in [&a, &b, &c] {
        shows(node, "family/people/ada", "by_a", "ann");
        shows(node, "family/people/ada", "by_b", "ben");
        shows(node, "family/people/ada", "by_c", "cat");
    }
    Ok(())
}

#[test]
fn a_used_link_and_a_second_node_on_one_home_are_refused() -> Outcome {
    let dir = tempfile::tempdir()?;
    let a = node("ann", dir.path())?;
    let b = node("ben", dir.path())?;
    let c = node("cat", dir.path())?;
    let made = a.json(&["link", "--no-wait"])?;
    let link = made["link"].as_str().unwrap_or_default().to_owned();
    let mut asking = b.ask_to_be_linked(&link)?;
    a.json(&["link", "approve", asking.code()])?;
    asking.end()?;
    let refused = c.run(&["link", &link]);
    assert!(
        matches!(refused, Err(SteadError::Failed { code: Some(5), .. })),
        "{refused:?}"
    );

    // Starting a second node on the same home leaves the first one as it is.
    let pid = |node: &Stead| node.json(&["status"]).map(|status| status["pid"].clone());
    let first = pid(&a)?;
    let twin = Stead::new("ann", Place::Here, dir.path());
    let said = twin.run(&["up", "--foreground", "--key-file", "--no-mdns"])?;
    assert!(said.contains("already"), "{said}");
    assert_eq!(pid(&a)?, first);
    Ok(())
}
