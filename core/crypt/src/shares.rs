//! Social recovery: a secret in n shares, of which any k bring it back and k - 1 tell nothing.
//!
//! Owns the sharing (Shamir's, byte by byte over GF(256) with AES's polynomial) and the layout
//!
//! ```text
//! "STEADSH1" || threshold (1) || count (1) || index (1) || value (32) || blind (32)
//!            || commitment (16) x count || checksum (8)
//! ```
//!
//! Each share carries the commitments to all of its set, and the hash of those names the set. So
//! a guardian who hands in another value has to change the commitments as well, and stands out as
//! of another set than the rest. A commitment hides its value even from unlimited computing power
//! (the blind is twice as long), so the shares' own secrecy is that of Shamir's scheme. Who the
//! guardians are and how shares travel is the caller's affair.

use std::fmt;

use stead_base::{DecodeError, DecodeFault, Decoder, Encoder, Entropy};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{Hasher, hash};

mod field;

/// Most shares of one secret.
pub const SHARES_MAX: usize = 64;
/// Fewest shares that may bring a secret back: a single one would be the secret itself.
pub const THRESHOLD_MIN: usize = 2;
/// Longest encoding of a share, in bytes.
pub const SHARE_BYTES_MAX: usize = FIXED_BYTES + SHARES_MAX * COMMITMENT_BYTES;

const MAGIC: &[u8; 8] = b"STEADSH1";
const SECRET_BYTES: usize = 32;
const BLIND_BYTES: usize = 32;
const COMMITMENT_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 8;
const FIXED_BYTES: usize = 8 + 3 + SECRET_BYTES + BLIND_BYTES + CHECKSUM_BYTES;

/// Why a secret could not be shared out, or shares not be read or combined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Not `THRESHOLD_MIN <= threshold <= count <= SHARES_MAX`.
    #[error("{threshold} of {count} shares cannot be made")]
    BadNumbers {
        /// How many are needed.
        threshold: usize,
        /// How many there are.
        count: usize,
    },
    /// The bytes are no share, or a share that was altered or cut.
    #[error("the share is damaged, or is none")]
    Damaged(#[source] DecodeError),
    /// The share is whole but not the one that was made: its holder is at fault.
    #[error("share {index} is not the one that was handed out")]
    Wrong {
        /// The share's index, from 1.
        index: u8,
    },
    /// Some shares are of another set than most, or than the one asked for: of an older sharing,
    /// or made up.
    #[error("{} of the shares are not of this set", .positions.len())]
    OtherSet {
        /// Their places among the shares given, from 0.
        positions: Vec<usize>,
    },
    /// More shares are needed.
    #[error("{have} of the {need} shares needed are here")]
    TooFew {
        /// How many different ones there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
}

/// Names one sharing: the hash of its numbers and commitments. Safe to publish.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId([u8; 32]);

impl SetId {
    /// Takes the 32 bytes as they are.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetId({})", stead_base::Hash::from_bytes(self.0).short())
    }
}

/// One guardian's share. A value of this type always fits its own commitment.
#[derive(Clone)]
pub struct Share {
    threshold: u8,
    index: u8,
    value: Zeroizing<[u8; SECRET_BYTES]>,
    blind: Zeroizing<[u8; BLIND_BYTES]>,
    commitments: Vec<[u8; COMMITMENT_BYTES]>,
    set: SetId,
}

impl Share {
    /// Which share it is, from 1.
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// How many shares bring the secret back.
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many shares were made.
    pub fn count(&self) -> usize {
        self.commitments.len()
    }

    /// The sharing it belongs to.
    pub const fn set(&self) -> SetId {
        self.set
    }

    /// The bytes to keep or to send, at most [`SHARE_BYTES_MAX`]; as secret as the share.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Encoder::over(Vec::with_capacity(SHARE_BYTES_MAX));
        out.raw(MAGIC)
            .byte(self.threshold)
            .byte(self.commitments.len() as u8)
            .byte(self.index)
            .raw(&*self.value)
            .raw(&*self.blind)
            .raw(self.commitments.as_flattened());
        let checksum = checksum(out.as_slice());
        out.raw(&checksum);
        Zeroizing::new(out.finish())
    }

    /// Reads a share and checks it against its own commitment.
    pub fn decode(bytes: &[u8]) -> Result<Self, ShareError> {
        let share = Self::decode_parts(bytes).map_err(ShareError::Damaged)?;
        let own = &share.commitments[usize::from(share.index) - 1];
        if bool::from(commitment(share.index, &share.value, &share.blind).ct_eq(own)) {
            Ok(share)
        } else {
            Err(ShareError::Wrong { index: share.index })
        }
    }

    fn decode_parts(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let refuse = |input: &Decoder<'_>, what| Err(input.error(what, DecodeFault::Undefined));
        if input.array("share magic")? != *MAGIC {
            return refuse(&input, "share magic");
        }
        let (threshold, count, index) = (
            input.byte("share threshold")?,
            input.byte("share count")?,
            input.byte("share index")?,
        );
        if !numbers_fit(threshold.into(), count.into()) || index == 0 || index > count {
            return refuse(&input, "share numbers");
        }
        let value = Zeroizing::new(input.array("share value")?);
        let blind = Zeroizing::new(input.array("share blind")?);
        let commitments = (0..count)
            .map(|_| input.array("share commitment"))
            .collect::<Result<Vec<_>, _>>()?;
        let body = &bytes[..input.offset()];
        if input.array("share checksum")? != checksum(body) {
            return refuse(&input, "share checksum");
        }
        input.finish("share")?;
        Ok(Self {
            set: set_id(threshold, &commitments),
            threshold,
            index,
            value,
            blind,
            commitments,
        })
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} of {:?})", self.index, self.set)
    }
}

