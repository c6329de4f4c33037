//! Real `stead` processes on this machine's loopback: two and three of them, linked by hand.

use std::error::Error;
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

/// Starts a node that stays on loopback.
fn up(node: &mut Stead) -> Result<(), SteadError> {
    node.up(&["--no-mdns", "--bind", "127.0.0.1:0"])
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
    let mut a = node("ann", dir.path())?;
    let mut b = node("ben", dir.path())?;
    a.link(&b)?;
    a.run(&["space", "create", "family"])?;
    a.run(&["put", "family/people/ada", "name=Ada"])?;
    shows(&b, "family/people/ada", "name", "Ada");

    b.kill();
    a.run(&["put", "family/people/ada", "home=London"])?;
    a.down();
    up(&mut b)?;
    b.run(&["put", "family/people/ada", "work=mathematics"])?;
    up(&mut a)?;
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
    b.run(&["link", &link])?;
    let refused = c.run(&["link", &link]);
    assert!(
        matches!(refused, Err(SteadError::Failed { code: Some(5), .. })),
        "{refused:?}"
    );

    let mut twin = Stead::new("ann", Place::Here, dir.path());
    let second = twin.run(&["up", "--foreground", "--key-file", "--no-mdns"]);
    assert!(second.is_err(), "two nodes run on one home");
    assert!(a.json(&["status"]).is_ok(), "the first node went away");
    twin.kill();
    Ok(())
}
