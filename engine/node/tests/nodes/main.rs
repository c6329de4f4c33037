//! Real nodes in one process, on loopback: linking, syncing, clients, and what goes wrong.

mod clients;
mod faults;
mod linking;
mod support;
mod syncing;
mod veil;
