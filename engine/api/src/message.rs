//! JSON-RPC 2.0 framing: reading and writing single messages, bounded, without ever panicking.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    ApiError, CLAUSES_MAX, Call, Change, EDITS_MAX, ErrorKind, IDEMPOTENCY_KEY_BYTES_MAX, Method,
    PresenceEvent, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, RichEvent,
};

const REQUEST_ID_BYTES_MAX: usize = 128;

/// What ties a response to its request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// A number.
    Number(u64),
    /// A text of at most 128 bytes.
    Text(String),
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Chosen by the client.
    pub id: RequestId,
    /// The method with its parameters.
    pub call: Call,
}

/// Why a message is no request, and whom to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The request's id where it could be read.
    pub id: Option<RequestId>,
    /// What to answer.
    pub error: ApiError,
}

impl Refusal {
    /// The response that says so.
    pub fn into_response(self) -> Response {
        Response {
            id: self.id,
            outcome: Err(self.error),
        }
    }
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The request's id; absent only when it could not be read.
    pub id: Option<RequestId>,
    /// The result's JSON, or what went wrong.
    pub outcome: Result<Value, ApiError>,
}

/// A message from the node that answers no request.
#[derive(Debug, Clone, PartialEq)]
pub enum Notification {
    /// `watch.event`.
    Watch(Event),
    /// `presence.event`.
    Presence(PresenceEvent),
    /// `rich.event`.
    Rich(RichEvent),
}

/// `watch.event`: what one transaction changed in what a watch sees, or several that `transactions` counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// From [`crate::Watching`].
    pub watch: u64,
    /// The differences. At the start many events may follow each other until one is `ready`.
    pub changes: Vec<Change>,
    /// How many transactions they are of, when it is not one: what came from elsewhere at once, or what a
    /// client that was behind missed one by one. The state is then that after the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<u64>,
    /// More of the same step follows: the state is consistent after the event that does not say so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Set once, when all documents that were there at the start have been sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ready: bool,
    /// The client was too slow and missed events: it must forget everything and take the following as a new start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

/// Anything a node sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// An answer.
    Response(Response),
    /// An event.
    Notification(Notification),
}

#[derive(Deserialize)]
struct RawRequest<'a> {
    jsonrpc: Option<String>,
    #[serde(default)]
    id: Option<RequestId>,
    method: Option<String>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// Reads one request: one line, or one text frame, without its line end.
pub fn parse_request(bytes: &[u8]) -> Result<Request, Refusal> {
    let refuse = |id: Option<RequestId>, kind, message: String| Refusal {
        id,
        error: ApiError::new(kind, message),
    };
    if bytes.len() > REQUEST_BYTES_MAX {
        return Err(refuse(
            None,
            ErrorKind::TooLarge,
            format!("A request has at most {REQUEST_BYTES_MAX} bytes."),
        ));
    }
    let raw: RawRequest<'_> = serde_json::from_slice(bytes).map_err(|err| {
        let kind = match err.classify() {
            serde_json::error::Category::Data => ErrorKind::InvalidRequest,
            _ => ErrorKind::ParseError,
        };
        refuse(
            None,
            kind,
            format!("The message is no JSON-RPC request: {err}."),
        )
    })?;
    let id = match raw.id {
        Some(RequestId::Text(text)) if text.len() > REQUEST_ID_BYTES_MAX => {
            return Err(refuse(
                None,
                ErrorKind::InvalidRequest,
                format!("A request's id has at most {REQUEST_ID_BYTES_MAX} bytes."),
            ));
        }
        Some(id) => id,
        None => {
            return Err(refuse(
                None,
                ErrorKind::InvalidRequest,
                "A request needs an id.".into(),
            ));
        }
    };
    if raw.jsonrpc.as_deref() != Some("2.0") {
        let message = "A request says \"jsonrpc\": \"2.0\".".into();
        return Err(refuse(Some(id), ErrorKind::InvalidRequest, message));
    }
    let Some(method) = raw.method else {
        let message = "A request names its method.".into();
        return Err(refuse(Some(id), ErrorKind::InvalidRequest, message));
    };
    match Call::parse(&method, raw.params).and_then(within_limits) {
        Ok(call) => Ok(Request { id, call }),
        Err(error) => Err(Refusal {
            id: Some(id),
            error,
        }),
    }
}

