//! Who may do what in a space: roster operations and the rights that follow from them.
//!
//! Owns what `@roster` parcels say, the rules that turn a set of them into rights, and the boxes
//! that carry epoch keys to devices. It must not know how entries are chained, stored or sent,
//! and nothing here depends on the order in which entries arrive, or on any clock.

mod device;
mod key_box;
mod name;
mod op;
mod rights;
mod role;
mod roster;
mod statement;

pub use device::DeviceRecord;
pub use key_box::{
    BOXES_PER_ENTRY_MAX, KEYS_PER_BOX_MAX, KeyBox, KeyBoxError, KeyPlace, ScopedKey, decode_boxes,
    encode_boxes, open_keys, recipient_hint, seal_keys,
};
pub use name::{Name, NameError};
pub use op::{OPS_PER_PARCEL_MAX, PATH_BYTES_MAX, RosterOp, WHOLE_SPACE, decode_ops, encode_ops};
pub use rights::Member;
pub use role::Role;
pub use roster::{Epoch, Genesis, Grant, Roster, RosterError};
pub use statement::{sign_claim, sign_genesis, verify_claim, verify_genesis};
