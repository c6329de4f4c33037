//! Ordered maps and append-only feeds from the command line, with real nodes.

mod person;

use std::{fs, process::Stdio};

use person::{Person, eventually};
use serde_json::json;

#[test]
fn a_map_is_put_scanned_followed_back_and_compared() {
    let ada = Person::start("laptop");
    ada.ask(&["space", "create", "shop"]);
    for (key, value) in [
        ("fruit/apple", "3"),
        ("fruit/pear", "{\"chf\": 4}"),
        ("bread", "fresh"),
        ("zero", "-1"),
    ] {
        assert_eq!(
            ada.run(&["kv", "put", "shop/prices", key, value]).code,
            0,
            "{key}"
        );
    }
    assert_eq!(
        ada.run(&["kv", "get", "shop/prices", "bread"]).out,
        "fresh\n"
    );
    assert_eq!(
        ada.ask(&["kv", "get", "shop/prices", "fruit/pear"])["json"],
        json!({"chf": 4})
    );
    assert_eq!(ada.run(&["kv", "get", "shop/prices", "none"]).code, 4);
    let keys = |args: &[&str]| -> Vec<String> {
        let page = ada.ask(&[&["kv", "range", "shop/prices"], args].concat());
        let entries = page["entries"].as_array().unwrap().iter();
        entries
            .map(|it| it["key"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(keys(&[]), ["bread", "fruit/apple", "fruit/pear", "zero"]);
    assert_eq!(
        keys(&["--prefix", "fruit/", "--reverse"]),
        ["fruit/pear", "fruit/apple"]
    );
    assert_eq!(
        keys(&["--gt", "bread", "--lte", "fruit/apple"]),
        ["fruit/apple"]
    );
    assert_eq!(keys(&["-n", "1", "--after", "fruit/apple"]), ["fruit/pear"]);
    let file = ada.home().join("image");
    fs::write(&file, [0u8, 255, 10]).unwrap();
    ada.ask(&[
        "kv",
        "put",
        "shop/prices",
        "image",
        "--file",
        file.to_str().unwrap(),
    ]);
    assert_eq!(
        ada.ask(&["kv", "get", "shop/prices", "image"])["bytes"],
        "00ff0a"
    );
    ada.ask(&["kv", "delete", "shop/prices", "bread", "image"]);
    let history = ada.ask(&["kv", "history", "shop/prices", "bread"]);
    let changes = history["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{history}");
    assert!(changes[0]["value"].is_null() && changes[0]["device"]["name"] == "laptop");
    let since = changes[1]["time"]["ms"].to_string();
    let diff = ada
        .run(&["kv", "diff", "shop/prices", "--from", &since])
        .out;
    assert!(
        diff.contains("- bread") && diff.contains("+ zero") && !diff.contains("apple"),
        "{diff}"
    );
    assert_eq!(
        ada.run(&["kv", "diff", "shop/prices", "--from", "soon"])
            .code,
        2
    );
    assert_eq!(ada.run(&["kv", "put", "shop/prices", "", "1"]).code, 2);
}

#[test]
fn a_feed_is_appended_to_read_live_and_verified() {
    let ada = Person::start("laptop");
    ada.ask(&["space", "create", "lab"]);
    let appended = ada.ask(&["feed", "append", "lab/readings", "{\"t\": 21}", "it rained"]);
    assert_eq!(
        (&appended["first"], &appended["length"]),
        (&json!(0), &json!(2))
    );
    let item = ada.ask(&["feed", "get", "lab/readings", "1"]);
    assert_eq!(
        (&item["value"]["json"], &item["proven"]),
        (&json!("it rained"), &json!(true))
    );
    assert_eq!(ada.run(&["feed", "get", "lab/readings", "2"]).code, 4);
    assert!(
        ada.run(&["feed", "list", "lab/readings"])
            .out
            .contains("laptop")
    );
    let verified = ada.run(&["feed", "verify", "lab/readings"]);
    assert!(
        verified.code == 0 && verified.out.contains("2 of 2 values"),
        "{}",
        verified.out
    );

    let shown = ada.home().join("tail");
    let mut tail = ada
        .command(&["feed", "tail", "lab/readings", "--json"])
        .stdout(fs::File::create(&shown).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = || fs::read_to_string(&shown).unwrap_or_default();
    eventually("what is there is shown", || told().contains("it rained"));
    let mut more = 0;
    eventually("what comes is shown", || {
        more += 1;
        ada.ask(&["feed", "append", "lab/readings", &format!("more {more}")]);
        told().contains("more")
    });
    tail.kill().unwrap();
    tail.wait().unwrap();

    // Somebody changes a value by the documents' own door.
    let page = ada.ask(&["query", "lab/readings"]);
    let first = page["docs"][0]["id"].as_str().map(str::to_owned);
    let first = first.unwrap_or_else(|| panic!("{page}"));
    ada.ask(&["put", &format!("lab/readings/{first}"), "v=other"]);
    let noticed = ada.run(&["feed", "verify", "lab/readings"]);
    assert!(
        noticed.code == 7 && noticed.out.contains("changed or unproven: 0"),
        "{}",
        noticed.out
    );
}
