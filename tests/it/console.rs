//! The bot in a pipe and in a terminal: what comes out where, what is stored, and how it ends.

mod commands;
mod terminal;

use std::os::unix::fs::PermissionsExt as _;

use rstest::rstest;
use rustix::process::Signal;

use crate::program::{Home, Running};

#[test]
fn at_the_start_it_says_which_database_it_uses_and_what_it_creates() {
    let home = Home::new();
    let said = home.run(&[], "");
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
    let defaults = "Using built-in defaults (no configs/bot.toml here).\n";
    assert_eq!(
        said.err,
        format!("{defaults}Created the folder [home]/data.\nCreated the database [home]/data/bot.db.\n")
    );
    let said = home.run(&["console"], "hello\n");
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
    assert_eq!(said.err, format!("{defaults}Using the database [home]/data/bot.db.\n"));
    let mode = |name: &str| std::fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/bot.db")), (0o700, 0o600));
    assert_eq!(home.names(), ["bot.db"]);
    let said = home.run(&["-q"], "hello\n/nothing\n");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(said.out, "I do not know /nothing. /help lists what I know.\n");
}

#[test]
fn a_relative_folder_is_told_as_an_absolute_one() {
    let home = Home::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bot-under-test"));
    let folder = std::fs::canonicalize(home.path("")).unwrap();
    command.args(["--data-dir", "here/there"]).current_dir(&folder);
    let said = Running::start(&mut command).end();
    assert_eq!(
        (said.code, said.err),
        (
            Some(0),
            format!(
                "Using built-in defaults (no configs/bot.toml here).\nCreated the folder {0}/here/there.\nCreated the \
                 database {0}/here/there/bot.db.\n",
                folder.display()
            )
        )
    );
}

