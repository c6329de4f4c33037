//! The message protocol between a node and everything in front of it: types, their JSON, and a small blocking client.
//!
//! JSON-RPC 2.0. Over the Unix socket `<home>/api.sock` every message is one line; over the local WebSocket every
//! message is one text frame. Requests carry an id and get one response; [`Notification`]s carry none.
//! This crate never touches documents, keys or the network: it only says what can be asked and answered.
//!
//! ```text
//! -> {"jsonrpc":"2.0","id":1,"method":"doc.get","params":{"space":"home","collection":"cities","id":"bern"}}
//! <- {"jsonrpc":"2.0","id":1,"result":{"doc":{"id":"bern","value":{"name":"Bern"}}}}
//! <- {"jsonrpc":"2.0","id":2,"error":{"code":1001,"message":"There is no space called \"hom\".","data":{"kind":"not_found","hint":"..."}}}
//! ```

mod call;
#[cfg(unix)]
mod client;
mod documents;
mod error;
mod faces;
mod groups;
mod guardians;
mod history;
mod invite;
mod link;
mod linking;
mod message;
mod node;
mod people;
mod presence;
mod public;
mod recovery;
mod rich;
mod rights;
mod schema;
mod search;
mod sign_in;
mod spaces;

pub use call::{Call, METHODS, Method};
#[cfg(unix)]
pub use client::{Client, ClientError};
pub use documents::{
    Change, ChangeKind, Commit, DocDelete, DocGet, DocGot, DocPut, DocQuery, DocRestore,
    DocUnwatch, DocWatch, Document, Edit, Filter, Op, Page, Path, Predicate, SortKey, Watching,
};
pub use error::{ApiError, ErrorKind};
pub use faces::{
    FaceValue, FeedAppend, FeedAppended, FeedCheck, FeedGet, FeedItem, FeedPage, FeedPart,
    FeedParts, FeedRead, FeedShown, FeedVerify, KvChange, KvChanges, KvDiff, KvDifference,
    KvDifferences, KvEntry, KvGet, KvHistory, KvPage, KvPut, KvRange, KvWritten, feed_place,
    kv_key,
};
pub use groups::{
    Group, GroupAdd, GroupCreate, GroupDelete, GroupList, GroupPerson, GroupRename, GroupRight,
    GroupShow, GroupTake, Groups, SpaceGrant, SpaceGranted,
};
pub use guardians::{
    GuardianHeld, GuardianPlanHelp, GuardianSet, GuardianShow, GuardianShown, GuardiansShown,
    HeldShare, HeldShares, HelpPlan, RecoverShare, RecoverShares, ShareHere, SharesHere,
};
pub use history::{
    DocAt, DocBack, DocDiff, DocDiffs, DocHistory, DocRedact, DocRedacted, DocStep, DocStory,
    FieldDiff, FieldOrigin, LogEntry, LogKind, LogList, LogOp, LogPage, LogProof, Time,
};
pub use invite::{
    InviteText, SharePlan, SpaceJoin, SpaceJoined, SpacePlanShare, SpaceShare, SpaceShared,
};
pub use link::{Link, LinkError, LinkFault, LinkKind, LinkSecret};
pub use linking::{
    LinkAccept, LinkAccepted, LinkApprove, LinkArrival, LinkArrive, LinkAsking, LinkBegun,
    LinkCancel, LinkCreate, LinkCreated, LinkGiveUp, LinkHear, LinkNewcomer, LinkOutcome,
    LinkPending, LinkRefuse, LinkSpeak, LinkSpoken, LinkWait,
};
pub use message::{
    Event, Incoming, IncomingError, Notification, Refusal, Request, RequestId, Response,
    parse_incoming, parse_request,
};
pub use node::{
    Check, CheckState, DeviceInfo, DeviceList, Devices, Diagnosis, DoctorRun, Done, Hello,
    Identity, KeyStorage, KeyStorageKind, NodeStatus, NodeStop, PathKind, PeerInfo, RelayInfo,
    Status, StoreInfo, Warning, Welcome,
};
pub use people::{
    Contact, ContactAdd, ContactList, ContactVerify, Contacts, DevicePlanRemoval, DeviceRemoval,
    DeviceRemove, DeviceRename, IdentityPhrase, IdentityShow, IdentityShown, IdentityWritten,
    OwnDevice, Phrase, SafetyWords, WordCheck, Words,
};
pub use presence::{
    CursorAt, CursorSeen, PresenceClear, PresenceEvent, PresenceHere, PresenceIs, PresenceList,
    PresenceSet, PresenceWatch, Present,
};
pub use public::PublicLink;
pub use recovery::{
    RecoverAnew, RecoverBegin, RecoverDevice, RecoverDone, RecoverFinish, RecoverGiveUp,
    RecoverHolder, RecoverLook, RecoverPhase, RecoverSpace, RecoverState,
};
pub use rich::{
    DocRedo, DocUndo, ListEdit, RichEvent, RichShow, RichShown, RichWatch, TextEdit, TextUnit,
    TreeEdit, Undone,
};
pub use rights::{
    Decision, Member, MemberKind, MemberList, Members, ProofEntry, ProofHead, RIGHTS_PROOF_FORMAT,
    Reason, Removal, Rights, RightsEntry, RightsLog, RightsProof, SpaceCan, SpacePlanRevoke,
    SpaceRevoke,
};
pub use schema::{
    Aside, Revision, Schema, SchemaCheck, SchemaChecked, SchemaFault, SchemaMade, SchemaPut,
    SchemaShow, Schemas,
};
pub use search::{
    Aggregate, GroupBy, GroupRow, HIT_END, HIT_START, IndexAdd, IndexInfo, IndexList, IndexRemove,
    Indexes, Join, Joined, Measure, QueryPlan, SqlRows, SqlRun, Where,
};
pub use sign_in::{
    SIGN_IN_TEXT_BYTES_MAX, SignInAnswer, SignInAnswered, SignInAsked, SignInLook, SignInText,
};
pub use spaces::{
    CheckpointInfo, Checkpoints, CollectionInfo, Compacted, HistoryKept, Keep, SpaceCheckpoint,
    SpaceCheckpoints, SpaceCompact, SpaceCreate, SpaceHistory, SpaceInfo, SpaceKeep, SpaceKept,
    SpaceLeave, SpaceList, Spaces, SyncPhase, SyncState,
};

/// The version of this protocol. It grows only when an old client would misunderstand a new node.
pub const API_VERSION: u32 = 1;
/// Largest request, in bytes of JSON.
pub const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Largest response or notification, in bytes of JSON.
pub const RESPONSE_BYTES_MAX: usize = 64 << 20;
/// Most edits in one `doc.put`.
pub const EDITS_MAX: usize = 10_000;
/// Most places in one `rich.show`.
pub const PLACES_MAX: usize = 1_000;
/// Most filters, and most sort keys, in one query.
pub const CLAUSES_MAX: usize = 32;
/// Most documents in the window of a watch with an order.
pub const WINDOW_MAX: u32 = 1_000;
/// Documents in a page of `doc.query` when no limit is given.
pub const PAGE_DEFAULT: u32 = 100;
/// Most documents or log entries in one page.
pub const PAGE_MAX: u32 = 10_000;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// File name of the node's Unix socket inside its home.
pub const SOCKET_FILE: &str = "api.sock";
/// File name, inside its home, of the secret that a WebSocket client presents.
pub const TOKEN_FILE: &str = "api.token";
/// File name, inside its home, that holds the address of the local WebSocket (`ws://127.0.0.1:PORT`).
pub const ADDRESS_FILE: &str = "api.address";
