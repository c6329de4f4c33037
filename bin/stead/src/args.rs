//! The command line: every command, flag and help text. Nothing is done here.

mod faces;
mod groups;
mod people;
mod presence;
mod questions;
mod recovery;
mod rich;
pub(crate) mod schema;

use std::{net::SocketAddr, path::PathBuf};

use clap::{
    ArgAction, Parser, Subcommand, ValueEnum, builder::Styles, builder::styling::AnsiColor,
};
use stead_interchange::Format;

use crate::{
    address::{CollectionAddress, DocAddress, LogAddress, PutAddress},
    query::WhereArg,
};

pub(crate) use faces::{Feed, Kv};
pub(crate) use groups::{Group, Leave};
pub(crate) use people::{
    Can, Contact, Device, Identity, IdentityAction, MembersArgs, Revoke, SignIn, Verify,
};
pub(crate) use presence::Presence;
pub(crate) use questions::{History, Index, Query, Redact, Sql, Watch};

pub(crate) use recovery::{Guardians, GuardiansAction, Recover};
pub(crate) use rich::{FieldAddress, List, Redo, Text, Tree, Undo};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold());

/// Shown below the list of commands.
const AFTER_HELP: &str = "\
First steps:
  stead try                                          see it all on throwaway data
  stead up                                           start Stead on this device
  stead link                                         link another device
  stead import csv people.csv --into family/people   bring data in

Exit codes:
  0  done                        5  refused, see the message
  1  failed                      6  done in part: some records were left out
  2  wrong usage                 7  the doctor found trouble
  3  Stead is not running        8  the disk or the store is in trouble
  4  not found                   9  another device, or the node, did not answer";

/// A private cloud made of your own devices.
#[derive(Debug, Parser)]
#[command(name = "stead", version, styles = STYLES, after_help = AFTER_HELP, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Args {
    /// Where this node keeps its data [env: STEAD_HOME, default: ~/.local/share/stead]
    #[arg(
        long,
        global = true,
        env = "STEAD_HOME",
        hide_env = true,
        value_name = "DIR",
        help_heading = "Everywhere"
    )]
    pub(crate) home: Option<PathBuf>,
    /// Answer with JSON, for programs
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Up),
    /// Stop Stead on this device
    Down,
    Status(Status),
    Link(Link),
    Recover(Recover),
    Guardians(Guardians),
    /// List your devices
    Devices,
    Identity(Identity),
    #[command(subcommand)]
    Device(Device),
    #[command(subcommand)]
    Contact(Contact),
    #[command(subcommand)]
    Space(Space),
    Members(MembersArgs),
    Revoke(Revoke),
    Leave(Leave),
    Can(Can),
    #[command(subcommand)]
    Group(Group),
    Share(Share),
    Join(Join),
    Put(Put),
    Get(Get),
    Query(Query),
    #[command(subcommand)]
    Index(Index),
    Sql(Sql),
    Watch(Watch),
    Presence(Presence),
    Delete(Delete),
    Restore(Restore),
    Redact(Redact),
    #[command(subcommand)]
    Kv(Kv),
    #[command(subcommand)]
    Feed(Feed),
    #[command(subcommand)]
    Text(Text),
    #[command(subcommand)]
    List(List),
    #[command(subcommand)]
    Tree(Tree),
    Undo(Undo),
    Redo(Redo),
    Import(Import),
    Export(Export),
    #[command(subcommand)]
    Schema(schema::Schema),
    Log(Log),
    History(History),
    Verify(Verify),
    SignIn(SignIn),
    Doctor(Doctor),
    Encrypt(Encrypt),
    Decrypt(Decrypt),
    Relay(Relay),
    Try(Try),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  stead completions bash > ~/.local/share/bash-completion/completions/stead"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all pages into a folder
    #[command(after_help = "Example:\n  stead man ~/.local/share/man/man1")]
    Man {
        /// The folder
        dir: Option<PathBuf>,
    },
}

