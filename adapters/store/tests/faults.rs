//! Faults on a real disk: what the store says, and that nothing acknowledged is lost, whether the
//! file is encrypted or not.

use std::path::{Path, PathBuf};

use stead_base::{DocId, SpaceId};
use stead_store::{
    CollectionNo, Durability, FileKey, Finding, OpenError, Options, Query, Read, Store, StoreError,
};

/// A plain file, and an encrypted one.
fn both() -> [Options; 2] {
    [None, Some(FileKey::new(&[7; 32]))].map(|key| Options {
        key,
        ..Options::default()
    })
}

fn open_as(path: &Path, options: &Options) -> Store {
    Store::open(path, options.clone()).expect("open")
}

fn open(path: &Path) -> Store {
    open_as(path, &Options::default())
}

fn refused(path: &Path) -> OpenError {
    let error = Store::open(path, Options::default());
    error.expect_err("this file must not open")
}

fn put(store: &mut Store, n: u32) -> Result<(), StoreError> {
    let tx = store.begin()?;
    let space = tx.put_space(&SpaceId::from_bytes([1; 32]), b"")?;
    let notes = tx.intern_collection(space, "notes")?;
    let id = DocId::parse(&format!("{n:06}")).expect("a name");
    tx.put_doc(notes, &id, &[7; 500], &[0x0c], false)?;
    tx.put_meta("last", &n.to_be_bytes())?;
    tx.commit()
}

/// How many of the numbered documents there are; panics unless they are the first so many.
fn held(store: &Store) -> u32 {
    let found = store.query(&Query::all(CollectionNo(1))).expect("a query");
    for (n, found) in found.iter().enumerate() {
        assert_eq!(found.id.to_string(), format!("{n:06}"));
    }
    let last = store.get_meta("last").expect("a read");
    let last = last.map_or(0, |n| {
        u32::from_be_bytes(n.try_into().expect("four bytes")) + 1
    });
    assert_eq!(
        last as usize,
        found.len(),
        "all of a transaction or nothing"
    );
    last
}

fn wal(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

#[test]
fn a_damaged_page_is_noticed_and_the_message_says_what_to_do() {
    for options in both() {
        every_damaged_page_is_noticed(&options);
    }
}

fn every_damaged_page_is_noticed(options: &Options) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let mut store = open_as(&path, options);
    for n in 0..200 {
        put(&mut store, n).expect("write");
    }
    assert_eq!(store.integrity_check().expect("check"), []);
    store.close().expect("close");
    let whole = std::fs::read(&path).expect("read");
    let pages = whole.len() / 4096;
    let mut noticed = 0;
    for page in 2..pages {
        let mut bytes = whole.clone();
        // Any change breaks an encrypted page; a plain one must be damaged as a whole.
        let damage = match options.key {
            Some(_) => page * 4096 + page % 4096..page * 4096 + page % 4096 + 1,
            None => page * 4096..(page + 1) * 4096,
        };
        for byte in &mut bytes[damage] {
            *byte ^= 0x5a;
        }
        std::fs::write(&path, bytes).expect("write");
        let store = open_as(&path, options);
        let found = store.integrity_check().expect("a check");
        assert!(
            matches!(found[..], [Finding::File { .. }, ..]),
            "page {page}: {found:?}"
        );
        drop(store);
        if let Err(error) = open_as(&path, options).query(&Query::all(CollectionNo(1))) {
            noticed += 1;
            assert!(
                matches!(error, StoreError::Corrupt { .. }),
                "page {page}: {error}"
            );
            assert!(error.to_string().contains("restore a backup"), "{error}");
        }
    }
    assert!(
        noticed > pages / 2,
        "a query noticed {noticed} of {pages} pages"
    );
}

#[test]
fn a_cut_write_ahead_log_keeps_a_prefix() {
    for options in both() {
        any_cut_keeps_a_prefix(&options);
    }
}

