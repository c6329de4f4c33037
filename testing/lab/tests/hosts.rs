//! Real `stead` processes on hosts of their own: they find each other, carry each other's changes,
//! and come back after what happens to networks.

use std::error::Error;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use stead_lab::{Chain, Host, Lab, Pair, Stead, eventually};

/// How long devices that can reach each other may take to agree.
const SOON: Duration = Duration::from_secs(30);
/// How long they may take once a network is whole again.
const AFTER_TROUBLE: Duration = Duration::from_secs(90);

/// How long `stead status` may take to know of a cable that was cut.
const AT_ONCE: Duration = Duration::from_secs(4);

type Outcome = Result<(), Box<dyn Error>>;

fn node(name: &str, host: &Host, dir: &Path, flags: &[&str]) -> Result<Stead, Box<dyn Error>> {
    let mut node = Stead::new(name, host.place(), dir);
    node.up(flags)?;
    Ok(node)
}

/// Writes one field and checks that it was acknowledged.
fn put(node: &Stead, document: &str, field: &str) -> Outcome {
    node.run(&["put", document, field])?;
    Ok(())
}

/// Waits until all nodes show the same text in a field.
fn all_show(nodes: &[&Stead], document: &str, field: &str, text: &str, limit: Duration) {
    for node in nodes {
        let what = format!(
            "{text:?} in {document}.{field} on {}",
            node.home().display()
        );
        eventually(&what, limit, || {
            node.field(document, field) == Some(json!(text))
        });
    }
}

