//! `bot console --json` as a program sees it: what comes out for each line that goes in, and what is then in the file.
//!
//! Two of these tests have a longer form, which takes minutes and wants an optimised build:
//!
//! ```text
//! JSON_FULL_SIZE=1 cargo test --release -p tests --test it json:: -- --nocapture
//! ```

mod kill;
mod lines;
mod memory;

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::process::ChildStdin;
use std::thread::JoinHandle;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Home, Running};

/// Whether the longer forms are asked for.
fn full_size() -> bool {
    std::env::var_os("JSON_FULL_SIZE").is_some()
}

/// A message that goes in.
#[derive(Clone, Debug)]
struct Sent {
    chat: i64,
    user: i64,
    id: u64,
    text: String,
}

impl Sent {
    fn line(&self) -> String {
        let Self { chat, user, id, text } = self;
        serde_json::json!({"chat": chat, "user": user, "text": text, "message_id": id, "ref": id,
                           "name": format!("Person {user}"), "date": "2026-11-20 12:00:00"})
        .to_string()
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Messages of many chats, mixed; one in `one_in` is a command.
fn conversation(messages: u64, chats: u64, one_in: u64) -> Vec<Sent> {
    let mut dice = Dice(7);
    let message = |id| {
        let chat = -1000 - i64::try_from(dice.roll(chats)).unwrap();
        let user = 1 + i64::try_from(dice.roll(9)).unwrap();
        let text = if dice.roll(one_in) == 0 { "/top".to_owned() } else { format!("message {id} of chat {chat}") };
        Sent { chat, user, id, text }
    };
    (1..=messages).map(message).collect()
}

/// Says all of it without waiting for answers. Hands back the input, still open; or nothing where it broke.
fn say_all(
    running: &mut Running,
    lines: impl Iterator<Item = String> + Send + 'static,
) -> JoinHandle<Option<ChildStdin>> {
    let mut input = running.take_input();
    std::thread::spawn(move || {
        for line in lines {
            writeln!(input, "{line}").ok()?;
        }
        Some(input)
    })
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// How often each message is in the file, by chat and id.
fn stored(home: &Home) -> HashMap<(i64, String), u64> {
    let mut stored = HashMap::new();
    for row in home.texts("SELECT chat_id || ' ' || message_id FROM chat_messages") {
        let (chat, id) = row.split_once(' ').unwrap();
        *stored.entry((chat.parse().unwrap(), id.to_owned())).or_default() += 1;
    }
    stored
}

/// That the counters say what the messages say, for chats, their days, and their people.
fn assert_counted(home: &Home) {
    let wrong = home.texts(
        "WITH counted AS (
             SELECT chat_id, user_id, substr(date, 1, 10) || ' 00:00:00' AS day, count(*) AS n
             FROM chat_messages GROUP BY 1, 2, 3)
         SELECT 'day ' || chat_id || ' ' || day FROM counted GROUP BY chat_id, day
         HAVING sum(n) IS NOT (SELECT messages_count FROM chat_stats s WHERE s.chat_id = counted.chat_id AND s.date = day)
         UNION ALL
         SELECT 'user''s day ' || chat_id || ' ' || user_id FROM counted
         WHERE n IS NOT (SELECT messages_count FROM chat_user_stats s
                         WHERE s.chat_id = counted.chat_id AND s.user_id = counted.user_id AND s.date = day)
         UNION ALL
         SELECT 'user ' || chat_id || ' ' || user_id FROM counted GROUP BY chat_id, user_id
         HAVING sum(n) IS NOT (SELECT messages_count FROM chat_users u
                               WHERE u.chat_id = counted.chat_id AND u.user_id = counted.user_id)",
    );
    assert_eq!(wrong, Vec::<String>::new(), "counted wrongly");
    let sums = "SELECT (SELECT count(*) FROM chat_messages) - (SELECT sum(messages_count) FROM chat_stats)";
    assert_eq!(home.one(sums), 0, "counted what is not there");
    assert_eq!(home.texts("PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn twenty_thousand_messages_over_fifty_chats_are_each_answered_once_in_order_and_stored() {
    let home = Home::in_memory();
    let sent = conversation(20_000, 50, 200);
    let mut running = Running::start(&mut home.bot(&["-q", "console", "--json"]));
    let lines: Vec<_> = sent.iter().map(Sent::line).collect();
    let saying = say_all(&mut running, lines.into_iter());
    let mut answered = BTreeMap::<i64, Vec<u64>>::new();
    let mut commands = 0;
    for _ in &sent {
        let answer = json(&running.hear());
        assert_eq!((&answer["source"], &answer["duplicate"]), (&"primary".into(), &false.into()), "{answer}");
        assert_eq!(answer["ref"], answer["message_id"]);
        commands += answer["replies"].as_array().unwrap().len();
        answered.entry(answer["chat"].as_i64().unwrap()).or_default().push(answer["ref"].as_u64().unwrap());
    }
    drop(saying.join().unwrap());
    let said = running.end();
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""), "nothing more is said");

    let mut expected = BTreeMap::<i64, Vec<u64>>::new();
    sent.iter().for_each(|sent| expected.entry(sent.chat).or_default().push(sent.id));
    assert_eq!(answered.len(), 50);
    assert_eq!(answered, expected);
    assert_eq!(commands, sent.iter().filter(|sent| sent.text == "/top").count());

    let stored = stored(&home);
    assert!(sent.iter().all(|sent| stored.get(&(sent.chat, sent.id.to_string())) == Some(&1)));
    assert_eq!(stored.len(), sent.len() + commands);
    assert_counted(&home);
}

#[test]
fn a_signal_ends_the_program_with_every_stored_message_answered() {
    let home = Home::in_memory();
    let sent = conversation(3_000, 20, 50);
    let mut running = Running::start(&mut home.bot(&["-q", "console", "--json"]));
    let saying = say_all(&mut running, sent.clone().into_iter().map(|sent| sent.line()));
    let mut answers: Vec<_> = (0..100).map(|_| json(&running.hear())).collect();
    running.signal(Signal::TERM);
    let said = running.wait();
    // The input may have been taken in up to its end, or have broken where the program ended.
    drop(saying.join().unwrap());
    answers.extend(said.out.lines().map(json));
    assert_eq!(said.err, "");

    let (unhandled, handled): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| !answer["error"].is_null());
    assert!(!unhandled.is_empty() && handled.len() >= 100, "{} and {}", unhandled.len(), handled.len());
    assert_eq!(said.code, Some(3), "some were answered with an error");
    assert!(
        unhandled.iter().all(|answer| answer["error"] == "not handled and not stored: the program was asked to stop")
    );
    let stored = stored(&home);
    let key = |answer: &Value| (answer["chat"].as_i64().unwrap(), answer["ref"].to_string());
    assert!(handled.iter().all(|answer| stored.get(&key(answer)) == Some(&1)));
    assert!(unhandled.iter().all(|answer| !stored.contains_key(&key(answer))));
    let replies: usize = handled.iter().map(|answer| answer["replies"].as_array().unwrap().len()).sum();
    assert_eq!(stored.len(), handled.len() + replies, "nothing is stored that was not answered");
    let mut last = HashMap::new();
    for answer in &answers {
        let before = last.insert(answer["chat"].as_i64(), answer["ref"].as_u64());
        assert!(before.is_none_or(|before| before < answer["ref"].as_u64()), "the order of a chat: {answer}");
    }
    assert_counted(&home);
}

#[test]
fn a_reader_that_leaves_ends_the_program_quietly() {
    let home = Home::in_memory();
    let mut command = home.bot(&["-q", "console", "--json"]);
    let bot = command.get_program().to_owned();
    // The shell waits until the program has ended, and the program until it has read all or nobody listens.
    let script = r#"{ "$0" "$@"; echo "code $?" >&2; } | head -n 1"#;
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = std::process::Command::new("sh");
    command.args(["-c", script]).arg(bot).args(args).current_dir(home.path(""));
    let mut running = Running::start(&mut command);
    let saying = say_all(&mut running, conversation(2_000, 3, 100).into_iter().map(|sent| sent.line()));
    assert_eq!(json(&running.hear())["duplicate"], false);
    drop(saying.join().unwrap());
    let said = running.wait();
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "code 0\n"));
}