/// Makes `count` shares of `secret`, of which any `threshold` bring it back.
pub fn split(
    secret: &[u8; SECRET_BYTES],
    threshold: usize,
    count: usize,
    entropy: &mut dyn Entropy,
) -> Result<Vec<Share>, ShareError> {
    if !numbers_fit(threshold, count) {
        return Err(ShareError::BadNumbers { threshold, count });
    }
    // One polynomial a byte; `coefficients[d]` are those of degree d of all 32.
    let mut coefficients = Zeroizing::new(vec![[0; SECRET_BYTES]; threshold]);
    coefficients[0] = *secret;
    for row in &mut coefficients[1..] {
        entropy.fill(row);
    }
    let mut shares: Vec<_> = (1..=count as u8)
        .map(|index| {
            let mut blind = Zeroizing::new([0; BLIND_BYTES]);
            entropy.fill(&mut *blind);
            Share {
                threshold: threshold as u8,
                index,
                value: field::evaluate(&coefficients, index),
                blind,
                commitments: Vec::new(),
                set: SetId([0; 32]),
            }
        })
        .collect();
    let commitments: Vec<_> = shares
        .iter()
        .map(|share| commitment(share.index, &share.value, &share.blind))
        .collect();
    let set = set_id(threshold as u8, &commitments);
    for share in &mut shares {
        share.set = set;
        share.commitments.clone_from(&commitments);
    }
    Ok(shares)
}

/// Brings the secret back. Shares given twice count once.
///
/// With `set`, only shares of that sharing are good; without, those of the sharing to which most
/// belong (among equals, that of the earliest). One share of another set is enough to refuse, and
/// is named: leave it out and try again. Compare what comes back with what is known of the secret,
/// such as the identity's public key: whoever made the shares could have lied.
pub fn combine(
    set: Option<&SetId>,
    shares: &[Share],
) -> Result<Zeroizing<[u8; SECRET_BYTES]>, ShareError> {
    let size = |id: SetId| shares.iter().filter(|share| share.set == id).count();
    let Some(largest) = shares.iter().rev().max_by_key(|share| size(share.set)) else {
        return Err(ShareError::TooFew {
            have: 0,
            need: THRESHOLD_MIN,
        });
    };
    let set = *set.unwrap_or(&largest.set);
    let others = |(_, share): &(usize, &Share)| share.set != set;
    let positions: Vec<_> = (shares.iter().enumerate().filter(others))
        .map(|(position, _)| position)
        .collect();
    if !positions.is_empty() {
        return Err(ShareError::OtherSet { positions });
    }
    let mut points: Vec<_> = shares.iter().map(|s| (s.index, &*s.value)).collect();
    points.sort_by_key(|(index, _)| *index);
    points.dedup_by_key(|(index, _)| *index);
    let need = usize::from(largest.threshold);
    if points.len() < need {
        return Err(ShareError::TooFew {
            have: points.len(),
            need,
        });
    }
    Ok(field::value_at(0, &points[..need]))
}

fn numbers_fit(threshold: usize, count: usize) -> bool {
    THRESHOLD_MIN <= threshold && threshold <= count && count <= SHARES_MAX
}

fn commitment(
    index: u8,
    value: &[u8; SECRET_BYTES],
    blind: &[u8; BLIND_BYTES],
) -> [u8; COMMITMENT_BYTES] {
    let full = Hasher::deriving("stead/share/1")
        .update(&[index])
        .update(value)
        .update(blind)
        .finish_key();
    std::array::from_fn(|i| full[i])
}

fn set_id(threshold: u8, commitments: &[[u8; COMMITMENT_BYTES]]) -> SetId {
    SetId(
        Hasher::deriving("stead/share-set/1")
            .update(&[threshold])
            .update(commitments.as_flattened())
            .finish_key(),
    )
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = hash::digest(body);
    std::array::from_fn(|i| hash.as_bytes()[i])
}

#[cfg(test)]
mod tests;
