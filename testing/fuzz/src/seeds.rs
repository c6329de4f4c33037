//! Valid inputs for every target, and small damaged copies of them: the seed corpus.
//!
//! Everything is derived from constants, so that the corpus written twice is the same.

pub mod access;
pub mod api;
pub mod checkpoint;
pub mod crypt;
pub mod doc;
pub mod log;
pub mod presence;
pub mod query;
pub mod rich;
pub mod schema;
pub mod sync;

use crate::Target;

/// Most files in a corpus directory.
pub const CORPUS_FILES_MAX: usize = 40;
/// Largest file in a corpus directory.
pub const CORPUS_FILE_BYTES_MAX: usize = 2048;

/// A generator for mutations: the same numbers in every run.
pub struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`, or 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

/// A damaged copy of `input`.
pub fn damaged(input: &[u8], dice: &mut Dice) -> Vec<u8> {
    const EDGES: [u8; 8] = [0x00, 0x01, 0x7f, 0x80, 0xff, 0xfe, 0x0c, 0x40];
    let mut out = input.to_vec();
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(out.len());
        match dice.below(6) {
            0 => out.truncate(at),
            1 => out.insert(at, EDGES[dice.below(EDGES.len())]),
            2 if !out.is_empty() => {
                out.remove(at);
            }
            3 if !out.is_empty() => out[at] = EDGES[dice.below(EDGES.len())],
            4 => {
                let end = (at + dice.below(16)).min(out.len());
                let piece = out[at..end].to_vec();
                let to = dice.below(out.len());
                out.splice(to..to, piece);
            }
            _ if !out.is_empty() => out[at] ^= 1 << dice.below(8),
            _ => out.push(0),
        }
    }
    out
}

/// The seed corpus of a target: file names and contents.
pub fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let valid = (target.seeds)();
    let mut files = Vec::new();
    for (n, input) in valid.iter().enumerate() {
        files.push((format!("valid-{n:02}"), input.clone()));
    }
    let mut dice = Dice::new(target.name.len() as u64);
    for n in 0..8 {
        let input = &valid[dice.below(valid.len())];
        files.push((format!("damaged-{n:02}"), damaged(input, &mut dice)));
    }
    files.retain(|(_, content)| content.len() <= CORPUS_FILE_BYTES_MAX);
    files.truncate(CORPUS_FILES_MAX);
    files
}