/// Start Stead on this device
///
/// The node runs in the background until `stead down`; its messages go to node.log in its home. The first start makes your
/// identity. Private keys go to the system's keyring where there is one.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  stead up\n  stead up --name kitchen --relay http://192.0.2.7:3340\n  stead up --foreground --key-file     (a machine that must start alone)"
)]
pub(crate) struct Up {
    /// What this device is called; it is remembered [default: the machine's name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Reach devices through this relay when there is no direct path; `stead relay` runs one. It is remembered; `none` forgets
    /// all
    #[arg(long, value_name = "URL", action = ArgAction::Append)]
    pub(crate) relay: Vec<String>,
    /// Listen on this address [default: any address, any free port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Option<SocketAddr>,
    /// Do not look for devices on the local network
    #[arg(long)]
    pub(crate) no_mdns: bool,
    /// Keep private keys in a file locked with the passphrase on this file's first line
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Keep private keys in a file that only you can read, with no passphrase: for machines that start alone.
    /// Whoever can read your files, or takes the disk, has the keys
    #[arg(long)]
    pub(crate) key_file: bool,
    /// Encrypt the database that the first start makes. At a terminal the first start asks
    #[arg(long)]
    pub(crate) encrypt: bool,
    /// Do not encrypt it, and do not ask
    #[arg(long, conflicts_with = "encrypt")]
    pub(crate) plain: bool,
    /// Stay in this terminal instead of going to the background
    #[arg(long)]
    pub(crate) foreground: bool,
    /// What the person typed when asked.
    #[arg(skip)]
    pub(crate) passphrase: Option<Passphrase>,
    /// The background process itself.
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

/// A passphrase, which no message shows.
#[derive(Clone)]
pub(crate) struct Passphrase(pub(crate) String);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Show this device, its spaces, and how other devices are reached
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  stead status\n  stead status --watch")]
pub(crate) struct Status {
    /// Keep showing it, refreshed every second
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) watch: bool,
}

/// Link another device with a one-time link
///
/// Without an argument this device shows a link; the new device uses it and shows a code; that code, typed here, lets it in.
/// Everything this device has goes to the new one. Where a link cannot be shown or copied, `--spoken` gives three words instead.
///
/// A script takes the code from the first line that `stead --json link LINK` prints on the new device, and lets it in with
/// `stead link approve CODE` on the old one. Nothing lets a device in without a code or a yes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead link                      on the device that has your data\n  stead link stead-link:04d9...   on the new device\n  stead link --spoken             on the device that has your data\n  stead link --spoken rib ox sun  on the new device\n  stead link approve 042917       let in who asks, from another terminal or a script\n  stead link refuse               send away who asks\n  stead link pending              see who asks"
)]
pub(crate) struct Link {
    /// The link, or with --spoken the words, that the other device shows; or `approve` and the code, `refuse`, `pending`;
    /// without any, this device makes a link
    #[arg(value_name = "LINK", num_args = 0..)]
    pub(crate) words: Vec<String>,
    /// Use three spoken words instead of a link
    #[arg(long)]
    pub(crate) spoken: bool,
    /// Where the device is that shows the words, when it is not found on the local network
    #[arg(
        long,
        value_name = "ID@ADDRESS",
        requires = "spoken",
        requires = "words"
    )]
    pub(crate) at: Option<String>,
    /// On the device that uses the link or the words: keep only this of a space, as SPACE, SPACE/COLLECTION or
    /// SPACE/COLLECTION/DOCUMENT; repeat it for more. Of a SPACE alone, only what is looked at
    #[arg(long, value_name = "WHAT", action = clap::ArgAction::Append, requires = "words")]
    pub(crate) keep: Vec<String>,
    /// Keep of every other space only what is looked at
    #[arg(long, requires = "words")]
    pub(crate) on_demand: bool,
    /// How many minutes the link or the words may be used
    #[arg(long, value_name = "MINUTES", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=10), conflicts_with = "words")]
    pub(crate) minutes: u64,
    /// Print the link or the words and do not wait until they are used
    #[arg(long, conflicts_with = "words")]
    pub(crate) no_wait: bool,
    /// Never draw the QR code
    #[arg(long, conflicts_with = "words")]
    pub(crate) no_qr: bool,
}

