//! A block of logs: for each, the skeleton of its beginning and the times it had reached.
//!
//! ```text
//! body = logs:uint (applied[8] last[8] length:uint skeleton[length]){logs}
//! ```

use stead_base::limits::WRITERS_MAX;
use stead_base::{Decoder, Encoder, Hlc};

use crate::{BLOCK_BYTES_MAX, CheckpointError};

/// Where one log stands at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStart {
    /// Time of the last entry whose document operations are in the checkpoint.
    pub applied: Hlc,
    /// Time of the last entry that counts.
    pub last: Hlc,
    /// The log's beginning, as `core/log` reads it.
    pub skeleton: Vec<u8>,
}

/// Encodes a block of logs.
pub fn encode_logs(logs: &[LogStart]) -> Vec<u8> {
    let mut out = Encoder::new();
    out.uint(logs.len() as u64);
    for log in logs {
        out.raw(&log.applied.to_u64().to_be_bytes())
            .raw(&log.last.to_u64().to_be_bytes())
            .bytes(&log.skeleton);
    }
    out.finish()
}

/// Decodes a block of logs. The skeletons are the caller's to verify.
pub fn decode_logs(body: &[u8]) -> Result<Vec<LogStart>, CheckpointError> {
    let mut input = Decoder::new(body);
    let count = input.count(WRITERS_MAX, 17, "logs")?;
    let mut logs = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        logs.push(LogStart {
            applied: Hlc::from_u64(u64::from_be_bytes(input.array("time")?)),
            last: Hlc::from_u64(u64::from_be_bytes(input.array("time")?)),
            skeleton: input.bytes(BLOCK_BYTES_MAX, "skeleton")?.to_vec(),
        });
    }
    input.finish("logs")?;
    Ok(logs)
}
