//! The commands about the program itself: what shells and `man` are told of it. They read no configuration.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{AppError, Outcome, print, say};
use crate::cli::Cli;

pub(super) fn completions(shell: Shell) -> Result<Outcome, AppError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bot", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}

/// Prints the page of the program; with a folder, writes that of every command into it.
pub(super) fn man(folder: Option<&Path>) -> Result<Outcome, AppError> {
    let Some(folder) = folder else {
        // The same page as in a folder, where `help` has none.
        let mut program = Cli::command().disable_help_subcommand(true);
        program.build();
        let mut page = Vec::new();
        Man::new(program).render(&mut page).map_err(AppError::Output)?;
        print(&String::from_utf8_lossy(&page))?;
        return Ok(Outcome::Done);
    };
    let written = fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    written.map_err(|error| AppError::Failed(format!("cannot write into {}: {error}", folder.display())))?;
    say(&format!("Wrote a page for each command; `man -l {}` shows the first.", folder.join("bot.1").display()));
    Ok(Outcome::Done)
}
