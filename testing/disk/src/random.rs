//! Chance, made from the seed. It decides what survives, not how.

/// The bytes of unsynced changes that a crash keeps.
pub(crate) enum Survival {
    None,
    All,
    /// In order, then a torn one.
    First(usize),
    /// Each sector on its own, with this chance in 256.
    Any(u8),
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn hit(&mut self, chance: u32) -> bool {
        (self.next() & 255) < u64::from(chance)
    }

    pub(crate) fn survival(&mut self, changes: usize) -> Survival {
        match self.next() % 6 {
            0 => Survival::None,
            1 => Survival::All,
            2 | 3 => Survival::First((self.next() % (changes as u64 + 1)) as usize),
            _ => Survival::Any((self.next() & 255) as u8),
        }
    }
}
