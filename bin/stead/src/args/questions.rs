//! The command line of everything that asks: queries, indexes, SQL, watching, history.

use clap::{ArgAction, Subcommand};

use crate::{
    address::{CollectionAddress, DocAddress, PutAddress},
    expression::FilterArg,
    query::{FieldArg, JoinArg, MeasureArg, SortArg, WhereArg},
    times::TimeArg,
};

/// Find documents of a collection
///
/// Conditions: FIELD=VALUE, !=, <, <=, >, >=, FIELD~TEXT (contains), FIELD^=TEXT (starts with), 'FIELD in A,B,C', 'FIELD between A
/// and B', FIELD (is there), !FIELD (is not there). All must hold. A number in FIELD is an element's place: tags.0.
///
/// --filter takes a whole expression: and, or, not, brackets, texts in double quotes, and FIELD -> COLLECTION (CONDITIONS) for
/// what a document refers to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead query family/people --where 'born>1900' --sort name\n  stead query world/countries --filter 'region = \"Europe\" and (area > 300000 or not landlocked)'\n  stead query library/books --filter 'author -> people (name = \"Ada\")' --join author=people\n  stead query world/countries --where region=Europe --sort -area --limit 5 --fields name.common,area\n  stead query world/countries --group region --measure sum:population --measure avg:area\n  stead query home/notes --search 'sea -\"dead sea\"'\n  stead query family/people --at '2026-11-01 08:00'\n  stead query family/people --where 'born>1900' --explain\n  stead query family/people --jsonl | jq .value.name"
)]
pub(crate) struct Query {
    /// SPACE/COLLECTION
    pub(crate) collection: CollectionAddress,
    /// A condition; repeat it for more
    #[arg(long = "where", short = 'w', value_name = "CONDITION", action = ArgAction::Append)]
    pub(crate) conditions: Vec<WhereArg>,
    /// Conditions with and, or, not and brackets
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) filter: Option<FilterArg>,
    /// Words that the texts must contain: sea, "open sea", win*, -land. Needs a text index
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub(crate) search: Option<String>,
    /// Sort by this field, or from the greatest down with a minus before it; repeat it for more
    #[arg(long, short, value_name = "[-]FIELD", action = ArgAction::Append, allow_hyphen_values = true)]
    pub(crate) sort: Vec<SortArg>,
    /// Show at most this many [default: 20 in a table, all otherwise]
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Show these fields as columns
    #[arg(long, short, value_name = "FIELD,...", value_delimiter = ',')]
    pub(crate) fields: Vec<String>,
    /// Bring the documents along that a field refers to
    #[arg(long, value_name = "FIELD=COLLECTION", action = ArgAction::Append)]
    pub(crate) join: Vec<JoinArg>,
    /// Count by the values of this field instead; repeat it for more
    #[arg(long, value_name = "FIELD", action = ArgAction::Append, conflicts_with_all = ["fields", "sort", "search", "join", "at"])]
    pub(crate) group: Vec<FieldArg>,
    /// With groups, or of everything: count, sum, avg, min or max of a field
    #[arg(long, value_name = "HOW:FIELD", action = ArgAction::Append, conflicts_with_all = ["fields", "sort", "search", "join", "at"])]
    pub(crate) measure: Vec<MeasureArg>,
    /// As documents were then: '2026-11-01', '2026-11-01 08:00', '90m ago', '3d ago'
    #[arg(long, value_name = "TIME", conflicts_with_all = ["search", "join", "deleted"])]
    pub(crate) at: Option<TimeArg>,
    /// Only say how many there are
    #[arg(long, conflicts_with_all = ["fields", "sort", "limit", "group", "measure"])]
    pub(crate) count: bool,
    /// Find deleted documents instead
    #[arg(long)]
    pub(crate) deleted: bool,
    /// Say how the query would be answered, and by which index
    #[arg(long, conflicts_with_all = ["count", "group", "measure", "at"])]
    pub(crate) explain: bool,
    /// Answer with one JSON object a line
    #[arg(long, conflicts_with_all = ["count", "group", "measure", "explain"])]
    pub(crate) jsonl: bool,
    /// Speak this revision of the collection's schema: its number, or the first digits of its id or none for
    /// what is held [default: the newest]
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
}

/// Show changes as they happen, wherever they are made
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead watch family/people\n  stead watch family/people/ada\n  stead watch family/notes/plan --field body\n  stead watch world/countries --where region=Europe --json\n  stead watch world/countries --sort -population --limit 10"
)]
pub(crate) struct Watch {
    /// SPACE/COLLECTION or SPACE/COLLECTION/ID
    #[arg(value_name = "COLLECTION")]
    pub(crate) document: PutAddress,
    /// A condition; repeat it for more
    #[arg(long = "where", short = 'w', value_name = "CONDITION", action = ArgAction::Append)]
    pub(crate) conditions: Vec<WhereArg>,
    /// Conditions with and, or, not and brackets
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) filter: Option<FilterArg>,
    /// The order of which the first are watched
    #[arg(long, short, value_name = "[-]FIELD", action = ArgAction::Append, allow_hyphen_values = true, requires = "limit")]
    pub(crate) sort: Vec<SortArg>,
    /// Watch only the first N
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<u32>,
    /// Also show what is there already
    #[arg(long)]
    pub(crate) all: bool,
    /// Show what changes in this text, list or tree of a document, piece by piece
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["conditions", "filter", "sort", "limit", "revision"])]
    pub(crate) field: Option<String>,
    /// Speak this revision of the collection's schema: its number, or the first digits of its id or none for
    /// what is held [default: the newest]
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
}