/// Let someone else into a space
///
/// Prints an invite. Whoever uses it joins with all their devices; `stead members` shows who did, and `stead revoke` takes
/// an invite or a member back. With --group or --with nobody needs an invite: those people are let in at once.
/// With --everyone a part becomes public: whoever has the link reads it, and nobody writes who could not before.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead share family                     one person may read and write\n  stead share family --role reader --uses 5\n  stead share recipes --role reader --anyone --days 30\n  stead share plans --group team         everyone in the group, whoever that will be\n  stead share plans --group team --role reader --on /archive\n  stead share plans --with grace         someone you share a space with already\n  stead share site --everyone --on /blog the whole world may read /blog"
)]
pub(crate) struct Share {
    /// The space
    pub(crate) space: String,
    /// What they may do: read, also write, also let others read and write, or everything
    #[arg(long, value_enum, default_value_t = RoleName::Writer)]
    pub(crate) role: RoleName,
    /// How many people may use it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// Any number of people may use it
    #[arg(long, conflicts_with = "uses")]
    pub(crate) anyone: bool,
    /// Let in everyone in this group, now and later, without an invite
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["uses", "anyone", "days", "with"])]
    pub(crate) group: Option<String>,
    /// Let in this contact, without an invite: someone you share a space with already
    #[arg(long, value_name = "CONTACT", conflicts_with_all = ["uses", "anyone", "days"])]
    pub(crate) with: Option<String>,
    /// Let the whole world read, by a link that works for all
    #[arg(long, conflicts_with_all = ["role", "uses", "anyone", "days", "group", "with"])]
    pub(crate) everyone: bool,
    /// Share this part of it only: /COLLECTION, /COLLECTION/ID or /COLLECTION/ID/FIELD
    #[arg(long, value_name = "PATH")]
    pub(crate) on: Option<String>,
    /// For how many days
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=365))]
    pub(crate) days: u64,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RoleName {
    /// Reads
    Reader,
    /// Reads and writes
    Writer,
    /// Also lets readers and writers in, and puts them out
    Manager,
    /// Everything
    Owner,
}

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Manager => "manager",
            Self::Owner => "owner",
        })
    }
}

/// Join a space that someone shares with you
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead join stead-invite:04d9...\n  stead join stead-public:04d9...     (read what is public, without becoming a member)"
)]
pub(crate) struct Join {
    /// The invite you were given, or the link of a public space
    #[arg(required = true, num_args = 1..)]
    pub(crate) invite: Vec<String>,
    /// Keep only this of the space on this device: COLLECTION or COLLECTION/DOCUMENT; repeat it for more
    #[arg(long, value_name = "WHAT", action = clap::ArgAction::Append)]
    pub(crate) keep: Vec<String>,
    /// Keep nothing of the space but what is looked at
    #[arg(long)]
    pub(crate) on_demand: bool,
    /// Most room for what was only looked at, such as 50MB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) budget: Option<u64>,
}

