//! Files that other programs made: what people see of them, and that exporting them loses nothing.

use std::path::{Path, PathBuf};

use icalendar::{Component as _, parser};
use serde_json::json;
use stead_interchange::{Format, Record, Records, Writer};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/samples")
        .join(name)
}

fn read(format: Format, path: &Path) -> Vec<Record> {
    Records::open(format, path)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn write(format: Format, path: &Path, records: &[Record]) {
    let mut writer = Writer::create(format, path).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), records.len() as u64);
}

fn find<'a>(records: &'a [Record], id: &str) -> &'a Record {
    records
        .iter()
        .find(|record| record.id.as_deref() == Some(id))
        .unwrap()
}

/// The unfolded lines that matter, in any order.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path)
        .unwrap()
        .replace("\r\n", "\n")
        .replace("\n ", "");
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("PRODID"))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn cards_show_names_phones_and_addresses() {
    let cards = read(Format::Vcard, &sample("vobject.vcf"));
    assert_eq!(cards.len(), 3);
    let ada = find(&cards, "urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1");
    assert_eq!(ada.value["name"], "Ada Lovelace");
    assert_eq!(
        ada.value["names"],
        json!({"family": "Lovelace", "given": "Ada"})
    );
    assert_eq!(
        ada.value["phones"][0],
        json!({"value": "+44 20 7946 0001", "types": ["home", "voice"]})
    );
    assert_eq!(
        ada.value["organization"],
        json!(["Analytical Engines", "Research, Notes"])
    );
    assert_eq!(ada.value["addresses"][0]["city"], "London");
    assert_eq!(ada.value["birthday"], "1815-12-10");
    assert_eq!(
        ada.value["urls"][0]["value"],
        "https://example.org/~ada?x=1,2;3"
    );
    assert!(
        ada.value["note"]
            .as_str()
            .unwrap()
            .starts_with("First line\nSecond; with, signs \\ and ä ö 日本語 😀")
    );
}

#[test]
fn cards_of_old_phones_are_understood() {
    let cards = read(Format::Vcard, &sample("phone-2.1.vcf"));
    assert_eq!(cards[0].value["name"], "Jürg Müller");
    assert_eq!(cards[0].value["names"]["family"], "Müller");
    assert_eq!(
        cards[0].value["phones"][0],
        json!({"value": "+41791234567", "types": ["cell", "pref"]})
    );
}

#[test]
fn calendars_show_times_with_their_zones() {
    let records = read(Format::Ical, &sample("icalendar.ics"));
    let dinner = find(&records, "dinner@example.org");
    assert_eq!(dinner.value["kind"], "event");
    assert_eq!(dinner.value["title"], "Dinner, with friends; bring wine");
    assert_eq!(dinner.value["start"], "2026-03-28T19:00:00");
    assert_eq!(dinner.value["start_zone"], "Europe/Zurich");
    assert_eq!(dinner.value["repeat"], "FREQ=WEEKLY;COUNT=10;BYDAY=SA");
    let moved = find(&records, "dinner@example.org@2026-04-11T19:00:00");
    assert_eq!(moved.value["start"], "2026-04-11T20:00:00");
    assert_eq!(find(&records, "holiday").value["start"], "2026-08-01");
    let todo = find(&records, "todo-1");
    assert_eq!(
        (&todo.value["kind"], &todo.value["percent"]),
        (&json!("todo"), &json!(50))
    );
    assert_eq!(
        find(&records, "zone:Europe-Zurich").value["kind"],
        "timezone"
    );
    assert_eq!(find(&records, "calendar").value["calendar_name"], "Family");
}

