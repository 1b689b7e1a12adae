//! `bot db move` and `bot db seal`, with the bot running and stopped.

use insta::assert_snapshot;
use rstest::rstest;

use super::plain;
use super::site::{Site, TWO, speak};
use crate::support::sqlite;

/// How many messages of a chat a file has.
fn messages(site: &Site, file: &str, chat: i64) -> i64 {
    let sql = "SELECT count(*) FROM chat_messages WHERE chat_id = ?1";
    sqlite(&site.data(file)).query_row(sql, [chat], |row| row.get(0)).unwrap()
}

/// A site where a chat of the default source has said three things.
fn talked() -> Site {
    let site = Site::new(TWO);
    let mut running = site.start();
    for text in ["one", "two", "three"] {
        speak(&mut running, -200, text);
    }
    assert_eq!(running.end().code, Some(0));
    site
}

/// What became of each chat.
fn outcomes(moves: &serde_json::Value) -> Vec<(i64, &str)> {
    let all = moves["moves"].as_array().unwrap().iter();
    all.map(|one| (one["chat"].as_i64().unwrap(), one["outcome"].as_str().unwrap())).collect()
}

#[test]
fn chats_are_moved_while_no_bot_runs_and_are_found_at_the_new_place() {
    let site = talked();
    let (code, said) = site.said(&["db", "move", "-200", "--to", "archive", "--dry-run"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @r#"
        Would move to archive: chat -200 from primary (7 rows, about 2 KiB, about 1 second).
        It would write to [database.chat_mapping]: -200 = "archive"
        "#);
    assert_eq!((messages(&site, "primary.db", -200), messages(&site, "archive.db", -200)), (3, 0));
    let (code, said) = site.said(&["db", "move", "-200", "--to", "archive"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @r#"
        Moved to archive: chat -200 from primary (7 rows and 0 media copied, 7 deleted).
        Written to [database.chat_mapping] in [home]/bot.toml: -200 = "archive"
        "#);
    assert_eq!((messages(&site, "primary.db", -200), messages(&site, "archive.db", -200)), (0, 3));
    assert_eq!(site.json(&["route", "-200"])["why"], "mapped");
    let mut running = site.start();
    assert_eq!(speak(&mut running, -200, "four").0, "archive");
    assert_eq!(running.end().code, Some(0));
    let moves = site.json(&["move", "-200", "-201", "--to", "primary"]);
    assert_eq!(moves["moves"][0]["outcome"], "moved");
    assert_eq!(moves["moves"][1]["outcome"], "failed");
    assert_eq!(messages(&site, "primary.db", -200), 4);
    assert_eq!(site.run(&["db", "move", "-200", "-201", "--to", "primary"]).code, Some(1));
    assert_eq!(site.run(&["db", "move", "-200", "-1", "--to", "archive"]).code, Some(0));
}

#[test]
fn chats_are_moved_while_the_bot_runs_and_the_configuration_says_so_afterwards() {
    let site = talked();
    let mut running = site.start();
    let generation = || site.json(&["status"])["generation"].as_u64().unwrap();
    let text = || std::fs::read_to_string(site.home.path("bot.toml")).unwrap();
    let before = text();
    let (code, said) = site.said(&["db", "move", "-200", "--to", "archive", "--dry-run"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @r#"
        Would move to archive: chat -200 from primary (7 rows, about 2 KiB, about 1 second).
        It would write to [database.chat_mapping]: -200 = "archive"
        "#);
    assert_eq!(text(), before);
    let (code, said) = site.said(&["db", "move", "-200", "--to", "archive"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @r#"
        Moved to archive: chat -200 from primary (7 rows and 0 media copied, 7 deleted).
        Written to [database.chat_mapping] in [home]/bot.toml: -200 = "archive"
        "#);
    assert_eq!(text(), format!("{before}-200 = \"archive\"\n"));
    assert_eq!(speak(&mut running, -200, "four").0, "archive");
    // The configuration is read again, and moves nothing.
    site.last_reload("applied");
    let seen = generation();
    assert_eq!(site.json(&["route", "-200"])["why"], "mapped");
    assert_eq!((messages(&site, "primary.db", -200), messages(&site, "archive.db", -200)), (0, 4));
    assert_eq!(speak(&mut running, -200, "five").0, "archive");
    assert_eq!(generation(), seen);
    // Refusals are told as those of a bot that does not run are.
    let (code, said) = site.said(&["db", "move", "-200", "--to", "archive"]);
    assert_eq!(code, 1);
    assert_snapshot!(said, @"Chat -200 was not moved: the chat -200 is in `archive` already.");
    assert_eq!(site.said(&["db", "move", "-200", "--to", "nowhere"]).0, 2);
    // All of them, home again.
    let moves = site.json(&["move", "--all", "--to", "primary"]);
    assert_eq!(outcomes(&moves), [(-200, "moved")]);
    assert!(moves["moves"][0]["waited_us"].as_u64().unwrap() <= 100_000);
    assert_eq!(text(), before);
    assert_eq!(speak(&mut running, -200, "six").0, "primary");
    assert_eq!(messages(&site, "primary.db", -200), 6);
    // Of one kind, and of one source.
    let planned = site.json(&["move", "--where", "private", "--to", "archive", "--dry-run"]);
    assert_eq!(outcomes(&planned), []);
    let planned = site.json(&["move", "--from", "primary", "--all", "--to", "archive", "--dry-run"]);
    assert!(outcomes(&planned).contains(&(-200, "planned")));
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_chat_that_was_moved_with_old_rows_left_is_told_as_moved_and_repeating_deletes_them() {
    let site = talked();
    let keep = "CREATE TRIGGER held BEFORE DELETE ON chat_messages BEGIN SELECT RAISE(ABORT, 'held'); END";
    sqlite(&site.data("primary.db")).execute_batch(keep).unwrap();
    let (code, said) = site.said(&["db", "move", "-200", "--to", "archive"]);
    assert_eq!(code, 3);
    assert_snapshot!(said, @r#"
        Chat -200 was moved, but not to the end: the chat is in `archive`; its old rows are not all deleted, since relocate.clear on source `primary`: the schema does not allow it (held, code 1811); nothing was changed; repeat the move, which deletes them.
        Written to [database.chat_mapping] in [home]/bot.toml: -200 = "archive"
        "#);
    assert_eq!((messages(&site, "primary.db", -200), messages(&site, "archive.db", -200)), (3, 3));
    assert_eq!(site.json(&["route", "-200"])["source"], "archive");
    // It is still so.
    let moves = site.json(&["move", "-200", "--to", "archive"]);
    assert_eq!(moves["moves"][0]["outcome"], "leftovers");
    // The configuration says it already.
    assert_eq!(moves["moves"][0]["mapping"], serde_json::json!([]));
    sqlite(&site.data("primary.db")).execute_batch("DROP TRIGGER held").unwrap();
    let (code, said) = site.said(&["db", "move", "-200", "--to", "archive"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @r#"
        Chat -200: an earlier move to archive was brought to its end; 7 rows were left to delete.
        "#);
    assert_eq!((messages(&site, "primary.db", -200), messages(&site, "archive.db", -200)), (0, 3));
}

#[test]
fn a_move_of_all_chats_that_was_broken_off_is_completed_by_the_same_command() {
    let site = talked();
    let keep = "CREATE TRIGGER held BEFORE DELETE ON chat_messages BEGIN SELECT RAISE(ABORT, 'held'); END";
    sqlite(&site.data("primary.db")).execute_batch(keep).unwrap();
    let all = ["move", "--from", "primary", "--all", "--to", "archive"];
    assert_eq!(outcomes(&site.json(&all)), [(-200, "leftovers"), (-1, "leftovers")]);
    // Both live at the goal, and what they were is at the old place still.
    assert_eq!(outcomes(&site.json(&all)), [(-200, "leftovers"), (-1, "leftovers")]);
    assert_eq!(site.run(&[&["db"], &all[..]].concat()).code, Some(3));
    let planned = site.said(&["db", "move", "--from", "primary", "--all", "--to", "archive", "--dry-run"]);
    assert_snapshot!(planned.1, @"
        Chat -200: no row would be copied to archive; an earlier move would be brought to its end.
        Chat -1: no row would be copied to archive; an earlier move would be brought to its end.
        ");
    let of_kind = |kind, how: &[&str]| site.json(&[&["move", "--where", kind][..], how].concat());
    let unknown = of_kind("private", &["--to", "archive", "--dry-run"]);
    assert_eq!(outcomes(&unknown), [], "they are groups, or nothing is known of them");
    // Elsewhere it is another move.
    let other = site.json(&["move", "--from", "archive", "--all", "--to", "primary", "--dry-run"]);
    assert!(outcomes(&other).contains(&(-200, "planned")), "{other}");
    // It is too late to undo them.
    let (code, said) = site.said(&["db", "move", "--all", "--abort"]);
    assert_eq!((code, said.matches("only its old rows in `primary` are left to delete").count()), (1, 2), "{said}");
    sqlite(&site.data("primary.db")).execute_batch("DROP TRIGGER held").unwrap();
    assert_eq!(outcomes(&site.json(&all)), [(-200, "moved"), (-1, "moved")]);
    assert_eq!((messages(&site, "primary.db", -200), messages(&site, "archive.db", -200)), (0, 3));
    assert_eq!(outcomes(&site.json(&all)), []);
}

#[rstest]
fn the_line_of_a_move_that_was_killed_before_it_was_written_is_written_by_the_same_command(
    #[values(false, true)] runs: bool,
    #[values(&[][..], &["--keep"])] keep: &[&str],
) {
    let site = talked();
    let before = std::fs::read_to_string(site.home.path("bot.toml")).unwrap();
    let again = [&["db", "move", "-200", "--to", "archive"], keep].concat();
    assert_eq!(site.run(&again).code, Some(0));
    std::fs::write(site.home.path("bot.toml"), &before).unwrap();
    let running = runs.then(|| site.start());
    assert_eq!(site.json(&["route", "-200"])["source"], "archive");
    let (_, checked) = site.said(&["db", "check"]);
    assert!(
        checked.contains("of which [database.chat_mapping] says nothing, so that they are not found while"),
        "{checked}"
    );
    let planned = site.json(&["move", "-200", "--to", "archive", "--dry-run"]);
    assert_eq!(planned["moves"][0]["mapping"], serde_json::json!(["-200 = \"archive\""]));
    let (code, said) = site.said(&again);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("No row was moved or deleted: the chat -200 is in `archive` already"), "{said}");
    assert!(said.contains("Written to [database.chat_mapping] in [home]/bot.toml: -200 = \"archive\""), "{said}");
    assert_eq!(std::fs::read_to_string(site.home.path("bot.toml")).unwrap(), format!("{before}-200 = \"archive\"\n"));
    assert_eq!(messages(&site, "archive.db", -200), 3);
    let (_, checked) = site.said(&["db", "check"]);
    assert!(!checked.contains("says nothing"), "{checked}");
    // Then there is nothing left to do.
    assert_eq!(site.run(&again).code, Some(1));
    if let Some(running) = running {
        assert_eq!(running.end().code, Some(0));
    }
}

/// Of the chats of a source, as of those of a kind, one that was mapped elsewhere is none any more.
#[test]
fn a_chat_that_was_mapped_elsewhere_since_its_move_was_broken_off_stays_there_and_is_told() {
    let copying = ("copying", &["--all"][..], "--abort");
    for (state, which, give_up) in [copying, ("deleting", &["--where", "group"], "--abort --forget")] {
        let site = talked();
        let begun = format!(
            "INSERT INTO switchyard_moves VALUES (-200, 'primary', 'archive', '{state}', '2026-01-01 00:00:00')"
        );
        sqlite(&site.data("primary.db")).execute_batch(&begun).unwrap();
        let third = "[database.sources.third]\npath = \"third.db\"\n[database.chat_mapping]\n-200 = \"third\"\n";
        site.configure(&TWO.replace("[database.chat_mapping]\n", third));
        let mut running = site.start();
        assert_eq!(speak(&mut running, -200, "elsewhere").0, "third");
        assert_eq!(running.end().code, Some(0));
        let text = || std::fs::read_to_string(site.home.path("bot.toml")).unwrap();
        let before = text();
        let all = [&["move", "--from", "primary", "--to", "archive"], which].concat();
        let planned = site.json(&[&all[..], &["--dry-run"]].concat());
        assert_eq!(outcomes(&planned), [(-1, "planned"), (-200, "failed")]);
        let (code, said) = site.said(&[&["db"], &all[..]].concat());
        assert_eq!(code, 3, "not all were moved");
        let told = format!(
            "Chat -200 was not moved: it lives in `third`, where it was mapped to after a move from `primary` to `archive` \
             was broken off; give that move up with `bot db move -200 {give_up}`, or bring the chat to `archive` with `bot \
             db move -200 --to archive`."
        );
        assert_eq!(said.trim_end().lines().last().map(str::trim_start), Some(told.as_str()), "{said}");
        assert_eq!((messages(&site, "third.db", -200), messages(&site, "archive.db", -200)), (1, 0));
        assert_eq!(text(), format!("{before}-1 = \"archive\"\n"));
        let how: Vec<_> = give_up.split(' ').collect();
        assert_eq!(site.run(&[&["db", "move", "-200"], &how[..]].concat()).code, Some(0));
        assert_eq!(outcomes(&site.json(&all)), []);
        // Where all chats are meant, wherever they are, it is among them.
        let every = site.json(&["move", "--all", "--to", "primary", "--dry-run"]);
        assert!(outcomes(&every).iter().any(|(chat, _)| *chat == -200), "{every}");
    }
}

#[test]
fn undoing_all_moves_is_about_those_that_were_broken_off_and_no_other_chat() {
    let site = talked();
    assert_eq!(outcomes(&site.json(&["move", "--all", "--abort"])), []);
    let begun = "INSERT INTO switchyard_moves VALUES (-200, 'primary', 'archive', 'copying', '2026-01-01 00:00:00')";
    sqlite(&site.data("primary.db")).execute_batch(begun).unwrap();
    assert_eq!(outcomes(&site.json(&["move", "--from", "archive", "--all", "--abort"])), []);
    assert_eq!(outcomes(&site.json(&["move", "--where", "private", "--abort"])), []);
    assert_eq!(outcomes(&site.json(&["move", "--from", "primary", "--all", "--abort"])), [(-200, "undone")]);
    sqlite(&site.data("primary.db")).execute_batch(begun).unwrap();
    assert_eq!(site.run(&["db", "move", "--all", "--abort"]).code, Some(0));
    sqlite(&site.data("primary.db")).execute_batch(begun).unwrap();
    assert_eq!(outcomes(&site.json(&["move", "-200", "--abort", "--forget"])), [(-200, "forgotten")]);
    assert_eq!(outcomes(&site.json(&["move", "--all", "--abort"])), []);
    assert_eq!(site.run(&["db", "move", "-200", "--to", "archive", "--forget"]).code, Some(2));
    assert_eq!(messages(&site, "primary.db", -200), 3);
}

#[test]
fn the_file_that_a_chat_leaves_is_rewritten_where_that_is_wanted() {
    let site = talked();
    let mut running = site.start();
    speak(&mut running, -200, &"long ".repeat(10_000));
    assert_eq!(running.end().code, Some(0));
    let free = |file: &str| -> i64 {
        let sql = "SELECT freelist_count FROM pragma_freelist_count";
        sqlite(&site.data(file)).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(site.said(&["db", "move", "-200", "--to", "archive"]).0, 0);
    assert!(free("primary.db") > 5, "{}", free("primary.db"));
    assert_eq!(site.said(&["db", "move", "-200", "--to", "primary", "--vacuum"]).0, 0);
    assert_eq!(free("archive.db"), 0);
}

#[test]
fn what_cannot_be_moved_is_told() {
    let site = talked();
    let mut told = String::new();
    for args in [&["-200", "--to", "nowhere"][..], &["-200", "--abort"], &["-200", "--to", "primary"]] {
        let (code, said) = site.said(&[&["db", "move"], args].concat());
        told += &format!("{code}: {said}");
    }
    assert_snapshot!(told, @"
        2: error: there is no source `nowhere`; known are: `archive`, `primary`
        1: Chat -200 was not moved: no move of the chat -200 was broken off; there is nothing to undo.
        1: Chat -200 was not moved: the chat -200 is in `primary` already.
        ");
    for args in
        [&["db", "move", "-200"][..], &["db", "move", "--to", "archive"], &["db", "move", "-200", "--abort", "--keep"]]
    {
        assert_eq!(site.run(args).code, Some(2), "{args:?}");
    }
}

#[test]
fn a_sealed_copy_is_one_that_a_read_only_source_can_be() {
    let site = talked();
    let file = site.data("primary.db");
    let said = site.run(&["db", "seal", file.to_str().unwrap()]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_snapshot!(plain(&said.out), @"Sealed: [home]/data/primary.sealed.db");
    assert_eq!(messages(&site, "primary.sealed.db", -200), 3);
    let (code, said) = site.said(&["db", "seal", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert_snapshot!(said, @"error: [home]/data/primary.sealed.db is there already, and is never written over; give the copy another name");
}

#[test]
fn what_an_earlier_try_has_left_is_told_apart_and_is_nothing_to_clear_by_hand() {
    let site = talked();
    let mut running = site.start();
    speak(&mut running, -100, "elsewhere");
    assert_eq!(running.end().code, Some(0));
    let begun = "INSERT INTO switchyard_moves VALUES (-200, 'primary', 'archive', 'copying', '2999-01-01 00:00:00')";
    sqlite(&site.data("primary.db")).execute_batch(begun).unwrap();
    let left = "INSERT INTO chat_settings VALUES (-200, 'a', 'b', '2026-01-01 00:00:00', '2026-01-01 00:00:00')";
    sqlite(&site.data("archive.db")).execute_batch(left).unwrap();
    let (code, said) = site.said(&["db", "check"]);
    assert_eq!(code, 3);
    assert!(said.contains("a move of the chat -200 to archive is under way or was broken off"), "{said}");
    assert!(!said.contains("strays") && said.ends_with("1 thing that is wrong was found.\n"), "{said}");
    let (code, said) = site.said(&["db", "move", "-200", "--to", "archive"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @r#"
        Moved to archive: chat -200 from primary (7 rows and 0 media copied, 7 deleted; before that 1 row of an earlier try).
        Written to [database.chat_mapping] in [home]/bot.toml: -200 = "archive"
        "#);
    let moves = site.json(&["move", "-200", "--to", "primary"]);
    assert_eq!((&moves["moves"][0]["tidied"], &moves["moves"][0]["deleted"]), (&0.into(), &7.into()));
}
