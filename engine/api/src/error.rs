//! Errors as every client sees them: a stable number, a kind for programs, a sentence for people, and what to do next.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A failed call.
///
/// Its JSON is a JSON-RPC error object: `{code, message, data: {kind, hint}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// What went wrong, for programs.
    pub kind: ErrorKind,
    /// What went wrong, in one plain sentence.
    pub message: String,
    /// What to do next, in one plain sentence; empty when nothing helps.
    pub hint: String,
}

impl ApiError {
    /// An error with no hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: String::new(),
        }
    }

    /// The same error with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

macro_rules! kinds {
    ($( $(#[$doc:meta])* $kind:ident = $code:literal, $name:literal; )*) => {
        /// What went wrong. Codes and names never change their meaning; new ones may come.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorKind { $( $(#[$doc])* $kind, )* }

        impl ErrorKind {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The number in the JSON-RPC error object.
            pub fn code(self) -> i32 {
                match self { $(Self::$kind => $code,)* }
            }

            /// The name in the error's `data.kind`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The kind with this number; an unknown number is [`ErrorKind::Internal`].
            pub fn from_code(code: i32) -> Self {
                match code { $($code => Self::$kind,)* _ => Self::Internal }
            }
        }
    };
}

kinds! {
    /// The message is no JSON.
    ParseError = -32700, "parse_error";
    /// The message is no JSON-RPC 2.0 request.
    InvalidRequest = -32600, "invalid_request";
    /// There is no such method.
    UnknownMethod = -32601, "unknown_method";
    /// The parameters do not fit the method.
    InvalidParams = -32602, "invalid_params";
    /// A fault of the node.
    Internal = -32603, "internal";
    /// No such space, collection, document, device or link.
    NotFound = 1001, "not_found";
    /// The name fits more than one thing.
    Ambiguous = 1002, "ambiguous";
    /// A thing of that name exists already.
    Exists = 1003, "exists";
    /// A name, id or path that cannot be used.
    BadName = 1004, "bad_name";
    /// The text is no link, or was damaged on its way.
    LinkMalformed = 1101, "link_malformed";
    /// The other device does not know this link.
    LinkWrong = 1102, "link_wrong";
    /// The link was used before.
    LinkUsed = 1103, "link_used";
    /// The link's time is over.
    LinkExpired = 1104, "link_expired";
    /// The link was made by this very device.
    LinkOwnDevice = 1105, "link_own_device";
    /// The device that made the link cannot be reached.
    LinkUnreachable = 1106, "link_unreachable";
    /// This device already belongs to an identity with data of its own.
    LinkTaken = 1107, "link_taken";
    /// The code, or the words, were wrong: the link is worthless now.
    LinkCodeWrong = 1108, "link_code_wrong";
    /// The person at the other device did not let this one in.
    LinkRefused = 1109, "link_refused";
    /// Nobody asks to be let in.
    LinkNobody = 1110, "link_nobody";
    /// This device may not do that in this space.
    NotAllowed = 1201, "not_allowed";
    /// The field holds something else than the edit expects.
    WrongType = 1202, "wrong_type";
    /// The document is not on this device, which keeps only a part of the space.
    NotHere = 1005, "not_here";
    /// Over a limit of size or number.
    TooLarge = 1203, "too_large";
    /// The caller did not show the right token.
    Unauthorized = 1204, "unauthorized";
    /// The idempotency key was used for another transaction.
    KeyReused = 1205, "key_reused";
    /// Too much at once; try again.
    Busy = 1301, "busy";
    /// The node is stopping.
    Stopping = 1302, "stopping";
    /// The disk is full.
    DiskFull = 1401, "disk_full";
    /// The disk or folder cannot be written.
    ReadOnly = 1402, "read_only";
    /// The store is damaged.
    Damaged = 1403, "damaged";
    /// Reading or writing the store failed.
    Store = 1404, "store";
    /// The clock is too far off to write.
    Clock = 1501, "clock";
}

impl Serialize for ErrorKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for ErrorKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| D::Error::custom("an unknown kind of error"))
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    code: i32,
    message: String,
    #[serde(default)]
    data: Option<WireData>,
}

#[derive(Serialize, Deserialize)]
struct WireData {
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hint: String,
}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire {
            code: self.kind.code(),
            message: self.message.clone(),
            data: Some(WireData {
                kind: self.kind.name().into(),
                hint: self.hint.clone(),
            }),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ApiError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        Ok(Self {
            kind: ErrorKind::from_code(wire.code),
            message: wire.message,
            hint: wire.data.map(|data| data.hint).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_code_and_a_name_of_its_own() {
        let codes: BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        let names: BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn an_error_reads_back_from_its_json() {
        for kind in ErrorKind::ALL {
            let error = ApiError::new(*kind, "Not so.").hint("Do this.");
            let json = serde_json::to_string(&error).unwrap();
            assert_eq!(serde_json::from_str::<ApiError>(&json).unwrap(), error);
        }
    }
}
