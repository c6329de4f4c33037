//! Skeletons of logs, and the blocks of checkpoints.

use super::log::SPACE;
use stead_checkpoint::{
    Ask, Assembler, BlockKind, Choose, DocumentsReader, DocumentsWriter, Slice, decode_logs,
    encode_logs,
};
use stead_doc::{Document, Numbers};
use stead_log::{Skeleton, ThinBatch, Tip};

/// A skeleton of a log.
pub fn skeleton(data: &[u8]) -> bool {
    let Ok(skeleton) = Skeleton::decode(data) else {
        return false;
    };
    let kept = skeleton.entries();
    if let Ok(verified) = skeleton.verify(&SPACE) {
        assert_eq!(kept.expect("verified before").len(), verified.kept.len());
        assert_eq!(verified.tip.len(), skeleton.len);
    }
    skeleton.tree().is_ok()
}

/// A thin batch: whatever is accepted says where it ends.
pub fn thin(data: &[u8]) -> bool {
    let Ok(batch) = ThinBatch::decode(data) else {
        return false;
    };
    match Tip::default().verify_thin(&SPACE, &batch) {
        Ok(verified) => {
            assert_eq!(verified.tip.len(), batch.len);
            assert!(verified.kept.iter().all(|it| it.seq < batch.len));
            true
        }
        Err(_) => false,
    }
}

/// A choice: there is one encoding of each.
pub fn choice(data: &[u8]) -> bool {
    let Ok(choice) = Choose::decode(data) else {
        return false;
    };
    assert_eq!(choice.encode(), data);
    true
}

/// A question for a slice.
pub fn ask(data: &[u8]) -> bool {
    let Ok(ask) = Ask::decode(data) else {
        return false;
    };
    assert_eq!(ask.encode(), data);
    true
}

/// A slice: whatever is accepted is the same when it is written again.
pub fn slice(data: &[u8]) -> bool {
    let Ok(slice) = Slice::decode(data) else {
        return false;
    };
    documents(&slice.block);
    let again = slice.encode().expect("it was small enough");
    assert_eq!(Slice::decode(&again), Ok(slice));
    true
}

/// A piece of a block.
pub fn piece(data: &[u8]) -> bool {
    match Assembler::default().push(data) {
        Ok(Some((BlockKind::Documents, body))) => {
            documents(&body);
            true
        }
        Ok(Some((BlockKind::Logs, body))) => {
            logs(&body);
            true
        }
        Ok(None) => true,
        Err(_) => false,
    }
}

/// A block of documents: whatever is accepted is written again as the same documents.
pub fn documents(data: &[u8]) -> bool {
    let Ok(mut reader) = DocumentsReader::new(data) else {
        return false;
    };
    let (mut numbers, mut writer) = (Numbers::default(), DocumentsWriter::default());
    let mut seen = Vec::new();
    loop {
        let mut document = Document::default();
        match reader.next_into(&mut document, &mut numbers) {
            Err(_) => return false,
            Ok(None) => break,
            Ok(Some(place)) => {
                seen.push((document.explain(&numbers), place.rich.clone()));
                let pushed =
                    writer.push(place.collection, &place.id, document, &place.rich, &numbers);
                pushed.expect("what was read in order is in order");
            }
        }
    }
    let again = writer.finish().expect("no larger than what was read");
    let mut reader = DocumentsReader::new(&again).expect("a block just written");
    let (mut numbers, mut document) = (Numbers::default(), Document::default());
    for (seen, rich) in &seen {
        let read = reader.next_into(&mut document, &mut numbers);
        let place = read
            .expect("a block just written")
            .expect("as many as before");
        assert_eq!(*seen, document.explain(&numbers));
        assert_eq!(*rich, place.rich);
    }
    true
}

/// A block of logs.
pub fn logs(data: &[u8]) -> bool {
    let Ok(logs) = decode_logs(data) else {
        return false;
    };
    assert_eq!(encode_logs(&logs), data);
    for log in &logs {
        skeleton(&log.skeleton);
    }
    true
}
