//! Properties of notes.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn round_trip(path: &str, text: &str) {
    let record = record_of(path, text);
    assert_eq!(
        note_text(record.value.as_object().unwrap()),
        text,
        "{record:?}"
    );
}

#[test]
fn front_matter_becomes_fields_and_the_rest_the_body() {
    let record = record_of(
        "daily/today.md",
        "---\ntitle: Today\ntags:\n- a\n- b\n---\n# Text\n",
    );
    assert_eq!(record.id.as_deref(), Some("daily:today"));
    assert_eq!(
        record.value,
        json!({"title": "Today", "tags": ["a", "b"], "body": "# Text\n"})
    );
}

#[test]
fn notes_come_out_letter_for_letter() {
    for text in [
        "",
        "# Only text\n",
        "---\ntitle: Today\n---\nText",
        "---\n# a comment\ntitle:   Today   \ndate: 2024-01-01\n---\n\nText\n",
        "---\n---\nText\n",
        "---\n{not: yaml\n---\nText\n",
        "---\n- a list\n---\nText\n",
        "---\nbody: clashes\n---\nText\n",
        "---\nnever closed\n",
        "---\ntagged: !thing 5\nbig: .inf\n1: one\n---\n",
        "---\r\ntitle: Windows\r\n---\r\nText\r\n",
        "text\n---\nmore: text\n---\n",
    ] {
        round_trip("note.md", text);
    }
}

#[test]
fn changed_fields_win_over_kept_front_matter() {
    let mut record = record_of("n.md", "---\ntitle: \"One\" # why\n---\nText\n");
    record.value["title"] = json!("Two");
    let text = note_text(record.value.as_object().unwrap());
    assert_eq!(text, "---\ntitle: Two\n---\nText\n");
}

#[test]
fn a_path_that_no_id_can_hold_is_kept_beside_it() {
    for path in [
        "a:b.md",
        "note.markdown",
        &format!("{}.md", "long".repeat(20)),
        "Upper.MD",
    ] {
        let record = record_of(path, "");
        assert!(DocId::parse(record.id.as_deref().unwrap()).is_ok());
        assert_eq!(record.value["path"], *path);
    }
}

#[test]
fn no_record_is_written_outside_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("out");
    let mut writer = FolderWriter::create(&root).unwrap();
    for (id, path) in [
        ("..:..:evil", "../evil.md"),
        ("a", "/etc/evil.md"),
        ("b", "x/../../evil.md"),
        (".hidden", ".git/config.md"),
        ("c", "C:\\evil.md"),
        ("d", "evil.sh"),
    ] {
        let value = json!({"path": path, "body": "x"});
        let record = Record {
            id: Some(id.into()),
            value: value.clone(),
        };
        writer.push(&record, value.as_object().unwrap()).unwrap();
    }
    let outside: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(outside, ["out"]);
    assert_eq!(Folder::open(&root, Arc::default()).unwrap().count(), 6);
}

#[test]
fn two_notes_never_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = FolderWriter::create(folder.path()).unwrap();
    for id in ["Note", "note", "NOTE"] {
        let value = json!({"body": id});
        let record = Record {
            id: Some(id.into()),
            value: value.clone(),
        };
        writer.push(&record, value.as_object().unwrap()).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

proptest! {
    #[test]
    fn any_text_comes_out_letter_for_letter(front in "[ -~\n:#\"'-]{0,40}", body in ".{0,40}") {
        round_trip("note.md", &format!("---\n{front}\n---\n{body}"));
        round_trip("note.md", &body);
    }

    #[test]
    fn an_id_made_of_a_path_leads_back_to_it(path in "[a-zA-Z:. /-]{1,20}") {
        if let Some(id) = id_of_path(&format!("{path}.md")) {
            prop_assert_eq!(path_of_id(&id), Some(format!("{path}.md")));
        }
    }
}
