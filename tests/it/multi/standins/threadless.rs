//! A source that goes away while the system gives no more threads: it is not forgotten.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use database::OnUnavailable;
use rstest::rstest;

use super::super::refusals::allow_threads;
use super::{AWAY, carry, config_in, eventually, name, open, say, texts};
use crate::child::{self, Child};
use crate::support::Scratch;

fn policy_of(text: &str) -> OnUnavailable {
    match text {
        "default" => OnUnavailable::Default,
        _ => OnUnavailable::StandIn,
    }
}

/// A helper's task: a source's file is taken away while no thread is to be had, and put back. That lasts since the bot's
/// start, since sources could still be opened but before anything failed (`failure`), or since a source was looked at,
/// so that there is a thread that decides about looks (`look`).
pub(crate) fn away_without_threads(folder: &str, policy: &str, since: &str) {
    assert!(!rustix::process::geteuid().is_root(), "the limit does not count for root");
    let folder = Path::new(folder);
    let config = config_in(folder, policy_of(policy));
    let (file, away) = (folder.join("community.db"), folder.join("away.db"));
    let (mut db, mut control) = open(&config);
    if since == "look" {
        control.retry(&name("community")).unwrap();
    }
    say(&db, "1", "before").unwrap();
    if since == "start" {
        carry(&file, &away);
        eventually("it is found out", || say(&db, "2", "meanwhile").is_ok());
        db.close();
        allow_threads(false);
        (db, control) = open(&config);
    } else {
        allow_threads(false);
        carry(&file, &away);
        say(&db, "2", "lost in between").unwrap_err();
        assert!(db.is_displaced(AWAY));
        // What is open goes on; a file of its own cannot be opened.
        let said = say(&db, "2", "meanwhile");
        child::say(&said.map_or_else(|error| error.kind().to_string(), |()| "said".to_owned()));
    }
    carry(&away, &file);
    child::say(&control.retry(&name("community")).unwrap_err().kind().to_string());
    assert!(db.is_displaced(AWAY));
    allow_threads(true);
    eventually("it is served", || say(&db, "3", "after").is_ok());
    eventually("it comes home by itself", || !db.is_displaced(AWAY));
    child::say(&texts(&db).join(" "));
    db.close();
}

const TO_LOOK: &str = "the source is unavailable (no thread can be started to look at it: Resource temporarily unavailable \
                       (os error 11)); nothing was changed";
const TO_OPEN: &str = "the source is unavailable (no thread can be started to open it: Resource temporarily unavailable \
                       (os error 11)); nothing was changed";

#[rstest]
#[case::since_the_start("stand-in", "start", &[TO_LOOK, "after before meanwhile"])]
#[case::since_a_failure("stand-in", "failure", &[TO_OPEN, TO_LOOK, "after before"])]
#[case::since_a_look("stand-in", "look", &[TO_OPEN, TO_LOOK, "after before"])]
#[case::with_the_default("default", "failure", &["said", TO_LOOK, "after before meanwhile"])]
fn a_source_that_nobody_can_look_after_for_want_of_a_thread_comes_home_once_there_is_one(
    #[case] policy: &str,
    #[case] since: &str,
    #[case] expected: &[&str],
) {
    let scratch = Scratch::new();
    std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).unwrap();
    let task = ["away-without-threads", scratch.path().to_str().unwrap(), policy, since].map(OsStr::new);
    assert_eq!(Child::start_unprivileged(&task).lines(), expected);
}