fn any_cut_keeps_a_prefix(options: &Options) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let mut store = open_as(&path, options);
    for n in 0..100 {
        put(&mut store, n).expect("write");
    }
    let (file, log) = (std::fs::read(&path), std::fs::read(wal(&path)));
    let (file, log) = (file.expect("read"), log.expect("read"));
    let mut last = 0;
    for part in 0..=20 {
        let copy = folder.path().join(format!("copy {part}.db"));
        std::fs::write(&copy, &file).expect("write");
        std::fs::write(wal(&copy), &log[..log.len() * part / 20]).expect("write");
        let mut store = match Store::open(&copy, options.clone()) {
            Ok(store) => store,
            Err(error) => panic!("{part} twentieths: {error}"),
        };
        if store.spaces().expect("read").is_empty() {
            continue;
        }
        let count = held(&store);
        assert!(count >= last, "a longer log holds no less");
        last = count;
        assert_eq!(store.integrity_check().expect("check"), []);
        put(&mut store, count).expect("life goes on");
    }
    assert_eq!(last, 100);
}

#[test]
fn a_file_of_a_newer_format_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let mut store = open(&path);
    put(&mut store, 0).expect("write");
    store.close().expect("close");
    let mut bytes = std::fs::read(&path).expect("read");
    // The format is the "user version" of the SQLite header: four bytes at 60, big-endian.
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&path, &bytes).expect("write");
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::NewerFormat { found: 99, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("install the newer version"),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).expect("read"), bytes);
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let text = b"Dear diary, today I wrote a file that is no database. ".repeat(100);
    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign)
        .and_then(|conn| conn.execute_batch("CREATE TABLE cats (name TEXT)"))
        .expect("another program's database");
    for bytes in [text, std::fs::read(&foreign).expect("read")] {
        std::fs::write(&path, &bytes).expect("write");
        let error = refused(&path);
        assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
        assert_eq!(std::fs::read(&path).expect("read"), bytes);
    }
    std::fs::write(&path, b"").expect("write");
    put(&mut open(&path), 0).expect("an empty file is a new store");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = refused(&folder.path().join("missing/stead.db"));
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("missing/stead.db"), "{error}");
}

#[test]
fn an_exclusive_store_refuses_a_second_opener() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let exclusive = Options {
        exclusive: true,
        ..Options::default()
    };
    let mut store = Store::open(&path, exclusive.clone()).expect("open");
    put(&mut store, 0).expect("write");
    for options in [exclusive, Options::default()] {
        let error = Store::open(&path, options).expect_err("it is open");
        assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    }
    put(&mut store, 1).expect("the first one goes on");
    assert!(store.reader().expect("no error").is_none());
    drop(store);
    assert_eq!(held(&open(&path)), 2);
}

#[test]
fn a_reader_sees_whole_commits_from_another_thread() {
    for options in both() {
        a_reader_sees_whole_commits(&options);
    }
}

fn a_reader_sees_whole_commits(options: &Options) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let mut store = open_as(&path, options);
    put(&mut store, 0).expect("write");
    let mut reader = store.reader().expect("a reader").expect("not exclusive");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..200 {
                put(&mut store, n).expect("write");
            }
        });
        let mut last = 0;
        while last < 200 {
            reader
                .at_one_moment(|reader| {
                    let docs = reader.count(&Query::all(CollectionNo(1)))?;
                    let newest = reader.get_meta("last")?.expect("written before");
                    let newest = u32::from_be_bytes(newest.try_into().expect("four bytes"));
                    assert_eq!(docs, u64::from(newest) + 1);
                    last = docs;
                    Ok(())
                })
                .expect("a read");
        }
    });
}

/// What a child process was told to open.
fn chosen() -> Options {
    let [plain, encrypted] = both();
    match std::env::var_os("ENCRYPTED") {
        Some(_) => encrypted,
        None => plain,
    }
}

