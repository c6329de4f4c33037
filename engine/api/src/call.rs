//! The list of methods: one struct of parameters each, its name and its result. Nothing is executed here.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    ApiError, Commit, Devices, Diagnosis, DocDelete, DocGet, DocGot, DocPut, DocQuery, DocRestore,
    DocUnwatch, DocWatch, DoctorRun, Done, ErrorKind, Hello, LinkAccept, LinkAccepted, LinkCancel,
    LinkCreate, LinkCreated, LinkOutcome, LinkWait, LogList, LogPage, NodeStatus, NodeStop, Page,
    SpaceCreate, SpaceInfo, SpaceLeave, SpaceList, Spaces, Status, Watching, Welcome,
    node::DeviceList,
};

/// Parameters that belong to one method.
pub trait Method: Serialize + DeserializeOwned {
    /// The method's name on the wire.
    const METHOD: &'static str;
    /// What a successful call answers.
    type Result: Serialize + DeserializeOwned;
}

macro_rules! methods {
    ($( $(#[$doc:meta])* $params:ident => $result:ty, $name:literal; )*) => {
        /// Every method with its parameters.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Call {
            $( $(#[$doc])* $params($params), )*
        }

        /// The names of all methods, in the order of [`Call`].
        pub const METHODS: &[&str] = &[$($name),*];

        $(impl Method for $params {
            const METHOD: &'static str = $name;
            type Result = $result;
        }
        impl From<$params> for Call {
            fn from(params: $params) -> Self {
                Self::$params(params)
            }
        })*

        impl Call {
            /// The method's name on the wire.
            pub fn method(&self) -> &'static str {
                match self { $(Self::$params(_) => $name,)* }
            }

            pub(crate) fn parse(method: &str, params: Option<&RawValue>) -> Result<Self, ApiError> {
                match method {
                    $($name => read_params::<$params>(method, params).map(Self::$params),)*
                    _ => Err(ApiError::new(
                        ErrorKind::UnknownMethod,
                        format!("This node has no method \"{}\".", shorten(method)),
                    )
                    .hint("Update Stead on the side that is older; hello names both versions.")),
                }
            }
        }
    };
}

methods! {
    /// Names the versions of both sides; optional, and the best first call.
    Hello => Welcome, "hello";
    /// Everything a person wants to see at a glance.
    NodeStatus => Status, "node.status";
    /// Stops the node once everything acknowledged is on disk.
    NodeStop => Done, "node.stop";
    /// Looks for trouble: store, keys, clock, network.
    DoctorRun => Diagnosis, "doctor.run";
    /// Makes a one-time link for a new device.
    LinkCreate => LinkCreated, "link.create";
    /// Answers once the link was used, refused, cancelled or has expired, or after the given time.
    LinkWait => LinkOutcome, "link.wait";
    /// Makes an open link worthless.
    LinkCancel => Done, "link.cancel";
    /// Uses a link that another device shows; answers when this device is linked.
    LinkAccept => LinkAccepted, "link.accept";
    /// The person's devices.
    DeviceList => Devices, "devices.list";
    /// Makes a space.
    SpaceCreate => SpaceInfo, "space.create";
    /// The spaces on this device.
    SpaceList => Spaces, "space.list";
    /// Stops keeping a space on this device and erases its data here.
    SpaceLeave => Done, "space.leave";
    /// Applies edits to any number of documents of one space as one atomic transaction.
    DocPut => Commit, "doc.put";
    /// Reads one document.
    DocGet => DocGot, "doc.get";
    /// Deletes one document; `doc.restore` brings it back.
    DocDelete => Commit, "doc.delete";
    /// Brings a deleted document back with all its fields.
    DocRestore => Commit, "doc.restore";
    /// Finds documents of a collection.
    DocQuery => Page, "doc.query";
    /// Starts a stream of `watch.event` notifications on this connection.
    DocWatch => Watching, "doc.watch";
    /// Ends such a stream.
    DocUnwatch => Done, "doc.unwatch";
    /// Who changed what, when; newest first.
    LogList => LogPage, "log.list";
}

fn read_params<P: DeserializeOwned>(
    method: &str,
    params: Option<&RawValue>,
) -> Result<P, ApiError> {
    serde_json::from_str(params.map_or("{}", RawValue::get)).map_err(|err| {
        ApiError::new(
            ErrorKind::InvalidParams,
            format!("The parameters of {method} are not right: {err}."),
        )
    })
}

fn shorten(method: &str) -> String {
    method
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect()
}