#[test]
fn each_line_is_a_message_and_the_bots_replies_are_stored_as_its_own() {
    let home = Home::new();
    let input = "hello there\r\n\n   \n/nothing at all\nsecond\n";
    assert_eq!(home.answers(&["--name", "Ann"], input), "I do not know /nothing. /help lists what I know.\n");
    assert_eq!(home.answers(&["--chat", "-1001234567890", "--user", "-7"], "in a group"), "");
    let rows = home.texts(
        "SELECT m.chat_id || ' ' || m.user_id || ' ' || u.full_name || ', ' || m.message_category || ', '
                || CASE WHEN m.reply_id IS NULL THEN '-'
                        ELSE (SELECT a.message_text FROM chat_messages a WHERE a.message_id = m.reply_id) END
                || ', ' || CASE WHEN m.root_message_id IS m.reply_id THEN 'root' ELSE 'other root' END || ': ' || m.message_text
         FROM chat_messages m JOIN chat_users u USING (chat_id, user_id) ORDER BY CAST(m.message_id AS INTEGER)",
    );
    insta::assert_snapshot!(rows.join("\n"), @r"
    1 1 Ann, user, -, root: hello there
    1 1 Ann, user-command, -, root: /nothing at all
    1 0 Switchyard, bot-command-reply, /nothing at all, root: I do not know /nothing. /help lists what I know.
    1 1 Ann, user, -, root: second
    -1001234567890 -7 , user, -, root: in a group
    ");
    assert_eq!(home.texts("SELECT chat_id || ' ' || type FROM chat_info"), ["-1001234567890 supergroup", "1 private"]);
}

#[test]
fn ids_rise_from_message_to_message_and_from_run_to_run() {
    let home = Home::new();
    for run in 0..3 {
        home.answers(&[], &format!("a {run}\n/nothing\nb {run}\n"));
    }
    let ids = home.texts("SELECT message_id FROM chat_messages ORDER BY rowid");
    assert_eq!(ids.len(), 12);
    assert!(ids.is_sorted_by(|one, next| one.len() == next.len() && one < next), "{ids:?}");
}

#[test]
fn who_speaks_where_may_stand_before_or_after_the_command() {
    let home = Home::new();
    for args in [
        &["--chat", "-5", "--user", "7", "--name", "Ann", "console"][..],
        &["console", "--chat", "-5", "--user", "7", "--name", "Ann"],
        &["--chat", "-5", "run", "--user", "7", "--name", "Ann"],
        // What stands nearer to the message counts.
        &["--chat", "1", "console", "--chat", "-5", "--user", "7", "--name", "Ann"],
    ] {
        home.answers(args, "hello\n");
    }
    assert_eq!(home.texts("SELECT chat_id || ' ' || user_id || ' ' || messages_count FROM chat_users"), ["-5 7 4"]);
}

#[test]
fn wrong_usage_is_told_and_nothing_is_created() {
    let home = Home::new();
    for args in
        [&["--chat", "x"][..], &["--nonsense"], &["frobnicate"], &["import"], &["-q", "-v"], &["import", "--again"]]
    {
        let said = home.run(args, "");
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(said.err.starts_with("error: ") && said.err.contains("--help"), "{args:?}: {}", said.err);
    }
    assert!(!home.data().exists());
    for args in [&["--help"][..], &["--version"], &["import", "--help"]] {
        let said = home.run(args, "");
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{args:?}");
        assert!(said.out.len() > 8, "{args:?}");
    }
}

#[rstest]
#[case::import(&["import", "--help"], &["--again", "--help"])]
#[case::console(&["console", "--help"], &["--json", "--chat"])]
#[case::of_a_command(&["db", "journal", "--help"], &["--json", "--retry"])]
fn the_options_of_a_command_stand_apart_from_those_of_every_command(#[case] args: &[&str], #[case] own: &[&str]) {
    let said = Home::new().run(args, "");
    let (of_command, of_every) = said.out.split_once("\nOptions of every command:\n").expect("they stand apart");
    for option in ["--config", "--data-dir", "--verbose", "--quiet"] {
        assert!(of_every.contains(option) && !of_command.contains(option), "{option}: {}", said.out);
    }
    for option in own {
        assert!(of_command.contains(option), "{option}: {}", said.out);
    }
}

#[test]
fn a_folder_or_database_that_cannot_be_used_is_told() {
    let home = Home::new();
    home.file("file", "not a folder");
    std::fs::create_dir_all(home.path("dir/bot.db")).unwrap();
    std::fs::create_dir(home.path("text")).unwrap();
    home.file("text/bot.db", "this is a text and no database at all, long enough to have a header".repeat(9));
    let mut told = String::new();
    for data_dir in ["file/below", "file", "dir", "text"] {
        for args in [&[][..], &["import", crate::program::SINGLE]] {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bot-under-test"));
            let said = Running::start(command.arg("--data-dir").arg(home.path(data_dir)).args(args)).end();
            assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{data_dir}");
            if args.is_empty() {
                told += &said.err.replace(home.path("").to_str().unwrap(), "[home]/");
            }
        }
    }
    insta::assert_snapshot!(told, @"
    error: cannot create the data folder [home]/file/below: Not a directory (os error 20); create it, or name another (data_dir, --data-dir)
    error: cannot open the database: [home]/file/bot.db cannot be opened (Not a directory (os error 20))
    error: cannot open the database: [home]/dir/bot.db is a directory; give the path of a database file inside it, such as [home]/dir/bot.db/bot.db
    error: cannot open the database: [home]/text/bot.db is not a SQLite database; correct the path, or move the file away to start with a new one
    ");
}

#[test]
fn nobody_speaks_as_the_bot() {
    let home = Home::new();
    let said = home.run(&["-q", "--user", "0"], "/mydata erase yes\n");
    assert_eq!((said.code, said.err.as_str()), (Some(2), "error: --user 0 is the bot itself; speak as another\n"));
    let line = r#"{"chat":5,"user":0,"text":"/mydata erase yes","message_id":7}"#;
    let said = home.run(&["-q", "console", "--json"], line);
    let refused =
        r#"{"chat":5,"message_id":7,"error":"not handled and not stored: user 0 is the bot itself; speak as another"}"#;
    assert_eq!((said.code, said.out.trim_end()), (Some(3), refused));
    assert_eq!(home.one("SELECT count(*) FROM chat_messages"), 0);
}

#[test]
fn lines_that_are_no_messages_are_told_and_the_others_are_heard() {
    let home = Home::new();
    let long = "x".repeat(1024 * 1024 + 1);
    let input = [b"one\n\xff\n", long.as_bytes(), b"\ntwo\n"].concat();
    let said = home.run(&["-q"], input);
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""));
    insta::assert_snapshot!(said.err, @r"
    error: line 2 is not UTF-8 (at byte 1) and was skipped
    error: line 3 is longer than 1048576 bytes and was skipped
    ");
    assert_eq!(home.texts("SELECT message_text FROM chat_messages ORDER BY message_id"), ["one", "two"]);
}

#[test]
fn asked_to_stop_while_it_waits_it_has_stored_everything_and_leaves_no_log_behind() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let mut running = Running::start(&mut home.bot(&["-q"]));
        running.say("hello");
        running.say("/nothing");
        assert_eq!(running.hear(), "I do not know /nothing. /help lists what I know.");
        running.signal(signal);
        let said = running.wait();
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""), "{signal:?}");
        assert_eq!(home.names(), ["bot.db"], "{signal:?}");
        assert_eq!(home.one("SELECT COUNT(*) FROM chat_messages"), 3);
    }
}