fn within_limits(call: Call) -> Result<Call, ApiError> {
    let too_many = |what: &str, max: usize| {
        Err(ApiError::new(
            ErrorKind::TooLarge,
            format!("One call takes at most {max} {what}."),
        ))
    };
    match &call {
        Call::DocPut(put) if put.edits.len() > EDITS_MAX => too_many("edits", EDITS_MAX),
        Call::DocPut(put)
            if put.idempotency_key.as_ref().map_or(0, String::len) > IDEMPOTENCY_KEY_BYTES_MAX =>
        {
            too_many("bytes of idempotency key", IDEMPOTENCY_KEY_BYTES_MAX)
        }
        Call::DocQuery(query) if query.filters.len().max(query.sort.len()) > CLAUSES_MAX => {
            too_many("conditions or sort keys", CLAUSES_MAX)
        }
        Call::DocWatch(watch) if watch.filters.len() > CLAUSES_MAX => {
            too_many("conditions", CLAUSES_MAX)
        }
        _ => Ok(call),
    }
}

impl Request {
    /// The request's JSON, with no line end.
    pub fn encode<P: Method>(id: u64, params: &P) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Wire<'a, P> {
            jsonrpc: &'static str,
            id: u64,
            method: &'static str,
            params: &'a P,
        }
        serde_json::to_string(&Wire {
            jsonrpc: "2.0",
            id,
            method: P::METHOD,
            params,
        })
    }
}

impl Response {
    /// A success. `result` must be the method's own result type, which [`Method::Result`] names.
    pub fn success<R: Serialize>(id: RequestId, result: &R) -> Self {
        let outcome = serde_json::to_value(result).map_err(|err| {
            ApiError::new(
                ErrorKind::Internal,
                format!("The answer could not be written: {err}."),
            )
        });
        Self {
            id: Some(id),
            outcome,
        }
    }

    /// A failure.
    pub fn failure(id: RequestId, error: ApiError) -> Self {
        Self {
            id: Some(id),
            outcome: Err(error),
        }
    }

    /// The response's JSON, with no line end.
    pub fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Wire<'a> {
            jsonrpc: &'static str,
            id: &'a Option<RequestId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            result: Option<&'a Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<&'a ApiError>,
        }
        let wire = Wire {
            jsonrpc: "2.0",
            id: &self.id,
            result: self.outcome.as_ref().ok(),
            error: self.outcome.as_ref().err(),
        };
        // Values and errors have text keys only, so this cannot fail.
        serde_json::to_string(&wire).unwrap_or_default()
    }
}

impl Notification {
    /// The notification's JSON, with no line end.
    pub fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Wire<'a, P> {
            jsonrpc: &'static str,
            method: &'static str,
            params: &'a P,
        }
        fn wire<P: Serialize>(method: &'static str, params: &P) -> String {
            let wire = Wire {
                jsonrpc: "2.0",
                method,
                params,
            };
            serde_json::to_string(&wire).unwrap_or_default()
        }
        match self {
            Self::Watch(params) => wire("watch.event", params),
            Self::Presence(params) => wire("presence.event", params),
            Self::Rich(params) => wire("rich.event", params),
        }
    }
}

/// Why a message from a node could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message from the node could not be read: {reason}")]
pub struct IncomingError {
    /// What is wrong with it.
    pub reason: String,
}

/// Reads one message of a node. Notifications of a kind not known here are `None`.
pub fn parse_incoming(bytes: &[u8]) -> Result<Option<Incoming>, IncomingError> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        id: Option<RequestId>,
        #[serde(default)]
        method: Option<String>,
        #[serde(default)]
        params: Option<Value>,
        #[serde(default)]
        result: Option<Value>,
        #[serde(default)]
        error: Option<ApiError>,
    }
    if bytes.len() > RESPONSE_BYTES_MAX {
        return Err(IncomingError {
            reason: format!("it has more than {RESPONSE_BYTES_MAX} bytes"),
        });
    }
    let fail = |err: serde_json::Error| IncomingError {
        reason: err.to_string(),
    };
    let raw: Raw = serde_json::from_slice(bytes).map_err(fail)?;
    match raw.method.as_deref() {
        Some("watch.event") => {
            let event = serde_json::from_value(raw.params.unwrap_or_default()).map_err(fail)?;
            Ok(Some(Incoming::Notification(Notification::Watch(event))))
        }
        Some("presence.event") => {
            let event = serde_json::from_value(raw.params.unwrap_or_default()).map_err(fail)?;
            Ok(Some(Incoming::Notification(Notification::Presence(event))))
        }
        Some("rich.event") => {
            let event = serde_json::from_value(raw.params.unwrap_or_default()).map_err(fail)?;
            Ok(Some(Incoming::Notification(Notification::Rich(event))))
        }
        Some(_) => Ok(None),
        None => Ok(Some(Incoming::Response(Response {
            id: raw.id,
            outcome: match raw.error {
                Some(error) => Err(error),
                None => Ok(raw.result.unwrap_or_default()),
            },
        }))),
    }
}

#[cfg(test)]
mod tests;
