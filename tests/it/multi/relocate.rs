//! Moving a chat from one source to another: what moves, what is refused, what is left.

mod answers;
mod killed;
mod led;
mod lines;
mod media;
mod model;
mod older;
mod refusals;

pub(crate) use refusals::move_to_little_room;

use std::ops::ControlFlow;
use std::path::Path;

use database::multi::{Control, MappingChange, MoveError, MoveOptions, MoveReport, Progress, Stage, Why};
use database::{
    ChatId, ChatType, DatabaseConfig, DatabaseWrapper, Durability, ImportBatch, ImportedName, Lesson, MediaId,
    NewMedia, NewMessage, NewSpam, NewSummarization, NewTopic, Opposite, SpamReason, SummarizationKey, TopicId, UserId,
};

use super::{config_of, files_with, name, open};
use crate::child::{say, wait_to_go_on};
use crate::support::{Scratch, rows, sqlite, time};

const CHAT: ChatId = ChatId(-1);
const OTHER: ChatId = ChatId(-2);

/// Three sources in a folder, fast, since nothing here outlives the machine.
fn sources(folder: &Path, mapping: &[(i64, &str)]) -> DatabaseConfig {
    let mut config = config_of(folder, &["primary", "archive", "third"], mapping);
    config.sources.values_mut().for_each(|source| source.durability = Durability::Normal);
    config
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Few rows at a time, so that there are many steps.
fn small() -> MoveOptions {
    MoveOptions { rows_at_once: 3, ..MoveOptions::default() }
}

fn moved(control: &Control, chat: ChatId, to: &str) -> Result<MoveReport, MoveError> {
    control.move_chat(chat, &name(to), &small(), go_on)
}

/// Rows of a chat in every table.
fn fill(db: &DatabaseWrapper, chat: ChatId, word: &str) {
    let now = time("2026-01-01 12:00:00");
    let mut batch = ImportBatch { chat: Some((ChatType::Group, named(word))), ..ImportBatch::default() };
    batch.progress = Some(database::ImportProgress { file: format!("{word}.json"), records: 9, is_complete: true });
    for number in 0..10 {
        let mut message = NewMessage::text(number, now, UserId(number % 3), format!("{word} says {number}"));
        if number % 4 == 0 {
            let media = format!("{word}-{number}");
            batch.media.push(NewMedia { description: Some(format!("{word} shows")), ..NewMedia::new(media.as_str()) });
            message.media_id = Some(MediaId::from(media.as_str()));
        }
        batch.messages.push(message);
    }
    batch.people = (0..3).map(|user| (UserId(user), named(word))).collect();
    db.save_import(chat, &batch).unwrap();
    db.set_chat_setting(chat, "language", word).unwrap();
    db.add_user_data(chat, UserId(1), "likes", word).unwrap();
    let topic = NewTopic { icon_color: Some(1), icon_custom_emoji_id: None, name: word.to_owned() };
    db.update_chat_topic_info(chat, TopicId(1), &topic).unwrap();
    let key = SummarizationKey {
        topic_id: None,
        first_message_id: 1.into(),
        last_message_id: 9.into(),
        prompt: word.to_owned(),
    };
    db.add_chat_summarization(chat, &NewSummarization { key, summary: word.to_owned() }).unwrap();
    let example = |message: i64| NewSpam {
        user_id: UserId(1),
        message_id: message.into(),
        text: word.to_owned(),
        reason: SpamReason::User,
        score: 0.1,
    };
    let lesson = |is_spam, message, words: &[&str]| {
        let tokens: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let opposite = Opposite { chat_id: chat, text: word.to_owned(), tokens: tokens.clone() };
        Lesson { is_spam, example: example(message), tokens, category: None, opposite }
    };
    db.learn_example(chat, &lesson(true, 1, &[word, "and", "more"])).unwrap();
    db.learn_example(chat, &lesson(false, 2, &[word])).unwrap();
}

fn named(word: &str) -> ImportedName {
    ImportedName { name: Some(word.to_owned()), at: time("2026-01-01 12:00:00") }
}

/// A helper's task: moves the chat, tells every step, and waits at one of them to be killed.
pub(crate) fn move_until(folder: &Path, rows: &str, stop: &str) {
    let (db, control) = open(&sources(folder, &[]));
    let options = MoveOptions { rows_at_once: rows.parse().unwrap(), ..MoveOptions::default() };
    let mut step = 0;
    let mut tell = |progress: Progress| {
        say(&progress.stage.to_string());
        if step.to_string() == stop {
            wait_to_go_on();
        }
        step += 1;
        ControlFlow::Continue(())
    };
    control.move_chat(CHAT, &name("archive"), &options, &mut tell).unwrap();
    db.close();
    say("done");
}

/// How many rows of a chat a file has.
fn rows_in(path: &Path, chat: ChatId) -> usize {
    let mark = format!("chat_id=Integer({}) ", chat.0);
    let of_moves = |table: &str| table.starts_with("switchyard_") && table != "switchyard_imports";
    let all = rows(path).into_iter().filter(|(table, _)| !of_moves(table));
    all.flat_map(|(_, lines)| lines).filter(|line| line.contains(&mark)).count()
}

#[test]
fn a_chat_moves_with_all_that_is_its_own_and_nothing_of_it_stays() {
    let scratch = Scratch::in_memory();
    let config = sources(scratch.path(), &[]);
    let (db, control) = open(&config);
    fill(&db, CHAT, "CANARY-ONE");
    fill(&db, OTHER, "CANARY-TWO");
    let before = answers::of(&db);
    let plan = control.plan_move(CHAT, &name("archive"), &small()).unwrap();
    assert_eq!(answers::of(&db), before);
    let report = moved(&control, CHAT, "archive").unwrap();
    assert_eq!((&report.rows, report.media), (&plan.rows, plan.media));
    assert_eq!(report.deleted, report.rows.values().sum::<u64>() + report.media);
    insta::assert_debug_snapshot!(report.rows, @r#"
    {
        "bayes_classes": 2,
        "bayes_tokens": 3,
        "chat_info": 1,
        "chat_messages": 10,
        "chat_settings": 1,
        "chat_stats": 1,
        "chat_summarization_cache": 1,
        "chat_topics": 1,
        "chat_user_stats": 3,
        "chat_users": 3,
        "ham_messages": 1,
        "spam_messages": 1,
        "switchyard_imports": 1,
        "user_data": 1,
    }
    "#);
    assert_eq!(answers::of(&db), before);
    assert_eq!(control.explain(CHAT).source, name("archive"));
    assert_eq!(control.explain(CHAT).why, Why::Moved);
    assert_eq!(report.mapping, [MappingChange::Set { chat: CHAT, source: name("archive") }]);
    assert_eq!(report.mapping[0].to_string(), "-1 = \"archive\"");
    assert_eq!(control.unfinished_moves().unwrap(), []);
    // Nobody closes the files first: it is the move that sees to it.
    assert_eq!(files_with(&scratch, "CANARY-ONE").retain_own(), ["archive.db"]);
    db.close();
    assert_eq!(files_with(&scratch, "CANARY-ONE"), ["archive.db"]);
    assert_eq!(files_with(&scratch, "CANARY-TWO"), ["primary.db"]);

    // The record holds after a restart, and for as long as the configuration says what it said.
    let (db, control) = open(&config);
    assert_eq!(answers::of(&db), before);
    assert_eq!(control.explain(CHAT).source, name("archive"));
    db.close();
    let written = sources(scratch.path(), &[(-1, "archive")]);
    let (db, control) = open(&written);
    assert_eq!(answers::of(&db), before);
    assert_eq!(control.explain(CHAT).why, Why::Mapped);
    // Going back to where the configuration does not lead needs a record, and to take the line away.
    let report = moved(&control, CHAT, "primary").unwrap();
    assert_eq!(report.mapping, [MappingChange::Remove { chat: CHAT }]);
    assert_eq!(answers::of(&db), before);
    // Going to where it leads needs nothing of it. What it said before leads elsewhere, so the record stays.
    let report = moved(&control, CHAT, "archive").unwrap();
    assert_eq!((report.mapping, control.explain(CHAT).why), (Vec::new(), Why::Mapped));
    db.close();
    assert_eq!(rows(&scratch.file("primary.db"))["switchyard_routes"].len(), 1);
    let (db, control) = open(&config);
    assert_eq!((answers::of(&db), control.explain(CHAT).source), (before, name("archive")));
    db.close();
}

trait RetainOwn {
    fn retain_own(self) -> Vec<String>;
}

impl RetainOwn for Vec<String> {
    /// The target's log counts as the target.
    fn retain_own(mut self) -> Vec<String> {
        self.iter_mut().filter(|name| *name == "archive.db-wal").for_each(|name| *name = "archive.db".to_owned());
        self.dedup();
        self
    }
}

#[test]
fn no_text_stays_between_the_rows_of_others_once_the_file_is_rewritten() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[]));
    let now = time("2026-01-01 12:00:00");
    let text = |word: &str, number: i64| word.repeat(1 + usize::try_from(number * 7919 % 97).unwrap());
    for round in 0..40 {
        for (chat, word) in [(CHAT, "CANARY-ONE "), (OTHER, "CANARY-TWO ")] {
            let numbers = (0..50).map(|number| (number * 40 + round) * 7 % 2000);
            let messages: Vec<_> =
                numbers.map(|number| NewMessage::text(number, now, UserId(1), text(word, number))).collect();
            db.save_chat_messages(chat, &messages).unwrap();
        }
        // Longer and shorter again, so that pages are taken apart and put together.
        for number in 0..20 {
            let number = number * 37 % 2000;
            db.update_chat_message_text(CHAT, &number.into(), &text("CANARY-ONE ", number + round)).unwrap();
        }
    }
    control.move_chat(CHAT, &name("archive"), &MoveOptions::default(), go_on).unwrap();
    control.vacuum(&name("primary")).unwrap();
    assert_eq!(files_with(&scratch, "CANARY-ONE").retain_own(), ["archive.db"]);
    db.close();
    assert_eq!(files_with(&scratch, "CANARY-ONE"), ["archive.db"]);
    assert_eq!(files_with(&scratch, "CANARY-TWO"), ["primary.db"]);
}

