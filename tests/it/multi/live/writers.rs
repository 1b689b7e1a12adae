//! Those who write while a chat moves, and what they were answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use database::{ChatId, DatabaseWrapper, MediaId, MessageId, NewMedia, NewMessage, Route, UserId, params};

use super::{MOVED, OTHERS, is_long};

/// Whoever has said so much takes away what it said first before it says more: a chat that grew with every move would be
/// moved ever longer.
const MOST_SAID: usize = 2_000;
/// So many of each writer's first messages may show something. Those stay: what no message shows does not move.
const MAY_SHOW: i64 = 400;
/// So many numbers each writer has for its messages.
const ALL: i64 = 1_000_000;
/// Calls that took less are not looked at.
const SLOW: Duration = Duration::from_millis(50);

/// What one who writes into the chat was answered that is kept.
#[derive(Default)]
pub(super) struct Answered {
    pub(super) messages: BTreeMap<i64, String>,
    pub(super) deleted: BTreeSet<i64>,
    /// How many messages were stored.
    pub(super) saved: i64,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) data: BTreeMap<String, String>,
    pub(super) media: BTreeSet<String>,
    /// When the slow calls began, and how long they took.
    pub(super) calls: Vec<(Instant, Duration)>,
}

impl Answered {
    /// Makes a call and notes how long it took.
    fn timed(&mut self, call: impl FnOnce()) {
        let begun = Instant::now();
        call();
        let took = begun.elapsed();
        if took >= SLOW {
            self.calls.push((begun, took));
        }
    }

    /// Takes a message away.
    fn delete(&mut self, db: &DatabaseWrapper, id: i64) {
        self.timed(|| delete(db, id, None));
        self.messages.remove(&id);
        self.deleted.insert(id);
        assert!(db.get_chat_message_by_message_id(MOVED, &MessageId::from(id)).unwrap().is_none(), "{id}");
    }
}

/// Whether the message of this number may show something.
fn may_show(id: i64) -> bool {
    let number = id % ALL;
    number % 4 == 0 && number < MAY_SHOW
}

/// Takes a message away, and says it again in the same transaction where there is a text.
fn delete(db: &DatabaseWrapper, id: i64, again: Option<&str>) {
    let id = MessageId::from(id);
    db.write("test.delete", Route::Chat(MOVED), |tx| {
        if let Some(text) = again {
            tx.execute(
                "REPLACE INTO chat_messages (chat_id, message_id, user_id, date, message_text, media_id, created_at)
                 SELECT chat_id, message_id, user_id, date, ?2, media_id, created_at FROM chat_messages
                 WHERE chat_id = -1 AND message_id = ?1",
                params![&id, text],
            )
        } else {
            tx.execute("DELETE FROM chat_messages WHERE chat_id = -1 AND message_id = ?1", params![&id])
        }
        .map(drop)
    })
    .unwrap();
}

/// Inserts, edits, replaces and deletes until it is told to stop; after each answer it reads what it was answered.
pub(super) fn write(db: &DatabaseWrapper, writer: i64, stop: &AtomicBool) -> Answered {
    let mut answered = Answered::default();
    let user = UserId(writer);
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = writer * ALL + number;
        let key = format!("{writer}-{}", number % 7);
        let value = number.to_string();
        let last = answered.messages.keys().next_back().copied();
        let has_said_enough = matches!(number % 9, 0 | 1 | 7) && answered.messages.len() >= MOST_SAID;
        let oldest = || answered.messages.keys().copied().find(|id| !may_show(*id));
        let oldest = if has_said_enough { oldest() } else { None };
        match (number % 9, last, oldest) {
            (2 | 6, Some(id), _) => {
                let edited = format!("CANARY edited {number}");
                answered.timed(|| match number % 9 {
                    2 => db.update_chat_message_text(MOVED, &MessageId::from(id), &edited).unwrap(),
                    _ => delete(db, id, Some(&edited)),
                });
                answered.messages.insert(id, edited);
            }
            // One that shows nothing: an attachment that no message shows does not move.
            (8, Some(id), _) if !may_show(id) => answered.delete(db, id),
            (3, ..) => {
                answered.timed(|| db.set_chat_setting(MOVED, &key, &value).unwrap());
                answered.settings.insert(key.clone(), value);
            }
            (4, ..) => {
                answered.timed(|| db.add_user_data(MOVED, user, &key, &value).unwrap());
                answered.data.insert(key.clone(), value);
            }
            (5, ..) => {
                answered.timed(|| db.unset_chat_setting(MOVED, &key).unwrap());
                answered.settings.remove(&key);
                let key = format!("{writer}-{}", (number + 3) % 7);
                answered.timed(|| db.delete_user_data(MOVED, user, &key).unwrap());
                answered.data.remove(&key);
            }
            (_, _, Some(oldest)) => answered.delete(db, oldest),
            _ => {
                let text = format!("CANARY {id}");
                let mut message = NewMessage::text(id, db.now(), user, text.clone());
                if may_show(id) {
                    let media = format!("media-{writer}-{}", number % 20);
                    if answered.media.insert(media.clone()) {
                        db.add_media_attachment(Some(MOVED), &NewMedia::new(media.as_str())).unwrap();
                    }
                    message.media_id = Some(MediaId::from(media.as_str()));
                }
                answered.timed(|| db.save_chat_message(MOVED, &message).unwrap());
                answered.messages.insert(id, text);
                answered.saved += 1;
            }
        }
        if let Some((id, text)) = answered.messages.iter().next_back() {
            let found = db.get_chat_message_by_message_id(MOVED, &MessageId::from(*id)).unwrap();
            assert_eq!(found.map(|found| found.message_text).as_ref(), Some(text), "message {id}");
        }
        assert_eq!(db.get_chat_setting(MOVED, &key).unwrap().as_ref(), answered.settings.get(&key), "setting {key}");
        // Some thousand writes a second are enough.
        std::thread::park_timeout(Duration::from_millis(1));
    }
    assert!(answered.messages.len() <= MOST_SAID + 1, "{}", answered.messages.len());
    answered
}

