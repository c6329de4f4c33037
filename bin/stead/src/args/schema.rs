//! `stead schema`: its arguments.

use std::path::PathBuf;

use clap::{ArgAction, Subcommand};

use crate::address::{CollectionAddress, LogAddress};

/// Say what the documents of a collection hold, and change that without rewriting them
#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    Set(SchemaSet),
    Show(SchemaShow),
    Diff(SchemaDiff),
    Evolve(SchemaEvolve),
    Check(SchemaCheck),
    Types(SchemaTypes),
}

/// Declare the fields of a collection
///
/// The first time this makes revision 1. Later it makes the next revision from what differs: new fields are added, fields that
/// are gone are removed, rules that differ change. A rename is not seen: say it with `stead schema evolve --rename`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead schema set family/people '{\"fields\": {\"name\": \"string\", \"born\": \"date-time?\"}}'\n  stead schema set family/people people.json\n  stead schema set family/people people.json --dry-run"
)]
pub(crate) struct SchemaSet {
    /// SPACE/COLLECTION
    #[arg(value_name = "COLLECTION")]
    pub(crate) collection: CollectionAddress,
    /// JSON, a file with it, or - to read standard input
    #[arg(value_name = "DECLARATION")]
    pub(crate) declaration: String,
    /// Only say what would be made
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Show the fields of collections, and how they came to be
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead schema show family\n  stead schema show family/people\n  stead schema show family/people --revision 1 --json"
)]
pub(crate) struct SchemaShow {
    /// SPACE or SPACE/COLLECTION
    #[arg(value_name = "SPACE")]
    pub(crate) subject: LogAddress,
    /// This revision instead of the newest: its number, or the first digits of its id
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
}

/// Show what one revision changed from another
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead schema diff family/people              the newest and the one before\n  stead schema diff family/people --from 1\n  stead schema diff family/people people.json  what `set` would change"
)]
pub(crate) struct SchemaDiff {
    /// SPACE/COLLECTION
    #[arg(value_name = "COLLECTION")]
    pub(crate) collection: CollectionAddress,
    /// A declaration to compare the newest revision with
    #[arg(value_name = "DECLARATION", conflicts_with_all = ["from", "to"])]
    pub(crate) declaration: Option<String>,
    /// The number of the older revision [default: the one before]
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u32>,
    /// The number of the newer revision [default: the newest]
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u32>,
}

/// Make the next revision with lenses: steps that old and new apps both live with
///
/// Old apps go on reading and writing in their revision, new ones in theirs, at once; no document is rewritten. The steps are
/// taken in the order: lenses, rename, hoist, plunge, wrap, head, remove, add. FIELD may lead into records (home.city) and
/// into the values of maps and lists (rows[].unit).
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead schema evolve family/people --rename title=name --add 'nick=string?'\n  stead schema evolve family/people --hoist home.city --remove age=0\n  stead schema evolve family/people --wrap mail --index name,-born\n  stead schema evolve family/people --lenses '[{\"convert\": {\"name\": \"level\", \"to\": \"int\", \"table\": [[\"low\", 1], [\"high\", 2]]}}]'"
)]
pub(crate) struct SchemaEvolve {
    /// SPACE/COLLECTION
    #[arg(value_name = "COLLECTION")]
    pub(crate) collection: CollectionAddress,
    /// Lenses as JSON, a file with them, or - to read standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) lenses: Option<String>,
    /// Give a field another name
    #[arg(long, value_name = "FIELD=NAME", action = ArgAction::Append)]
    pub(crate) rename: Vec<String>,
    /// Move a field out of the record that it is in
    #[arg(long, value_name = "RECORD.FIELD", action = ArgAction::Append)]
    pub(crate) hoist: Vec<String>,
    /// Move a field into a record beside it
    #[arg(long, value_name = "FIELD=RECORD", action = ArgAction::Append)]
    pub(crate) plunge: Vec<String>,
    /// Make a single value an array of it
    #[arg(long, value_name = "FIELD", action = ArgAction::Append)]
    pub(crate) wrap: Vec<String>,
    /// Make an array its first value
    #[arg(long, value_name = "FIELD", action = ArgAction::Append)]
    pub(crate) head: Vec<String>,
    /// Let a field be seen no more; old apps see the value in documents that lack it
    #[arg(long, value_name = "FIELD[=VALUE]", action = ArgAction::Append)]
    pub(crate) remove: Vec<String>,
    /// Add a field: a type such as string?, or JSON
    #[arg(long, value_name = "FIELD=TYPE", action = ArgAction::Append)]
    pub(crate) add: Vec<String>,
    /// An index by these fields, instead of those there were; repeat it for more
    #[arg(long, value_name = "[-]FIELD,...", action = ArgAction::Append, allow_hyphen_values = true)]
    pub(crate) index: Vec<String>,
    /// The fields searched as text, instead of those there were
    #[arg(long, value_name = "FIELD,...", value_delimiter = ',')]
    pub(crate) search: Vec<String>,
    /// Only say what would be made
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// List documents that break the rules of their schema, and references that lead nowhere
///
/// What other devices wrote stays, whatever it says; this shows where a rule is broken.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead schema check family\n  stead schema check family/people --limit 1000"
)]
pub(crate) struct SchemaCheck {
    /// SPACE or SPACE/COLLECTION
    #[arg(value_name = "SPACE")]
    pub(crate) subject: LogAddress,
    /// Show at most this many faults
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    pub(crate) limit: u32,
}

/// Print the types of a collection's documents for a programming language
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stead schema types family/people --ts > people.ts")]
pub(crate) struct SchemaTypes {
    /// SPACE/COLLECTION
    #[arg(value_name = "COLLECTION")]
    pub(crate) collection: CollectionAddress,
    /// TypeScript
    #[arg(long, required = true)]
    pub(crate) ts: bool,
    /// This revision instead of the newest: its number, or the first digits of its id
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
    /// Write to this file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
