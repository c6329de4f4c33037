//! What a journal gives back, whatever happened to its file.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{BLOCK_BYTES, FILE_BYTES, Journal, RECORD_BYTES_MAX, scan};
use crate::files::OsFiles;

fn open(database: &Path) -> Journal {
    Journal::open(Arc::new(OsFiles), database).unwrap()
}

fn file(database: &Path) -> std::path::PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(super::SUFFIX);
    name.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_journal_gives_back_the_records_of_its_last_turn_and_none_of_earlier_ones(
        turns in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20), 1..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("stead.db");
        let mut journal = open(&database);
        let mut last = Vec::new();
        for turn in &turns {
            if !turn.is_empty() {
                journal.start_again();
                last.clone_from(turn);
            }
            for record in turn {
                prop_assert!(journal.takes(record.len()));
                journal.append(record, false).unwrap();
            }
            prop_assert_eq!(&journal.records().unwrap(), &last);
            // The process dies and another takes over.
            journal = open(&database);
            prop_assert_eq!(&journal.records().unwrap(), &last);
            prop_assert_eq!(journal.is_empty(), last.is_empty());
        }
    }

    #[test]
    fn damage_takes_a_record_and_those_behind_it_and_changes_none(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..12),
        at: prop::sample::Index,
        flip in 1..=255u8,
        cut in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("stead.db");
        let mut journal = open(&database);
        for record in &records {
            journal.append(record, true).unwrap();
        }
        // Behind a record, the rest of its block says nothing.
        let lens: Vec<usize> = records.iter().map(|record| super::FRAME_BYTES + record.len()).collect();
        let in_use = |at: usize| {
            let (block, within) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
            let header = if block == 0 { super::HEADER_BYTES } else { 0 };
            within < header + lens[block]
        };
        let used: Vec<usize> = (0..journal.end as usize).filter(|at| in_use(*at)).collect();
        let mut bytes = std::fs::read(file(&database)).unwrap();
        let at = used[at.index(used.len())];
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] ^= flip,
        }
        std::fs::write(file(&database), &bytes).unwrap();
        let mut journal = open(&database);
        let found = journal.records().unwrap();
        prop_assert!(found.len() < records.len());
        prop_assert_eq!(&found[..], &records[..found.len()]);
        // Nothing is put before what may lie behind the damage.
        prop_assert!(journal.is_empty() || !journal.takes(4));
        journal.start_again();
        prop_assert!(journal.takes(4));
        journal.append(b"next", true).unwrap();
        prop_assert_eq!(open(&database).records().unwrap(), [b"next".to_vec()]);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        scan(&bytes);
        let framed = [&super::MAGIC[..], &bytes[..]].concat();
        scan(&framed);
    }
}

#[test]
fn a_full_journal_takes_no_more_and_stays_as_long_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("stead.db");
    let mut journal = open(&database);
    let record = vec![7; RECORD_BYTES_MAX];
    let mut taken = 0;
    while journal.takes(record.len()) {
        journal.append(&record, false).unwrap();
        taken += 1;
    }
    assert_eq!(taken, 120);
    journal.sync().unwrap();
    assert_eq!(
        std::fs::metadata(file(&database)).unwrap().len(),
        FILE_BYTES
    );
    assert_eq!(open(&database).records().unwrap().len(), taken);
    assert!(!journal.takes(RECORD_BYTES_MAX + 1) && !journal.takes(0));
    journal.remove().unwrap();
    assert!(!file(&database).exists());
    journal.append(b"one", true).unwrap();
    assert_eq!(open(&database).records().unwrap(), [b"one"]);
}