#[test]
fn exporting_loses_no_line_of_another_program() {
    let folder = tempfile::tempdir().unwrap();
    for (format, name) in [
        (Format::Vcard, "vobject.vcf"),
        (Format::Ical, "icalendar.ics"),
    ] {
        let records = read(format, &sample(name));
        let copy = folder.path().join(name);
        write(format, &copy, &records);
        assert_eq!(read(format, &copy).len(), records.len());
        let written = lines(&copy);
        for line in lines(&sample(name)) {
            // The same meaning in another writing.
            let other = line
                .replace("\\,2\\;3", ",2;3")
                .replace("TYPE=HOME,VOICE", "TYPE=home,voice");
            let other = match line.starts_with("BDAY")
                || line.contains("TYPE=") && !line.starts_with("PHOTO")
            {
                true if line.starts_with("BDAY") => line.replace('-', ""),
                true => {
                    let (left, value) = line.split_once(':').unwrap();
                    let (name, types) = left.split_once(';').unwrap();
                    format!(
                        "{name};TYPE={}:{value}",
                        types.trim_start_matches("TYPE=").to_lowercase()
                    )
                }
                false => other,
            };
            let id_only = line.starts_with("UID") && !written.contains(&line);
            assert!(
                written.contains(&other) || id_only,
                "{line} is missing in {name}: {written:#?}"
            );
        }
        // Only cards without an id gain one.
        let own = written
            .iter()
            .filter(|line| line.starts_with("X-STEAD-"))
            .count();
        assert!(own <= 1, "{written:#?}");
    }
}

#[test]
fn another_program_reads_our_calendars() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.ics");
    let records = read(Format::Ical, &sample("icalendar.ics"));
    write(Format::Ical, &copy, &records);
    let text = std::fs::read_to_string(copy).unwrap();
    let calendar: icalendar::Calendar = parser::read_calendar(&parser::unfold(&text))
        .unwrap()
        .into();
    let summaries: Vec<_> = calendar
        .components
        .iter()
        .filter_map(|component| match component {
            icalendar::CalendarComponent::Event(event) => event.get_summary().map(str::to_owned),
            icalendar::CalendarComponent::Todo(todo) => todo.get_summary().map(str::to_owned),
            _ => None,
        })
        .collect();
    assert_eq!(
        summaries,
        [
            "Dinner, with friends; bring wine",
            "Dinner, moved",
            "Holiday",
            "Buy milk"
        ]
    );
}

#[test]
fn a_folder_of_notes_comes_out_letter_for_letter() {
    let folder = tempfile::tempdir().unwrap();
    let notes = read(Format::Markdown, &sample("notes"));
    let ids: Vec<_> = notes.iter().filter_map(|note| note.id.as_deref()).collect();
    assert_eq!(ids, ["daily:2026-02-03", "plain", "sourdough"]);
    assert_eq!(
        find(&notes, "sourdough").value["nested"],
        json!({"flour": ["rye", "wheat"], "salt": true})
    );
    write(Format::Markdown, folder.path(), &notes);
    for name in ["daily/2026-02-03.md", "plain.md", "sourdough.md"] {
        assert_eq!(
            std::fs::read_to_string(folder.path().join(name)).unwrap(),
            std::fs::read_to_string(sample("notes").join(name)).unwrap()
        );
    }
}

/// A vault as any program reads it: the lists in no particular order.
fn vault(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path).unwrap();
    let mut whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    for list in ["folders", "collections", "items"] {
        if let Some(list) = whole[list].as_array_mut() {
            list.sort_by_key(|it| it["id"].to_string());
        }
    }
    whole
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    whole
}

#[test]
fn a_vault_shows_kinds_and_folders_and_nothing_of_it_is_lost() {
    let items = read(Format::Bitwarden, &sample("bitwarden.json"));
    assert_eq!(items.len(), 7);
    let library = find(&items, "7f1f6d0c-0a52-4d8e-8d3b-b1e500a3d001");
    assert_eq!(library.value["kind"], "login");
    assert_eq!(library.value["folder"], "Town");
    assert_eq!(library.value["login"]["username"], "ada@example.org");
    assert!(
        library.value["login"]["totp"]
            .as_str()
            .unwrap()
            .starts_with("otpauth://")
    );
    assert_eq!(
        library.value["login"]["fido2Credentials"][0]["rpId"],
        "library.example"
    );
    assert_eq!(library.value["fields"][3]["linkedId"], 100);
    let kinds: Vec<&str> = items
        .iter()
        .map(|it| it.value["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "folder", "login", "login", "note", "card", "identity", "ssh_key"
        ]
    );
    let organization = read(Format::Bitwarden, &sample("bitwarden-organization.json"));
    assert_eq!(organization[0].value["kind"], "collection");
    let folder = tempfile::tempdir().unwrap();
    for (name, items) in [
        ("bitwarden.json", &items),
        ("bitwarden-organization.json", &organization),
    ] {
        let path = folder.path().join(name);
        write(Format::Bitwarden, &path, items);
        assert_eq!(vault(&path), vault(&sample(name)), "{name}");
    }
}

