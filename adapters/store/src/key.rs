//! Document ids as the bytes of a table key, in the order of [`DocId`].

use stead_base::DocId;
use stead_base::limits::DOC_NAME_BYTES_MAX;

const GENERATED: u8 = 1;
const NAMED: u8 = 2;
const KEY_BYTES_MAX: usize = 1 + DOC_NAME_BYTES_MAX;

/// The key of a document's row: a tag byte, then 16 raw bytes or the name. Compares like the
/// id it stands for, byte by byte.
#[derive(Clone, Copy)]
pub struct DocKey {
    len: u8,
    bytes: [u8; KEY_BYTES_MAX],
}

/// Bytes that are no document key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a document key of {len} bytes cannot be read")]
pub struct KeyError {
    /// Bytes found.
    pub len: usize,
}

impl DocKey {
    /// Encodes an id, without allocating.
    pub fn new(id: &DocId) -> Self {
        let (tag, text): (u8, &[u8]) = match id {
            DocId::Generated(bytes) => (GENERATED, bytes),
            DocId::Named(name) => (NAMED, name.as_str().as_bytes()),
        };
        // A name is at most DOC_NAME_BYTES_MAX long by construction.
        let len = text.len().min(DOC_NAME_BYTES_MAX);
        let mut bytes = [0; KEY_BYTES_MAX];
        bytes[0] = tag;
        bytes[1..=len].copy_from_slice(&text[..len]);
        Self {
            len: len as u8 + 1,
            bytes,
        }
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Reads an id back.
    pub fn decode(bytes: &[u8]) -> Result<DocId, KeyError> {
        let error = KeyError { len: bytes.len() };
        match bytes.split_first().ok_or(error)? {
            (&GENERATED, raw) => Ok(DocId::Generated(raw.try_into().map_err(|_| error)?)),
            (&NAMED, text) => {
                let text = std::str::from_utf8(text).map_err(|_| error)?;
                match DocId::parse(text) {
                    Ok(id @ DocId::Named(_)) => Ok(id),
                    _ => Err(error),
                }
            }
            _ => Err(error),
        }
    }
}

impl PartialEq for DocKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for DocKey {}

impl PartialOrd for DocKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DocKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl std::fmt::Debug for DocKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Self::decode(self.as_bytes()) {
            Ok(id) => write!(f, "DocKey({id})"),
            Err(error) => write!(f, "DocKey({error})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_id() -> impl Strategy<Value = DocId> {
        prop_oneof![
            any::<[u8; 16]>().prop_map(DocId::Generated),
            "[^/\\p{Cc}]{1,16}".prop_filter_map("no id", |text| DocId::parse(&text).ok()),
        ]
    }

    proptest! {
        #[test]
        fn a_key_reads_back_as_its_id(id in any_id()) {
            prop_assert_eq!(DocKey::decode(DocKey::new(&id).as_bytes()), Ok(id));
        }

        #[test]
        fn keys_order_like_ids(a in any_id(), b in any_id()) {
            prop_assert_eq!(DocKey::new(&a).cmp(&DocKey::new(&b)), a.cmp(&b));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            if let Ok(id) = DocKey::decode(&bytes) {
                let key = DocKey::new(&id);
                prop_assert_eq!(key.as_bytes(), &bytes[..]);
            }
        }
    }
}
