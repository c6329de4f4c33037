//! Encryption down to the single write: nothing readable reaches the disk, and a power cut at any
//! moment of a conversion leaves one whole file.

use std::path::Path;

use stead_base::{DocId, SpaceId};
use stead_disk::{Fault, SimDisk};
use stead_store::{
    CollectionNo, Direction, FileKey, Form, Options, Query, Read, SortKey, Store, convert,
    forget_unfinished, form_of,
};

const MARKER: &[u8] = b"nobody may read this on the disk";
const PATH: &str = "stead.db";

fn key() -> FileKey {
    FileKey::new(&[7; 32])
}

fn options(disk: &SimDisk, encrypted: bool) -> Options {
    Options {
        // So little that pages are spilled in the middle of transactions.
        cache_bytes: 64 << 10,
        key: encrypted.then(key),
        ..disk.options()
    }
}

fn fill(store: &mut Store, from: u32, docs: u32) {
    let tx = store.begin().expect("begin");
    let space = tx.put_space(&SpaceId::from_bytes([1; 32]), MARKER);
    let space = space.expect("a space");
    let notes = tx.intern_collection(space, "notes").expect("a collection");
    for n in from..from + docs {
        let id = DocId::parse(&format!("{n:06}")).expect("a name");
        let field = [&[0x47][..], b"text", &[0xc7, MARKER.len() as u8], MARKER].concat();
        let body = [&[0xcc, field.len() as u8][..], &field].concat();
        tx.put_doc(notes, &id, &MARKER.repeat(30), &body, false)
            .expect("a document");
    }
    tx.commit().expect("commit");
}

/// How many documents there are; panics unless each is whole.
fn held(store: &Store) -> usize {
    let found = store.query(&Query::all(CollectionNo(1))).expect("a query");
    for found in &found {
        let state = store.doc_state(CollectionNo(1), &found.id).expect("a read");
        assert_eq!(state, Some(MARKER.repeat(30)));
    }
    found.len()
}

#[test]
fn no_write_to_the_disk_shows_what_an_encrypted_store_holds() {
    for encrypted in [false, true] {
        let disk = SimDisk::new(1);
        disk.watch_for(MARKER);
        let mut store = Store::open(PATH, options(&disk, encrypted)).expect("open");
        for round in 0..4 {
            fill(&mut store, round * 200, 400);
            store.checkpoint().expect("a checkpoint");
        }
        // More to sort than the cache holds, and a whole file written anew.
        let mut query = Query::all(CollectionNo(1));
        query.sort = vec![SortKey::new(vec!["text".to_owned()], Direction::Desc)];
        assert_eq!(store.query(&query).expect("a query").len(), 1000);
        store.compact().expect("rewriting");
        assert_eq!(held(&store), 1000);
        store.close().expect("close");
        assert_eq!(disk.saw_watched(), !encrypted);
    }
}

/// A disk with a store of one form, and one more that was closed.
fn prepared(seed: u64, encrypted: bool) -> SimDisk {
    let disk = SimDisk::new(seed);
    let mut store = Store::open(PATH, options(&disk, encrypted)).expect("open");
    fill(&mut store, 0, 60);
    store.close().expect("close");
    disk
}

#[test]
fn a_power_cut_at_any_write_of_a_conversion_leaves_one_whole_file() {
    for encrypted in [false, true] {
        let to = (!encrypted).then(key);
        let whole = prepared(7, encrypted);
        let counted = whole.copy(8);
        let before = counted.activity().writes;
        let from = options(&counted, encrypted);
        convert(Path::new(PATH), &from, to.as_ref(), &counted).expect("converted");
        let writes = counted.activity().writes - before;
        assert_eq!(counted.files(), ["/stead.db"]);
        let mut forms = [0, 0];
        for n in 0..=writes {
            let disk = whole.copy(n.wrapping_mul(0x9e37_79b9) ^ 5);
            disk.fail_write(n, Fault::PowerOff);
            let from = options(&disk, encrypted);
            let done = convert(Path::new(PATH), &from, to.as_ref(), &disk);
            assert_eq!(done.is_ok(), n == writes, "write {n} of {writes}");
            disk.crash();
            forget_unfinished(Path::new(PATH), &disk).expect("tidying up");
            let form = form_of(PATH, Some(disk.vfs())).expect("a look");
            let is_encrypted = form == Form::Encrypted;
            forms[usize::from(is_encrypted != encrypted)] += 1;
            let mut store = Store::open(PATH, options(&disk, is_encrypted)).expect("open");
            assert_eq!(store.integrity_check().expect("a check"), [], "write {n}");
            assert_eq!(held(&store), 60, "cut at write {n}");
            // Life goes on, and ends without warning.
            fill(&mut store, 60, 1);
            store.flush().expect("a flush");
            disk.crash();
            drop(store);
            let store = Store::open(PATH, options(&disk, is_encrypted)).expect("open again");
            assert_eq!(held(&store), 61, "cut at write {n}");
        }
        assert!(forms.iter().all(|count| *count > 0), "{forms:?}");
    }
}

#[test]
fn a_full_or_failing_disk_stops_a_conversion_and_costs_nothing() {
    for encrypted in [false, true] {
        let to = (!encrypted).then(key);
        let disk = prepared(3, encrypted);
        disk.set_capacity(Some(disk.used() + 20_000));
        let from = options(&disk, encrypted);
        let error = convert(Path::new(PATH), &from, to.as_ref(), &disk);
        let error = error.expect_err("the disk is full");
        assert!(error.to_string().contains("left as it was"), "{error}");
        assert_eq!(disk.files(), ["/stead.db"], "nothing is left beside it");
        disk.set_capacity(None);
        disk.fail_write(9, Fault::Io);
        convert(Path::new(PATH), &from, to.as_ref(), &disk).expect_err("it fails");
        assert_eq!(held(&Store::open(PATH, from).expect("open")), 60);
    }
}

#[test]
fn a_read_that_fails_once_costs_an_encrypted_store_no_later_read() {
    let disk = SimDisk::new(1);
    let mut store = Store::open(PATH, options(&disk, true)).expect("open");
    fill(&mut store, 0, 400);
    store.checkpoint().expect("a checkpoint");
    let all = Query::all(CollectionNo(1));
    let before = disk.activity().operations;
    assert_eq!(held(&store), 400);
    let reads = disk.activity().operations - before;
    assert!(reads > 20, "the cache is larger than the file");
    let mut given_up = 0;
    for n in (0..reads).step_by(7) {
        disk.fail_operation(n, Fault::Io);
        let read = store.query(&all).and_then(|found| {
            let states = found
                .iter()
                .map(|it| store.doc_state(CollectionNo(1), &it.id));
            states.collect::<Result<Vec<_>, _>>()
        });
        disk.clear_faults();
        assert!(read.is_err_and(|error| error.is_of_disk()), "at {n}");
        if store.is_cut_off() {
            given_up += 1;
            store.renew().expect("a connection");
        }
        assert_eq!(held(&store), 400, "at {n}");
        fill(&mut store, 0, 1);
    }
    assert!(given_up > 0, "SQLCipher goes on by itself");
}