#[test]
fn a_supergroup_moves_with_the_group_that_it_was() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "group");
    db.migrate_chat(CHAT, ChatId(-10)).unwrap();
    fill(&db, ChatId(-10), "supergroup");
    db.unset_chat_setting(ChatId(-10), "language").unwrap();
    let before = answers::of(&db);
    for (chat, to) in [(CHAT, "archive"), (ChatId(-10), "third"), (ChatId(-10), "primary")] {
        let report = moved(&control, chat, to).unwrap();
        let chats: Vec<_> = report.chats.iter().map(|(chat, _)| *chat).collect();
        assert_eq!(chats, [CHAT, ChatId(-10)]);
        assert_eq!(answers::of(&db), before);
        // The news comes again: what was dropped since then stays dropped.
        db.migrate_chat(CHAT, ChatId(-10)).unwrap();
        assert_eq!(answers::of(&db), before);
        assert!(report.mapping.len() < 2, "the supergroup inherits: {:?}", report.mapping);
        for elsewhere in ["primary", "archive", "third"].iter().filter(|name| **name != to) {
            let path = scratch.file(&format!("{elsewhere}.db"));
            if path.exists() {
                assert_eq!(rows_in(&path, CHAT) + rows_in(&path, ChatId(-10)), 0, "{elsewhere} after {to}");
            }
        }
    }
    db.close();
}

