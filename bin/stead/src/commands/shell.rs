//! `stead completions` and `stead man`: made from the command line's own description.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use clap::CommandFactory as _;

use crate::{
    args::Args,
    exit::{Code, Failure},
};

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    // Written to memory first: the generator takes a closed pipe for a fault of its own.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "stead", &mut text);
    let _ = io::stdout().write_all(&text);
    Ok(())
}

pub(crate) fn man(dir: Option<&Path>) -> Result<(), Failure> {
    let Some(dir) = dir else {
        let mut text = Vec::new();
        let page = clap_mangen::Man::new(Args::command());
        if let Err(err) = page.render(&mut text) {
            return Err(Failure::new(
                Code::Failed,
                format!("The page could not be made: {err}."),
            ));
        }
        let _ = io::stdout().write_all(&text);
        return Ok(());
    };
    fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Args::command(), dir))
        .map_err(|err| Failure::new(Code::Failed, format!("{}: {err}.", dir.display())))
}
