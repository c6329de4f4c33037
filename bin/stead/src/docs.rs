//! Keeps docs/cli.md in step with the command line.

use clap::{Command, CommandFactory as _};

use crate::{args::Args, exit::Code};

const DOCS: &str = include_str!("../../../docs/cli.md");

fn commands(command: &Command, path: &str, out: &mut Vec<(String, String)>) {
    for sub in command.get_subcommands() {
        let name = format!("{path} {}", sub.get_name());
        match sub.has_subcommands() {
            true => commands(sub, &name, out),
            false => out.push((
                name,
                sub.get_about().map(ToString::to_string).unwrap_or_default(),
            )),
        }
    }
}

#[test]
fn every_command_stands_in_the_docs_as_help_describes_it() {
    let mut all = Vec::new();
    commands(&Args::command(), "stead", &mut all);
    let rows: Vec<_> = DOCS
        .lines()
        .filter(|line| line.starts_with("| `stead "))
        .collect();
    for (name, about) in &all {
        let row = format!("| `{name}` | {} |", about.replace('|', "\\|"));
        assert!(
            rows.contains(&row.as_str()),
            "docs/cli.md needs this row:\n{row}"
        );
    }
    assert_eq!(
        rows.len(),
        all.len(),
        "docs/cli.md has a row for a command that is gone"
    );
}

#[test]
fn every_exit_code_stands_in_the_docs_and_in_the_help() {
    let help = Args::command().render_help().to_string();
    for code in [
        Code::Failed,
        Code::Usage,
        Code::NotRunning,
        Code::NotFound,
        Code::Refused,
        Code::Partly,
        Code::Trouble,
        Code::Storage,
        Code::NoAnswer,
    ] {
        let number = code as u8;
        assert!(
            DOCS.contains(&format!("\n| {number} | ")),
            "{number} in docs/cli.md"
        );
        assert!(help.contains(&format!("{number}  ")), "{number} in --help");
    }
}

#[test]
fn the_command_line_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn every_command_has_a_description_and_every_flag_a_help_text() {
    fn check(command: &Command) {
        assert!(
            command.get_about().is_some(),
            "{} has no description",
            command.get_name()
        );
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            assert!(
                arg.get_help().is_some(),
                "{} {} has no help",
                command.get_name(),
                arg.get_id()
            );
        }
        command.get_subcommands().for_each(check);
    }
    check(&Args::command());
}
