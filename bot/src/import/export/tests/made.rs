//! The two fixtures made by hand, whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use database::{ChatId, UserId};

use super::*;

#[test]
fn every_chat_comes_with_its_id_kind_and_records() {
    let (sink, _) = read(MADE);
    let chats: Vec<_> = sink
        .chats
        .iter()
        .map(|(chat, records)| (chat.id.0, chat.kind, chat.name.as_deref(), chat.left, records.len()))
        .collect();
    assert_eq!(
        chats,
        [
            (10_001, ChatKind::Private, Some("Ada Lovelace"), false, 32),
            (-1_000_000_020_001, ChatKind::Supergroup, Some("Workshop 2"), false, 32),
            (-1_000_000_030_001, ChatKind::Supergroup, Some("New circle"), false, 14),
            (-40_001, ChatKind::Group, Some("Chess club"), false, 8),
            (-1_000_000_050_001, ChatKind::Channel, Some("News"), false, 8),
            (10_000, ChatKind::Private, None, false, 2),
            (10_009, ChatKind::Private, None, false, 2),
            (-1_000_000_060_001, ChatKind::Supergroup, Some("Left behind"), true, 3),
        ]
    );
}

#[test]
fn the_summary_counts_by_kind() {
    let summary = read(MADE).1;
    let skipped = summary.skipped_chats.clone();
    assert_eq!(
        Summary { skipped_chats: Vec::new(), ..summary },
        Summary {
            chats: 8,
            left_chats: 1,
            messages: 60,
            services: 32,
            unreadable: 9,
            local_dates: 6,
            skipped_chats: Vec::new(),
            repairs: 12,
        }
    );
    assert_eq!(skipped.iter().map(|chat| (chat.bare_id, chat.records)).collect::<Vec<_>>(), [(Some(70_001), 2)]);
    assert_eq!(read(SINGLE).1, Summary { chats: 1, messages: 3, services: 1, repairs: 2, ..Summary::default() });
}

