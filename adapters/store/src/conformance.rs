//! What every store must do, wherever it lives: one suite for memory, disk and simulated disk.
//! It panics at the first thing that is not so, and names it.

use std::ops::ControlFlow;

use stead_base::{DocId, Hash, SpaceId, WriterId};

use crate::{
    CollectionNo, Counts, DocRow, HeadRow, Query, Read, SegmentRow, SpaceNo, Store, StoreError, Tx,
    WriterNo,
};

/// Runs every case on a new, empty store each.
///
/// # Panics
/// When the store breaks its word.
pub fn run(fresh: &mut dyn FnMut() -> Store) {
    for case in [
        named_values_are_kept_and_removed,
        a_dropped_transaction_leaves_nothing,
        a_failed_write_undoes_the_whole_transaction,
        rows_come_back_as_they_were_written,
        numbers_stay_the_same,
        segments_are_found_from_any_position,
        segments_are_merged_only_when_exactly_covered,
        a_log_is_cut_inside_a_row,
        writers_do_not_see_each_others_rows,
        documents_are_written_over_in_any_way,
        a_removed_space_leaves_nothing,
        positions_beyond_the_tables_are_refused,
        damage_between_rows_is_found,
    ] {
        case(&mut fresh());
    }
}

/// Runs the cases of a store that is closed and opened again; `place` makes a new, empty place and
/// gives a function that opens the store in it.
///
/// # Panics
/// When the store breaks its word.
pub fn run_reopening(place: &mut dyn FnMut() -> Box<dyn FnMut() -> Store>) {
    run(&mut || place()());
    commits_survive_closing(&mut *place());
    commits_survive_dropping_at_any_moment(&mut *place());
}

fn space_id(byte: u8) -> SpaceId {
    SpaceId::from_bytes([byte; 32])
}

fn writer_id(byte: u8) -> WriterId {
    WriterId::from_bytes([byte; 32])
}

fn named(text: &str) -> DocId {
    DocId::parse(text).expect("a valid name")
}

/// `{"n": number}` with a number of one digit, as JSONB.
fn body(digit: u8) -> Vec<u8> {
    vec![0x4c, 0x17, b'n', 0x13, b'0' + digit % 10]
}