/// Make, list and leave spaces
#[derive(Debug, Subcommand)]
pub(crate) enum Space {
    /// Make a space
    #[command(after_help = "Example:\n  stead space create family")]
    Create {
        /// Its name
        name: String,
    },
    /// List the spaces on this device, with their collections
    List,
    /// Make a checkpoint: newcomers start from it, and history below it can be dropped
    #[command(after_help = "Example:\n  stead space checkpoint family")]
    Checkpoint {
        /// The space's name
        space: String,
    },
    /// List the checkpoints of a space
    Checkpoints {
        /// The space's name
        space: String,
    },
    /// Show, or say, for how long history is kept on this device
    ///
    /// What is older goes by itself, once every device that may write has it: at least AGE is kept, at most about twice that.
    /// Where you manage the space, documents that were deleted longer ago are purged, on every device.
    #[command(
        after_help = "Examples:\n  stead space history family\n  stead space history family --keep 90d\n  stead space history family --keep forever"
    )]
    History {
        /// The space's name
        space: String,
        /// For how long, such as 12h, 90d or 2y, or forever
        #[arg(long, value_name = "AGE", value_parser = parse_keep)]
        keep: Option<u64>,
    },
    /// Drop the history below a checkpoint on this device; documents stay as they are
    #[command(
        after_help = "Examples:\n  stead space compact family                     (below the newest checkpoint)\n  stead space compact family --older-than 90d    (below one that is at least that old)"
    )]
    Compact {
        /// The space's name
        space: String,
        /// Only below a checkpoint of at least this age, such as 12h, 90d or 2y
        #[arg(long, value_name = "AGE", value_parser = parse_age, default_value = "0d")]
        older_than: u64,
        /// Also drop what some device that may write is not known to have
        #[arg(long)]
        force: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Show or choose how much of a space this device keeps
    #[command(
        after_help = "Examples:\n  stead space keep work                                       (what is kept now)\n  stead space keep work --collection notes --document plans/2027\n  stead space keep work --query tasks --where done=false --sort -due --limit 100\n  stead space keep work --on-demand --budget 20MB             (only what is looked at)\n  stead space keep work --all"
    )]
    Keep {
        /// The space's name
        space: String,
        /// Keep this collection; repeat it for more
        #[arg(long, short, value_name = "COLLECTION", action = clap::ArgAction::Append)]
        collection: Vec<String>,
        /// Keep this document, as COLLECTION/DOCUMENT; repeat it for more
        #[arg(long, short, value_name = "COLLECTION/DOCUMENT", action = clap::ArgAction::Append)]
        document: Vec<String>,
        /// Keep what is found in this collection by --where, in the order of --sort, up to --limit
        #[arg(long, short, value_name = "COLLECTION")]
        query: Option<String>,
        /// A condition of the query; repeat it for more
        #[arg(long = "where", short = 'w', value_name = "CONDITION", action = clap::ArgAction::Append, requires = "query")]
        conditions: Vec<crate::query::WhereArg>,
        /// Sort what the query finds by this field, or from the greatest down with a minus before it
        #[arg(long, short, value_name = "[-]FIELD", action = clap::ArgAction::Append, allow_hyphen_values = true, requires = "query")]
        sort: Vec<crate::query::SortArg>,
        /// Keep at most this many of what the query finds
        #[arg(long, short = 'n', value_name = "N", requires = "query")]
        limit: Option<u32>,
        /// Keep nothing but what is looked at
        #[arg(long, conflicts_with_all = ["collection", "document", "query"])]
        on_demand: bool,
        /// Most room for what was only looked at, such as 50MB
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        budget: Option<u64>,
        /// Keep all of the space again
        #[arg(long, conflicts_with_all = ["collection", "document", "query", "on_demand", "budget"])]
        all: bool,
        /// Do it even if no reachable device is known to have everything
        #[arg(long)]
        lose_unsynced: bool,
    },
    /// Stop keeping a space on this device and erase its data here
    #[command(after_help = "Example:\n  stead space leave family")]
    Leave {
        /// Its name
        space: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Leave even if changes made here have reached no other device
        #[arg(long)]
        lose_unsynced: bool,
    },
}

/// Write a document: only the fields you name change
///
/// FIELD=VALUE takes the value as JSON if it is JSON, and as text otherwise; dots in FIELD lead into nested fields. Everything
/// in one command happens at once or not at all.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead put family/people/ada name=\"Ada Lovelace\" born=1815 address.city=London\n  stead put family/people '{\"name\": \"Grace\"}'       (the id is made)\n  stead put family/people/ada --add visits=1 --include tags=friend --unset born\n  stead put family/people/ada zip='\"01234\"'            (a text that looks like a number)\n  generate | stead put family/readings -               (objects, one after the other)"
)]
pub(crate) struct Put {
    /// SPACE/COLLECTION or SPACE/COLLECTION/ID
    #[arg(value_name = "DOCUMENT")]
    pub(crate) document: PutAddress,
    /// A JSON object, FIELD=VALUE pairs, or - to read JSON from standard input
    #[arg(value_name = "JSON|FIELD=VALUE")]
    pub(crate) fields: Vec<String>,
    /// Delete the fields that are not named
    #[arg(long)]
    pub(crate) replace: bool,
    /// Add to a counter; additions made on several devices add up
    #[arg(long, value_name = "FIELD=NUMBER", action = ArgAction::Append)]
    pub(crate) add: Vec<String>,
    /// Put an element into a set
    #[arg(long, value_name = "FIELD=VALUE", action = ArgAction::Append)]
    pub(crate) include: Vec<String>,
    /// Take an element out of a set
    #[arg(long, value_name = "FIELD=VALUE", action = ArgAction::Append)]
    pub(crate) exclude: Vec<String>,
    /// Delete a field
    #[arg(long, value_name = "FIELD", action = ArgAction::Append)]
    pub(crate) unset: Vec<String>,
    /// Speak this revision of the collection's schema: its number, or the first digits of its id [default: the newest]
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
}

/// Show one document
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead get family/people/ada\n  stead get family/people/ada --json"
)]
pub(crate) struct Get {
    /// SPACE/COLLECTION/ID
    #[arg(value_name = "DOCUMENT")]
    pub(crate) document: DocAddress,
    /// Show it even if it is deleted
    #[arg(long)]
    pub(crate) deleted: bool,
    /// Speak this revision of the collection's schema: its number, or the first digits of its id; or none for
    /// what is held [default: the newest]
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
}

