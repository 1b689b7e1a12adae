//! From an earlier release's file to several databases and back to that release.

use std::collections::BTreeMap;
use std::fs;

use rstest::rstest;

use super::site::{Site, speak};
use crate::program::Running;
use crate::support::rows;
use crate::versions::schema::build;
use crate::versions::{an_earlier_release_works_on, rows_at};

const ONE: &str = "path = \"bot.db\"\n";
const MANY: &str = "default_source = \"primary\"\n[database.sources.primary]\npath = \"bot.db\"\n\
                    [database.sources.first]\npath = \"first.db\"\n[database.sources.second]\npath = \"second.db\"\n";
/// The chats that the file has rows of, and one that is new.
const CHATS: [i64; 3] = [1, 2, -300];

/// Something is said in every chat, which answers from where it is to be.
fn talk(running: &mut Running, round: &str, sources: [&str; 3]) {
    for (chat, expected) in CHATS.into_iter().zip(sources) {
        assert_eq!(speak(running, chat, &format!("{round} in {chat}")).0, expected);
    }
}

#[rstest]
fn an_earlier_releases_file_goes_to_several_databases_and_back_to_that_release(#[values(0, 3, 6)] version: u32) {
    let site = Site::new(ONE);
    fs::create_dir_all(site.home.data()).unwrap();
    let file = site.data("bot.db");
    build(&file, version, "delete");
    let before = rows_at(&file, version);
    let mut running = Running::start(&mut site.bot(&["-q", "console", "--json"]));
    talk(&mut running, "before", ["primary"; 3]);
    assert_eq!(running.end().code, Some(0));

    site.configure(MANY);
    let mut running = Running::start(&mut site.bot(&["-q", "console", "--json"]));
    talk(&mut running, "at first", ["primary"; 3]);
    for (chat, source) in [("1", "first"), ("2", "second"), ("-300", "first")] {
        assert_eq!(site.json(&["move", chat, "--to", source])["moves"][0]["outcome"], "moved");
    }
    talk(&mut running, "elsewhere", ["first", "second", "first"]);
    assert_eq!(site.json(&["move", "--all", "--to", "primary"])["moves"].as_array().unwrap().len(), 3);
    talk(&mut running, "at home again", ["primary"; 3]);
    assert_eq!(running.end().code, Some(0));
    for other in ["first.db", "second.db"] {
        let left: BTreeMap<_, _> = rows(&site.data(other)).into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
        let left: Vec<_> = left.keys().filter(|table| !table.starts_with("switchyard_")).collect();
        assert_eq!(left, ["settings"], "only what version it is");
    }

    site.configure(ONE);
    let mut running = Running::start(&mut site.bot(&["-q", "console", "--json"]));
    talk(&mut running, "after", ["primary"; 3]);
    assert_eq!(running.end().code, Some(0));
    let after = rows_at(&file, version);
    for (table, rows) in &before {
        // Whoever has spoken since stands there with another count and another time.
        let kept = rows.iter().filter(|row| after[table].contains(row)).count();
        let speakers = ["chat_info", "chat_users"].contains(&table.as_str());
        assert!(kept == rows.len() || speakers && after[table].len() >= rows.len(), "{table}: {:?}", after[table]);
    }
    let texts =
        site.home.texts("SELECT message_text FROM chat_messages WHERE chat_id = 2 AND user_id = 1 ORDER BY rowid");
    let said = ["before", "at first", "elsewhere", "at home again", "after"].map(|round| format!("{round} in 2"));
    assert!(said.iter().all(|text| texts.contains(text)), "{texts:?}");
    an_earlier_release_works_on(&file);
}

#[test]
fn whoever_goes_back_to_one_file_without_the_chats_is_told_which_are_not_in_it() {
    let site = Site::new(MANY);
    let mut running = site.start();
    talk(&mut running, "at first", ["primary"; 3]);
    for (chat, source) in [("1", "first"), ("-300", "second")] {
        assert_eq!(site.json(&["move", chat, "--to", source])["moves"][0]["outcome"], "moved");
    }
    assert_eq!(running.end().code, Some(0));
    let start = || Running::start(&mut site.bot(&["console", "--json"])).end();
    let told = "it says that chats were moved to other sources, and they begin anew here: -300 (second), 1 (first)";

    site.configure(ONE);
    let checked = site.json(&["check"]);
    assert_eq!(
        (&checked["findings"][0]["severity"], &checked["findings"][0]["what"]),
        (&"warning".into(), &told.into())
    );
    let started = start();
    assert!(started.code == Some(0) && started.err.contains(told), "{started:?}");

    site.configure(MANY);
    assert_eq!(site.json(&["move", "--all", "--to", "primary"])["moves"].as_array().unwrap().len(), 2);
    site.configure(ONE);
    assert_eq!(site.json(&["check"])["findings"], serde_json::json!([]));
    let started = start();
    assert!(started.code == Some(0) && !started.err.contains("other sources"), "{started:?}");
}

#[test]
fn no_chat_moves_from_under_a_bot_that_works_on_the_one_file() {
    let site = Site::new(ONE);
    let mut running = site.start();
    site.configure(MANY);
    let moved = site.run(&["db", "move", "-1", "--to", "first"]);
    assert!(moved.code == Some(1) && moved.err.contains("bot.db is open in another program (process "), "{moved:?}");
    assert_eq!(speak(&mut running, -1, "it is here").0, "primary");
    assert_eq!(site.json(&["move", "-1", "--to", "first", "--dry-run"])["moves"][0]["outcome"], "planned");
    assert_eq!(running.end().code, Some(0));
    assert_eq!(site.json(&["move", "-1", "--to", "first"])["moves"][0]["outcome"], "moved");
}
