//! Lines as messages. What is answered to each bad line is shown in the integration tests.

use database::{MediaId, UserId};
use proptest::prelude::*;

use super::*;

const NOW: &str = "2026-11-24 07:00:00";

fn request(line: &str) -> Request {
    let clock = || NOW.parse::<Timestamp>().unwrap();
    Request::read(line, &MessageIds::by(|| 1_000), &clock)
}

fn incoming(line: &str) -> Incoming {
    *request(line).message.unwrap().1
}

fn error(line: &str) -> String {
    request(line).message.map(drop).unwrap_err()
}

#[test]
fn a_line_with_the_least_keys_is_a_message_of_now() {
    let read = incoming(r#"{"chat":-7,"user":2,"text":"hi"}"#);
    let expected = Incoming::new(ChatId(-7), UserId(2), "", "1000".into(), NOW.parse().unwrap(), "hi");
    assert_eq!(read, expected);
    let nulls =
        r#"{"chat":-7,"user":2,"text":"hi","name":null,"username":null,"date":null,"media":null,"new_chat":null}"#;
    assert_eq!(incoming(nulls), expected, "null is as good as absent");
    assert_eq!(incoming(r#"{"chat":-7,"user":2,"text":"hi","chat_title":"","name":""}"#), expected, "nor is nothing");
    for none in ["", "@"] {
        let line = format!(r#"{{"chat":-7,"user":2,"text":"hi","username":"{none}"}}"#);
        assert_eq!(incoming(&line).username.as_deref(), Some(""), "the user has none any more");
    }
    let twice = incoming(r#"{"chat":-7,"user":2,"text":"hi","username":"@@ann"}"#);
    assert_eq!(
        twice.username.as_deref(),
        Some("@ann"),
        "one sign is taken off, and what is left is no name of anybody's"
    );
}

#[test]
fn every_key_reaches_its_field() {
    let read = incoming(
        r#"{"ref":1,"chat":-100,"user":-2,"text":"a\nb","name":"Ann Lee","username":"@ann","chat_type":"channel",
            "chat_title":"News","message_id":"m-1","reply_to":41,"thread":3,"date":1769842800,"event":"message",
            "media":{"id":"u1","type":"video-note","file_id":"f1","size":12,"mime_type":"video/mp4","url":"/x"}}"#,
    );
    let date = "2026-01-31 07:00:00".parse().unwrap();
    let mut expected = Incoming::new(ChatId(-100), UserId(-2), "Ann Lee", "m-1".into(), date, "a\nb");
    expected.username = Some("ann".into());
    expected.chat_kind = Some(ChatKind::Channel);
    expected.chat_title = Some("News".into());
    expected.reply_to = Some("41".into());
    expected.thread = TopicId(3);
    expected.media = Some(NewMedia {
        file_id: Some("f1".into()),
        file_size: Some(12),
        media_type: MessageType::VideoNote,
        mime_type: Some("video/mp4".into()),
        local_url: Some("/x".into()),
        ..NewMedia::new(MediaId::from("u1"))
    });
    assert_eq!(read, expected);
}

#[test]
fn events_are_known_by_their_names() {
    let event = |rest: &str| incoming(&format!(r#"{{"chat":-7,"user":2,{rest}}}"#)).event;
    assert_eq!(event(r#""event":"edit","message_id":5,"text":"new""#), Event::Edited);
    assert_eq!(event(r#""event":"join""#), Event::Joined);
    assert_eq!(event(r#""event":"leave""#), Event::Left);
    assert_eq!(event(r#""event":"title","chat_title":"New""#), Event::Titled);
    assert_eq!(event(r#""event":"migrate","new_chat":-100"#), Event::MigratedTo(ChatId(-100)));
    let topic = r#""event":"topic","thread":4,"topic_name":"Rust","icon_color":255,"icon_emoji":"5""#;
    let expected = NewTopic { name: "Rust".into(), icon_color: Some(255), icon_custom_emoji_id: Some("5".into()) };
    assert_eq!(event(topic), Event::Topic(expected));
}

#[test]
fn every_media_type_is_one_that_the_database_knows() {
    for name in MEDIA_TYPES {
        assert!(!matches!(MessageType::from(*name), MessageType::Other(_)), "{name}");
    }
}

#[test]
fn a_date_may_be_written_in_three_ways() {
    let date = |date: &str| incoming(&format!(r#"{{"chat":1,"user":2,"text":"","date":{date}}}"#)).date.to_string();
    for text in [r#""2026-01-31T08:00:00.75+01:00""#, r#""2026-01-31T07:00:00Z""#, r#""2026-01-31 07:00:00""#] {
        assert_eq!(date(text), "2026-01-31 07:00:00", "{text}");
    }
    assert_eq!((date("0"), date("-1")), ("1970-01-01 00:00:00".into(), "1969-12-31 23:59:59".into()));
    assert_eq!(date(r#""1969-12-31T23:59:58.25Z""#), "1969-12-31 23:59:58");
    for bad in ["1769842800000", "1.5", r#""yesterday""#, r#""2026-01-31T08:00:00""#, r#""2026-02-30 07:00:00""#, "[]"]
    {
        let line = format!(r#"{{"chat":1,"user":2,"text":"","date":{bad}}}"#);
        assert!(error(&line).starts_with("\"date\" must be a time like"), "{bad}");
    }
}

#[test]
fn an_id_is_given_back_as_it_came() {
    let id = |id: &str| request(&format!(r#"{{"chat":1,"user":2,"text":"","message_id":{id}}}"#)).message.unwrap().0;
    assert_eq!(id("5"), Id::Number(5));
    assert_eq!(id(r#""5""#), Id::Text("5".into()));
    assert_eq!(serde_json::to_string(&[id("5"), id(r#""a""#)]).unwrap(), r#"[5,"a"]"#);
}

#[test]
fn a_reference_is_kept_as_it_was_written_on_one_line() {
    let reference = |line: &str| request(line).reference.map(|reference| reference.get().to_owned());
    assert_eq!(reference(r#"{"ref":{"b":1.50,"a":1e400},"chat":1}"#).unwrap(), r#"{"b":1.50,"a":1e400}"#);
    assert_eq!(reference("{\"ref\":[1,\r2],\"chat\":1}").unwrap(), "[1, 2]");
    assert_eq!((reference(r#"{"ref":null}"#), reference("{}")), (Some("null".into()), None));
    let cut = request(r#"{"ref":"r","chat":9,"text":"abc"#);
    assert_eq!((cut.reference.unwrap().get(), cut.chat), ("\"r\"", Some(ChatId(9))));
}

#[test]
fn an_error_shows_no_text_that_somebody_wrote() {
    for line in [
        r#"{"chat":"canary","user":2,"text":"canary"}"#,
        r#"{"chat":1,"user":2,"text":["canary"]}"#,
        r#"{"chat":1,"user":2,"text":"canary\ud800"}"#,
        r#"{"chat":1,"user":2,"text":"canary"#,
        r#"{"chat":1,"user":2,"text":"canary" "#,
        r#"{"chat":1,"user":2,"text":{"canary":1}}"#,
        r#"{"chat":1,"user":"canary","text":"canary"}"#,
        r#""canary""#,
    ] {
        assert!(!error(line).contains("canary"), "{}", error(line));
    }
}

#[test]
fn nesting_takes_no_more_memory_than_its_text() {
    let deep = format!(r#"{{"chat":1,"user":2,"text":"","ref":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
    let read = request(&deep);
    assert_eq!(read.reference.unwrap().get().len(), 1_000_000);
    assert!(read.message.is_ok());
}

proptest! {
    #[test]
    fn no_line_is_too_odd(
        cut in 0_usize..400,
        inserted in "[\\[\\]{}\",:0-9a-z\\\\ \u{0}-\u{1f}é]{0,6}",
        skipped in 0_usize..6,
    ) {
        let line = r#"{"ref":[1],"chat":-100,"user":-2,"text":"a\u0041b","name":"Ann","chat_type":"channel","message_id":"m-1","date":"2026-01-31 07:00:00","event":"message","media":{"id":"u1","type":"video","size":12}}"#;
        let cut = cut.min(line.len());
        let odd = format!("{}{inserted}{}", &line[..cut], &line[(cut + skipped).min(line.len())..]);
        if let Err(why) = request(&odd).message {
            prop_assert!(!why.is_empty() && !why.contains('\n'));
        }
    }
}
