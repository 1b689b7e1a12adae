//! Chats that were led elsewhere by hand: what is said of them, and that each way that the documents name works, with the
//! bot running and stopped.

use insta::assert_snapshot;
use rstest::rstest;

use super::plain;
use super::site::{Site, TWO, speak};
use crate::program::Running;
use crate::support::sqlite;

const CHAT: i64 = 10;
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/database-multi-source.md");

/// The commands that the document names for a chat that was led elsewhere by hand: those for the one situation, and those
/// for the other.
fn documented() -> (Vec<String>, Vec<String>) {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let section = document.split("### A chat that was led elsewhere by hand\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|block| {
        let lines = block.split("```").next().unwrap().lines();
        let commands = lines.map(|line| line.split('#').next().unwrap().trim()).filter(|line| !line.is_empty());
        commands.map(ToOwned::to_owned).collect::<Vec<_>>()
    });
    let mut blocks = blocks.collect::<Vec<_>>().into_iter();
    (blocks.next().unwrap(), blocks.next().unwrap())
}

/// The texts of a chat in a file, the oldest first.
fn texts(site: &Site, file: &str) -> Vec<String> {
    let connection = sqlite(&site.data(file));
    let sql = "SELECT message_text FROM chat_messages WHERE chat_id = ?1 ORDER BY rowid";
    let mut statement = connection.prepare(sql).unwrap();
    let texts = statement.query_map([CHAT], |row| row.get(0)).unwrap();
    texts.map(Result::unwrap).collect()
}

fn lead(site: &Site, source: &str) {
    site.configure(&format!("{TWO}{CHAT} = \"{source}\"\n"));
}

/// A site where the chat has said two things in `primary` and is led to `archive`; and the bot, where it runs.
fn led(runs: bool) -> (Site, Option<Running>) {
    let site = Site::new(TWO);
    let mut running = site.start();
    speak(&mut running, CHAT, "one");
    speak(&mut running, CHAT, "two");
    if !runs {
        assert_eq!(running.end().code, Some(0));
        lead(&site, "archive");
        return (site, None);
    }
    lead(&site, "archive");
    assert_eq!(site.said(&["db", "reload"]).0, 0);
    (site, Some(running))
}

/// Runs a command that a document names; answers what it says.
fn typed(site: &Site, command: &str) -> (i32, String) {
    let backups = site.home.path("backups");
    let args = command.strip_prefix("bot ").unwrap().split(' ');
    let args: Vec<_> = args.map(|arg| if arg == "backups" { backups.to_str().unwrap() } else { arg }).collect();
    site.said(&args)
}

fn end(running: Option<Running>) {
    if let Some(running) = running {
        assert_eq!(running.end().code, Some(0));
    }
}

#[rstest]
fn its_history_comes_along_where_nothing_was_written_since(#[values(false, true)] runs: bool) {
    let (site, running) = led(runs);
    let (commands, _) = documented();
    assert_eq!(commands, ["bot db move 10 --to archive"]);
    let planned = site.said(&["db", "move", "10", "--to", "archive", "--dry-run"]);
    assert_eq!(planned.0, 0);
    insta::allow_duplicates! { assert_snapshot!(planned.1, @"Would move to archive: chat 10 from primary (6 rows, about 2 KiB, about 1 second)."); }
    assert_eq!(texts(&site, "primary.db"), ["one", "two"]);
    let (code, said) = typed(&site, &commands[0]);
    assert_eq!(code, 0);
    insta::allow_duplicates! { assert_snapshot!(said, @"Moved to archive: chat 10 from primary (6 rows and 0 media copied, 6 deleted)."); }
    assert_eq!((texts(&site, "archive.db"), texts(&site, "primary.db")), (vec!["one".into(), "two".into()], vec![]));
    assert_eq!(site.json(&["route", "10"])["why"], "mapped");
    let mut running = running.unwrap_or_else(|| site.start());
    assert_eq!(speak(&mut running, CHAT, "three").0, "archive");
    end(Some(running));
    assert_eq!(texts(&site, "archive.db"), ["one", "two", "three"]);
    assert_eq!(site.said(&["db", "verify", "10"]).0, 0);
}

