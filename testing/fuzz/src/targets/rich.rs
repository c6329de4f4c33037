//! Updates of rich fields, as the engine that keeps them takes them.

use stead_doc::{RichEngine, RichError, RichKind};
use stead_rich::LoroEngine;

/// The author whose updates are tried.
pub const AUTHOR: u64 = 1;
/// Bytes before what is fuzzed: a mark and a checksum, which are made anew so that damage gets past them.
pub const ENVELOPE_BYTES: usize = 20;

/// An update without its envelope.
pub fn update(data: &[u8]) -> bool {
    let mut update = b"loro".to_vec();
    update.extend_from_slice(&[0; 12]);
    update.extend_from_slice(&xxhash_rust::xxh32::xxh32(data, XXH_SEED).to_le_bytes());
    update.extend_from_slice(data);
    let span = match LoroEngine.check(AUTHOR, &update) {
        Ok(span) => span,
        Err(RichError::Hostile { .. }) => return false,
        Err(error) => panic!("a verdict on an update is final: {error}"),
    };
    assert!(span.start < span.end);
    for kind in RichKind::ALL {
        // Whatever it holds, it costs one open field and nothing else.
        let mut field = LoroEngine
            .open(kind, 2, None)
            .expect("an empty field opens");
        if field.import(&[(AUTHOR, &update)]).is_ok()
            && field.value().is_ok()
            && let Ok(snapshot) = field.snapshot()
        {
            let again = LoroEngine
                .open(kind, 2, Some(&snapshot))
                .expect("a snapshot opens");
            assert_eq!(again.value().ok(), field.value().ok());
        }
    }
    true
}

/// What Loro seeds its checksum with: its mark, read as a number.
const XXH_SEED: u32 = u32::from_le_bytes(*b"LORO");
