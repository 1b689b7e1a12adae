//! Exports of any length, made up by the program: the same for the same numbers.

use std::io::{self, Write};

/// An export of several chats.
#[derive(Clone, Copy, Debug)]
pub struct MadeUp {
    /// How many chats.
    pub chats: i64,
    /// How many records each has.
    pub records: i64,
    /// The bare id of the first chat; the others follow.
    pub first_chat: i64,
}

const WORDS: [&str; 16] = [
    "switch",
    "yard",
    "Größe",
    "the",
    "of",
    "train",
    "track",
    "signal",
    "late",
    "early",
    "and",
    "again",
    "\\\"quoted\\\"",
    "日本",
    "\\x1F",
    "C:\\\\x80",
];
/// A forum's first topics are created by its first records after the group itself.
const TOPICS: i64 = 3;
const PEOPLE: i64 = 40;
const START: i64 = 1_600_000_000;

impl MadeUp {
    /// How many of a chat's records are messages.
    pub fn messages(&self) -> i64 {
        (1..=self.records).filter(|id| !is_service(*id)).count() as i64
    }

    /// Writes it in the form of Telegram Desktop.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        write!(to, "{{\n \"about\": \"made up\",\n \"chats\": {{\n  \"list\": [")?;
        for chat in 0..self.chats {
            let comma = if chat == 0 { "" } else { "," };
            let id = self.first_chat + chat;
            write!(to, "{comma}\n   {{\n    \"name\": \"Chat {id}\",\n    \"type\": \"private_supergroup\",")?;
            write!(to, "\n    \"id\": {id},\n    \"messages\": [")?;
            for record in 1..=self.records {
                let comma = if record == 1 { "" } else { "," };
                write!(to, "{comma}\n     {{\n      \"id\": {record},")?;
                write!(to, "\n      \"date_unixtime\": \"{}\",", START + record * 37)?;
                if is_service(record) {
                    service(&mut to, id, record)?;
                } else {
                    message(&mut to, id, record)?;
                }
                write!(to, "\n     }}")?;
            }
            write!(to, "\n    ]\n   }}")?;
        }
        write!(to, "\n  ]\n }}\n}}\n")?;
        to.flush()
    }
}

fn is_service(record: i64) -> bool {
    record <= TOPICS + 1 || record % 50 == 0
}

fn service(to: &mut impl Write, chat: i64, record: i64) -> io::Result<()> {
    let what = match record {
        1 => format!("create_channel\",\n      \"title\": \"Chat {chat} at first"),
        record if record <= TOPICS + 1 => format!("topic_created\",\n      \"title\": \"Topic {record}"),
        _ => "join_group_by_link".to_owned(),
    };
    let person = noise(chat, record) % PEOPLE + 1;
    write!(to, "\n      \"type\": \"service\",\n      \"actor\": \"Person {person}\",")?;
    write!(to, "\n      \"actor_id\": \"user{person}\",\n      \"action\": \"{what}\",\n      \"text\": \"\"")
}

fn message(to: &mut impl Write, chat: i64, record: i64) -> io::Result<()> {
    let noise = noise(chat, record);
    let person = noise % PEOPLE + 1;
    write!(to, "\n      \"type\": \"message\",\n      \"from\": \"Person {person}\",")?;
    write!(to, "\n      \"from_id\": \"user{person}\",")?;
    if noise % 3 == 0 {
        // Into a topic, to a message nearby, or to one of long ago.
        let answered = [2 + noise % TOPICS, record - 1 - noise % 20, 1 + noise % record][(noise / 3 % 3) as usize];
        write!(to, "\n      \"reply_to_message_id\": {},", answered.max(2))?;
    }
    if noise % 11 == 0 {
        write!(to, "\n      \"photo\": \"photos/{record}.jpg\",\n      \"photo_file_size\": {},", noise % 90_000)?;
    }
    let words: Vec<_> =
        (0..3 + noise % 20).map(|word| WORDS[((noise >> (word % 24)) % WORDS.len() as i64) as usize]).collect();
    write!(to, "\n      \"text\": \"{}\"", words.join(" "))
}

/// A number that looks like chance.
fn noise(chat: i64, record: i64) -> i64 {
    let mut number =
        (chat as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (record as u64).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (number >> 33) as i64
}