/// Waits until a node says that it reaches another one over this kind of path, and why.
fn reaches(node: &Stead, other: &str, path: &str, why: &str, limit: Duration) {
    let start = std::time::Instant::now();
    loop {
        let found = node.path_to(other);
        if let Some((kind, reason)) = &found
            && kind == path
            && reason.contains(why)
        {
            return;
        }
        assert!(
            start.elapsed() < limit,
            "{other} is not {path} ({why}) but {found:?}\n{}",
            node.output()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn two_hosts_on_one_network_find_each_other_and_heal_after_a_cut() -> Outcome {
    let Some(mut lab) = Lab::or_skip("two_hosts_on_one_network_find_each_other_and_heal") else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let Pair { a, b, cable } = lab.pair()?;
    let a = node("ann", &a, dir.path(), &[])?;
    let b = node("ben", &b, dir.path(), &[])?;
    a.link(&b)?;
    a.run(&["space", "create", "family"])?;
    put(&a, "family/people/ada", "born=1815")?;
    put(&a, "family/people/ada", "name=Ada")?;
    all_show(&[&a, &b], "family/people/ada", "name", "Ada", SOON);
    reaches(&a, "ben", "direct", "same network (10.77.1.2)", SOON);

    cable.cut()?;
    put(&a, "family/people/ada", "home=London")?;
    put(&b, "family/people/ada", "work=mathematics")?;
    // Asked at once, on both ends: the silence is noticed, not waited for.
    reaches(&a, "ben", "offline", "", AT_ONCE);
    reaches(&b, "ann", "offline", "", AT_ONCE);
    assert_eq!(b.field("family/people/ada", "home"), None);
    cable.restore()?;
    all_show(
        &[&a, &b],
        "family/people/ada",
        "home",
        "London",
        AFTER_TROUBLE,
    );
    all_show(
        &[&a, &b],
        "family/people/ada",
        "work",
        "mathematics",
        AFTER_TROUBLE,
    );

    cable.remove_address("10.77.1.2/24")?;
    cable.add_address("10.77.1.7/24")?;
    put(&b, "family/people/ada", "moved=yes")?;
    all_show(
        &[&a, &b],
        "family/people/ada",
        "moved",
        "yes",
        AFTER_TROUBLE,
    );
    reaches(
        &a,
        "ben",
        "direct",
        "same network (10.77.1.7)",
        AFTER_TROUBLE,
    );
    Ok(())
}

#[test]
fn a_device_in_the_middle_carries_changes_between_two_that_never_meet() -> Outcome {
    let test = "a_device_in_the_middle_carries_changes_between_two_that_never_meet";
    let Some(mut lab) = Lab::or_skip(test) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let Chain {
        left,
        middle,
        right,
        ..
    } = lab.chain()?;
    let a = node("ann", &left, dir.path(), &[])?;
    let b = node("ben", &middle, dir.path(), &[])?;
    let c = node("cat", &right, dir.path(), &[])?;
    a.link(&b)?;
    b.link(&c)?;
    a.run(&["space", "create", "family"])?;
    put(&a, "family/people/ada", "name=Ada")?;
    all_show(&[&b, &c], "family/people/ada", "name", "Ada", SOON);
    put(&c, "family/people/ada", "home=London")?;
    all_show(&[&a, &b, &c], "family/people/ada", "home", "London", SOON);
    reaches(&b, "ann", "direct", "same network", SOON);
    reaches(&b, "cat", "direct", "same network", SOON);
    reaches(&a, "cat", "offline", "", SOON);

    // The carrier goes away; what both write meanwhile arrives once it is back.
    let mut b = b;
    b.kill();
    put(&a, "family/people/ada", "first=a")?;
    put(&c, "family/people/ada", "last=c")?;
    b.up(&[])?;
    all_show(
        &[&a, &b, &c],
        "family/people/ada",
        "first",
        "a",
        AFTER_TROUBLE,
    );
    all_show(
        &[&a, &b, &c],
        "family/people/ada",
        "last",
        "c",
        AFTER_TROUBLE,
    );
    Ok(())
}

#[test]
fn a_pair_without_a_common_network_talks_through_a_relay_until_it_has_one() -> Outcome {
    let test = "a_pair_without_a_common_network_talks_through_a_relay_until_it_has_one";
    let Some(mut lab) = Lab::or_skip(test) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let Chain {
        left,
        middle,
        right,
        ..
    } = lab.chain()?;
    let common = lab.lan()?;
    middle.own_address("10.77.9.9/32")?;
    left.default_route(IpAddr::from([10, 77, 1, 9]))?;
    right.default_route(IpAddr::from([10, 77, 2, 9]))?;
    let mut relay = Stead::new("relay", middle.place(), dir.path());
    relay.start_relay("0.0.0.0:3340".parse()?)?;

    let flags = ["--relay", "http://10.77.9.9:3340"];
    let a = node("ann", &left, dir.path(), &flags)?;
    let b = node("ben", &right, dir.path(), &flags)?;
    eventually("ann is on the relay", SOON, || {
        let status = a.json(&["status"]).unwrap_or_default();
        status["relay"]["connected"] == true
    });
    a.link(&b)?;
    a.run(&["space", "create", "family"])?;
    put(&a, "family/people/ada", "name=Ada")?;
    all_show(&[&a, &b], "family/people/ada", "name", "Ada", SOON);
    reaches(&a, "ben", "relayed", "http://10.77.9.9:3340", SOON);
    reaches(&b, "ann", "relayed", "no direct path has answered", SOON);

    // The relay dies and comes back.
    relay.stop_relay();
    std::thread::sleep(Duration::from_secs(5));
    put(&a, "family/people/ada", "first=a")?;
    put(&b, "family/people/ada", "last=b")?;
    relay.start_relay("0.0.0.0:3340".parse()?)?;
    all_show(&[&a, &b], "family/people/ada", "first", "a", AFTER_TROUBLE);
    all_show(&[&a, &b], "family/people/ada", "last", "b", AFTER_TROUBLE);
    reaches(&a, "ben", "relayed", "http://10.77.9.9:3340", AFTER_TROUBLE);

    // A common network appears.
    lab.plug(&left, &common, "10.77.3.1/24")?;
    lab.plug(&right, &common, "10.77.3.2/24")?;
    reaches(
        &a,
        "ben",
        "direct",
        "same network (10.77.3.2)",
        AFTER_TROUBLE,
    );
    put(&b, "family/people/ada", "near=yes")?;
    all_show(&[&a, &b], "family/people/ada", "near", "yes", AFTER_TROUBLE);
    Ok(())
}
