//! Randomness from the operating system. Owns nothing but the call.

use stead_base::Entropy;

/// The operating system's generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// Fills `buf`.
    ///
    /// # Panics
    /// If the operating system gives no randomness: no key made afterwards could be trusted.
    fn fill(&mut self, buf: &mut [u8]) {
        if let Err(err) = getrandom::fill(buf) {
            panic!("the operating system gives no randomness: {err}");
        }
    }
}
