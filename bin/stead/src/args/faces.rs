//! The command line of ordered maps and append-only feeds: flags and help texts. Nothing is done here.

use std::path::PathBuf;

use clap::Subcommand;

use crate::address::CollectionAddress;

/// An ordered map of keys and values: ranges, history, differences
///
/// A map is a collection of its own. A VALUE is JSON if it is JSON, and text otherwise.
#[derive(Debug, Subcommand)]
pub(crate) enum Kv {
    /// Put a value under a key
    #[command(
        after_help = "Examples:\n  stead kv put shop/prices apple 3\n  stead kv put shop/prices fruit/pear '{\"chf\": 4}'\n  stead kv put shop/images apple --file apple.png"
    )]
    Put {
        /// SPACE/COLLECTION
        map: CollectionAddress,
        /// The key: at most 63 bytes, dots and slashes count twice
        key: String,
        /// The value
        #[arg(allow_negative_numbers = true)]
        value: Option<String>,
        /// Put the bytes of this file instead
        #[arg(long, value_name = "FILE", conflicts_with = "value")]
        file: Option<PathBuf>,
    },
    /// Show the value under a key
    #[command(after_help = "Example:\n  stead kv get shop/images apple > apple.png")]
    Get {
        /// SPACE/COLLECTION
        map: CollectionAddress,
        /// The key
        key: String,
    },
    /// Delete keys, all in one transaction
    #[command(after_help = "Example:\n  stead kv delete shop/prices apple pear")]
    Delete {
        /// SPACE/COLLECTION
        map: CollectionAddress,
        /// The keys
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// List keys with their values, in order
    #[command(
        after_help = "Examples:\n  stead kv range shop/prices --prefix fruit/\n  stead kv range shop/prices --gte a --lt c --limit 50\n  stead kv range shop/prices --reverse -n 1          the last key"
    )]
    Range {
        /// SPACE/COLLECTION
        map: CollectionAddress,
        /// Only keys greater than this
        #[arg(long, value_name = "KEY")]
        gt: Option<String>,
        /// Only keys from this one on
        #[arg(long, value_name = "KEY")]
        gte: Option<String>,
        /// Only keys less than this
        #[arg(long, value_name = "KEY")]
        lt: Option<String>,
        /// Only keys up to this one
        #[arg(long, value_name = "KEY")]
        lte: Option<String>,
        /// Only keys that begin so
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        /// From the last key down
        #[arg(long, short)]
        reverse: bool,
        /// Show at most this many
        #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
        limit: u32,
        /// Continue behind this key
        #[arg(long, value_name = "KEY")]
        after: Option<String>,
    },
    /// Show what happened to a map or to one key, latest first
    #[command(
        after_help = "Examples:\n  stead kv history shop/prices\n  stead kv history shop/prices apple"
    )]
    History {
        /// SPACE/COLLECTION
        map: CollectionAddress,
        /// Only this key
        key: Option<String>,
        /// Look at most at this many transactions
        #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
        limit: u32,
        /// Continue where a page ended, as its JSON names it
        #[arg(long, value_name = "MARK")]
        before: Option<String>,
    },
    /// Show how a map differs between two times
    #[command(
        after_help = "Examples:\n  stead kv diff shop/prices --from 2h\n  stead kv diff shop/prices --from 2026-01-31T10:00:00Z --to 2026-02-01T10:00:00Z\n\nA time is like 2026-01-31T10:00:00Z, milliseconds since 1970, or how long ago: 30s, 10m, 2h, 7d."
    )]
    Diff {
        /// SPACE/COLLECTION
        map: CollectionAddress,
        /// From this time on
        #[arg(long, value_name = "TIME")]
        from: String,
        /// Up to this time [default: now]
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
    },
    /// Show changes of a map as they happen, wherever they are made
    #[command(after_help = "Example:\n  stead kv watch shop/prices --prefix fruit/")]
    Watch {
        /// SPACE/COLLECTION
        map: CollectionAddress,
        /// Only keys that begin so
        #[arg(long, value_name = "TEXT")]
        prefix: Option<String>,
        /// Also show what is there already
        #[arg(long)]
        all: bool,
    },
}

/// Append-only feeds: values in a row, each proven by the log that its device signed
///
/// A feed is a collection of its own. Every device appends to a part of its own, numbered from 0. A VALUE is JSON if it is JSON,
/// and text otherwise.
#[derive(Debug, Subcommand)]
pub(crate) enum Feed {
    /// Append values to this device's part of a feed
    #[command(
        after_help = "Examples:\n  stead feed append lab/readings '{\"t\": 21.5}'\n  stead feed append lab/notes \"it rained\" \"it stopped\"\n  stead feed append lab/images --file frame.png"
    )]
    Append {
        /// SPACE/COLLECTION
        feed: CollectionAddress,
        /// The values, appended in one transaction
        #[arg(allow_negative_numbers = true)]
        values: Vec<String>,
        /// Append the bytes of this file
        #[arg(long, value_name = "FILE", conflicts_with = "values")]
        file: Option<PathBuf>,
    },
    /// Show one value, checked against the log
    #[command(
        after_help = "Examples:\n  stead feed get lab/readings 0\n  stead feed get lab/readings 17 --of laptop"
    )]
    Get {
        /// SPACE/COLLECTION
        feed: CollectionAddress,
        /// Its number
        index: u64,
        /// Whose: a device's name, or the start of the id of a device or log [default: this device]
        #[arg(long, value_name = "DEVICE")]
        of: Option<String>,
    },
    /// Show who has appended to a feed, and how much
    #[command(after_help = "Example:\n  stead feed list lab/readings")]
    List {
        /// SPACE/COLLECTION
        feed: CollectionAddress,
    },
    /// Show the last values, and then each new one as it comes
    #[command(
        after_help = "Examples:\n  stead feed tail lab/readings\n  stead feed tail lab/readings --of laptop --from 0 --no-follow -n 1000"
    )]
    Tail {
        /// SPACE/COLLECTION
        feed: CollectionAddress,
        /// Only what this device appended
        #[arg(long, value_name = "DEVICE")]
        of: Option<String>,
        /// Begin at this number instead of the last ones
        #[arg(long, value_name = "N")]
        from: Option<u64>,
        /// Show at most this many of those that are there
        #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
        limit: u32,
        /// Do not wait for new ones
        #[arg(long)]
        no_follow: bool,
    },
    /// Check every value of a feed against the logs that their devices signed
    #[command(after_help = "Example:\n  stead feed verify lab/readings")]
    Verify {
        /// SPACE/COLLECTION
        feed: CollectionAddress,
        /// Only what this device appended
        #[arg(long, value_name = "DEVICE")]
        of: Option<String>,
    },
}