/// Commits until the process is killed; each line it prints is a promise.
#[test]
#[ignore = "run as a child process by the test below"]
fn child_that_commits_until_killed() {
    let path = PathBuf::from(std::env::var_os("STORE").expect("a path"));
    let mut store = Store::open(
        &path,
        Options {
            durability: Durability::Ordered,
            ..chosen()
        },
    )
    .expect("open");
    for n in held(&store).. {
        put(&mut store, n).expect("write");
        println!("promised {n}");
    }
}

#[test]
fn killing_the_process_at_any_moment_loses_nothing() {
    for options in both() {
        killing_loses_nothing(&options);
    }
}

fn killing_loses_nothing(options: &Options) {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stead.db");
    let mut store = open_as(&path, options);
    put(&mut store, 0).expect("write");
    drop(store);
    for round in 0..8 {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args([
                "child_that_commits_until_killed",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env("STORE", &path)
            .envs(options.key.as_ref().map(|_| ("ENCRYPTED", "yes")))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut promised = None;
        let mut seen = 0;
        for line in lines {
            let line = line.expect("a line");
            if let Some(n) = line.strip_prefix("promised ") {
                promised = Some(n.parse::<u32>().expect("a number"));
                seen += 1;
            }
            if seen == 20 + round * 37 {
                child.kill().expect("kill");
            }
        }
        child.wait().expect("the end");
        let store = open_as(&path, options);
        let count = held(&store);
        assert!(
            count > promised.expect("a promise"),
            "{promised:?}, found {count}"
        );
        assert_eq!(store.integrity_check().expect("check"), []);
    }
}

/// A small file system of its own: fills it, then finds it read-only.
#[test]
#[ignore = "run in a mount namespace by the test below"]
fn child_on_a_tiny_disk() {
    let folder = PathBuf::from(std::env::var_os("STORE").expect("a path"));
    let path = folder.join("stead.db");
    let mut store = open(&path);
    let mut n = 0;
    let error = loop {
        match put(&mut store, n) {
            Ok(()) => n += 1,
            Err(error) => break error,
        }
    };
    assert!(n > 100, "{n} fitted");
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");
    assert_eq!(held(&store), n);
    drop(store);
    // As full as it is, it opens and reads.
    assert_eq!(held(&open(&path)), n);
    mount(&["-o", "remount,size=32m", folder.to_str().expect("a path")]);
    let mut store = open(&path);
    put(&mut store, n).expect("room again");
    assert_eq!(store.integrity_check().expect("check"), []);
    mount(&["-o", "remount,size=32m", folder.to_str().expect("a path")]);
    drop(store);
    mount(&["-o", "remount,ro", folder.to_str().expect("a path")]);
    let error = refused(&path);
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert!(
        matches!(
            &error,
            OpenError::Store {
                source: StoreError::ReadOnly,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        source.is_some_and(|text| text.contains("writable")),
        "{error:?}"
    );
    let error = refused(&folder.join("new.db"));
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    mount(&["-o", "remount,rw", folder.to_str().expect("a path")]);
    assert_eq!(held(&open(&path)), n + 1);
    println!("child done");
}

fn mount(args: &[&str]) {
    let done = std::process::Command::new("mount").args(args).status();
    assert!(done.expect("mount").success(), "mount {args:?}");
}

#[test]
fn a_full_and_then_read_only_disk_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().to_str().expect("a path");
    let script = "mount -t tmpfs -o size=2m tmpfs \"$STORE\" || exit 77; exec \"$0\" \"$@\"";
    let child = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().expect("this test"))
        .args([
            "child_on_a_tiny_disk",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("STORE", place)
        .output();
    let child = match child {
        Ok(child) if child.status.code() != Some(77) => child,
        _ => {
            eprintln!("skipped: mount namespaces are not allowed here");
            return;
        }
    };
    let said = String::from_utf8_lossy(&child.stdout);
    let complained = String::from_utf8_lossy(&child.stderr);
    if complained.contains("unshare") {
        eprintln!("skipped: {complained}");
        return;
    }
    assert!(said.contains("child done"), "{said}\n{complained}");
}