#[test]
fn an_encrypted_vault_is_refused_with_what_to_do() {
    let refused = Records::open(Format::Bitwarden, &sample("bitwarden-encrypted.json"));
    let text = refused.err().unwrap().to_string();
    assert!(
        text.contains("is encrypted") && text.contains("export the vault again"),
        "{text}"
    );
    let other = Records::open(Format::Bitwarden, &sample("icalendar.ics"));
    assert!(other.is_err());
}

#[test]
fn documents_that_no_bitwarden_made_become_items_that_one_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    let record = |id: &str, value| Record {
        id: Some(id.to_owned()),
        value,
    };
    write(
        Format::Bitwarden,
        &path,
        &[
            record(
                "a",
                json!({"name": "Mail", "folder": "Town", "login": {"username": "ada"}}),
            ),
            record(
                "b",
                json!({"name": "Bank", "folder": "Town", "kind": "card"}),
            ),
            record("c", json!({"notes": "only a text"})),
        ],
    );
    let whole = vault(&path);
    let types: Vec<_> = (0..3).map(|i| whole["items"][i]["type"].clone()).collect();
    assert_eq!(types, [1, 3, 2]);
    assert_eq!(whole["folders"].as_array().unwrap().len(), 1);
    assert_eq!(whole["items"][0]["folderId"], whole["folders"][0]["id"]);
    assert_eq!(whole["items"][2]["secureNote"], json!({"type": 0}));
    assert_eq!(read(Format::Bitwarden, &path).len(), 3);
}

#[test]
fn tables_of_other_programs_keep_texts_numbers_and_line_ends() {
    let rows = read(Format::Csv, &sample("excel.csv"));
    assert_eq!(
        rows[0].value,
        json!({"name": "Zoë \"Z\" Müller", "zip": "01234", "visits": 3, "ratio": 0.5, "member": true, "note": "first line\nsecond; line"})
    );
    assert_eq!(rows[1].value["zip"], "90210");
    let goods = read(Format::Csv, &sample("sqlite.csv"));
    assert_eq!(
        goods[0].value,
        json!({"id": 1, "title": "Bread, dark", "price": 4.5, "added": "2026-01-31"})
    );
    assert_eq!(goods[1].value.get("price"), None);
    let folder = tempfile::tempdir().unwrap();
    for rows in [rows, goods] {
        let path = folder.path().join("out.csv");
        write(Format::Csv, &path, &rows);
        assert_eq!(read(Format::Csv, &path), rows);
    }
}

#[test]
fn json_of_other_programs_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (format, name, count) in [
        (Format::Json, "jq.json", 2),
        (Format::JsonLines, "jq.jsonl", 2),
    ] {
        let records = read(format, &sample(name));
        assert_eq!(records.len(), count, "{name}");
        let path = folder.path().join(name);
        write(format, &path, &records);
        assert_eq!(read(format, &path), records, "{name}");
    }
    let lines = read(Format::JsonLines, &sample("jq.jsonl"));
    assert_eq!(lines[0].id.as_deref(), Some("a1"));
    assert_eq!(lines[0].value["at"], json!({"city": "London", "zip": null}));
    // An id with a slash is kept, and the record found again by a name made of it.
    assert!(lines[1].id.as_deref().unwrap().starts_with("x-"));
}