/// Delete documents; `stead restore` brings them back, unless they are purged
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead delete family/people/ada\n  stead delete family/people/ada --purge\n\nOlder versions of what is purged stay in the history of the space for as long as that is kept: see\n`stead space history`. What must not be read there either is for `stead redact`."
)]
pub(crate) struct Delete {
    /// SPACE/COLLECTION/ID
    #[arg(value_name = "DOCUMENT", required = true)]
    pub(crate) documents: Vec<DocAddress>,
    /// What they hold goes for ever, on every device: nothing brings it back
    #[arg(long)]
    pub(crate) purge: bool,
    /// Purge without asking
    #[arg(long, requires = "purge")]
    pub(crate) yes: bool,
}

/// Bring deleted documents back, with everything they held
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  stead query family/people --deleted\n  stead restore family/people/ada"
)]
pub(crate) struct Restore {
    /// SPACE/COLLECTION/ID
    #[arg(value_name = "DOCUMENT", required = true)]
    pub(crate) documents: Vec<DocAddress>,
}

/// The formats of `import` and `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// An array of objects, objects one after the other, or an object of objects
    Json,
    /// One JSON object a line
    Jsonl,
    /// A table with a header row
    Csv,
    /// Contacts
    Vcard,
    /// Events, to-dos and time zones
    Ical,
    /// A folder of Markdown notes with front matter
    Markdown,
    /// A Bitwarden vault, exported as JSON without encryption
    Bitwarden,
}

impl FormatArg {
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Json => Format::Json,
            Self::Jsonl => Format::JsonLines,
            Self::Csv => Format::Csv,
            Self::Vcard => Format::Vcard,
            Self::Ical => Format::Ical,
            Self::Markdown => Format::Markdown,
            Self::Bitwarden => Format::Bitwarden,
        }
    }
}

/// Bring in a file, or a folder of notes
///
/// Documents that exist already are updated: importing the same file again changes nothing. What a field of a file that no
/// document can have as its id says is kept in the document.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead import csv people.csv --into family/people --key email\n  stead import json countries.json --into world/countries --key cca3\n  stead import vcard contacts.vcf --into family/contacts\n  stead import markdown ~/notes --into home/notes\n  stead import bitwarden export.json --into home/vault"
)]
pub(crate) struct Import {
    /// What the file is
    pub(crate) format: FormatArg,
    /// The file or folder; - reads standard input
    pub(crate) path: PathBuf,
    /// SPACE/COLLECTION that gets the documents
    #[arg(long, value_name = "SPACE/COLLECTION")]
    pub(crate) into: CollectionAddress,
    /// Take each document's id from this field
    #[arg(long, value_name = "FIELD")]
    pub(crate) key: Option<String>,
}

/// Write a collection to a file, or notes to a folder
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead export csv people.csv --from family/people\n  stead export vcard --from family/contacts > contacts.vcf\n  stead export markdown ~/notes --from home/notes"
)]
pub(crate) struct Export {
    /// What to write
    pub(crate) format: FormatArg,
    /// The file or folder; standard output when absent
    pub(crate) path: Option<PathBuf>,
    /// SPACE/COLLECTION to write
    #[arg(long, value_name = "SPACE/COLLECTION")]
    pub(crate) from: CollectionAddress,
    /// Only documents that fit; as in `stead query`
    #[arg(long = "where", short = 'w', value_name = "CONDITION", action = ArgAction::Append)]
    pub(crate) conditions: Vec<WhereArg>,
}

/// Show who changed what and when, newest first
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead log family\n  stead log family/people/ada\n  stead log family --proof --json > proof.json\n  stead log family --rights                        who gave what to whom\n  stead log family --rights --export rights.json   with proof, for `stead verify`"
)]
pub(crate) struct Log {
    /// SPACE, SPACE/COLLECTION or SPACE/COLLECTION/ID
    #[arg(value_name = "SPACE")]
    pub(crate) subject: LogAddress,
    /// Show at most this many entries
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub(crate) limit: u64,
    /// Check each entry against the head its device signed, and show the proof
    #[arg(long)]
    pub(crate) proof: bool,
    /// Only what says who may do what
    #[arg(long, conflicts_with = "proof")]
    pub(crate) rights: bool,
    /// Write it to a file with what a stranger needs to check it with `stead verify`
    #[arg(long, value_name = "FILE", requires = "rights")]
    pub(crate) export: Option<PathBuf>,
}

