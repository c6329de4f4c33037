//! A laboratory for real `stead` processes: on loopback, and on hosts of their own, which are
//! network namespaces joined by virtual cables that can be cut.
//!
//! Owns namespaces, cables, disks and processes, and removes all of them when it is dropped. It knows
//! the command line and the message protocol, and nothing of what is inside the program. It touches
//! no network but loopback and its own namespaces.

mod clock;
mod disk;
mod lab;
mod process;
mod stead;
mod writing;

pub use clock::shifted_clock;
pub use disk::Disk;
pub use lab::{Cable, Chain, Host, Lab, LabError, Lan, Pair};
pub use process::{Place, Running};
pub use stead::{Asking, Stead, SteadError, eventually, stead_binary};
pub use writing::Acknowledged;
