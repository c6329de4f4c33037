//! Who may do what in a space: roster operations and the rights that follow from them.
//!
//! Owns what `@roster` parcels say, the rules that turn a set of them into rights, and the boxes
//! that carry epoch keys to devices. It must not know how entries are chained, stored or sent,
//! and nothing here depends on the order in which entries arrive, or on any clock.
//!
//! The way of an operation: `op` reads it, `ledger` checks its signatures and keeps it,
//! `compound` says which devices stand behind a person or a group, `rules` decides what counts,
//! `members` and `verdicts` hold the answer, `epochs` the keys that go with it.

mod card;
mod change;
mod compound;
mod device;
mod epochs;
mod explain;
mod key_box;
mod ledger;
mod lengths;
mod letter;
mod may;
mod members;
mod name;
mod op;
mod path;
mod plan;
mod role;
mod roster;
mod rules;
mod scopes;
mod statement;
mod verdicts;

pub use card::{AddedBy, CARD_DEVICES_MAX, Card, CardDevice, IdentityId, sign_identity_device};
pub use change::Change;
pub use compound::StandingPart;
pub use device::DeviceRecord;
pub use epochs::{Epoch, Stale, scope_at};
pub use explain::{Decision, Reason, Whom, Why};
pub use key_box::{
    BOXES_PER_ENTRY_MAX, KEYS_PER_BOX_MAX, KeyBox, KeyBoxError, KeyPlace, ScopedKey, decode_boxes,
    encode_boxes, open_keys, recipient_hint, seal_keys,
};
pub use ledger::{Genesis, RosterError};
pub use lengths::{LENGTHS_MAX, Lengths};
pub use letter::{LETTER_BOXES_MAX, LETTER_BYTES_MAX, open_letter, seal_letter};
pub use may::Refusal;
pub use members::{GivenBy, MemberSubject, Membership};
pub use name::{Name, NameError};
pub use op::{
    ASKED_AT_ONCE_MAX, AddDevice, AskKeys, Checkpoint, GROUP_PARTS_MAX, GROUP_RANK_MAX, Grant,
    GroupAdd, GroupPart, GroupRemove, Join, OPS_PER_PARCEL_MAX, OpId, Party, PartyId,
    REASON_BYTES_MAX, REDACTED_AT_ONCE_MAX, REMOVED_AT_ONCE_MAX, ROOT_STATEMENT_BYTES_MAX, Redact,
    Remove, RemoveDevice, RosterOp, ScopeStart, StartEpoch, Subject, WRAP_BYTES_MAX, decode_ops,
    encode_ops,
};
pub use path::{PATH_BYTES_MAX, Path, PathError};
pub use plan::{RemovalPlan, RemovalTarget};
pub use role::{Action, Role};
pub use roster::{Roster, STRANGER_OPS_MAX, Votes};
pub use rules::{Ended, EndedBy};
pub use scopes::Start;
pub use statement::{
    root_statement_log, sign_claim, sign_genesis, sign_join, sign_root_statement, verify_claim,
    verify_genesis, verify_join, verify_root_statement,
};
pub use verdicts::{Shift, Span, shift};
