//! The command line of groups: flags and help texts. Nothing is done here.

use clap::Subcommand;

/// Groups of people: managed in one place, let into many spaces
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Make a group; you keep it
    #[command(after_help = "Example:\n  stead group create team")]
    Create {
        /// Its name
        name: String,
    },
    /// List the groups that you are in
    List,
    /// Show who is in a group, and where it has rights
    #[command(after_help = "Example:\n  stead group show team")]
    Show {
        /// The group
        group: String,
    },
    /// Let people into a group: a contact by name, or whoever uses an invite
    #[command(
        after_help = "Examples:\n  stead group add team grace            someone you share a space with already\n  stead group add team                  print an invite for one person\n  stead group add team --uses 5 --days 2\n  stead group add team grace --keeper   may add and remove others"
    )]
    Add {
        /// The group
        group: String,
        /// A contact, or an identity; an invite is printed when absent
        who: Option<String>,
        /// They keep the group: add and remove others
        #[arg(long)]
        keeper: bool,
        /// How many people may use the invite
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "who")]
        uses: u32,
        /// For how many days the invite is good
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=365), conflicts_with = "who")]
        days: u64,
    },
    /// Take someone out of a group, and out of every space they are in through it
    #[command(
        after_help = "Examples:\n  stead group remove team grace\n  stead group remove team me           leave it"
    )]
    Remove {
        /// The group
        group: String,
        /// A contact, a device's name, a membership, the start of an id, or me
        who: String,
        /// Why; everyone in the group can read it
        #[arg(long)]
        reason: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Give a group another name, for everyone in it
    #[command(after_help = "Example:\n  stead group rename team crew")]
    Rename {
        /// The group
        group: String,
        /// The new name
        name: String,
    },
    /// End a group: nobody is in a space through it any more
    #[command(after_help = "Example:\n  stead group delete team")]
    Delete {
        /// The group
        group: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Leave a space or a group with all your devices; what they have stays on them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead leave family\n  stead leave family --reason \"moved out\" --yes\n\n`stead space leave` erases a space on this device and leaves your rights as they are."
)]
pub(crate) struct Leave {
    /// The space or group
    pub(crate) space: String,
    /// Why; every member can read it
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}
