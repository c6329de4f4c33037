//! Encrypted files: what they show without the key, what a wrong key does, and rewriting a file as
//! an encrypted or a plain one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stead_base::{DocId, SpaceId};
use stead_store::{
    CollectionNo, ConvertError, Durability, FileKey, Form, OpenError, Options, OsFiles, Query,
    Read, Store, convert, forget_unfinished, form_of,
};

const MARKER: &[u8] = b"a secret that must not stand anywhere";

fn key(byte: u8) -> FileKey {
    FileKey::new(&[byte; 32])
}

fn with(key: Option<FileKey>) -> Options {
    Options {
        key,
        ..Options::default()
    }
}

fn put(store: &mut Store, n: u32) {
    let tx = store.begin().expect("begin");
    let space = tx
        .put_space(&SpaceId::from_bytes([1; 32]), MARKER)
        .expect("a space");
    let notes = tx.intern_collection(space, "notes").expect("a collection");
    let id = DocId::parse(&format!("{n:06}")).expect("a name");
    let body = [&[0xc7, MARKER.len() as u8][..], MARKER].concat();
    tx.put_doc(notes, &id, &MARKER.repeat(20), &body, false)
        .expect("a document");
    tx.intern_name(std::str::from_utf8(MARKER).expect("text"))
        .expect("a name");
    tx.put_meta("last", &n.to_be_bytes()).expect("a value");
    tx.commit().expect("commit");
}

fn held(store: &Store) -> usize {
    let found = store.query(&Query::all(CollectionNo(1))).expect("a query");
    for (n, found) in found.iter().enumerate() {
        assert_eq!(found.id.to_string(), format!("{n:06}"));
        let state = store.doc_state(CollectionNo(1), &found.id).expect("a read");
        assert_eq!(state, Some(MARKER.repeat(20)));
    }
    found.len()
}

/// Every file of a folder that holds something, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), std::fs::read(path).expect("read")))
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect()
}

/// What must stay as it is: all but the index that readers of the write-ahead log share, which is
/// made again from it.
fn kept(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files(folder);
    files.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
    files
}

fn assert_untouched(folder: &Path, before: &BTreeMap<PathBuf, Vec<u8>>) {
    let now = kept(folder);
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&now), names(before));
    for (path, bytes) in &now {
        assert!(before[path] == *bytes, "{path:?} was changed");
    }
}

/// The files that show the marker.
fn exposed(folder: &Path) -> Vec<PathBuf> {
    let shows = |bytes: &[u8]| bytes.windows(MARKER.len()).any(|window| window == MARKER);
    let files = files(folder).into_iter();
    files
        .filter_map(|(path, bytes)| shows(&bytes).then_some(path))
        .collect()
}

#[test]
fn no_file_shows_what_an_encrypted_store_holds() {
    for (key, shown) in [(None, true), (Some(key(1)), false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stead.db");
        let mut store = Store::open(&path, with(key.clone())).expect("open");
        let mut reader = store.reader().expect("a reader").expect("shared");
        for n in 0..300 {
            put(&mut store, n);
        }
        reader
            .at_one_moment(|reader| reader.query(&Query::all(CollectionNo(1))))
            .expect("a read");
        assert_eq!(!exposed(folder.path()).is_empty(), shown, "in the log");
        store.checkpoint().expect("a checkpoint");
        assert_eq!(!exposed(folder.path()).is_empty(), shown, "in the file");
        store.compact().expect("rewriting");
        store.close().expect("close");
        assert_eq!(!exposed(folder.path()).is_empty(), shown, "when closed");
        let form = form_of(&path, None).expect("a look");
        assert_eq!(form == Form::Plain, shown);
        assert_eq!(held(&Store::open(&path, with(key)).expect("open")), 300);
    }
}

#[test]
fn a_wrong_key_is_named_and_leaves_every_file_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let mut store = Store::open(&path, with(Some(key(1)))).expect("open");
    for n in 0..50 {
        put(&mut store, n);
    }
    // As a kill leaves it: the file is old, and the write-ahead log holds all the rest.
    let killed = tempfile::tempdir().expect("a folder");
    let copy = killed.path().join("stead.db");
    for (from, bytes) in files(folder.path()) {
        let name = from.file_name().expect("a name");
        if !name.to_string_lossy().ends_with("-shm") {
            std::fs::write(killed.path().join(name), bytes).expect("write");
        }
    }
    let before = kept(killed.path());
    assert!(before.len() == 2 && before.values().all(|bytes| !bytes.is_empty()));
    for wrong in [Some(key(2)), None] {
        let exclusive = Options {
            exclusive: true,
            ..with(wrong.clone())
        };
        for options in [with(wrong.clone()), exclusive] {
            let error = Store::open(&copy, options).expect_err("the wrong key");
            match wrong {
                Some(_) => assert!(matches!(error, OpenError::WrongKey { .. }), "{error:?}"),
                None => assert!(matches!(error, OpenError::NotAStore { .. }), "{error:?}"),
            }
            assert!(error.to_string().contains("key"), "{error}");
            assert_untouched(killed.path(), &before);
        }
    }
    assert_eq!(form_of(&copy, None).expect("a look"), Form::Encrypted);
    assert_untouched(killed.path(), &before);
    let store = Store::open(&copy, with(Some(key(1)))).expect("the right key");
    assert_eq!(held(&store), 50);
}

