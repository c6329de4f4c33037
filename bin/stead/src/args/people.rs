//! The command line of people, devices and rights: flags and help texts. Nothing is done here.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};

/// Who you are to others, your devices, and your recovery words
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead identity\n  stead identity phrase              your 24 recovery words\n  stead identity phrase --written    they are written down: forget them here"
)]
pub(crate) struct Identity {
    #[command(subcommand)]
    pub(crate) action: Option<IdentityAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityAction {
    /// Show your identity and your devices; the same as `stead identity`
    Show,
    /// Show your identity as a QR code, for others to scan from your screen
    #[command(
        after_help = "Example:\n  stead identity qr    they type: stead contact add NAME CODE --face-to-face"
    )]
    Qr,
    /// Show the 24 recovery words until they are written down
    #[command(
        after_help = "Examples:\n  stead identity phrase\n  stead identity phrase --written\n\nWhoever has the words has your identity. Write them on paper, not into a file."
    )]
    Phrase {
        /// The words are written down: this device forgets them for good
        #[arg(long)]
        written: bool,
        /// Do not ask for two of the words back
        #[arg(long, short, requires = "written")]
        yes: bool,
    },
}

/// List, rename and remove your devices
#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// List your devices, past ones included
    #[command(after_help = "Example:\n  stead device list")]
    List,
    /// Give one of your devices another name
    #[command(after_help = "Example:\n  stead device rename laptop old-laptop")]
    Rename {
        /// Its name, or the start of its id
        device: String,
        /// The new name
        name: String,
    },
    /// Take a lost or old device out of everything, and renew the keys it had
    #[command(
        after_help = "Examples:\n  stead device remove phone\n  stead device remove laptop --words-file words.txt    (a device that is senior to this one)"
    )]
    Remove {
        /// Its name, or the start of its id
        device: String,
        /// Read the recovery words from this file instead of asking
        #[arg(long, value_name = "FILE")]
        words_file: Option<PathBuf>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Names you give to other people, and whether you compared safety words with them
#[derive(Debug, Subcommand)]
pub(crate) enum Contact {
    /// Give a name to another person's identity
    #[command(
        after_help = "Example:\n  stead contact add grace 5d0c...    (`stead identity` shows it to her)\n  stead contact add grace stead-contact:5D0C... --face-to-face    (scanned from `stead identity qr`)"
    )]
    Add {
        /// What you call them
        name: String,
        /// Their identity, 64 hexadecimal digits, or what their QR code says
        identity: String,
        /// You scanned it from their own screen, with them beside you: it needs no safety words
        #[arg(long)]
        face_to_face: bool,
    },
    /// List your contacts
    List,
    /// Show the safety words to compare with a contact, by voice or face to face
    #[command(
        after_help = "Examples:\n  stead contact verify grace\n  stead contact verify grace --same    (you compared all twelve words)"
    )]
    Verify {
        /// Their name
        name: String,
        /// You compared the words and they are the same
        #[arg(long)]
        same: bool,
    },
}

/// Show who is let into a space, as what, and by whom
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  stead members family\n  stead members")]
pub(crate) struct MembersArgs {
    /// The space; all of them when absent
    pub(crate) space: Option<String>,
    /// Also show memberships that have ended
    #[arg(long)]
    pub(crate) ended: bool,
}

/// Put someone out of a space and renew its keys, or leave it with `me`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead revoke family grace\n  stead revoke family grace --reason \"moved out\" --yes\n  stead revoke family me"
)]
pub(crate) struct Revoke {
    /// The space
    pub(crate) space: String,
    /// A contact, a device's name, a membership, the start of an id, or me
    pub(crate) member: String,
    /// Why; every member of the space can read it
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Say whether someone may do something, and on which grants that rests
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stead can me write /notes --space family\n  stead can grace grant-reader / --space family"
)]
pub(crate) struct Can {
    /// me, a contact, a device's name, or the start of an id
    pub(crate) who: String,
    /// read, write, manage, or grant-ROLE
    pub(crate) action: String,
    /// /, /COLLECTION, /COLLECTION/ID or below
    pub(crate) path: String,
    /// The space
    #[arg(long)]
    pub(crate) space: String,
}

/// Sign in to a site that takes Stead: answer its challenge
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what").required(true),
    after_help = "Examples:\n  stead sign-in stead-challenge:08c4...\n  stead sign-in --make-challenge notes.example.org    (what a site does)"
)]
pub(crate) struct SignIn {
    /// The challenge that the site shows
    #[arg(group = "what")]
    pub(crate) challenge: Option<String>,
    /// Make a challenge for this site instead, to try it without one
    #[arg(long, value_name = "HOST", group = "what")]
    pub(crate) make_challenge: Option<String>,
    /// How many seconds the challenge is open
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=600), requires = "make_challenge")]
    pub(crate) seconds: u64,
    /// Sign in to this site without being asked; a challenge of any other site is refused
    #[arg(long, value_name = "HOST", conflicts_with = "make_challenge")]
    pub(crate) to: Option<String>,
}

/// Check a proof file, or the answer to a sign-in, without a node
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what").required(true),
    after_help = "Examples:\n  stead verify proof.json\n  stead verify --sign-in stead-answer:08c4... --challenge stead-challenge:08c4... --used used.txt"
)]
pub(crate) struct Verify {
    /// A file made by `stead log SPACE --rights --export FILE`
    #[arg(group = "what")]
    pub(crate) file: Option<PathBuf>,
    /// The answer that a visitor handed in
    #[arg(long, value_name = "ANSWER", group = "what", requires = "challenge")]
    pub(crate) sign_in: Option<String>,
    /// The challenge that was given to this very visitor
    #[arg(long, requires = "sign_in")]
    pub(crate) challenge: Option<String>,
    /// Remember answered challenges in this file, and refuse them a second time
    #[arg(long, value_name = "FILE", requires = "sign_in")]
    pub(crate) used: Option<PathBuf>,
}
