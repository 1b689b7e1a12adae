//! Single calls by one caller, on one file: `cargo bench -p database --bench calls`.
//!
//! What peers need for the same, and many callers at a time, is measured in `tests/benches/peers`.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use database::{
    ChatId, DatabaseWrapper, Durability, ImportBatch, ImportedName, MessageFilter, MessageId, NewMessage, SourceConfig,
    Timestamp, UserId,
};

const CHAT: ChatId = ChatId(-1_001_234_567_890);
const PEOPLE: i64 = 50;
/// How many messages the chat has before anything is measured.
const STORED: i64 = 20_000;

fn message(number: i64) -> NewMessage {
    let date = Timestamp::from_unix_seconds(1_704_067_200 + number * 7).expect("a moment of this century");
    NewMessage::text(MessageId::from(number), date, UserId(1 + number % PEOPLE), "a new release comes out tomorrow")
}

/// A chat with people, a setting and messages.
fn open(folder: &Path, durability: Durability) -> DatabaseWrapper {
    let config = SourceConfig { durability, ..SourceConfig::new(folder.join(format!("{durability:?}.db"))) };
    let db = DatabaseWrapper::open(&config).expect("a new file can be opened");
    let at = message(0).date;
    let named = |name: &str| ImportedName { name: Some(name.to_owned()), at };
    let batch = ImportBatch {
        people: (1..=PEOPLE).map(|user| (UserId(user), named("Ada Lovelace"))).collect(),
        messages: (0..STORED).map(message).collect(),
        ..ImportBatch::default()
    };
    db.save_import(CHAT, &batch).expect("a new chat can be stored");
    db.set_chat_setting(CHAT, "language", "nl").expect("a setting can be stored");
    db
}

fn reads(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let db = open(folder.path(), Durability::Normal);
    criterion.bench_function("get_chat_setting", |bencher| {
        bencher.iter(|| db.get_chat_setting(black_box(CHAT), "language").expect("the setting can be read"));
    });
    let mut number = 0;
    criterion.bench_function("get_chat_message_by_message_id", |bencher| {
        bencher.iter(|| {
            number = (number + 7_919) % STORED;
            let found = db.get_chat_message_by_message_id(CHAT, &MessageId::from(number));
            found.expect("the message can be read").expect("the message is there")
        });
    });
    let last = MessageFilter { limit: Some(50), ..MessageFilter::default() };
    criterion.bench_function("the last 50 messages", |bencher| {
        bencher.iter(|| db.get_chat_messages_since(CHAT, black_box(&last)).expect("the messages can be read"));
    });
    db.close();
}

fn writes(criterion: &mut Criterion) {
    for durability in [Durability::Full, Durability::Normal] {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let db = open(folder.path(), durability);
        let mut number = STORED;
        criterion.bench_function(&format!("save_chat_message, {durability:?}"), |bencher| {
            bencher.iter(|| {
                number += 1;
                db.save_chat_message(CHAT, &message(number)).expect("the message can be stored");
            });
        });
        db.close();
    }
}

criterion_group! {
    name = calls;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = reads, writes
}
criterion_main!(calls);
