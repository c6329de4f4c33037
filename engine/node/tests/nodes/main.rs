//! Real nodes in one process, on loopback: linking, syncing, clients, and what goes wrong.

mod at_rest;
mod checkpoints;
mod clients;
mod defaults;
mod faults;
mod guarding;
mod link_attacks;
mod link_forgeries;
mod linking;
mod parts;
mod presence;
mod queries;
mod recovering;
mod revisions;
mod sharing;
mod support;
mod syncing;
mod veil;
