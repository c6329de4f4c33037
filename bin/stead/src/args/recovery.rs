//! The command line of coming back and of guardians: flags and help texts. Nothing is done here.

use clap::Subcommand;

/// Come back after losing all devices: type your 24 recovery words on an empty one
///
/// Asks every device on your local network, and those named with --at, for what belongs to the words: your own devices
/// that still run, and people with whom you share spaces. Nothing is told to anybody who does not know you already. Run it
/// again at any time; it goes on where it was.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead recover\n  stead recover --at 3f9c...@192.0.2.7:4242     (what `stead identity` shows on the other device)\n  stead recover --guardians                      (with the help of people you chose before)\n  stead recover --words-from words.txt --keep-devices --begin-anew --json"
)]
pub(crate) struct Recover {
    /// Read the words from this file, or from standard input with -, instead of asking
    #[arg(long, value_name = "FILE")]
    pub(crate) words_from: Option<String>,
    /// You have lost the words too: collect shares from your guardians instead
    #[arg(long, conflicts_with = "words_from")]
    pub(crate) guardians: bool,
    /// What a guardian gave you, a text or three words, instead of asking for it; again for each guardian
    #[arg(long, value_name = "TEXT", requires = "guardians")]
    pub(crate) share: Vec<String>,
    /// Also ask this device: its id, an @, and its address or the URL of its relay
    #[arg(long, value_name = "ID@PLACE")]
    pub(crate) at: Vec<String>,
    /// Leave your other devices in, also those that did not answer
    #[arg(long, conflicts_with = "yes")]
    pub(crate) keep_devices: bool,
    /// If only other people's devices are reached, begin a new home space without waiting for one of yours
    #[arg(long)]
    pub(crate) begin_anew: bool,
    /// Give up after this many seconds; else it waits until you press Ctrl-C
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) wait: Option<u64>,
    /// Do not ask: take out every device of yours that did not answer
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Contacts who together can give you your recovery words back
///
/// Each guardian gets a share of the words, sealed to their devices. So many of them as you say bring the words back; fewer
/// know nothing of them. Shares travel by a space that you share with each of them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead guardians\n  stead guardians set -k 2 grace ben cleo\n  stead guardians held\n  stead guardians help ada              (she is on the phone and has lost everything)"
)]
pub(crate) struct Guardians {
    #[command(subcommand)]
    pub(crate) action: Option<GuardiansAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GuardiansAction {
    /// Show your guardians; the same as `stead guardians`
    Show,
    /// Share your recovery words out among contacts, in place of earlier guardians
    #[command(
        after_help = "Examples:\n  stead guardians set -k 2 grace ben cleo\n  stead guardians set -k 3 grace ben cleo dan --words-from words.txt --yes"
    )]
    Set {
        /// How many of them it takes, at least 2
        #[arg(short, long = "needed", value_name = "K", value_parser = clap::value_parser!(u32).range(2..=64))]
        k: u32,
        /// Contacts, by their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Read the words from this file, or from standard input with -, if this device has forgotten them
        #[arg(long, value_name = "FILE")]
        words_from: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Take all shares back: your guardians' devices erase them
    Clear {
        /// Read the words from this file, or from standard input with -, if this device has forgotten them
        #[arg(long, value_name = "FILE")]
        words_from: Option<String>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Show for whom you hold a share
    Held,
    /// Give your share of somebody's words to their new device, while you speak with them
    #[command(
        after_help = "Examples:\n  stead guardians help ada\n  stead guardians help ada --spoken     (three words instead of a text, on one network)"
    )]
    Help {
        /// Whom you help, as `stead guardians held` names them
        person: String,
        /// Say three words instead of sending a text
        #[arg(long)]
        spoken: bool,
        /// For how long what you send is good
        #[arg(long, value_name = "MINUTES", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=10))]
        minutes: u64,
        /// Print it and do not wait; answer with `stead link approve CODE`
        #[arg(long)]
        no_wait: bool,
        /// Do not ask before it is made; a code is still asked for
        #[arg(long, short)]
        yes: bool,
    },
}