#[test]
fn a_row_that_was_damaged_in_the_copy_is_named_and_the_chat_stays() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "SECRET");
    let before = answers::of(&db);
    let damages = [
        (
            "UPDATE chat_messages SET message_text = 'SECRET' WHERE message_id = '3'",
            "table `chat_messages`, row chat_id=-1, message_id=`3`, differs in message_text",
        ),
        (
            "UPDATE chat_messages SET message_text = CAST(message_text AS BLOB), date = 'SECRET' WHERE message_id = '9'",
            "table `chat_messages`, row chat_id=-1, message_id=`9`, differs in date, message_text",
        ),
        ("DELETE FROM chat_users WHERE user_id = 2", "table `chat_users` lacks the row chat_id=-1, user_id=2"),
        (
            "UPDATE bayes_tokens SET ham_count = 7 WHERE token = 'SECRET'",
            "table `bayes_tokens`, row chat_id=-1, rowid=1, differs in ham_count",
        ),
        (
            "UPDATE spam_messages SET score = 0.10000000000000002",
            "table `spam_messages`, row chat_id=-1, user_id=1, message_id=`1`, differs in score",
        ),
        (
            "INSERT INTO chat_settings VALUES (-1, 'more', 'x', 'x', 'x')",
            "table `chat_settings` has a row too many: chat_id=-1, key=`more`",
        ),
        (
            "DELETE FROM media_attachments WHERE file_unique_id = 'SECRET-4'",
            "table `media_attachments` lacks the row file_unique_id=`SECRET-4`",
        ),
        (
            "UPDATE media_attachments SET description = 'SECRET' WHERE file_unique_id = 'SECRET-8'",
            "table `media_attachments`, row file_unique_id=`SECRET-8`, differs in description",
        ),
    ];
    for (damage, named) in damages {
        let spoil = |progress: Progress| {
            if progress.stage == Stage::Verifying && progress.done == 0 {
                assert_eq!(sqlite(&scratch.file("archive.db")).execute(damage, []).unwrap(), 1, "{damage}");
            }
            ControlFlow::Continue(())
        };
        let error = control.move_chat(CHAT, &name("archive"), &small(), spoil).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, MoveError::Differs { .. }) && said.contains(named), "{damage}: {said}");
        let names = said.replace("SECRET-4", "").replace("SECRET-8", "");
        assert!(!names.contains("SECRET"), "{said}");
        assert_eq!((control.explain(CHAT).source, answers::of(&db)), (name("primary"), before.clone()));
    }
    // The next one starts over.
    let report = moved(&control, CHAT, "archive").unwrap();
    assert!(report.tidied > 0);
    assert_eq!(answers::of(&db), before);
    db.close();
}

