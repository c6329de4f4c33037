//! The command line of coming back: flags and help texts. Nothing is done here.

/// Come back after losing all devices: type your 24 recovery words on an empty one
///
/// Asks every device on your local network, and those named with --at, for what belongs to the words: your own devices
/// that still run, and people with whom you share spaces. Nothing is told to anybody who does not know you already. Run it
/// again at any time; it goes on where it was.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead recover\n  stead recover --at 3f9c...@192.0.2.7:4242     (what `stead identity` shows on the other device)\n  stead recover --words-from words.txt --keep-devices --begin-anew --json"
)]
pub(crate) struct Recover {
    /// Read the words from this file, or from standard input with -, instead of asking
    #[arg(long, value_name = "FILE")]
    pub(crate) words_from: Option<String>,
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