#[test]
fn a_reader_that_is_gone_ends_it_quietly() {
    let home = Home::new();
    let mut command = std::process::Command::new("sh");
    let script = "{ yes /help | head -2000; } | \"$0\" --data-dir \"$1\" -q | head -1";
    command.args(["-c", script, env!("CARGO_BIN_EXE_bot-under-test")]).arg(home.data());
    let said = Running::start(&mut command).end();
    assert_eq!((said.code, said.out.lines().count(), said.err.as_str()), (Some(0), 1, ""));
}

#[test]
fn two_bots_at_once_on_one_folder_both_store() {
    let home = Home::new();
    home.run(&["-q"], "");
    let mut bots: Vec<_> =
        (1..=2).map(|user| Running::start(&mut home.bot(&["-q", "--user", &user.to_string()]))).collect();
    for round in 0..40 {
        for bot in &mut bots {
            bot.say(&format!("message {round}"));
            bot.say("/nothing");
        }
    }
    for bot in bots {
        let said = bot.end();
        assert_eq!((said.code, said.out.lines().count(), said.err.as_str()), (Some(0), 40, ""));
    }
    let rows = home.texts("SELECT user_id || ' ' || messages_count FROM chat_users ORDER BY user_id");
    assert_eq!(rows, ["0 80", "1 80", "2 80"]);
    assert_eq!(home.one("SELECT SUM(messages_count) FROM chat_stats"), 240);
    assert_eq!(home.one("SELECT COUNT(DISTINCT message_id) FROM chat_messages"), 240);
}

#[test]
fn while_the_database_is_away_it_is_told_once_that_reminders_wait_and_once_that_they_do_not() {
    let home = Home::new();
    let mut running = Running::start(&mut home.bot(&["-vv"]));
    let mut told = String::new();
    // Each look for reminders is a call that is logged.
    let mut after_looks = |running: &Running, looks: usize, so: &str| {
        let mut seen = 0;
        while seen < looks || !told.contains(so) {
            assert!(seen < 60, "in vain: {so}: {told}");
            let line = running.overhear();
            seen += usize::from(line.contains("tasks.get_due_delayed_tasks") && line.contains("close"));
            told.push_str(&line);
            told.push('\n');
        }
        told.clone()
    };
    after_looks(&running, 1, "");
    std::fs::rename(home.database(), home.path("away.db")).unwrap();
    let told = after_looks(&running, 4, "what is due could not be said");
    std::fs::rename(home.path("away.db"), home.database()).unwrap();
    assert_eq!(told.matches("what is due could not be said").count(), 1, "{told}");
    let told = after_looks(&running, 2, "what is due can be said again");
    assert_eq!(told.matches("what is due can").count(), 1, "{told}");
    running.say("hello");
    let said = running.end();
    assert_eq!(said.code, Some(0));
    assert!(!said.err.contains("what is due"), "{}", said.err);
}
