//! Single records: what real exports have in them that one would not expect.

use database::{Timestamp, UserId};

use super::*;

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn unfit(record: &str) -> Unfit {
    match one(record) {
        Record::Unreadable(Unreadable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_seconds_are_the_truth_and_the_local_date_a_marked_fallback() {
    let both = message(r#""date": "2001-01-01T00:00:00", "text": """#);
    assert_eq!((both.date, both.date_is_local), (moment("2023-11-14 22:13:20"), false));
    let Record::Message(local) = one(r#"{"id": 1, "type": "message", "date": "2018-03-01T12:00:00"}"#) else {
        panic!()
    };
    assert_eq!((local.date, local.date_is_local), (moment("2018-03-01 12:00:00"), true));
    assert_eq!(message(r#""edited": "1970-01-01T03:00:00""#).edited, None);
    assert_eq!(message(r#""edited_unixtime": 1700000001"#).edited, Some(moment("2023-11-14 22:13:21")));
}

#[test]
fn a_record_that_does_not_fit_says_why_and_stops_nothing() {
    for (record, reason) in [
        ("5", Unfit::NotAnObject),
        ("-5", Unfit::NotAnObject),
        ("1.5", Unfit::NotAnObject),
        ("null", Unfit::NotAnObject),
        ("true", Unfit::NotAnObject),
        (r#""text""#, Unfit::NotAnObject),
        ("[1, [2]]", Unfit::NotAnObject),
        (r#"{"type": "message", "date_unixtime": "1"}"#, Unfit::Id),
        (r#"{"id": 9223372036854775808, "type": "message", "date_unixtime": "1"}"#, Unfit::Id),
        (r#"{"id": 1.5, "type": "message", "date_unixtime": "1"}"#, Unfit::Id),
        (r#"{"id": 1, "date_unixtime": "1"}"#, Unfit::Type),
        (r#"{"id": 1, "type": {"a": 1}, "date_unixtime": "1"}"#, Unfit::Type),
        (r#"{"id": 1, "type": "unsupported"}"#, Unfit::Unsupported),
        (r#"{"id": 1, "type": "message"}"#, Unfit::Date),
        (r#"{"id": 1, "type": "service", "date": "2023-02-30T00:00:00"}"#, Unfit::Date),
        (r#"{"id": 1, "type": "message", "date_unixtime": "253402300800"}"#, Unfit::Date),
        (r#"{"id": 1, "type": "message", "date_unixtime": "1", "from_id": "user99999999999999999999"}"#, Unfit::Person),
        (r#"{"id": 1, "type": "message", "date_unixtime": "1", "reply_to_message_id": []}"#, Unfit::Reference),
    ] {
        assert_eq!(unfit(record), reason, "{record}");
    }
}

#[test]
fn an_answer_to_another_chat_is_none_here() {
    let other = message(r#""reply_to_message_id": 3, "reply_to_peer_id": "channel8""#);
    assert_eq!((other.reply_to, other.replies_elsewhere), (None, true));
    let same = message(r#""reply_to_message_id": 3, "reply_to_peer_id": "channel7""#);
    assert_eq!((same.reply_to, same.replies_elsewhere), (Some(3), false));
}

#[test]
fn people_may_be_without_name_or_id() {
    let person = |id, name: Option<&str>| Some(Person { id: UserId(id), name: name.map(str::to_owned) });
    assert_eq!(message(r#""from": null"#).from, person(5, None));
    assert_eq!(message(r#""from": "Ada""#).from, person(5, Some("Ada")));
    assert_eq!(message(r#""from": "Ada", "from_id": 0"#).from, None);
    assert_eq!(message(r#""from": "Ada", "from_id": 17"#).from, person(17, Some("Ada")));
    assert_eq!(message(r#""forwarded_from": null"#).forwarded_from, Some(Forward { name: None, id: None }));
    assert_eq!(message(r#""text": "x""#).forwarded_from, None);
}

#[test]
fn what_is_not_read_may_hold_any_bytes() {
    let mut document = chat_of(r#"{"id": 1, "type": "message", "date_unixtime": "1", "data": "@"}"#).into_bytes();
    let at = document.iter().position(|byte| *byte == b'@').unwrap();
    document.splice(at..=at, *b"\xFF\xFE\\x01");
    assert_eq!(read(&document).1.messages, 1);
}

#[test]
fn a_file_may_begin_with_a_byte_order_mark() {
    assert_eq!(read(&[b"\xEF\xBB\xBF", SINGLE].concat()).1, read(SINGLE).1);
}

#[test]
fn every_kind_of_content_has_a_text() {
    for (keys, text) in [
        (r#""text": ["a ", {"type": "bold", "text": "b"}, " c"]"#, "a b c"),
        (r#""text": "kept", "location_information": {"latitude": 1, "longitude": 2}"#, "kept"),
        (r#""text": "", "location_information": {"latitude": 1.5, "longitude": -2}"#, "Location: 1.5, -2"),
        (r#""location_information": null"#, "Location"),
        (
            r#""location_information": {"latitude": 1, "longitude": 2}, "live_location_period_seconds": 9"#,
            "Live location: 1, 2",
        ),
        (r#""place_name": "Museum", "address": "Road""#, "Place: Museum, Road"),
        (r#""contact_information": {"first_name": "Ada", "last_name": "", "phone_number": "+1"}"#, "Contact: Ada, +1"),
        (r#""game_title": "Lumber", "game_description": "Chop""#, "Game: Lumber, Chop"),
        (r#""invoice_information": {"title": "Book", "amount": 5}"#, "Invoice: Book"),
        (r#""giveaway_information": {"quantity": 5, "additional_prize": "mug"}"#, "Giveaway: 5 prizes, mug"),
        (r#""giveaway_results": {"winners_count": 5}"#, "Giveaway results: 5 winners"),
        (r#""todo_list": {"title": ["Spring"], "answers": [{"text": "Dig"}]}"#, "To do: Spring\n- Dig"),
        (r#""dice": {"emoji": "🎲", "value": 4}"#, "Dice: 🎲 4"),
        (r#""paid_stars_amount": 50"#, "Paid media: 50 stars"),
        (r#""self_destruct_period_seconds": 5"#, "Self-destructing media"),
        (
            r#""poll": {"question": "Q?", "answers": [{"text": "Yes", "voters": 1}, {"text": "No"}]}"#,
            "Poll: Q?\n- Yes: 1 vote\n- No: 0 votes",
        ),
        (r#""poll": {"question": ["Q", {"text": "?"}]}, "text": "hm""#, "hm\nPoll: Q?"),
        (r#""poll": 5, "contact_information": [], "text": {}"#, ""),
    ] {
        assert_eq!(message(keys).text, text, "{keys}");
    }
}

#[test]
fn a_file_that_was_not_exported_has_no_path() {
    let path = |path: &str| message(&format!(r#""file": "{path}", "mime_type": "a/b""#)).media.unwrap().path;
    assert_eq!(path("files/a (File 1).pdf").as_deref(), Some("files/a (File 1).pdf"));
    assert_eq!(path("(File not included. Change data exporting settings to download.)"), None);
    assert_eq!(path("(File unavailable, please try again later)"), None);
    assert_eq!(path("a.pdf (File exceeds maximum size. Change data exporting settings to download.)"), None);
    assert_eq!(path(""), None);
}

#[test]
fn a_chat_that_does_not_fit_is_counted_and_passed_over() {
    let document = r#"{"chats": {"list": [
        {"name": null, "type": null, "id": 5, "messages": [{"id": 1}, 2]},
        {"type": "secret_chat", "id": 6, "messages": []},
        {"type": "private_group", "id": -7, "messages": [1]},
        {"type": "private_channel", "id": 9223372036854775807, "messages": [1]},
        {"type": "private_group", "id": 8},
        {"type": "verification_codes", "id": "9", "messages": []}
    ]}}"#;
    let (sink, summary) = read(document.as_bytes());
    assert_eq!(sink.chats.len(), 1);
    let skipped = |bare_id, reason, line, records| SkippedChat { bare_id: Some(bare_id), reason, line, records };
    assert_eq!(
        summary.skipped_chats,
        [
            skipped(5, "its type is not one that is known", 2, 2),
            skipped(6, "its type is not one that is known", 3, 0),
            skipped(-7, "its id is not a positive number", 4, 1),
            skipped(i64::MAX, "its id is not a positive number", 5, 1),
            skipped(8, "it has no messages", 6, 0),
        ]
    );
}