/// Look for trouble with store, keys, clock and network, and say what to do
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  stead doctor\n  stead doctor --thorough")]
pub(crate) struct Doctor {
    /// Also read the whole store and check every hash and signature
    #[arg(long)]
    pub(crate) thorough: bool,
    /// First build every document again from the logs
    #[arg(long)]
    pub(crate) rebuild: bool,
}

/// Encrypt this device's database, while Stead is stopped
///
/// The key is derived from the device's keys, so it is as safe as they are. Keys that lie in an open file go into the system's
/// keyring, or under a passphrase. The old file stays until the new one is complete; as much disk again must be free.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead down && stead encrypt && stead up\n  stead encrypt --passphrase-file FILE"
)]
pub(crate) struct Encrypt {
    /// The passphrase on this file's first line opens the keys, or locks them from now on
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Leave keys that lie in an open file where they are: for machines that start alone
    #[arg(long)]
    pub(crate) key_file: bool,
}

/// Make this device's database a plain file again, while Stead is stopped
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stead down && stead decrypt && stead up")]
pub(crate) struct Decrypt {
    /// The passphrase on this file's first line opens the keys
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Run a relay for devices that cannot reach each other directly
///
/// It passes on encrypted bytes and can read nothing. Run it on a machine that all your devices can reach.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stead relay --bind 0.0.0.0:3340")]
pub(crate) struct Relay {
    /// Listen on this address
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:3340")]
    pub(crate) bind: SocketAddr,
    /// Let in only devices that know the token on this file's first line: stead up --relay 'URL?token=...'
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// See it all in a minute, on throwaway data
///
/// Two devices, real data, edits made apart, together again.
#[derive(Debug, clap::Args)]
pub(crate) struct Try {
    /// Keep the two homes and say where they are
    #[arg(long)]
    pub(crate) keep: bool,
    /// Do not pause between the steps
    #[arg(long)]
    pub(crate) fast: bool,
}

/// Reads an amount of bytes: a number and B, KB, MB or GB.
fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("B", 1)];
    let upper = text.trim().to_ascii_uppercase();
    let read = |(unit, bytes): (&str, u64)| {
        let number = upper.strip_suffix(unit)?.trim();
        number.parse::<u64>().ok()?.checked_mul(bytes)
    };
    UNITS.into_iter().find_map(read).ok_or_else(|| {
        format!("{text:?} is no size: write a number and KB, MB or GB, such as 50MB")
    })
}

/// An age in milliseconds; 0 for ever.
fn parse_keep(text: &str) -> Result<u64, String> {
    match text.trim() {
        "forever" => Ok(0),
        text => match parse_age(text)? {
            0 => Err(
                "an age of nothing keeps nothing: `stead space compact` drops history now"
                    .to_owned(),
            ),
            ms => Ok(ms),
        },
    }
}

/// Reads an age such as `90d` as milliseconds.
fn parse_age(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("y", 31_536_000_000),
    ];
    let read = |(unit, ms): (&str, u64)| {
        let number = text.trim().strip_suffix(unit)?;
        number.parse::<u64>().ok()?.checked_mul(ms)
    };
    UNITS
        .into_iter()
        .find_map(read)
        .ok_or_else(|| format!("{text:?} is no age: write a number and m, h, d or y, such as 90d"))
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::*;

    #[test]
    fn no_argument_swallows_an_option_that_is_written_after_it() {
        fn check(command: &Command) {
            for arg in command.get_positionals() {
                assert!(
                    !arg.is_allow_hyphen_values_set(),
                    "{} {}",
                    command.get_name(),
                    arg.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Args::command());
        for line in [
            &["stead", "kv", "put", "shop/prices", "apple", "-1", "--json"][..],
            &["stead", "text", "insert", "s/c/d", "body", "--at", "8", "-"],
            &[
                "stead", "list", "insert", "s/c/d", "items", "-1", "--at", "0",
            ],
            &["stead", "list", "set", "s/c/d", "items", "0", "-1"],
        ] {
            if let Err(error) = Args::try_parse_from(line) {
                panic!("{line:?}: {error}");
            }
        }
    }
}