#[test]
fn unreadable_records_come_with_line_and_reason() {
    let (sink, _) = read(MADE);
    let lines: Vec<_> = MADE.split(|byte| *byte == b'\n').collect();
    let mut reasons = BTreeMap::new();
    for record in sink.chats.iter().flat_map(|(_, records)| records) {
        if let Record::Unreadable(unreadable) = record {
            *reasons.entry(unreadable.reason).or_insert(0) += 1;
            let line = lines[unreadable.line as usize - 1].trim_ascii();
            assert!(line == b"{" || line == b"5,", "{unreadable:?}");
        }
    }
    let expected = [
        (Unfit::NotAnObject, 1),
        (Unfit::Id, 2),
        (Unfit::Type, 1),
        (Unfit::Unsupported, 1),
        (Unfit::Date, 2),
        (Unfit::Person, 1),
        (Unfit::Reference, 1),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
}

#[test]
fn the_private_chat_has_every_kind_of_media() {
    let (sink, _) = read(MADE);
    let kinds: Vec<_> = sink.chats[0]
        .1
        .iter()
        .filter_map(|record| match record {
            Record::Message(message) => {
                message.media.as_ref().map(|media| (message.id, media.kind, media.path.is_some()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        kinds,
        [
            (5, MediaKind::Photo, true),
            (6, MediaKind::Photo, false),
            (7, MediaKind::Sticker, true),
            (8, MediaKind::Animation, true),
            (9, MediaKind::Video, true),
            (10, MediaKind::VideoMessage, true),
            (11, MediaKind::Voice, true),
            (12, MediaKind::Audio, false),
            (13, MediaKind::Document, true),
            (14, MediaKind::Document, false),
            (21, MediaKind::Photo, false),
        ]
    );
    let song = sink.message(0, 12).media.as_ref().unwrap();
    assert_eq!((song.title.as_deref(), song.performer.as_deref()), (Some("The Song"), Some("The Band")));
    assert_eq!((song.file_size, song.duration_seconds), (Some(99_000_000), Some(180)));
    assert_eq!(sink.message(0, 21).media.as_ref().unwrap().self_destruct_seconds, Some(5));
    assert_eq!(sink.message(0, 5).media.as_ref().unwrap().file_size, Some(52_000));
}

#[test]
fn the_invalid_places_read_as_they_were_meant() {
    let (sink, _) = read(MADE);
    assert_eq!(sink.message(0, 24).text, "control \u{1e} and \0 characters, a path C:\\x80");
    assert_eq!(sink.message(0, 25).text, "custom 😮 😁");
    assert_eq!(sink.message(0, 26).text, "empty 😮😁");
    let Record::Service(gift) = sink.record(0, 27) else { panic!() };
    assert_eq!((&gift.action, gift.text.as_str()), (&Action::Other("send_star_gift".to_owned()), "For you"));
    assert_eq!(sink.message(0, 31).reply_to, None);
    assert_eq!(sink.message(0, 28).forwarded_from.as_ref().unwrap().id, Some(UserId(10_002)));
}

#[test]
fn the_forum_tells_its_topics_and_members() {
    let (sink, _) = read(MADE);
    let title = |title: &str| Some(title.to_owned());
    assert_eq!(sink.action(1, 2), &Action::TopicCreated { title: title("Rust"), icon_emoji_id: None });
    let edit = |title, icon_emoji_id, reply_to| Action::TopicEdit { title, icon_emoji_id, reply_to };
    assert_eq!(sink.action(1, 12), &edit(title("Rust & friends"), Some(5_368_324_170_671_202_286), Some(2)));
    assert_eq!(sink.action(1, 13), &edit(None, Some(0), None));
    assert_eq!(sink.action(1, 4), &Action::InviteMembers { members: vec![title("Ada Lovelace"), None] });
    assert_eq!((sink.action(1, 5), sink.action(1, 21)), (&Action::Join, &Action::Join));
    assert_eq!(sink.action(1, 18), &Action::PinMessage { message_id: Some(7) });
    assert_eq!(sink.message(1, 8).reply_to, Some(7));
    assert_eq!(sink.message(1, 14).from.as_ref().unwrap().name, None);
    assert_eq!(sink.message(1, 16).text, "Poll: Water today?\n- Yes: 2 votes\n- No: 1 vote\n- Rain: 0 votes");
    assert_eq!(sink.message(1, 19).from.as_ref().unwrap().id, UserId(sink.chats[1].0.id.0));
}

#[test]
fn old_and_migrated_groups_keep_ids_dates_and_titles() {
    let (sink, _) = read(MADE);
    assert_eq!(sink.message(2, -999_999_995).reply_to, Some(-999_999_996));
    assert_eq!(sink.message(2, 2).reply_to, Some(-999_999_995));
    assert_eq!(sink.action(2, -999_999_994), &Action::MigrateToSupergroup);
    assert_eq!(sink.action(2, 1), &Action::MigrateFromGroup { title: Some("Old circle".to_owned()) });
    assert_eq!(sink.message(2, 6).from.as_ref().unwrap().id, UserId(-40_001));
    let old = sink.message(3, 102);
    assert_eq!((old.from.as_ref().unwrap().id, old.date_is_local, old.edited), (UserId(10_001), true, None));
    let text = sink.message(3, 107);
    assert_eq!((text.from.as_ref().unwrap().id, text.reply_to), (UserId(10_000), Some(103)));
    assert_eq!(sink.action(7, 3), &Action::Leave);
    assert_eq!(sink.message(4, 3).from, None);
}

#[test]
fn one_chat_alone_is_an_export_too() {
    let (sink, _) = read(SINGLE);
    assert_eq!(sink.chats[0].0.id, ChatId(-40_002));
    assert_eq!((sink.message(0, 3).text.as_str(), sink.message(0, 3).reply_to), ("Indeed\u{b}", Some(2)));
}

#[test]
fn progress_counts_every_byte_of_the_input() {
    let count = Arc::new(AtomicU64::new(0));
    read_export(Counted::new(MADE, Arc::clone(&count)), &mut Collected::default()).unwrap();
    assert_eq!(count.load(Ordering::Relaxed), MADE.len() as u64);
}

/// Gives as many bytes at a time as asked for.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = into.len().min(self.1);
        self.0.read(&mut into[..count])
    }
}

#[test]
fn the_records_do_not_depend_on_how_the_bytes_come() {
    let whole = read(MADE);
    for portion in [1, 2, 3, 7, 511, 4096, 5000] {
        let mut sink = Collected::default();
        let summary = read_export(Slowly(MADE, portion), &mut sink).unwrap();
        assert!((sink, summary) == whole, "{portion}");
    }
}
