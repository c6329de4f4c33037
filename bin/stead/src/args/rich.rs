//! The arguments of `stead text`, `list` and `tree`.

use clap::{Args, Subcommand};

use crate::address::DocAddress;

/// Edit a text together with others: what people type at the same time all stays
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  stead text insert family/notes/plan body \"Dear all\"\n  stead text insert family/notes/plan body \", hello\" --at 8\n  stead text mark family/notes/plan body 0 4 bold\n  stead text show family/notes/plan body --marks"
)]
pub(crate) enum Text {
    /// Put text in; at the end, or where --at says
    Insert {
        #[command(flatten)]
        field: FieldAddress,
        /// What to put in; - reads standard input
        #[arg(value_name = "TEXT", allow_negative_numbers = true)]
        text: String,
        /// Before this character, counted from 0
        #[arg(long, value_name = "POSITION")]
        at: Option<usize>,
    },
    /// Take characters out
    Delete {
        #[command(flatten)]
        field: FieldAddress,
        /// The first character, counted from 0
        #[arg(value_name = "POSITION")]
        at: usize,
        /// How many
        count: usize,
    },
    /// Mark a part of the text, such as bold
    Mark {
        #[command(flatten)]
        field: FieldAddress,
        /// The first character, counted from 0
        start: usize,
        /// One behind the last character
        end: usize,
        /// The name of the mark: bold, link
        mark: String,
        /// What the mark says, as JSON if it is JSON; null takes the mark off
        #[arg(default_value = "true", allow_negative_numbers = true)]
        value: String,
    },
    /// Show the text
    Show {
        #[command(flatten)]
        field: FieldAddress,
        /// Show the marks too
        #[arg(long)]
        marks: bool,
        /// Give this position a name by which it is found again after edits; repeat it for more
        #[arg(long, value_name = "POSITION", action = clap::ArgAction::Append)]
        name: Vec<usize>,
        /// Find a named position; repeat it for more
        #[arg(long, value_name = "NAME", action = clap::ArgAction::Append)]
        find: Vec<String>,
    },
}

/// Edit a list together with others: elements keep their identity when they move
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  stead list insert family/lists/food items milk bread\n  stead list move family/lists/food items 1 0\n  stead list show family/lists/food items"
)]
pub(crate) enum List {
    /// Put elements in; at the end, or where --at says
    Insert {
        #[command(flatten)]
        field: FieldAddress,
        /// The elements, each as JSON if it is JSON and as text otherwise
        #[arg(value_name = "VALUE", required = true, allow_negative_numbers = true)]
        values: Vec<String>,
        /// Before this element, counted from 0
        #[arg(long, value_name = "POSITION")]
        at: Option<usize>,
    },
    /// Take elements out
    Delete {
        #[command(flatten)]
        field: FieldAddress,
        /// The first element, counted from 0
        #[arg(value_name = "POSITION")]
        at: usize,
        /// How many
        #[arg(default_value_t = 1)]
        count: usize,
    },
    /// Give an element another value
    Set {
        #[command(flatten)]
        field: FieldAddress,
        /// Which element, counted from 0
        #[arg(value_name = "POSITION")]
        at: usize,
        /// Its value, as JSON if it is JSON and as text otherwise
        #[arg(allow_negative_numbers = true)]
        value: String,
    },
    /// Move an element
    Move {
        #[command(flatten)]
        field: FieldAddress,
        /// Where it is, counted from 0
        from: usize,
        /// Where it is afterwards
        to: usize,
    },
    /// Show the list
    Show {
        #[command(flatten)]
        field: FieldAddress,
    },
}

/// Edit a tree together with others: nodes move with all that is below them
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  stead tree create work/plans/q3 outline title=\"Ship it\"      (answers the node's id)\n  stead tree create work/plans/q3 outline --under 0@41 title=Test\n  stead tree move work/plans/q3 outline 2@41 --at 0\n  stead tree show work/plans/q3 outline"
)]
pub(crate) enum Tree {
    /// Make a node; answers its id
    Create {
        #[command(flatten)]
        field: FieldAddress,
        /// Its fields
        #[arg(value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        /// Below this node; a root otherwise
        #[arg(long, value_name = "NODE")]
        under: Option<String>,
        /// Before this sibling, counted from 0; the last otherwise
        #[arg(long, value_name = "POSITION")]
        at: Option<usize>,
    },
    /// Move a node with all below it
    Move {
        #[command(flatten)]
        field: FieldAddress,
        /// Which node
        node: String,
        /// Below this node; it becomes a root otherwise
        #[arg(long, value_name = "NODE")]
        under: Option<String>,
        /// Before this sibling, counted from 0; the last otherwise
        #[arg(long, value_name = "POSITION")]
        at: Option<usize>,
    },
    /// Delete a node with all below it
    Delete {
        #[command(flatten)]
        field: FieldAddress,
        /// Which node
        node: String,
    },
    /// Set fields of a node
    Set {
        #[command(flatten)]
        field: FieldAddress,
        /// Which node
        node: String,
        /// What to set; null takes a field away
        #[arg(value_name = "FIELD=VALUE", required = true)]
        fields: Vec<String>,
    },
    /// Show the tree
    Show {
        #[command(flatten)]
        field: FieldAddress,
    },
}

/// A field of a document.
#[derive(Debug, Args)]
pub(crate) struct FieldAddress {
    /// SPACE/COLLECTION/ID
    #[arg(value_name = "DOCUMENT")]
    pub(crate) document: DocAddress,
    /// The field; dots lead into nested ones
    #[arg(value_name = "FIELD")]
    pub(crate) field: String,
}

/// Take back your latest change in a space, as far as nobody changed the same since
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stead undo family\n\nOf a change, what somebody wrote over since stays as they wrote it. `stead redo` takes the undo back."
)]
pub(crate) struct Undo {
    /// The space
    pub(crate) space: String,
}

/// Take back your latest undo in a space
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead redo family")]
pub(crate) struct Redo {
    /// The space
    pub(crate) space: String,
}
