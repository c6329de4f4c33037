//! A laboratory for real `stead` processes: on loopback, and on hosts of their own, which are
//! network namespaces joined by virtual cables that can be cut.
//!
//! Owns namespaces, cables and processes, and removes all of them when it is dropped. It knows the
//! command line and nothing of what is inside the program. It touches no network but loopback and
//! its own namespaces.

mod lab;
mod process;
mod stead;

pub use lab::{Cable, Host, Lab, LabError, Lan};
pub use process::{Place, Running};
pub use stead::{Stead, SteadError, eventually, stead_binary};
