//! Readers beside the writers: within one run of the bot nobody sees time run backwards.
//!
//! - A read at home has all that was answered before it began, wherever that was written, and all that was seen before,
//!   at home or elsewhere.
//! - While its source is away a chat begins without what is at home. Until it is home again a read has what was seen
//!   before in the same absence, and what was answered in it.
//! - No read sees a transaction in halves.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use database::multi::Control;
use database::{ChatId, DatabaseWrapper, ErrorKind};

use super::AT_HOME;
use super::loading::appended;

/// What a byte in the file of reads says: where one was made.
const HOME: u8 = b'h';
const ELSEWHERE: u8 = b'e';

/// Figures of a chat that only grow: the number that was said last, how often it was counted up, and its messages.
type Figures = [i64; 3];
const NAMES: [&str; 3] = ["last", "count", "messages"];

/// What was answered in a chat so far.
pub(super) struct Answered {
    last: AtomicI64,
    messages: AtomicI64,
}

impl Answered {
    /// What earlier processes had answered: these numbers.
    pub(super) fn before(numbers: &[i64]) -> Self {
        let last = numbers.last().copied().unwrap_or_default();
        Self { last: AtomicI64::new(last), messages: AtomicI64::new(numbers.len() as i64) }
    }

    /// The number that was answered last.
    pub(super) fn last(&self) -> i64 {
        self.last.load(Ordering::Acquire)
    }

    /// Another number was answered.
    pub(super) fn add(&self, number: i64) {
        self.last.store(number, Ordering::Release);
        self.messages.fetch_add(1, Ordering::Release);
    }

    fn now(&self) -> Figures {
        [self.last(), 0, self.messages.load(Ordering::Acquire)]
    }
}

/// Where readers of all processes note what they read.
pub(super) struct Notes {
    reads: File,
    wrong: File,
}

impl Notes {
    pub(super) fn beside(folder: &Path) -> Self {
        Self { reads: appended(&folder.join("reads")), wrong: appended(&folder.join("wrong")) }
    }
}

/// How many reads were made at home, and how many elsewhere.
pub(super) fn reads(folder: &Path) -> [usize; 2] {
    let made = std::fs::read(folder.join("reads")).unwrap();
    [HOME, ELSEWHERE].map(|place| made.iter().filter(|made| **made == place).count())
}

/// What readers saw that is not to be, a line each.
pub(super) fn wrong(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("wrong")).unwrap_or_default()
}

/// An absence as a reader knows it.
struct Stay {
    /// How many absences of sources there were by then.
    number: u64,
    /// How many messages were answered when it was seen first.
    answered: i64,
    seen: Figures,
}

/// Reads a chat, one read after the other.
pub(super) struct Reader<'a> {
    db: &'a DatabaseWrapper,
    home: DatabaseWrapper,
    control: &'a Control,
    chat: ChatId,
    answered: &'a Answered,
    /// The highest number that an earlier process tried. Up to there some are said again, so any lower one counts as
    /// this one.
    earlier: i64,
    /// The most that was seen, wherever.
    ever: Figures,
    stay: Option<Stay>,
    notes: &'a Notes,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        (db, control): (&'a DatabaseWrapper, &'a Control),
        chat: i64,
        answered: &'a Answered,
        earlier: i64,
        notes: &'a Notes,
    ) -> Self {
        let (home, chat) = (db.at_home(), ChatId(-chat));
        Self { db, home, control, chat, answered, earlier, ever: [0; 3], stay: None, notes }
    }

    /// Reads the chat once, and tells what is wrong with that.
    pub(super) fn look(&mut self) {
        // What is answered while the read is under way need not be in it.
        let answered = self.answered.now();
        match self.read(&self.home) {
            Ok(seen) => {
                self.expect("at home", seen, answered, "was answered");
                self.expect("at home", seen, self.ever, "was seen");
                self.note(HOME, seen);
            }
            Err(error) if matches!(error.kind(), ErrorKind::Displaced) => self.look_elsewhere(),
            Err(error) => self.refused(&error),
        }
    }

    /// The same of a chat that another file serves.
    fn look_elsewhere(&mut self) {
        let number = self.control.counts().outages;
        let was_away = self.db.is_displaced(self.chat);
        let answered = self.answered.now();
        let found = self.read(self.db);
        let is_away = self.db.is_displaced(self.chat);
        // An absence is counted before calls are led elsewhere: this was one and the same from beginning to end.
        if !was_away || !is_away || self.control.counts().outages != number {
            return;
        }
        let seen = match found {
            Ok(seen) => seen,
            Err(error) => return self.refused(&error),
        };
        let mut since = answered[2];
        if let Some(stay) = &self.stay
            && stay.number == number
        {
            since = stay.answered;
            self.expect("elsewhere", seen, stay.seen, "was seen in this absence");
            // The first one may have been made at home, and answered late.
            let surely = answered[2] - since - 1;
            if surely > 0 {
                self.expect("elsewhere", seen, [answered[0], 0, surely], "was answered in this absence");
            }
        }
        self.stay = Some(Stay { number, answered: since, seen });
        self.note(ELSEWHERE, seen);
    }

    fn read(&self, db: &DatabaseWrapper) -> database::Result<Figures> {
        let settings = db.get_chat_settings(self.chat)?;
        let messages = db.get_chat_totals(self.chat)?.messages;
        let number = |key: &str| settings.get(key).map_or(0, |value| value.parse::<i64>().unwrap());
        let [last, twin, count] = ["last", "twin", "count"].map(number);
        if last != twin {
            self.tell(&format!("a transaction in halves: {last} and {twin}"));
        }
        Ok([last.max(self.earlier), count, messages])
    }

    /// Tells of each figure that is lower than it can be.
    fn expect(&self, place: &str, seen: Figures, least: Figures, why: &str) {
        for ((name, seen), least) in NAMES.iter().zip(seen).zip(least) {
            if seen < least {
                self.tell(&format!("{place} `{name}` is {seen}, after {least} {why}"));
            }
        }
    }

    /// A source that is not there, or not in time, is no concern of readers.
    fn refused(&self, error: &database::Error) {
        use ErrorKind as K;
        let is_late = matches!(error.kind(), K::Busy { .. } | K::TimedOut { .. } | K::Passing { .. });
        let is_away = matches!(
            error.kind(),
            K::SourceUnavailable { .. } | K::Displaced | K::Moved | K::FileReplaced | K::Damaged { .. } | K::Io { .. }
        );
        // The default source is always there.
        if !is_late && (!is_away || self.chat == ChatId(-AT_HOME)) {
            self.tell(&error.to_string());
        }
    }

    fn note(&mut self, place: u8, seen: Figures) {
        self.ever = std::array::from_fn(|figure| self.ever[figure].max(seen[figure]));
        (&self.notes.reads).write_all(&[place]).unwrap();
    }

    fn tell(&self, what: &str) {
        (&self.notes.wrong).write_all(format!("chat {}: {what}\n", -self.chat.0).as_bytes()).unwrap();
    }
}
