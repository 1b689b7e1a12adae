//! A program that is killed: what was answered is in the file, and redelivery completes the rest.

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::Signal;

use super::{Dice, Sent, assert_counted, conversation, full_size, json, say_all, stored};
use crate::program::{Home, Running};

/// Runs the program on these messages and kills it; what it answered before, as (message, replies).
fn run_and_kill(home: &Home, sent: &[Sent], dice: &mut Dice) -> Vec<(u64, usize)> {
    let mut running = Running::start(&mut home.bot(&["-q", "console", "--json"]));
    let saying = say_all(&mut running, sent.iter().map(Sent::line).collect::<Vec<_>>().into_iter());
    // At any moment: after so many answers and so many microseconds, or so many after the start.
    let heard: Vec<_> = match dice.roll(5) {
        0 => Vec::new(),
        _ => (0..dice.roll(150).min(sent.len() as u64)).map(|_| running.hear()).collect(),
    };
    let wait = if heard.is_empty() { 30_000 } else { 3_000 };
    std::thread::park_timeout(Duration::from_micros(dice.roll(wait)));
    running.signal(Signal::KILL);
    let said = running.wait();
    assert_eq!((said.code, said.err.as_str()), (None, ""));
    drop(saying.join().unwrap());
    let mut answered = Vec::new();
    for line in heard.iter().map(String::as_str).chain(said.out.lines()) {
        // The last one may be cut: then it is no answer.
        let Ok(answer) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        assert!(answer["error"].is_null(), "{answer}");
        answered.push((answer["ref"].as_u64().unwrap(), answer["replies"].as_array().unwrap().len()));
    }
    answered
}

/// The message, with a command that leaves something behind where it was one.
fn with_effect(sent: Sent) -> Sent {
    let text = if sent.text.starts_with('/') { format!("/remember k{} x", sent.id) } else { sent.text };
    Sent { text, ..sent }
}

/// How many answers of the bot's each command has in the file.
fn replies_to(home: &Home) -> impl Fn(&Sent) -> usize + use<> {
    let replies = home.texts("SELECT chat_id || ' ' || reply_id FROM chat_messages WHERE user_id = 0");
    move |sent| replies.iter().filter(|reply| **reply == format!("{} {}", sent.chat, sent.id)).count()
}

#[test]
fn what_was_answered_before_a_kill_is_there_once_and_redelivery_completes_the_rest() {
    let rounds = if full_size() { 100 } else { 10 };
    let mut dice = Dice(11);
    let home = Home::in_memory();
    let sent: Vec<_> = conversation(rounds * 100, 20, 10).into_iter().map(with_effect).collect();
    let mut answered = HashSet::new();
    let mut with_reply = HashSet::new();
    for round in 0..rounds {
        // Some of what was answered is sent again, as a program would that does not know how far it came.
        let from = sent.iter().position(|sent| !answered.contains(&sent.id)).unwrap_or(sent.len() - 1);
        for (id, replies) in run_and_kill(&home, &sent[from.saturating_sub(20)..], &mut dice) {
            answered.insert(id);
            if replies > 0 {
                with_reply.insert(id);
            }
        }
        if !home.database().exists() {
            assert!(answered.is_empty(), "killed before the file was there");
            continue;
        }
        if home.texts("SELECT name FROM sqlite_schema WHERE name = 'chat_messages'").is_empty() {
            assert!(answered.is_empty(), "killed while the file was made");
            continue;
        }
        let stored = stored(&home);
        let missing: Vec<_> = sent
            .iter()
            .filter(|sent| answered.contains(&sent.id) && !stored.contains_key(&(sent.chat, sent.id.to_string())))
            .collect();
        assert!(missing.is_empty(), "answered and not there, in round {round}: {missing:?}");
        assert!(stored.values().all(|count| *count == 1));
        assert_counted(&home);
    }
    let before = stored(&home);
    let said = home.run(&["-q", "console", "--json"], sent.iter().map(|sent| sent.line() + "\n").collect::<String>());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let answers: Vec<_> = said.out.lines().map(json).collect();
    assert_eq!(answers.len(), sent.len());
    let replies_to = replies_to(&home);
    for answer in &answers {
        let id = answer["ref"].as_u64().unwrap();
        let sent = &sent[usize::try_from(id).unwrap() - 1];
        let was_there = before.contains_key(&(sent.chat, id.to_string()));
        assert_eq!(answer["duplicate"], was_there, "{answer}");
        assert!(was_there || !answered.contains(&id));
        if sent.text.starts_with('/') {
            assert_eq!(replies_to(sent), 1, "a command is obeyed once, whenever the program was killed: {answer}");
            if with_reply.contains(&id) {
                assert_eq!(answer["replies"], serde_json::json!([]), "it was answered before: {answer}");
            }
        }
    }
    let kept: HashSet<_> = home.texts("SELECT chat_id || ' ' || key FROM user_data").into_iter().collect();
    let asked = sent.iter().filter(|sent| sent.text.starts_with('/'));
    let asked: HashSet<_> = asked.map(|sent| format!("{} k{}", sent.chat, sent.id)).collect();
    assert_eq!(kept, asked, "what each command does is done");
    let after = stored(&home);
    assert!(sent.iter().all(|sent| after.get(&(sent.chat, sent.id.to_string())) == Some(&1)));
    assert_counted(&home);
    let (answered, there) = (answered.len(), before.len());
    eprint(&format!("{rounds} kills: {answered} of {} answered before, {there} rows there before", sent.len()));
}

fn eprint(text: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "{text}").unwrap();
}