#[rstest]
fn the_old_history_is_gone_on_with_where_something_was_written_since(#[values(false, true)] runs: bool) {
    let (site, running) = led(runs);
    let mut running = running.unwrap_or_else(|| site.start());
    assert_eq!(speak(&mut running, CHAT, "since").0, "archive");
    let running = if runs {
        Some(running)
    } else {
        end(Some(running));
        None
    };
    let (first, commands) = documented();
    let (code, said) = typed(&site, &first[0]);
    assert_eq!(code, 1);
    insta::allow_duplicates! { assert_snapshot!(said, @r#"Chat 10 was not moved: the chat 10 is in `archive` already, which holds rows of it (5), and so do others (`primary`: 6); two histories are not joined, and `bot db verify 10` compares them. To stay with that of `archive` nothing has to be done. To go on with that of `primary`, and lose what only `archive` holds: have [database.chat_mapping] say `10 = "primary"`, then `bot db reload` (where the bot runs); once `bot db route 10` says `primary`, `bot db strays --clear --only-here 10`; then repeat the move."#); }
    lead(&site, "primary");
    for command in &commands {
        let (code, said) = typed(&site, command);
        match command.as_str() {
            // Of no use without a bot.
            "bot db reload" => assert_eq!(code, i32::from(!runs), "{said}"),
            "bot db route 10" => assert!(said.contains("Chat 10 is in primary: "), "{said}"),
            _ => assert_eq!(code, 0, "{command}: {said}"),
        }
        // What was said there is gone only when it was to be deleted, and the rest is never.
        let is_cleared = commands.iter().position(|one| one == command) >= Some(3);
        assert_eq!(texts(&site, "archive.db").contains(&"since".to_owned()), !is_cleared, "{command}");
        let both = [texts(&site, "primary.db"), texts(&site, "archive.db")].concat();
        assert!(both.starts_with(&["one".to_owned(), "two".to_owned()]), "{command}: {both:?}");
    }
    assert_eq!(commands.len(), 5, "{commands:?}");
    assert_eq!((texts(&site, "archive.db"), texts(&site, "primary.db")), (vec!["one".into(), "two".into()], vec![]));
    assert_eq!(site.json(&["route", "10"])["source"], "archive");
    let strays = site.said(&["db", "strays"]).1;
    assert!(strays.ends_with("No database has rows of chats that live in another.\n"), "{strays}");
    end(running);
}

#[test]
fn what_the_command_itself_names_works_as_the_document_says() {
    let (site, running) = led(true);
    let mut running = running.unwrap();
    speak(&mut running, CHAT, "since");
    let (_, said) = site.said(&["db", "move", "10", "--to", "archive"]);
    let (_, commands) = documented();
    let place = |command: &String| said.find(&format!("`{command}`"));
    let named: Vec<_> = commands.iter().filter_map(place).collect();
    // All but the backup, which is advice, and the move, which is what was typed.
    assert!(named.len() == 3 && named.is_sorted(), "{said}");
    assert!(said.contains("10 = \"primary\""), "{said}");
    end(Some(running));
}

#[test]
fn the_log_names_the_chats_that_were_led_elsewhere() {
    let site = Site::new(TWO);
    let mut running = Running::start(&mut site.bot(&["console", "--json"]));
    speak(&mut running, CHAT, "one");
    lead(&site, "archive");
    assert_eq!(site.said(&["db", "reload"]).0, 0);
    let log = running.end().err;
    let line = log.lines().find(|line| line.contains("WARN")).unwrap();
    assert!(line.contains("10 (primary -> archive)") && line.contains("`bot db move CHAT --to SOURCE`"), "{line}");
}

#[test]
fn a_line_that_is_not_followed_since_the_chat_was_moved_is_told_of() {
    let site = Site::new(TWO);
    let mut running = Running::start(&mut site.bot(&["console", "--json"]));
    speak(&mut running, -100, "one");
    let older = std::fs::read_to_string(site.home.path("bot.toml")).unwrap();
    let (code, said) = site.said(&["db", "move", "-100", "--to", "primary"]);
    assert_eq!(code, 0);
    assert_snapshot!(said, @r#"
        Moved to primary: chat -100 from archive (5 rows and 0 media copied, 5 deleted).
        Removed from [database.chat_mapping] in [home]/bot.toml: the line of -100
        "#);
    assert_eq!(site.json(&["route", "-100"])["not_followed"], serde_json::Value::Null);
    // An older configuration is put back.
    site.home.file("bot.toml", &older);
    assert_eq!(site.said(&["db", "reload"]).0, 0);
    assert_snapshot!(site.said(&["db", "route", "-100"]).1, @r#"Chat -100 is in primary: it was moved there, and its line `-100 = "archive"` in [database.chat_mapping], which said the same then, is not followed; `bot db move -100 --to archive` moves it to where that leads."#);
    assert_eq!(site.json(&["route", "-100"])["not_followed"], "archive");
    let log = running.end().err;
    let line = log.lines().find(|line| line.contains("WARN")).unwrap();
    assert!(line.contains("are not followed") && line.contains("-100 -> archive"), "{line}");
    let (code, said) = site.said(&["db", "check"]);
    assert_eq!(code, 0, "it is no fault");
    assert_snapshot!(said.lines().skip(4).collect::<Vec<_>>().join("\n"), @r#"
        note: primary: lines of [database.chat_mapping] that lead to `archive` are not followed, since these chats were moved here: -100; `bot db move CHAT --to archive` moves a chat to where its line leads
        Nothing is wrong.
        "#);
    assert_snapshot!(site.said(&["db", "route", "-100"]).1, @r#"
        No bot runs on [home]/data. By the configuration and the files:
        Chat -100 is in primary: it was moved there, and its line `-100 = "archive"` in [database.chat_mapping], which said the same then, is not followed; `bot db move -100 --to archive` moves it to where that leads.
        "#);
    assert_eq!(site.said(&["db", "move", "-100", "--to", "archive"]).0, 0);
    assert_snapshot!(site.said(&["db", "route", "-100"]).1, @r#"
        No bot runs on [home]/data. By the configuration and the files:
        Chat -100 is in archive: [database.chat_mapping] says so.
        "#);
    let said = site.said(&["db", "check"]).1;
    assert!(plain(&said).ends_with("Nothing is wrong.\n") && !said.contains("note"), "{said}");
}

#[test]
fn a_chat_of_which_no_source_holds_anything_is_told_of() {
    let site = Site::new(TWO);
    end(Some(site.start()));
    let configured = std::fs::read_to_string(site.home.path("bot.toml")).unwrap();
    let seen: Vec<_> = [
        &["db", "move", "424242", "--to", "archive", "--dry-run"][..],
        &["db", "move", "424242", "--to", "archive"],
        &["db", "move", "424242", "--to", "primary"],
        &["db", "verify", "424242"],
        &["db", "verify", "424242", "-1"],
    ]
    .map(|args| site.said(args))
    .map(|(code, said)| format!("{code}: {said}"))
    .into();
    assert_snapshot!(seen.concat(), @r#"
        1: Chat 424242 was not moved: no source holds anything of the chat 424242, and it is mapped nowhere; see whether that is its id (`/chats` lists the groups, `bot db verify --all` all chats, for which it reads everything); where it is still to come, write `424242 = "archive"` into [database.chat_mapping].
        1: Chat 424242 was not moved: no source holds anything of the chat 424242, and it is mapped nowhere; see whether that is its id (`/chats` lists the groups, `bot db verify --all` all chats, for which it reads everything); where it is still to come, write `424242 = "archive"` into [database.chat_mapping].
        1: Chat 424242 was not moved: no source holds anything of the chat 424242, and it is mapped nowhere; see whether that is its id (`/chats` lists the groups, `bot db verify --all` all chats, for which it reads everything).
        0: CHAT  SOURCE  ROWS  UNREADABLE  SAME  DIFFERENT  ONLY THERE  ONLY AT HOME
        424242  primary  0  0  -  -  -  -
        Chat 424242: no source holds anything of it
        0: CHAT  SOURCE  ROWS  UNREADABLE  SAME  DIFFERENT  ONLY THERE  ONLY AT HOME
        -1  primary  5  0  -  -  -  -
        424242  primary  0  0  -  -  -  -
        Chat 424242: no source holds anything of it
        1 chat read; nothing is wrong with it.
        "#);
    assert_eq!(std::fs::read_to_string(site.home.path("bot.toml")).unwrap(), configured);
    assert_eq!(site.json(&["move", "424243", "--to", "archive", "--dry-run"])["moves"][0]["unknown"], true);
    // One that is mapped is led elsewhere.
    let seen =
        [&["db", "move", "-100", "--to", "primary", "--dry-run"][..], &["db", "move", "-100", "--to", "primary"]];
    let seen: Vec<_> = seen.map(|args| site.said(args)).map(|(code, said)| format!("{code}: {said}")).into();
    assert_snapshot!(seen.concat(), @"
        0: No source holds anything of chat -100.
        It would be mapped to primary: what is said in it later would go there.
        It would remove from [database.chat_mapping]: the line of -100
        0: No source holds anything of chat -100.
        It is mapped to primary: what is said in it later goes there.
        Removed from [database.chat_mapping] in [home]/bot.toml: the line of -100
        ");
    assert_eq!(site.json(&["move", "-1", "--to", "archive", "--dry-run"])["moves"][0]["unknown"], false);
    // One that could not be read may hold something.
    std::fs::remove_file(site.data("archive.db")).unwrap();
    let (code, said) = site.said(&["db", "verify", "7", "-1"]);
    assert_eq!(code, 3);
    assert!(said.contains("Chat 7: no source that could be read holds anything of it\n"), "{said}");
    assert!(
        said.ends_with("1 chat read, but for what could not be; nothing is wrong with the rest of it.\n"),
        "{said}"
    );
}
