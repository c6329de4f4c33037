//! Identifiers as distinct types, so that one kind can never be passed for another.

use std::fmt;
use std::str::FromStr;

/// Why a textual identifier was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits for a {kind}, found {found:?}")]
pub struct IdError {
    /// What the text should have named.
    pub kind: &'static str,
    /// The text, cut to 80 characters.
    pub found: String,
}

macro_rules! id32 {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the 32 bytes as they are.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first eight hexadecimal digits, for people's eyes.
            pub fn short(&self) -> String {
                self.to_string()[..8].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_hex(text).map(Self).ok_or_else(|| IdError {
                    kind: $kind,
                    found: text.chars().take(80).collect(),
                })
            }
        }
    };
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = (pair[0] as char).to_digit(16)?;
        let low = (pair[1] as char).to_digit(16)?;
        *byte = (high << 4 | low) as u8;
    }
    Some(out)
}

id32!(
    /// A space: the hash of its genesis entry.
    SpaceId,
    "space id"
);
id32!(
    /// One writer: the Ed25519 public key a device made for one space and one store.
    WriterId,
    "writer id"
);
id32!(
    /// One device: its Ed25519 public key, which is also its network address.
    DeviceId,
    "device id"
);
id32!(
    /// A BLAKE3 hash.
    Hash,
    "hash"
);

/// A subtree of a space with read keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(u64);

impl ScopeId {
    /// `@roster`: members, grants and epochs.
    pub const ROSTER: Self = Self(0);
    /// `/`: every document of the space.
    pub const ROOT: Self = Self(1);

    /// The number that stands for the scope in encodings.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Reads a scope's number. Numbers above 1 belong to subtrees.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for ScopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ROSTER => f.write_str("@roster"),
            Self::ROOT => f.write_str("/"),
            Self(number) => write!(f, "scope {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_id_reads_back_as_the_same_id() {
        let id = SpaceId::from_bytes(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(id.to_string().parse::<SpaceId>(), Ok(id));
    }

    #[test]
    fn text_that_is_no_id_is_refused_by_kind() {
        for text in ["", "abc", &"g".repeat(64), &"0".repeat(65), &"é".repeat(32)] {
            let err = text.parse::<WriterId>().unwrap_err();
            assert_eq!(err.kind, "writer id");
        }
    }
}
