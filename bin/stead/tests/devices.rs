//! One person's devices from the command line, with real nodes: names, loss, and what recovery words are for.

mod person;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use person::{Person, eventually};
use serde_json::Value;

/// Links a new device to one that has the data.
fn link(old: &Person, new: &Person) {
    let made = old.ask(&["link", "--no-wait"]);
    let mut asking = new
        .command(&["link", made["link"].as_str().unwrap(), "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(asking.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    let begun: Value = serde_json::from_str(&first).unwrap();
    old.ask(&["link", "approve", begun["code"].as_str().unwrap()]);
    assert!(asking.wait().unwrap().success());
    let own = new.ask(&["identity"])["device"]["id"].clone();
    eventually("the new device stands on both lists", || {
        [old, new]
            .iter()
            .all(|person| current(person, |device| device["id"] == own) == 1)
            && new.identity() == old.identity()
    });
}

fn current(person: &Person, fits: impl Fn(&Value) -> bool) -> usize {
    let devices = person.ask(&["device", "list"]);
    let devices = devices.as_array().unwrap().iter();
    devices
        .filter(|device| device["current"] == true && fits(device))
        .count()
}

#[test]
fn a_lost_device_is_taken_out_of_everything() {
    let (laptop, phone) = (Person::start("laptop"), Person::start("phone"));
    laptop.ask(&["space", "create", "family"]);
    link(&laptop, &phone);
    assert_eq!(phone.ask(&["identity"])["words_waiting"], false);
    assert_eq!(phone.run(&["identity", "phrase"]).code, 4);
    laptop.ask(&["device", "rename", "phone", "mobile"]);
    eventually("the name is known on both", || {
        current(&phone, |device| device["name"] == "mobile") == 1
    });
    let asked = laptop.run(&["device", "remove", "mobile"]);
    assert_eq!(asked.code, 2);
    assert!(
        asked.err.contains("mobile loses the 2 spaces"),
        "{}",
        asked.err
    );
    let removed = laptop.ask(&["device", "remove", "mobile", "--yes"]);
    assert_eq!(removed["needs_words"], false);
    assert!(removed["keys"].as_u64().unwrap() >= 4, "{removed}");
    assert_eq!(current(&laptop, |_| true), 1);
    let may = laptop.ask(&["can", "phone", "read", "/", "--space", "family"]);
    assert_eq!(may["allowed"], false, "{may}");
}

#[test]
fn an_elder_device_is_removed_with_the_recovery_words_only() {
    let (laptop, phone) = (Person::start("laptop"), Person::start("phone"));
    link(&laptop, &phone);
    let words: Vec<String> = laptop.ask(&["identity", "phrase"])["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect();
    let refused = phone.run(&["device", "remove", "laptop", "--yes"]);
    assert_eq!(
        refused.code, 2,
        "nobody is there to type the words: {}",
        refused.err
    );
    let file = phone.home().join("words.txt");
    let path = file.to_str().unwrap();
    let of_another = Person::start("tower");
    let others = of_another.ask(&["identity", "phrase"])["words"].clone();
    let others: Vec<&str> = others
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for wrong in [words[1..].join(" "), others.join(" ")] {
        fs::write(&file, wrong).unwrap();
        let args = ["device", "remove", "laptop", "--yes", "--words-file", path];
        assert_ne!(phone.run(&args).code, 0);
    }
    let numbered = words
        .iter()
        .enumerate()
        .map(|(i, word)| format!("{} {word}\n", i + 1));
    fs::write(&file, numbered.collect::<String>()).unwrap();
    phone.ask(&["device", "remove", "laptop", "--yes", "--words-file", path]);
    assert_eq!(current(&phone, |device| device["name"] == "phone"), 1);
    assert_eq!(current(&phone, |_| true), 1);
}
