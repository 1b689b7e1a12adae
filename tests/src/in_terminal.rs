//! Runs a command in the terminal that standard input is: a session of its own, controlled by that terminal, as a shell
//! started by a terminal's window has it. A program that becomes another keeps its process id.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let Some(program) = args.next() else { return ExitCode::from(2) };
    if rustix::process::setsid().is_err() || rustix::process::ioctl_tiocsctty(std::io::stdin()).is_err() {
        return ExitCode::from(2);
    }
    // Comes back only where the program cannot be started.
    let error = Command::new(program).args(args).exec();
    ExitCode::from(u8::try_from(error.raw_os_error().unwrap_or(1)).unwrap_or(1))
}