#[test]
fn a_plain_or_foreign_file_is_not_taken_for_an_encrypted_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    assert_eq!(form_of(&path, None).expect("a look"), Form::Absent);
    put(&mut Store::open(&path, with(None)).expect("open"), 0);
    let before = kept(folder.path());
    let error = Store::open(&path, with(Some(key(1)))).expect_err("it is plain");
    assert!(matches!(error, OpenError::NotEncrypted { .. }), "{error:?}");
    assert!(error.to_string().contains("stead encrypt"), "{error}");
    assert_untouched(folder.path(), &before);

    let text = b"Dear diary, today I wrote a file that is no database. ".repeat(100);
    std::fs::write(&path, &text).expect("write");
    let error = Store::open(&path, with(Some(key(1)))).expect_err("it is no store");
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).expect("read"), text);
    std::fs::write(&path, b"").expect("write");
    assert_eq!(form_of(&path, None).expect("a look"), Form::Absent);
    put(
        &mut Store::open(&path, with(Some(key(1)))).expect("open"),
        0,
    );
    assert_eq!(form_of(&path, None).expect("a look"), Form::Encrypted);
}

#[test]
fn a_file_rewritten_under_any_key_or_none_holds_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let mut store = Store::open(&path, with(None)).expect("open");
    for n in 0..300 {
        put(&mut store, n);
    }
    let size = store.size_of().expect("a size");
    store.close().expect("close");
    let ways = [None, Some(key(1)), Some(key(2)), None];
    for way in ways.windows(2) {
        let (from, to) = (with(way[0].clone()), with(way[1].clone()));
        convert(&path, &from, to.key.as_ref(), &OsFiles).expect("a conversion");
        assert_eq!(exposed(folder.path()).is_empty(), to.key.is_some());
        assert_eq!(files(folder.path()).len(), 1, "nothing is left beside it");
        Store::open(&path, from).expect_err("it is another file now");
        let store = Store::open(&path, to.clone()).expect("open");
        assert_eq!(store.integrity_check().expect("a check"), []);
        assert_eq!(held(&store), 300);
        let tables = |tables: &[(String, u64)]| {
            tables
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(
            tables(&store.size_of().expect("a size").tables),
            tables(&size.tables)
        );
        store.close().expect("close");
    }
    put(&mut Store::open(&path, with(None)).expect("open"), 300);
}

#[test]
fn a_conversion_that_cannot_begin_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let mut store = Store::open(&path, with(Some(key(1)))).expect("open");
    put(&mut store, 0);
    let error = convert(&path, &with(Some(key(1))), None, &OsFiles);
    let error = error.expect_err("the store is open");
    assert!(
        matches!(error, ConvertError::Open(OpenError::InUse { .. })),
        "{error:?}"
    );
    put(&mut store, 1);
    store.close().expect("close");
    let before = kept(folder.path());
    for wrong in [None, Some(key(2))] {
        convert(&path, &with(wrong), None, &OsFiles).expect_err("the wrong key");
        assert_untouched(folder.path(), &before);
    }
    let missing = folder.path().join("missing.db");
    convert(&missing, &with(None), Some(&key(1)), &OsFiles).expect_err("there is none");
    assert_untouched(folder.path(), &before);
}

/// Rewrites a file again and again, until it is killed.
#[test]
#[ignore = "run as a child process by the test below"]
fn child_that_converts_until_killed() {
    let path = PathBuf::from(std::env::var_os("STORE").expect("a path"));
    loop {
        let (from, to) = match form_of(&path, None).expect("a look") {
            Form::Encrypted => (Some(key(1)), None),
            _ => (None, Some(key(1))),
        };
        convert(&path, &with(from), to.as_ref(), &OsFiles).expect("a conversion");
        println!("converted");
    }
}

#[test]
fn killing_a_conversion_at_any_moment_leaves_a_whole_file() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let mut store = Store::open(&path, with(None)).expect("open");
    for n in 0..400 {
        put(&mut store, n);
    }
    store.close().expect("close");
    let mut forms = BTreeMap::new();
    for round in 0..16 {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args([
                "child_that_converts_until_killed",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env("STORE", &path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        assert!(lines.any(|line| line.expect("a line").contains("converted")));
        std::thread::sleep(std::time::Duration::from_micros(round * 2_300));
        child.kill().expect("kill");
        child.wait().expect("the end");
        forget_unfinished(&path, &OsFiles).expect("tidying up");
        let form = form_of(&path, None).expect("a look");
        *forms.entry(form == Form::Plain).or_insert(0) += 1;
        let key = (form == Form::Encrypted).then(|| key(1));
        assert_eq!(exposed(folder.path()).is_empty(), key.is_some());
        let store = Store::open(&path, with(key)).expect("open");
        assert_eq!(held(&store), 400);
        assert_eq!(store.integrity_check().expect("a check"), []);
        store.close().expect("close");
        assert_eq!(files(folder.path()).len(), 1);
    }
    assert_eq!(forms.values().sum::<i32>(), 16);
}

#[test]
fn the_same_key_makes_another_file_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str| {
        let path = folder.path().join(name);
        let options = Options {
            durability: Durability::Flushed,
            ..with(Some(key(1)))
        };
        let mut store = Store::open(&path, options).expect("open");
        put(&mut store, 0);
        store.close().expect("close");
        std::fs::read(path).expect("read")
    };
    let (one, other) = (write("one.db"), write("other.db"));
    assert_eq!(one.len(), other.len());
    let pages = one.chunks(4096).zip(other.chunks(4096));
    assert!(pages.into_iter().all(|(a, b)| a != b));
}

#[test]
fn a_key_shows_in_no_debug_output() {
    let shown = format!("{:?}", with(Some(key(0xab))));
    assert!(
        !shown.contains("171") && !shown.to_lowercase().contains("ab, ab"),
        "{shown}"
    );
}