fn write<T>(store: &mut Store, f: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> T {
    let tx = store.begin().expect("begin");
    let result = f(&tx).expect("write");
    tx.commit().expect("commit");
    result
}

fn one_writer(tx: &Tx<'_>) -> Result<(SpaceNo, WriterNo), StoreError> {
    let space = tx.put_space(&space_id(1), b"space")?;
    Ok((
        space,
        tx.put_writer(space, &writer_id(1), 0, 0, b"tip", b"record")?,
    ))
}

fn named_values_are_kept_and_removed(store: &mut Store) {
    write(store, |tx| {
        tx.put_meta("a", b"1")?;
        tx.put_meta("a", b"2")?;
        tx.put_secret("epoch/1", b"x")?;
        tx.put_secret("epoch/2", b"y")?;
        tx.put_secret("other", b"z")
    });
    assert_eq!(store.get_meta("a").expect("read"), Some(b"2".to_vec()));
    assert_eq!(store.get_meta("b").expect("read"), None);
    let names = store.secret_names("epoch/").expect("read");
    assert_eq!(names, ["epoch/1", "epoch/2"]);
    write(store, |tx| {
        tx.remove_meta("a")?;
        tx.remove_secret("epoch/1")
    });
    assert_eq!(store.get_meta("a").expect("read"), None);
    assert_eq!(store.get_secret("epoch/1").expect("read"), None);
    let left = store.get_secret("epoch/2").expect("read");
    assert_eq!(left, Some(b"y".to_vec()));
}

fn a_dropped_transaction_leaves_nothing(store: &mut Store) {
    let tx = store.begin().expect("begin");
    one_writer(&tx).expect("write");
    tx.put_meta("a", b"1").expect("write");
    assert_eq!(tx.get_meta("a").expect("read"), Some(b"1".to_vec()));
    drop(tx);
    assert_eq!(store.get_meta("a").expect("read"), None);
    assert_eq!(store.counts().expect("counts"), Counts::default());
}

fn a_failed_write_undoes_the_whole_transaction(store: &mut Store) {
    let tx = store.begin().expect("begin");
    let (_, writer) = one_writer(&tx).expect("write");
    tx.append_segment(writer, 0, 1, b"first").expect("write");
    tx.append_segment(writer, 0, 1, b"again")
        .expect_err("the position is taken");
    let later = tx.put_meta("a", b"1").expect_err("after a failure");
    assert!(matches!(later, StoreError::Undone), "{later}");
    let end = tx.commit().expect_err("after a failure");
    assert!(matches!(end, StoreError::Undone), "{end}");
    assert_eq!(store.counts().expect("counts"), Counts::default());
}

fn rows_come_back_as_they_were_written(store: &mut Store) {
    let (space, writer) = write(store, |tx| {
        let (space, writer) = one_writer(tx)?;
        tx.put_head(writer, 4, b"head 4")?;
        tx.put_head(writer, 9, b"head 9")?;
        tx.put_node(writer, 0, &Hash::from_bytes([7; 32]))?;
        tx.put_fork(writer, b"proof")?;
        tx.advance_writer(writer, 9, 4, b"tip 9")?;
        tx.set_writer_record(writer, b"changed")?;
        Ok((space, writer))
    });
    let spaces = store.spaces().expect("read");
    assert_eq!(
        (spaces.len(), spaces[0].no, spaces[0].id),
        (1, space, space_id(1))
    );
    assert_eq!(
        store.space(&space_id(1)).expect("read"),
        spaces.first().cloned()
    );
    let writers = store.writers(space).expect("read");
    assert_eq!(
        store.writer(writer).expect("read"),
        writers.first().cloned()
    );
    let row = &writers[0];
    assert_eq!(
        (row.no, row.id, row.len, row.applied),
        (writer, writer_id(1), 9, 4)
    );
    assert_eq!(
        (&row.tip[..], &row.record[..]),
        (&b"tip 9"[..], &b"changed"[..])
    );
    let head = |len, head: &[u8]| HeadRow {
        len,
        head: head.to_vec(),
    };
    let heads = store.heads(writer).expect("read");
    assert_eq!(heads, [head(4, b"head 4"), head(9, b"head 9")]);
    for (len, expected) in [(0, Some(4)), (4, Some(4)), (5, Some(9)), (10, None)] {
        let found = store.head_at_or_after(writer, len).expect("read");
        assert_eq!(found.map(|head| head.len), expected);
    }
    assert_eq!(
        store.last_head(writer).expect("read"),
        Some(head(9, b"head 9"))
    );
    let nodes = store.nodes(writer).expect("read");
    assert_eq!(nodes, [(0, Hash::from_bytes([7; 32]))]);
    assert_eq!(store.fork(writer).expect("read"), Some(b"proof".to_vec()));
    write(store, |tx| tx.remove_heads(writer, 0, 9));
    assert_eq!(store.heads(writer).expect("read"), [head(9, b"head 9")]);
}

fn numbers_stay_the_same(store: &mut Store) {
    write(store, |tx| {
        let (space, writer) = one_writer(tx)?;
        assert_eq!(tx.put_space(&space_id(1), b"other")?, space);
        let again = tx.put_writer(space, &writer_id(1), 2, 1, b"", b"")?;
        assert_eq!(again, writer);
        let notes = tx.intern_collection(space, "notes")?;
        assert_eq!(tx.intern_collection(space, "notes")?, notes);
        let other = tx.put_space(&space_id(2), b"")?;
        assert_ne!(tx.intern_collection(other, "notes")?, notes);
        assert_eq!(tx.collection(space, "notes")?, Some(notes));
        let title = tx.intern_name("title")?;
        let text = tx.intern_name("text")?;
        assert_ne!(title, text);
        assert_eq!(tx.intern_name("title")?, title);
        assert_eq!(tx.names()?.len(), 2);
        Ok(())
    });
}

fn segments_are_found_from_any_position(store: &mut Store) {
    let writer = write(store, |tx| {
        let (_, writer) = one_writer(tx)?;
        tx.append_segment(writer, 0, 3, b"0-2")?;
        tx.append_segment(writer, 3, 1, b"3")?;
        tx.append_segment(writer, 4, 6, b"4-9")?;
        tx.advance_writer(writer, 10, 0, b"")?;
        Ok(writer)
    });
    for (from, starts) in [
        (0, &[0, 3, 4][..]),
        (2, &[0, 3, 4]),
        (3, &[3, 4]),
        (9, &[4]),
        (10, &[]),
    ] {
        let found = store.segments(writer, from, usize::MAX).expect("read");
        let found: Vec<_> = found.iter().map(|row| row.start).collect();
        assert_eq!(found, starts, "from {from}");
    }
    let one = store.segments(writer, 0, 1).expect("read");
    assert_eq!((one.len(), &one[0].bytes[..]), (1, &b"0-2"[..]));
    assert_eq!(one[0].end(), 3);
    let last = store.last_segments(writer, 2).expect("read");
    assert_eq!(last.iter().map(|row| row.start).collect::<Vec<_>>(), [3, 4]);
    let mut seen = 0;
    store
        .each_segment(writer, 0, &mut |_, count, _| {
            seen += count;
            ControlFlow::Break(())
        })
        .expect("read");
    assert_eq!(seen, 3);
}

fn segments_are_merged_only_when_exactly_covered(store: &mut Store) {
    let writer = write(store, |tx| {
        let (_, writer) = one_writer(tx)?;
        for at in 0..6 {
            tx.append_segment(writer, at, 1, &[at as u8])?;
        }
        tx.advance_writer(writer, 6, 0, b"")?;
        tx.replace_segments(writer, 1, 4, &[1, 2, 3])?;
        Ok(writer)
    });
    let expected = [
        (0, 1, vec![0]),
        (1, 3, vec![1, 2, 3]),
        (4, 1, vec![4]),
        (5, 1, vec![5]),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(start, count, bytes)| SegmentRow {
            start,
            count,
            bytes,
        })
        .collect();
    assert_eq!(
        store.segments(writer, 0, usize::MAX).expect("read"),
        expected
    );
    for (start, end) in [(2, 5), (0, 2), (4, 9), (5, 5), (5, 4), (6, 7)] {
        let tx = store.begin().expect("begin");
        let refused = tx.replace_segments(writer, start, end, b"");
        assert!(
            refused.is_err(),
            "{start}..{end} is not covered by whole rows"
        );
    }
    assert_eq!(
        store.segments(writer, 0, usize::MAX).expect("read"),
        expected
    );
}

fn a_log_is_cut_inside_a_row(store: &mut Store) {
    let writer = write(store, |tx| {
        let (_, writer) = one_writer(tx)?;
        tx.append_segment(writer, 0, 2, b"01")?;
        tx.append_segment(writer, 2, 4, b"2345")?;
        tx.append_segment(writer, 6, 1, b"6")?;
        for len in [2, 4, 7] {
            tx.put_head(writer, len, b"head")?;
        }
        tx.truncate_log(writer, 4, |start, bytes| {
            assert_eq!((start, bytes), (2, &b"2345"[..]));
            2
        })?;
        tx.advance_writer(writer, 4, 0, b"")?;
        Ok(writer)
    });
    let left = store.segments(writer, 0, usize::MAX).expect("read");
    let left: Vec<_> = left
        .iter()
        .map(|row| (row.start, row.count, &row.bytes[..]))
        .collect();
    assert_eq!(left, [(0, 2, &b"01"[..]), (2, 2, &b"23"[..])]);
    let heads = store.heads(writer).expect("read");
    assert_eq!(
        heads.iter().map(|head| head.len).collect::<Vec<_>>(),
        [2, 4]
    );
    assert_eq!(store.integrity_check().expect("check"), []);
}

fn writers_do_not_see_each_others_rows(store: &mut Store) {
    let writers = write(store, |tx| {
        let (space, first) = one_writer(tx)?;
        let second = tx.put_writer(space, &writer_id(2), 0, 0, b"", b"")?;
        for writer in [first, second] {
            tx.append_segment(writer, 0, 1, &writer.0.to_be_bytes())?;
            tx.put_head(writer, 1, &writer.0.to_be_bytes())?;
            tx.advance_writer(writer, 1, 1, &writer.0.to_be_bytes())?;
        }
        Ok([first, second])
    });
    for writer in writers {
        let bytes = writer.0.to_be_bytes();
        let rows = store.segments(writer, 0, usize::MAX).expect("read");
        assert_eq!((rows.len(), &rows[0].bytes[..]), (1, &bytes[..]));
        assert_eq!(store.segments(writer, 1, usize::MAX).expect("read"), []);
        assert_eq!(store.heads(writer).expect("read").len(), 1);
        let row = store.writer(writer).expect("read").expect("the writer");
        assert_eq!((row.len, &row.tip[..]), (1, &bytes[..]));
    }
    assert_eq!(store.integrity_check().expect("check"), []);
}

fn documents_are_written_over_in_any_way(store: &mut Store) {
    let (a, b) = (named("a"), DocId::generate(1, [1; 10]));
    let notes = write(store, |tx| {
        let (space, _) = one_writer(tx)?;
        let notes = tx.intern_collection(space, "notes")?;
        let other = tx.intern_collection(space, "other")?;
        tx.put_doc(notes, &a, b"a1", &body(1), false)?;
        tx.put_doc(notes, &b, b"b1", &body(2), false)?;
        // Over itself after reading it, without reading it, and after reading another.
        assert_eq!(tx.load_doc_state(notes, &a)?, Some(b"a1".to_vec()));
        tx.put_doc(notes, &a, b"a2", &body(3), false)?;
        tx.put_doc(notes, &a, b"a3", &body(4), false)?;
        assert_eq!(tx.load_doc_state(notes, &a)?, Some(b"a3".to_vec()));
        tx.put_doc(notes, &b, b"b2", &body(5), true)?;
        assert_eq!(tx.load_doc_state(notes, &b)?, Some(b"b2".to_vec()));
        tx.put_doc(other, &b, b"other", &body(6), false)?;
        assert_eq!(tx.load_doc_state(other, &a)?, None);
        Ok(notes)
    });
    assert_eq!(
        store.doc_state(notes, &a).expect("read"),
        Some(b"a3".to_vec())
    );
    assert_eq!(
        store.doc_state(notes, &b).expect("read"),
        Some(b"b2".to_vec())
    );
    let row = |json: &str, deleted| DocRow {
        json: json.to_owned(),
        deleted,
    };
    assert_eq!(
        store.doc(notes, &a).expect("read"),
        Some(row(r#"{"n":4}"#, false))
    );
    assert_eq!(
        store.doc(notes, &b).expect("read"),
        Some(row(r#"{"n":5}"#, true))
    );
    assert_eq!(store.doc(CollectionNo(99), &a).expect("read"), None);
    let mut query = Query::all(notes);
    assert_eq!(store.count(&query).expect("count"), 1);
    query.include_deleted = true;
    let found = store.query(&query).expect("query");
    let ids: Vec<_> = found.into_iter().map(|found| found.id).collect();
    assert_eq!(ids, [b, a]);
}

fn a_removed_space_leaves_nothing(store: &mut Store) {
    let fill = |tx: &Tx<'_>, byte| -> Result<SpaceNo, StoreError> {
        let space = tx.put_space(&space_id(byte), b"")?;
        let writer = tx.put_writer(space, &writer_id(byte), 1, 1, b"", b"")?;
        tx.append_segment(writer, 0, 1, b"x")?;
        tx.put_head(writer, 1, b"x")?;
        tx.put_node(writer, 0, &Hash::from_bytes([1; 32]))?;
        tx.put_fork(writer, b"x")?;
        let notes = tx.intern_collection(space, "notes")?;
        tx.put_doc(notes, &named("a"), b"x", &body(1), false)?;
        Ok(space)
    };
    let (gone, kept) = write(store, |tx| Ok((fill(tx, 1)?, fill(tx, 2)?)));
    write(store, |tx| tx.remove_space(gone));
    let one = Counts {
        spaces: 1,
        writers: 1,
        entries: 1,
        segments: 1,
        docs: 1,
    };
    assert_eq!(store.counts().expect("counts"), one);
    assert!(store.size_of().expect("size").file > 0);
    assert_eq!(store.space(&space_id(1)).expect("read"), None);
    assert_eq!(store.writers(kept).expect("read").len(), 1);
    assert_eq!(store.integrity_check().expect("check"), []);
    write(store, |tx| tx.clear_docs(kept));
    assert_eq!(store.counts().expect("counts").docs, 0);
}

fn positions_beyond_the_tables_are_refused(store: &mut Store) {
    let tx = store.begin().expect("begin");
    let (_, writer) = one_writer(&tx).expect("write");
    let far = (1 << 40) - 1;
    for refused in [
        tx.append_segment(writer, far, 1, b""),
        tx.append_segment(writer, far - 2, 2, b""),
        tx.put_head(writer, u64::MAX, b""),
        tx.put_head(WriterNo(1 << 23), 1, b""),
    ] {
        let error = refused.expect_err("beyond the tables");
        assert!(matches!(error, StoreError::OutOfRange { .. }), "{error}");
    }
    tx.append_segment(writer, far - 2, 1, b"")
        .expect("the last position");
}

fn damage_between_rows_is_found(store: &mut Store) {
    assert_eq!(store.integrity_check().expect("check"), []);
    write(store, |tx| {
        let (_, writer) = one_writer(tx)?;
        tx.append_segment(writer, 0, 2, b"01")?;
        tx.append_segment(writer, 3, 1, b"3")?;
        tx.advance_writer(writer, 5, 6, b"")
    });
    let found = store.integrity_check().expect("check");
    let text: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        text.len(),
        3,
        "a gap, a wrong end, too much applied: {text:?}"
    );
}

fn commits_survive_closing(open: &mut dyn FnMut() -> Store) {
    let mut store = open();
    let (space, writer) = write(&mut store, one_writer);
    write(&mut store, |tx| tx.append_segment(writer, 0, 1, b"x"));
    write(&mut store, |tx| tx.advance_writer(writer, 1, 1, b"tip"));
    store.flush().expect("flush");
    store.close().expect("close");
    let mut store = open();
    let writers = store.writers(space).expect("read");
    assert_eq!((writers[0].no, writers[0].len), (writer, 1));
    write(&mut store, |tx| tx.put_meta("again", b"1"));
    store.checkpoint().expect("checkpoint");
    store.compact().expect("compact");
    assert_eq!(store.integrity_check().expect("check"), []);
    drop(store);
    let store = open();
    assert_eq!(store.get_meta("again").expect("read"), Some(b"1".to_vec()));
    assert!(store.size_of().expect("size").file > 0);
}

fn commits_survive_dropping_at_any_moment(open: &mut dyn FnMut() -> Store) {
    for round in 0..5_u8 {
        let mut store = open();
        for earlier in 0..round {
            let key = format!("kept {earlier}");
            assert_eq!(store.get_meta(&key).expect("read"), Some(vec![earlier]));
            let key = format!("dropped {earlier}");
            assert_eq!(store.get_meta(&key).expect("read"), None);
        }
        write(&mut store, |tx| {
            tx.put_meta(&format!("kept {round}"), &[round])
        });
        let tx = store.begin().expect("begin");
        tx.put_meta(&format!("dropped {round}"), b"x")
            .expect("write");
    }
}
