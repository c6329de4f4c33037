//! What hostile members try, and that it gains them nothing.
//!
//! One test an attack; `world` makes a space in which each says what it wants in a line.

mod answers;
mod granting;
mod groups;
mod joining;
mod keys;
mod people;
mod removing;
mod world;