#[test]
fn what_sqlite_stores_comes_back_to_the_last_bit() {
    let scratch = Scratch::in_memory();
    let (db, control) = open(&sources(scratch.path(), &[]));
    fill(&db, CHAT, "word");
    let odd = "
        UPDATE chat_messages SET message_text = CAST(x'FFFE00C3' AS TEXT) WHERE message_id = '1';
        UPDATE chat_messages SET message_text = x'FFFE00C3', reply_id = 5, quote_text = 'a' || char(0) || 'b'
        WHERE message_id = '2';
        UPDATE spam_messages SET score = 1e999;
        UPDATE ham_messages SET score = 5e-324;
        UPDATE chat_stats SET messages_count = 9223372036854775807;
        UPDATE chat_users SET user_id = 'not a number', created_at = NULL WHERE user_id = 2;";
    sqlite(&scratch.file("primary.db")).execute_batch(odd).unwrap();
    let stored = |file: &str| {
        let connection = sqlite(&scratch.file(file));
        let tables = ["chat_messages", "spam_messages", "ham_messages", "chat_stats", "chat_users"];
        tables.map(|table| {
            let columns = sqlite_columns(&connection, table);
            let quoted: Vec<_> = columns.iter().map(|column| format!("quote({column}), typeof({column})")).collect();
            let sql = format!("SELECT concat_ws('|', {}) FROM {table} ORDER BY 1", quoted.join(", "));
            let mut statement = connection.prepare(&sql).unwrap();
            let rows = statement.query_map([], |row| Ok(format!("{:?}", row.get_ref(0)?))).unwrap();
            rows.map(Result::unwrap).collect::<Vec<_>>()
        })
    };
    let before = stored("primary.db");
    moved(&control, CHAT, "archive").unwrap();
    assert_eq!(stored("archive.db"), before);
    db.close();
}

fn sqlite_columns(connection: &rusqlite::Connection, table: &str) -> Vec<String> {
    let statement = connection.prepare(&format!("SELECT * FROM {table} LIMIT 0")).unwrap();
    statement.column_names().map(str::to_owned).collect()
}
