//! When a transaction waits in the journal, and when it is committed at once.

use stead_base::{SpaceId, WriterId};
use stead_store::{Durability, Options, Read, Store, WriterNo};

/// Whether each of `count` more transactions on one log waits for its commit.
fn wait(store: &mut Store, count: u64) -> Vec<bool> {
    let begun = store.writer(WriterNo(1)).unwrap().unwrap().len;
    let next = |n: u64| {
        let tx = store.begin().unwrap();
        tx.append_segment(WriterNo(1), n, 1, b"entry").unwrap();
        tx.advance_writer(WriterNo(1), n + 1, n + 1, b"").unwrap();
        tx.commit_ahead(b"record").unwrap()
    };
    (begun..begun + count).map(next).collect()
}

#[test]
fn who_does_not_flush_has_one_record_in_the_journal_and_commits() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        durability: Durability::Ordered,
        ..Options::default()
    };
    let mut store = Store::open(folder.path().join("stead.db"), options).unwrap();
    let tx = store.begin().unwrap();
    let space = tx.put_space(&SpaceId::from_bytes([1; 32]), b"").unwrap();
    let writer = WriterId::from_bytes([2; 32]);
    tx.put_writer(space, &writer, 0, 0, b"", b"").unwrap();
    tx.commit().unwrap();
    // Nothing may be on the medium before that is.
    assert_eq!(wait(&mut store, 2), [false, false]);
    store.flush().unwrap();
    assert_eq!(wait(&mut store, 3), [true, false, false]);
    store.flush().unwrap();
    for _ in 0..5 {
        assert_eq!(wait(&mut store, 1), [true]);
        store.flush().unwrap();
    }
    let len = store.writer(WriterNo(1)).unwrap().unwrap().len;
    assert_eq!(len, 10);
}
