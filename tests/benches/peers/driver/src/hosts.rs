//! The programs of the contenders: built, started with a job, listened to.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use contest::{Job, Outcome};

use crate::{Result, tell};

/// Starts a program in a session of its own, which the scheduler lets go before other sessions. (`nice` alone only
/// works within a session.)
const BEFORE_OTHERS: &str = "echo -15 > /proc/self/autogroup; exec nice -n -15 \"$@\"";

/// The programs, built, and a folder for their files.
pub(crate) struct Hosts {
    programs: PathBuf,
    scratch: PathBuf,
    priority: bool,
}

/// Which program a contender lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Ours,
    Pools,
    Sqlx,
}

impl Host {
    fn program(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Pools => "pools",
            Self::Sqlx => "sqlx-host",
        }
    }
}

impl Hosts {
    /// Builds the programs beside this one.
    pub(crate) fn build(scratch: Option<PathBuf>, priority: bool) -> Result<Self> {
        let programs = std::env::current_exe()?.parent().ok_or("this program is in no folder")?.to_owned();
        let target = programs.parent().ok_or("this program is in no target folder")?.to_owned();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the sources are in no folder")?;
        for (folder, package) in [(".", "ours"), ("pools", "pools"), ("sqlx", "sqlx-host")] {
            tell(&format!("building {package}"));
            let status = Command::new("cargo")
                .args(["build", "--release", "--locked", "--quiet", "--package", package, "--target-dir"])
                .arg(&target)
                // Where cargo is started decides which `.cargo/config.toml` it reads.
                .current_dir(here.join(folder))
                .status()?;
            if !status.success() {
                return Err(format!("{package} cannot be built").into());
            }
        }
        let scratch = scratch.unwrap_or_else(|| target.join("peers-scratch")).join(std::process::id().to_string());
        std::fs::create_dir_all(&scratch)?;
        Ok(Self { programs: target.join("release"), scratch, priority })
    }

    /// The place of that name.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Whether there is something in a place.
    pub(crate) fn is_made(&self, name: &str) -> bool {
        self.folder(name).exists()
    }

    /// Makes a place for the files of a run, with nothing there.
    pub(crate) fn place(&self, name: &str) -> Result<()> {
        if self.is_made(name) {
            self.clear(name)?;
        }
        Ok(std::fs::create_dir_all(self.folder(name))?)
    }

    /// Removes the files of a run.
    pub(crate) fn clear(&self, name: &str) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.folder(name))?)
    }

    /// Removes the files of all runs.
    pub(crate) fn clear_all(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.scratch)?;
        Ok(std::fs::create_dir_all(&self.scratch)?)
    }

    /// The command that runs a job.
    pub(crate) fn command(&self, host: Host, job: &Job) -> Result<(PathBuf, String)> {
        Ok((self.programs.join(host.program()), serde_json::to_string(job)?))
    }

    /// Runs a job.
    pub(crate) fn run(&self, host: Host, job: &Job) -> Result<Outcome> {
        self.run_with(None, host, job)
    }

    /// Runs a job whose allocator is told something.
    pub(crate) fn run_with(&self, allocator: Option<&str>, host: Host, job: &Job) -> Result<Outcome> {
        let (program, argument) = self.command(host, job)?;
        let mut command = if self.priority { Command::new("setsid") } else { Command::new(&program) };
        command.envs(allocator.map(|told| ("GLIBC_TUNABLES", told)));
        if self.priority {
            command.args(["--wait", "sh", "-c", BEFORE_OTHERS, "sh"]).arg(&program);
        }
        let output = command.arg(argument).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("{} failed: {}", job.contender, output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // What is left takes room and nothing else.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}
