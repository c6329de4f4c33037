//! The arguments of `stead presence`.

use clap::Args;

use crate::address::LogAddress;

/// Show who is in a space right now, and be there yourself
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  stead presence family\n  stead presence family/notes/plan --watch\n  stead presence family/notes/plan --set '{\"mood\":\"busy\"}' --cursor body:4\n  stead presence family/notes/plan --cursor body:4-9 --watch\n\nNothing of it is stored. Only those hear of it who may read the place that it is about."
)]
pub(crate) struct Presence {
    /// SPACE, SPACE/COLLECTION or SPACE/COLLECTION/ID
    #[arg(value_name = "PLACE")]
    pub(crate) place: LogAddress,
    /// Be there and say this, as JSON if it is JSON and as text otherwise, until Ctrl-C
    #[arg(long, value_name = "VALUE")]
    pub(crate) set: Option<String>,
    /// Be there with a cursor in a text or list, or with a selection; repeat it for more
    #[arg(long, value_name = "FIELD:POSITION[-POSITION]", action = clap::ArgAction::Append)]
    pub(crate) cursor: Vec<String>,
    /// The name by which this program is shown
    #[arg(long = "as", value_name = "NAME", default_value = "stead")]
    pub(crate) app: String,
    /// Go on showing who comes, moves and goes
    #[arg(long)]
    pub(crate) watch: bool,
}