/// When a long write had a file, for which others that are written there wait, or the disk answered nobody.
#[derive(Default)]
pub(super) struct Held(Mutex<Vec<(Instant, Instant)>>);

impl Held {
    /// How long a call took besides that time.
    pub(super) fn besides(&self, (begun, took): &(Instant, Duration)) -> Duration {
        let ended = *begun + *took;
        let mut held = self.0.lock().unwrap();
        held.sort();
        // Both may be so at a time, which counts once.
        let (mut besides, mut counted) = (*took, *begun);
        for (from, till) in &*held {
            besides -= ended.min(*till).saturating_duration_since(counted.max(*from));
            counted = counted.max(ended.min(*till));
        }
        besides
    }

    /// One write that has its file for a second. What it writes first is committed in the end.
    fn write(&self, db: &DatabaseWrapper, chat: ChatId, number: i64) {
        let hold_for = Duration::from_millis(if is_long() { 1_000 } else { 200 });
        let mut has_it = Instant::now();
        db.write("test.hold", Route::Chat(chat), |tx| {
            has_it = Instant::now();
            tx.execute(
                "INSERT INTO chat_settings (chat_id, key, value, updated_at) VALUES (?1, 'held', ?2, ?3)
                 ON CONFLICT (chat_id, key) DO UPDATE SET value = excluded.value",
                params![chat, number.to_string(), db.now()],
            )?;
            while has_it.elapsed() < hold_for {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            Ok(())
        })
        .unwrap();
        self.0.lock().unwrap().push((has_it, Instant::now()));
    }
}

/// Syncs a file of its own now and then until it is told to stop, and notes when the disk did not answer; answers for how
/// long that was in all, and at most.
pub(super) fn watch_disk(path: &Path, held: &Held, stop: &AtomicBool) -> (Duration, Duration) {
    let mut file = File::create(path).unwrap();
    let (mut all, mut longest) = (Duration::ZERO, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        file.write_all(&[0; 512]).unwrap();
        file.sync_data().unwrap();
        let took = begun.elapsed();
        if took >= SLOW {
            held.0.lock().unwrap().push((begun, begun + took));
            all += took;
        }
        longest = longest.max(took);
        std::thread::park_timeout(Duration::from_millis(20));
    }
    (all, longest)
}

/// One more writes others' chats until it is told to stop, and every few seconds for a second, in turn with the chat that
/// moves. Answers the last that was written so into that.
pub(super) fn hold_others_and_the_chat(db: &DatabaseWrapper, held: &Held, stop: &AtomicBool) -> i64 {
    let every = Duration::from_millis(if is_long() { 4_000 } else { 400 });
    let mut for_long = [MOVED, OTHERS[0].0, OTHERS[1].0].into_iter().cycle();
    let (mut last, mut last_of_chat) = (Instant::now(), 0);
    for (number, (chat, _)) in (1..).zip(OTHERS.iter().cycle()) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        db.set_chat_setting(*chat, "number", &number.to_string()).unwrap();
        if last.elapsed() > every
            && let Some(chat) = for_long.next()
        {
            held.write(db, chat, number);
            if chat == MOVED {
                last_of_chat = number;
            }
            last = Instant::now();
        }
    }
    last_of_chat
}
