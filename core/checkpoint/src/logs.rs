//! A block of logs: for each, the skeleton of its beginning, the time it had reached, and which of
//! the kept entries are void.
//!
//! ```text
//! body = logs:uint (time[8] void:uint seq:uint{void} length:uint skeleton[length]){logs}
//! ```

use stead_base::limits::WRITERS_MAX;
use stead_base::{DecodeFault, Decoder, Encoder, Hlc};

use crate::{BLOCK_BYTES_MAX, CheckpointError};

/// Where one log stands at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStart {
    /// Time of the last entry that counts.
    pub time: Hlc,
    /// Kept entries with a `@roster` parcel that are void, ascending.
    pub void: Vec<u64>,
    /// The log's beginning, as `core/log` reads it.
    pub skeleton: Vec<u8>,
}

/// Encodes a block of logs.
pub fn encode_logs(logs: &[LogStart]) -> Vec<u8> {
    let mut out = Encoder::new();
    out.uint(logs.len() as u64);
    for log in logs {
        out.raw(&log.time.to_u64().to_be_bytes())
            .uint(log.void.len() as u64);
        for seq in &log.void {
            out.uint(*seq);
        }
        out.bytes(&log.skeleton);
    }
    out.finish()
}

/// Decodes a block of logs. The skeletons are the caller's to verify.
pub fn decode_logs(body: &[u8]) -> Result<Vec<LogStart>, CheckpointError> {
    let mut input = Decoder::new(body);
    let count = input.count(WRITERS_MAX, 10, "logs")?;
    let mut logs = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        let time = Hlc::from_u64(u64::from_be_bytes(input.array("time")?));
        let mut void: Vec<u64> = Vec::new();
        for _ in 0..input.count(usize::MAX, 1, "void entries")? {
            let seq = input.uint("void entry")?;
            if void.last().is_some_and(|last| *last >= seq) {
                return Err(input.error("void entry", DecodeFault::NotCanonical).into());
            }
            void.push(seq);
        }
        logs.push(LogStart {
            time,
            void,
            skeleton: input.bytes(BLOCK_BYTES_MAX, "skeleton")?.to_vec(),
        });
    }
    input.finish("logs")?;
    Ok(logs)
}
