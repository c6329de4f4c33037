//! The `stead` program: flags, wiring and what people see. All that is done with data is done by the node.

mod address;
mod args;
mod ask;
mod client;
mod commands;
mod edits;
mod exit;
mod expression;
mod home;
mod look;
mod output;
mod query;
mod serve;
mod settings;
mod table;
mod times;

#[cfg(test)]
mod docs;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};
use exit::Failure;
use output::Output;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(err) => {
            // Help and versions are printed here too.
            let _ = err.print();
            return ExitCode::from(err.exit_code() as u8);
        }
    };
    let out = Output::new(args.json);
    match run(args, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            ExitCode::from(failure.code as u8)
        }
    }
}

fn run(args: Args, out: &Output) -> Result<(), Failure> {
    let home = home::find(args.home.as_deref())?;
    match args.command {
        Command::Up(up) => commands::up::up(&home, &up, out),
        Command::Down => commands::up::down(&home, out),
        Command::Status(status) => commands::status::status(&home, &status, out),
        Command::Link(link) => commands::link::link(&home, &link, out),
        Command::Recover(recover) => commands::recover::recover(&home, &recover, out),
        Command::Guardians(guardians) => commands::guardians::guardians(&home, &guardians, out),
        Command::Devices => commands::status::devices(&home, out),
        Command::Share(share) => commands::share::share(&home, &share, out),
        Command::Join(join) => commands::share::join(&home, &join, out),
        Command::Identity(identity) => commands::identity::identity(&home, &identity, out),
        Command::Device(device) => commands::device::device(&home, device, out),
        Command::Contact(contact) => commands::contact::contact(&home, contact, out),
        Command::Members(members) => commands::rights::members(&home, &members, out),
        Command::Revoke(revoke) => commands::rights::revoke(&home, revoke, out),
        Command::Leave(leave) => commands::rights::leave(&home, leave, out),
        Command::Group(group) => commands::group::group(&home, group, out),
        Command::Can(can) => commands::rights::can(&home, can, out),
        Command::Verify(verify) => commands::audit::verify(&verify, out),
        Command::SignIn(sign_in) => commands::sign_in::sign_in(&home, sign_in, out),
        Command::Space(space) => commands::space::space(&home, space, out),
        Command::Put(put) => commands::write::put(&home, put, out),
        Command::Get(get) => commands::read::get(&home, &get, out),
        Command::Query(query) => commands::read::query(&home, &query, out),
        Command::Index(index) => commands::index::index(&home, index, out),
        Command::Sql(sql) => commands::sql::sql(&home, &sql, out),
        Command::Watch(watch) => commands::watch::watch(&home, &watch, out),
        Command::Presence(presence) => commands::presence::presence(&home, &presence, out),
        Command::Delete(delete) => commands::write::delete(&home, &delete, out),
        Command::Restore(restore) => commands::write::restore(&home, &restore, out),
        Command::Redact(redact) => commands::history::redact(&home, redact, out),
        Command::Kv(kv) => commands::faces::kv(&home, kv, out),
        Command::Feed(feed) => commands::faces::feed(&home, feed, out),
        Command::Text(text) => commands::rich::text(&home, text, out),
        Command::List(list) => commands::rich::list(&home, list, out),
        Command::Tree(tree) => commands::rich::tree(&home, tree, out),
        Command::Undo(undo) => commands::rich::undo(&home, &undo, out),
        Command::Redo(redo) => commands::rich::redo(&home, &redo, out),
        Command::Import(import) => commands::import::import(&home, &import, out),
        Command::Export(export) => commands::export::export(&home, &export, out),
        Command::Schema(schema) => commands::schema::schema(&home, schema, out),
        Command::Log(log) if log.rights => commands::audit::rights(&home, &log, out),
        Command::Log(log) => commands::log::log(&home, &log, out),
        Command::History(history) => commands::history::history(&home, &history, out),
        Command::Doctor(doctor) => commands::doctor::doctor(&home, &doctor, out),
        Command::Encrypt(encrypt) => commands::at_rest::encrypt(&home, &encrypt, out),
        Command::Decrypt(decrypt) => commands::at_rest::decrypt(&home, &decrypt, out),
        Command::Relay(relay) => serve::relay(&relay, out),
        Command::Try(play) => commands::play::play(&play, out),
        Command::Completions { shell } => commands::shell::completions(shell),
        Command::Man { dir } => commands::shell::man(dir.as_deref()),
    }
}