#[test]
fn it_is_told_apart_from_the_console_for_people() {
    let home = Home::in_memory();
    let said = home.run(&["console", "--json", "--chat", "5"], "");
    assert_eq!(said.code, Some(2));
    assert!(said.err.starts_with("error: the argument '--json' cannot be used with '--chat <ID>'"), "{}", said.err);
    let said = home.run(&["--user", "5", "console", "--json"], "");
    assert_eq!(said.code, Some(2));
    assert_eq!(said.err, "error: --chat, --user and --name do not go with --json: each line says its own\n");
    let said = home.run(&["console", "--json"], "\n  \n");
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
}

#[test]
fn a_supergroup_knows_what_it_was_from_its_first_line_on() {
    let home = Home::in_memory();
    let mut input = String::new();
    for group in 1..=40 {
        let supergroup = -1_001_000_000_000_i64 - group;
        for line in [
            format!(
                r#"{{"chat":-{group},"user":1,"name":"Ann","text":"/set detect-spam true","chat_title":"Engines"}}"#
            ),
            format!(r#"{{"chat":-{group},"user":1,"text":"hello"}}"#),
            format!(r#"{{"chat":-{group},"user":1,"event":"migrate","new_chat":{supergroup}}}"#),
            format!(r#"{{"chat":{supergroup},"user":1,"text":"/settings","ref":{group}}}"#),
        ] {
            input += &(line + "\n");
        }
    }
    let said = home.run(&["-q", "console", "--json"], input);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    let answers: Vec<_> = said.out.lines().map(json).filter(|answer| !answer["ref"].is_null()).collect();
    assert_eq!(answers.len(), 40);
    for answer in answers {
        assert!(answer["replies"][0].as_str().unwrap().contains("detect-spam = true:"), "{answer}");
    }
    let sql = "SELECT COUNT(*) FROM chat_info i JOIN chat_users u ON u.chat_id = i.chat_id
               WHERE i.chat_id < -1000000000000 AND i.title = 'Engines' AND u.user_id = 1 AND u.messages_count = 3";
    assert_eq!(home.one(sql), 40);
}

#[test]
fn a_reminder_comes_out_by_itself() {
    let home = Home::in_memory();
    let mut running = Running::start(&mut home.bot(&["-q", "console", "--json"]));
    running.say(r#"{"chat":-5,"user":1,"text":"/remind 1s tea","thread":4}"#);
    assert_eq!(json(&running.hear())["chat"], -5);
    let said = json(&running.hear());
    assert_eq!((&said["chat"], &said["thread"], said["ref"].is_null()), (&Value::from(-5), &Value::from(4), true));
    assert!(said["said"].as_str().unwrap().contains("tea"), "{said}");
    assert_eq!(running.end().code, Some(0));
    assert_eq!(home.one("SELECT count(*) FROM delayed_tasks WHERE is_done"), 1);
}

#[test]
fn what_came_due_while_the_bot_did_not_run_is_said_when_it_starts_to_those_who_are_there() {
    let home = Home::in_memory();
    for chat in [-5, -6, -7] {
        home.answers(&["-q", "--chat", &chat.to_string()], "/remind 1s tea");
    }
    std::thread::park_timeout(std::time::Duration::from_millis(1100));
    crate::program::until("a second has passed", || {
        let now = database::Clock::now(&database::SystemClock).unix_seconds();
        home.one("SELECT max(delayed_ts) FROM delayed_tasks") <= now
    });
    // In a chat what is due there, and no other's.
    assert_eq!(home.answers(&["-q", "--chat", "-5"], "hello"), "Reminder for user 1: tea\n");
    assert_eq!(home.answers(&["-q", "--chat", "-5"], "hello"), "");
    let said = home.answers(&["-q", "console", "--json"], "");
    let mut chats: Vec<_> = said.lines().map(|line| json(line)["chat"].as_i64().unwrap()).collect();
    chats.sort_unstable();
    assert_eq!(chats, [-7, -6]);
}
