//! Every decoder that meets bytes from outside, as a function of bytes; and seeds for each.
//!
//! Owns the targets ([`TARGETS`]) and how their seed corpus is made. The same functions run in three
//! places: over the committed corpus and small mutations of it in every `cargo test -p stead-fuzz`,
//! and without end under cargo-fuzz (`testing/fuzz/fuzz`, outside the workspace).
//!
//! A target returns whether the input was accepted, and panics when something that must hold of
//! accepted input does not: an encoding that is not the only one, replicas that differ.

pub mod seeds;
pub mod targets;

/// One fuzz target.
pub struct Target {
    /// Name of the target, its corpus directory and its cargo-fuzz binary.
    pub name: &'static str,
    /// Runs one input; returns whether it was accepted.
    pub run: fn(&[u8]) -> bool,
    /// Valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "entry",
        run: targets::log::entry,
        seeds: seeds::log::entries,
    },
    Target {
        name: "envelope",
        run: targets::log::envelope,
        seeds: seeds::log::envelopes,
    },
    Target {
        name: "head",
        run: targets::log::head,
        seeds: seeds::log::heads,
    },
    Target {
        name: "batch",
        run: targets::log::batch,
        seeds: seeds::log::batches,
    },
    Target {
        name: "tip",
        run: targets::log::tip,
        seeds: seeds::log::tips,
    },
    Target {
        name: "proof",
        run: targets::log::proof,
        seeds: seeds::log::proofs,
    },
    Target {
        name: "fork",
        run: targets::log::fork,
        seeds: seeds::log::forks,
    },
    Target {
        name: "roster_op",
        run: targets::access::roster_op,
        seeds: seeds::access::roster_ops,
    },
    Target {
        name: "card",
        run: targets::access::card,
        seeds: seeds::access::cards,
    },
    Target {
        name: "key_box",
        run: targets::access::key_box,
        seeds: seeds::access::key_boxes,
    },
    Target {
        name: "share",
        run: targets::crypt::share,
        seeds: seeds::crypt::shares,
    },
    Target {
        name: "recovery_phrase",
        run: targets::crypt::recovery_phrase,
        seeds: seeds::crypt::recovery_phrases,
    },
    Target {
        name: "spoken_code",
        run: targets::crypt::spoken_code,
        seeds: seeds::crypt::spoken_codes,
    },
    Target {
        name: "challenge",
        run: targets::crypt::challenge,
        seeds: seeds::crypt::challenges,
    },
    Target {
        name: "sign_in",
        run: targets::crypt::sign_in,
        seeds: seeds::crypt::sign_ins,
    },
    Target {
        name: "pake_first",
        run: targets::crypt::pake_first,
        seeds: seeds::crypt::pake_firsts,
    },
    Target {
        name: "pake_second",
        run: targets::crypt::pake_second,
        seeds: seeds::crypt::pake_seconds,
    },
    Target {
        name: "pake_third",
        run: targets::crypt::pake_third,
        seeds: seeds::crypt::pake_thirds,
    },
    Target {
        name: "doc_parcel",
        run: targets::doc::parcel,
        seeds: seeds::doc::parcels,
    },
    Target {
        name: "doc_state",
        run: targets::doc::state,
        seeds: seeds::doc::states,
    },
    Target {
        name: "doc_redacted",
        run: targets::doc::redacted,
        seeds: seeds::doc::redacted,
    },
    Target {
        name: "jsonb",
        run: targets::doc::jsonb,
        seeds: seeds::doc::jsonb,
    },
    Target {
        name: "rich_update",
        run: targets::rich::update,
        seeds: seeds::rich::updates,
    },
    Target {
        name: "skeleton",
        run: targets::checkpoint::skeleton,
        seeds: seeds::checkpoint::skeletons,
    },
    Target {
        name: "thin_batch",
        run: targets::checkpoint::thin,
        seeds: seeds::checkpoint::thins,
    },
    Target {
        name: "part_choice",
        run: targets::checkpoint::choice,
        seeds: seeds::checkpoint::choices,
    },
    Target {
        name: "part_ask",
        run: targets::checkpoint::ask,
        seeds: seeds::checkpoint::asks,
    },
    Target {
        name: "part_slice",
        run: targets::checkpoint::slice,
        seeds: seeds::checkpoint::slices,
    },
    Target {
        name: "checkpoint_piece",
        run: targets::checkpoint::piece,
        seeds: seeds::checkpoint::pieces,
    },
    Target {
        name: "checkpoint_documents",
        run: targets::checkpoint::documents,
        seeds: seeds::checkpoint::documents,
    },
    Target {
        name: "checkpoint_logs",
        run: targets::checkpoint::logs,
        seeds: seeds::checkpoint::logs,
    },
    Target {
        name: "schema_revision",
        run: targets::schema::revision,
        seeds: seeds::schema::revisions,
    },
    Target {
        name: "schema_lenses",
        run: targets::schema::lenses,
        seeds: seeds::schema::lenses,
    },
    Target {
        name: "sync_frame",
        run: targets::sync::frame,
        seeds: seeds::sync::frames,
    },
    Target {
        name: "sync_session",
        run: targets::sync::session,
        seeds: seeds::sync::sessions,
    },
    Target {
        name: "presence",
        run: targets::presence::packet,
        seeds: seeds::presence::packets,
    },
    Target {
        name: "link",
        run: targets::api::link,
        seeds: seeds::api::links,
    },
    Target {
        name: "api_request",
        run: targets::api::request,
        seeds: seeds::api::requests,
    },
    Target {
        name: "api_incoming",
        run: targets::api::incoming,
        seeds: seeds::api::incoming,
    },
    Target {
        name: "face",
        run: targets::api::face,
        seeds: seeds::api::faces,
    },
    Target {
        name: "search_text",
        run: targets::query::search_text,
        seeds: seeds::query::search_texts,
    },
    Target {
        name: "cursor",
        run: targets::query::cursor,
        seeds: seeds::query::cursors,
    },
    Target {
        name: "question",
        run: targets::query::question,
        seeds: seeds::query::questions,
    },
    Target {
        name: "doc_body",
        run: targets::query::body,
        seeds: seeds::query::bodies,
    },
];
