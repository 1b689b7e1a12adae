//! Options that may stand before a command and behind it: what stands at several of these places counts together. By
//! itself the parser would keep what stands last and drop the rest in silence.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

use super::Cli;

/// The options that may be given several times.
const REPEATABLE: [&str; 2] = ["config", "verbose"];

impl Cli {
    /// The command line of this process. Where it is wrong, or asks for help, that is said and the process ends.
    pub fn of_process() -> Self {
        Self::of(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// A command line.
    ///
    /// # Errors
    /// It is wrong, or asks for help or the version.
    pub fn of(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let mut command = at_every_level(Self::command());
        let matches = command.try_get_matches_from_mut(arguments)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        cli.config =
            levels(&matches).filter_map(|level| level.get_many::<PathBuf>("config")).flatten().cloned().collect();
        cli.verbose = levels(&matches).fold(0, |count, level| count.saturating_add(level.get_count("verbose")));
        if cli.quiet && cli.verbose > 0 {
            let both = "the argument '--quiet' cannot be used with '--verbose...'";
            return Err(command.error(ErrorKind::ArgumentConflict, both));
        }
        Ok(cli)
    }
}

/// The matches of the program, of its command, of that one's command.
fn levels(matches: &ArgMatches) -> impl Iterator<Item = &ArgMatches> {
    std::iter::successors(Some(matches), |level| level.subcommand().map(|(_, below)| below))
}

/// The command with each repeatable option as one of its own at every level, rather than one that all share.
fn at_every_level(mut command: Command) -> Command {
    for id in REPEATABLE {
        command = command.mut_arg(id, |arg| arg.global(false));
        let arg = command.get_arguments().find(|arg| arg.get_id() == id).cloned();
        if let Some(arg) = arg {
            command = below(command, &arg);
        }
    }
    command
}

fn below(mut command: Command, arg: &clap::Arg) -> Command {
    let names: Vec<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |command| below(command.arg(arg.clone()), arg));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::of([&["bot"], arguments].concat())
    }

    fn files(arguments: &[&str]) -> Vec<String> {
        of(arguments).unwrap().config.iter().map(|file| file.display().to_string()).collect()
    }

    #[test]
    fn files_before_and_behind_the_command_are_all_read_in_their_order() {
        assert_eq!(files(&["--config", "a", "config", "show", "--config", "b"]), ["a", "b"]);
        assert_eq!(
            files(&["--config", "a", "--config", "b", "config", "--config=c", "show", "--config", "d"]),
            ["a", "b", "c", "d"]
        );
        assert_eq!(files(&["--config", "a", "run"]), ["a"]);
        assert_eq!(files(&["run", "--config", "a", "--config", "b"]), ["a", "b"]);
        assert_eq!(files(&["--config", "a"]), ["a"]);
        assert_eq!(files(&["run"]), [""; 0]);
    }

    #[test]
    fn how_much_is_told_adds_up() {
        for (arguments, verbose) in [
            (&["-v", "run", "-v"][..], 2),
            (&["-vv", "config", "-v", "check", "-v"], 4),
            (&["run", "-vv"], 2),
            (&["-v"], 1),
            (&["run"], 0),
        ] {
            assert_eq!(of(arguments).unwrap().verbose, verbose, "{arguments:?}");
        }
        for arguments in [&["-q", "run", "-v"][..], &["-v", "run", "-q"], &["run", "-q", "-v"], &["-q", "-v"]] {
            assert_eq!(of(arguments).unwrap_err().kind(), ErrorKind::ArgumentConflict, "{arguments:?}");
        }
        assert!(of(&["-q", "config", "check"]).unwrap().quiet && of(&["config", "check", "-q"]).unwrap().quiet);
    }

    #[test]
    fn help_lists_the_options_wherever_it_is_asked_for() {
        for arguments in [&["--help"][..], &["run", "--help"], &["config", "show", "--help"]] {
            let help = of(arguments).unwrap_err().to_string();
            assert_eq!((help.matches("--config <FILE>").count(), help.matches("--verbose").count()), (1, 1), "{help}");
        }
        at_every_level(Cli::command()).debug_assert();
    }
}