/// Make queries fast on this device
#[derive(Debug, Subcommand)]
pub(crate) enum Index {
    /// Have a collection indexed; it is built in the background
    ///
    /// The order of the fields matters: first those compared with =, then the one sorted by or compared by size. Queries use an
    /// index by themselves; `stead query --explain` says which.
    #[command(
        after_help = "Examples:\n  stead index add world/countries region area\n  stead index add home/notes --text title body"
    )]
    Add {
        /// SPACE/COLLECTION
        collection: CollectionAddress,
        /// The fields
        #[arg(required = true)]
        fields: Vec<FieldArg>,
        /// For searching words, with `stead query --search`
        #[arg(long)]
        text: bool,
    },
    /// List the indexes of a space
    List {
        /// SPACE or SPACE/COLLECTION
        #[arg(value_name = "SPACE")]
        subject: crate::address::LogAddress,
    },
    /// Stop keeping an index
    #[command(after_help = "Example:\n  stead index remove world/countries region area")]
    Remove {
        /// SPACE/COLLECTION
        collection: CollectionAddress,
        /// The fields, as they were given
        #[arg(required = true)]
        fields: Vec<FieldArg>,
        /// It is for searching words
        #[arg(long)]
        text: bool,
    },
}

/// Ask a space with SQL
///
/// Each collection is a table with the columns id, json and one for each common field; `json ->> 'field'` reaches all others. One with a
/// schema has the fields of its newest revision, whichever its documents were written in.
/// Nothing can be written, and a statement that takes too long is stopped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead sql world \"SELECT region, count(*) FROM countries GROUP BY region\"\n  stead sql family 'SELECT p.name, c.name FROM people p JOIN cities c ON c.id = p.city' --json"
)]
pub(crate) struct Sql {
    /// The space
    pub(crate) space: String,
    /// One SELECT
    pub(crate) statement: String,
    /// Show at most this many rows
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1000)]
    pub(crate) limit: u32,
}

/// Show who changed each field of a document and when, or bring back what it was
///
/// Without a flag: every change, newest first. What someone wrote who had no right to, or has been removed since, is shown as
/// void. --restore writes a new change that makes the document what it was; the same command brings it back again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead history family/people/ada\n  stead history family/people/ada address        one field\n  stead history family/people/ada --fields       who set each field\n  stead history family/people/ada --at '3d ago'\n  stead history family/people/ada --diff '3d ago'\n  stead history family/people/ada --diff 2026-11-01 --to 2026-11-08\n  stead history family/people/ada --restore '1h ago'"
)]
pub(crate) struct History {
    /// SPACE/COLLECTION/ID
    #[arg(value_name = "DOCUMENT")]
    pub(crate) document: DocAddress,
    /// Only this field and what is below it
    pub(crate) field: Option<FieldArg>,
    /// Show at most this many changes
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
    /// Who set each field to what it is now
    #[arg(long, conflicts_with_all = ["at", "diff", "restore"])]
    pub(crate) fields: bool,
    /// The document as it was then
    #[arg(long, value_name = "TIME", conflicts_with_all = ["diff", "restore", "field"])]
    pub(crate) at: Option<TimeArg>,
    /// How it differs from then
    #[arg(long, value_name = "TIME", conflicts_with_all = ["restore", "field"])]
    pub(crate) diff: Option<TimeArg>,
    /// With --diff: up to then [default: now]
    #[arg(long, value_name = "TIME", requires = "diff")]
    pub(crate) to: Option<TimeArg>,
    /// Make it what it was then
    #[arg(long, value_name = "TIME", conflicts_with = "field")]
    pub(crate) restore: Option<TimeArg>,
}

/// Take values out of a document, its history and the files of every device, for good
///
/// Every device that hears of it forgets what was written to the field so far, and to what is below it. What was written in the same
/// changes elsewhere stays. Devices that never come back, copies and backups keep what they have; a restored backup forgets it when
/// it meets the others.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead redact family/people/ada phone       one field\n  stead redact family/people/ada             all fields, and the document with them"
)]
pub(crate) struct Redact {
    /// SPACE/COLLECTION/ID
    #[arg(value_name = "DOCUMENT")]
    pub(crate) document: DocAddress,
    /// Only this field and what is below it
    pub(crate) field: Option<FieldArg>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}
