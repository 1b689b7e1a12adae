//! The data: chats, people, messages, made from numbers, so that all contenders are given the same.

use crate::job::{Job, Work};

/// How many chats a database has.
pub const CHATS: u64 = 16;
/// How many people a chat has.
pub const USERS: u64 = 50;
/// The settings of a chat.
const SETTINGS: u64 = 8;
/// 2024-01-01 00:00:00 UTC.
const START: u64 = 1_704_067_200;

/// A message to be stored, its texts ready to be bound. What is not here is null, or the same for all.
#[derive(Clone, Debug)]
pub struct Message {
    /// The chat.
    pub chat: i64,
    /// Its id.
    pub id: String,
    /// When it was said, in seconds since 1970.
    pub seconds: i64,
    /// When it was said.
    pub date: String,
    /// The start of that day.
    pub day: String,
    /// Who said it.
    pub user: i64,
    /// What was said.
    pub text: String,
    /// The moment of storing.
    pub now: String,
}

/// A setting to be read.
#[derive(Clone, Debug)]
pub struct SettingKey {
    /// The chat.
    pub chat: i64,
    /// Its name.
    pub key: String,
}

/// A message to be read.
#[derive(Clone, Debug)]
pub struct MessageKey {
    /// The chat.
    pub chat: i64,
    /// Its id.
    pub id: String,
}

/// What a read of a message answers: each column as a value of one's own.
#[derive(Clone, Debug, Default)]
pub struct StoredMessage {
    /// The chat.
    pub chat_id: i64,
    /// Its id.
    pub message_id: String,
    /// When it was said, as text.
    pub date: String,
    /// Who said it.
    pub user_id: i64,
    /// `reply_id`, `root_message_id`, `quote_text`, `media_id`.
    pub links: [Option<String>; 4],
    /// The topic.
    pub thread_id: i64,
    /// What was said.
    pub message_text: String,
    /// Type, category, moment of storing.
    pub kinds: [String; 3],
    /// User name and full name.
    pub names: [String; 2],
    /// The attachment's columns that are text.
    pub media: [Option<String>; 11],
    /// The attachment's size.
    pub media_size: Option<i64>,
}

/// What a caller does, call by call.
#[derive(Debug)]
pub enum Tasks {
    /// Messages to be stored, each once.
    Save(Vec<Message>),
    /// Batches to be stored, each once.
    Import(Vec<Vec<Message>>),
    /// Settings to be read, over and over.
    Setting(Vec<SettingKey>),
    /// Messages to be read, over and over.
    Message(Vec<MessageKey>),
    /// Chats whose newest messages are read, over and over.
    Newest(Vec<i64>),
}

impl Tasks {
    /// The tasks of the caller of that number.
    pub fn of(job: &Job, caller: u64) -> Self {
        let stored = job.stored;
        let at_most = job.calls.unwrap_or_else(|| most_calls(job));
        let mut random = Random(caller + 1);
        match job.work {
            Work::Save => {
                // A caller has chats of its own, as a bot's workers do.
                let number = |call: usize| stored + (caller / CHATS) * 1_000_000_000 + call as u64;
                Self::Save((0..at_most).map(|call| message(caller % CHATS, number(call))).collect())
            }
            Work::Import => {
                let batches = at_most as u64;
                let batch = |batch: u64| (0..job.size).map(|row| message(0, stored + batch * job.size + row)).collect();
                Self::Import((0..batches).map(batch).collect())
            }
            Work::Setting => {
                let one = |_| SettingKey { chat: chat(0), key: setting_key(random.below(SETTINGS)) };
                Self::Setting((0..4096).map(one).collect())
            }
            Work::Message => {
                let one = |_| {
                    let number = random.below(stored);
                    MessageKey { chat: chat(random.below(CHATS)), id: id(number) }
                };
                Self::Message((0..4096).map(one).collect())
            }
            Work::Newest | Work::Cross | Work::Many => Self::Newest(vec![chat(0); 4096]),
        }
    }

    /// How many there are; `None` where they are done over and over.
    pub(crate) fn once(&self) -> Option<usize> {
        match self {
            Self::Save(messages) => Some(messages.len()),
            Self::Import(batches) => Some(batches.len()),
            Self::Setting(_) | Self::Message(_) | Self::Newest(_) => None,
        }
    }

    /// How many rows a call counts for.
    pub(crate) fn weight(&self, call: usize) -> u64 {
        match self {
            Self::Import(batches) => batches[call].len() as u64,
            _ => 1,
        }
    }
}

/// More calls than a caller can make in the time there is.
fn most_calls(job: &Job) -> usize {
    let rows_a_second = if job.work == Work::Import { 400_000 / job.size } else { 80_000 };
    let all = (job.warm_ms + job.measure_ms) * rows_a_second / 1000;
    usize::try_from(all / job.callers as u64 + 1_000 / job.size.max(1)).unwrap_or(usize::MAX)
}

/// The chat of that number.
pub fn chat(number: u64) -> i64 {
    -1_000_000_000_000 - number.cast_signed()
}

/// The person of that number.
pub fn user(number: u64) -> i64 {
    1_000_000 + number.cast_signed()
}

/// The name of the setting of that number.
pub fn setting_key(number: u64) -> String {
    format!("setting-{}", number % SETTINGS)
}

fn id(number: u64) -> String {
    (100_000 + number).to_string()
}

/// The message of a chat of that number.
pub fn message(of_chat: u64, number: u64) -> Message {
    // Three messages share a second with each other; the days go by.
    let seconds = START + number / 3 * 20;
    Message {
        chat: chat(of_chat),
        id: id(number),
        seconds: seconds.cast_signed(),
        date: date(seconds),
        day: date(seconds - seconds % 86_400),
        user: user(number.wrapping_mul(7_919) % USERS),
        text: text(number),
        now: "2026-01-01 12:00:00".to_owned(),
    }
}

/// What is said in the message of that number: 20 to 150 letters.
pub fn text(number: u64) -> String {
    let mut random = Random(number);
    let words = 4 + random.below(20);
    let one =
        |_| ["hello", "there", "is", "a", "new", "release", "tomorrow", "of", "everything"][random.below(9) as usize];
    (0..words).map(one).collect::<Vec<_>>().join(" ")
}

/// A moment, given in seconds since 1970, in the form that is stored.
pub fn date(seconds: u64) -> String {
    // Days to a civil date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let z = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Numbers that look random and are the same in every run: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00:00");
        assert_eq!(date(START), "2024-01-01 00:00:00");
        assert_eq!(date(1_709_251_199), "2024-02-29 23:59:59");
    }
}
