//! What is answered to each line that is no message.

use std::fmt::Write as _;

use crate::json::json;
use crate::program::Home;

#[test]
fn every_bad_line_is_told_what_is_wrong_and_the_others_are_handled() {
    let bad = [
        "hello",
        r#""hello""#,
        "[]",
        "7",
        "{",
        r#"{"chat":1,"user":2,"text":"x"} {}"#,
        r#"{"chat":1,"user":2,"text":"x",}"#,
        r#"{"ref":"r","chat":1,"user":2,"text":"cut"#,
        r#"{"chat":1,"user":2,"text":"\x"}"#,
        "{\"chat\":1,\"user\":2,\"text\":\"a\tb\"}",
        r#"{"ref":"r"}"#,
        r#"{"chat":1,"text":"x"}"#,
        r#"{"chat":1,"user":2}"#,
        r#"{"chat":1,"user":2,"text":"x","usrename":"y"}"#,
        r#"{"chat":1,"user":2,"text":"x","Chat":1}"#,
        r#"{"chat":1,"user":2,"text":"x","zzz":1}"#,
        r#"{"chat":1,"user":2,"text":"x","text":"y"}"#,
        r#"{"ref":[1, 2],"chat":"1","user":2,"text":"x"}"#,
        r#"{"chat":1.0,"user":2,"text":"x"}"#,
        r#"{"chat":9223372036854775808,"user":2,"text":"x"}"#,
        r#"{"chat":null,"user":2,"text":"x"}"#,
        r#"{"chat":1,"user":"2","text":"x"}"#,
        r#"{"chat":1,"user":2,"text":5}"#,
        r#"{"chat":1,"user":2,"text":"\ud83d"}"#,
        r#"{"chat":1,"user":2,"text":"x","name":["Ann"]}"#,
        r#"{"chat":1,"user":2,"text":"x","username":{}}"#,
        r#"{"chat":1,"user":2,"text":"x","chat_type":"forum"}"#,
        r#"{"chat":1,"user":2,"text":"x","chat_title":true}"#,
        r#"{"chat":1,"user":2,"text":"x","message_id":""}"#,
        r#"{"chat":1,"user":2,"text":"x","message_id":1.5}"#,
        r#"{"chat":1,"user":2,"text":"x","reply_to":[]}"#,
        r#"{"chat":1,"user":2,"text":"x","thread":"4"}"#,
        r#"{"chat":1,"user":2,"text":"x","date":"tomorrow"}"#,
        r#"{"chat":1,"user":2,"text":"x","date":1769842800000}"#,
        r#"{"chat":1,"user":2,"text":"x","date":false}"#,
        r#"{"chat":1,"user":2,"text":"x","event":"edited"}"#,
        r#"{"chat":1,"user":2,"event":"edit","text":"x"}"#,
        r#"{"chat":1,"user":2,"event":"edit","message_id":1}"#,
        r#"{"chat":1,"user":2,"event":"title"}"#,
        r#"{"chat":1,"user":2,"event":"topic","topic_name":"x"}"#,
        r#"{"chat":1,"user":2,"event":"topic","thread":4}"#,
        r#"{"chat":1,"user":2,"event":"topic","thread":4,"topic_name":"x","icon_color":"red"}"#,
        r#"{"chat":1,"user":2,"event":"topic","thread":4,"topic_name":"x","icon_emoji":5}"#,
        r#"{"chat":1,"user":2,"event":"migrate"}"#,
        r#"{"chat":1,"user":2,"text":"x","new_chat":-100}"#,
        r#"{"chat":1,"user":2,"event":"join","topic_name":"x"}"#,
        r#"{"chat":1,"user":2,"event":"edit","message_id":1,"text":"x","media":{"id":"u","type":"image"}}"#,
        r#"{"chat":1,"user":2,"media":"photo.jpg"}"#,
        r#"{"chat":1,"user":2,"media":{"type":"image"}}"#,
        r#"{"chat":1,"user":2,"media":{"id":"","type":"image"}}"#,
        r#"{"chat":1,"user":2,"media":{"id":"u"}}"#,
        r#"{"chat":1,"user":2,"media":{"id":"u","type":"photo"}}"#,
        r#"{"chat":1,"user":2,"media":{"id":"u","type":"image","size":-1}}"#,
        r#"{"chat":1,"user":2,"media":{"id":"u","type":"image","mime":"image/png"}}"#,
        r#"{"chat":1,"user":2,"media":{"id":"u","type":"image","id":"v"}}"#,
    ];
    let mut input = b"\xef\xbb\xbf".to_vec();
    for line in bad {
        input.extend_from_slice(line.as_bytes());
        input.extend_from_slice(b"\r\n\n{\"chat\":5,\"user\":2,\"text\":\"good\"}\n");
    }
    input.extend_from_slice(b"{\"chat\":1,\"user\":2,\"text\":\"\xff\"}\n");
    input.extend_from_slice(format!("{{\"chat\":1,\"user\":2,\"text\":\"{}\"}}\n", "x".repeat(1 << 20)).as_bytes());
    let home = Home::in_memory();
    let said = home.run(&["-q", "console", "--json"], input);
    assert_eq!((said.code, said.err.as_str()), (Some(3), ""));
    let (mut errors, good): (Vec<_>, Vec<_>) = said.out.lines().partition(|line| !json(line)["error"].is_null());
    assert_eq!((good.len(), errors.len()), (bad.len(), bad.len() + 2));
    assert_eq!(home.one("SELECT count(*) FROM chat_messages"), i64::try_from(bad.len()).unwrap());
    errors.sort_by_key(|line| json(line)["line"].as_u64().unwrap());
    let mut told = String::new();
    for (bad, error) in bad.iter().zip(&errors) {
        writeln!(told, "{bad}\n  {error}").unwrap();
    }
    insta::assert_snapshot!(told, @r#"
    hello
      {"line":1,"error":"not a JSON object, like {\"chat\":1,\"user\":2,\"text\":\"hello\"}"}
    "hello"
      {"line":4,"error":"not a JSON object, like {\"chat\":1,\"user\":2,\"text\":\"hello\"}"}
    []
      {"line":7,"error":"not a JSON object, like {\"chat\":1,\"user\":2,\"text\":\"hello\"}"}
    7
      {"line":10,"error":"not a JSON object, like {\"chat\":1,\"user\":2,\"text\":\"hello\"}"}
    {
      {"line":13,"error":"not JSON: EOF while parsing an object (at byte 1)"}
    {"chat":1,"user":2,"text":"x"} {}
      {"line":16,"chat":1,"error":"not JSON: trailing characters (at byte 32)"}
    {"chat":1,"user":2,"text":"x",}
      {"line":19,"chat":1,"error":"not JSON: trailing comma (at byte 31)"}
    {"ref":"r","chat":1,"user":2,"text":"cut
      {"ref":"r","line":22,"chat":1,"error":"not JSON: EOF while parsing a string (at byte 40)"}
    {"chat":1,"user":2,"text":"\x"}
      {"line":25,"chat":1,"error":"not JSON: invalid escape (at byte 29)"}
    {"chat":1,"user":2,"text":"a	b"}
      {"line":28,"chat":1,"error":"not JSON: control character (\\u0000-\\u001F) found while parsing a string (at byte 28)"}
    {"ref":"r"}
      {"ref":"r","line":31,"error":"\"chat\" is missing: the chat's id, an integer"}
    {"chat":1,"text":"x"}
      {"line":34,"chat":1,"error":"\"user\" is missing: the id of who did it, an integer"}
    {"chat":1,"user":2}
      {"line":37,"chat":1,"error":"\"text\" is missing: what was written"}
    {"chat":1,"user":2,"text":"x","usrename":"y"}
      {"line":40,"chat":1,"error":"unknown key \"usrename\"; did you mean \"username\"?"}
    {"chat":1,"user":2,"text":"x","Chat":1}
      {"line":43,"chat":1,"error":"unknown key \"Chat\"; did you mean \"chat\"?"}
    {"chat":1,"user":2,"text":"x","zzz":1}
      {"line":46,"chat":1,"error":"unknown key \"zzz\""}
    {"chat":1,"user":2,"text":"x","text":"y"}
      {"line":49,"chat":1,"error":"\"text\" is given twice"}
    {"ref":[1, 2],"chat":"1","user":2,"text":"x"}
      {"ref":[1, 2],"line":52,"error":"\"chat\" must be an integer of at most 64 bits, not text"}
    {"chat":1.0,"user":2,"text":"x"}
      {"line":55,"error":"\"chat\" must be an integer of at most 64 bits, not 1.0"}
    {"chat":9223372036854775808,"user":2,"text":"x"}
      {"line":58,"error":"\"chat\" must be an integer of at most 64 bits, not 9223372036854775808"}
    {"chat":null,"user":2,"text":"x"}
      {"line":61,"error":"\"chat\" is missing: the chat's id, an integer"}
    {"chat":1,"user":"2","text":"x"}
      {"line":64,"chat":1,"error":"\"user\" must be an integer of at most 64 bits, not text"}
    {"chat":1,"user":2,"text":5}
      {"line":67,"chat":1,"error":"\"text\" must be text, not 5"}
    {"chat":1,"user":2,"text":"\ud83d"}
      {"line":70,"chat":1,"error":"\"text\" must be text, not text with half a surrogate pair"}
    {"chat":1,"user":2,"text":"x","name":["Ann"]}
      {"line":73,"chat":1,"error":"\"name\" must be text, not a list"}
    {"chat":1,"user":2,"text":"x","username":{}}
      {"line":76,"chat":1,"error":"\"username\" must be text, not an object"}
    {"chat":1,"user":2,"text":"x","chat_type":"forum"}
      {"line":79,"chat":1,"error":"\"chat_type\" must be one of \"private\", \"group\", \"supergroup\", \"channel\", not \"forum\""}
    {"chat":1,"user":2,"text":"x","chat_title":true}
      {"line":82,"chat":1,"error":"\"chat_title\" must be text, not true"}
    {"chat":1,"user":2,"text":"x","message_id":""}
      {"line":85,"chat":1,"error":"\"message_id\" must be an integer of at most 64 bits, or text, not empty text"}
    {"chat":1,"user":2,"text":"x","message_id":1.5}
      {"line":88,"chat":1,"error":"\"message_id\" must be an integer of at most 64 bits, or text, not 1.5"}
    {"chat":1,"user":2,"text":"x","reply_to":[]}
      {"line":91,"chat":1,"error":"\"reply_to\" must be an integer of at most 64 bits, or text, not a list"}
    {"chat":1,"user":2,"text":"x","thread":"4"}
      {"line":94,"chat":1,"error":"\"thread\" must be an integer of at most 64 bits, not text"}
    {"chat":1,"user":2,"text":"x","date":"tomorrow"}
      {"line":97,"chat":1,"error":"\"date\" must be a time like 2026-01-31T08:00:00+01:00, 2026-01-31 07:00:00 (UTC) or 1769842800 (seconds since 1970), not \"tomorrow\""}
    {"chat":1,"user":2,"text":"x","date":1769842800000}
      {"line":100,"chat":1,"error":"\"date\" must be a time like 2026-01-31T08:00:00+01:00, 2026-01-31 07:00:00 (UTC) or 1769842800 (seconds since 1970), not 1769842800000"}
    {"chat":1,"user":2,"text":"x","date":false}
      {"line":103,"chat":1,"error":"\"date\" must be a time like 2026-01-31T08:00:00+01:00, 2026-01-31 07:00:00 (UTC) or 1769842800 (seconds since 1970), not false"}
    {"chat":1,"user":2,"text":"x","event":"edited"}
      {"line":106,"chat":1,"error":"\"event\" must be one of \"message\", \"edit\", \"join\", \"leave\", \"title\", \"topic\", \"migrate\", not \"edited\""}
    {"chat":1,"user":2,"event":"edit","text":"x"}
      {"line":109,"chat":1,"error":"\"message_id\" is missing: which message was edited"}
    {"chat":1,"user":2,"event":"edit","message_id":1}
      {"line":112,"chat":1,"error":"\"text\" is missing: what was written"}
    {"chat":1,"user":2,"event":"title"}
      {"line":115,"chat":1,"error":"\"chat_title\" is missing: what the chat is called now"}
    {"chat":1,"user":2,"event":"topic","topic_name":"x"}
      {"line":118,"chat":1,"error":"\"thread\" is missing: the topic's id, an integer"}
    {"chat":1,"user":2,"event":"topic","thread":4}
      {"line":121,"chat":1,"error":"\"topic_name\" is missing: what the topic is called"}
    {"chat":1,"user":2,"event":"topic","thread":4,"topic_name":"x","icon_color":"red"}
      {"line":124,"chat":1,"error":"\"icon_color\" must be an integer of at most 64 bits, not text"}
    {"chat":1,"user":2,"event":"topic","thread":4,"topic_name":"x","icon_emoji":5}
      {"line":127,"chat":1,"error":"\"icon_emoji\" must be text, not 5"}
    {"chat":1,"user":2,"event":"migrate"}
      {"line":130,"chat":1,"error":"\"new_chat\" is missing: the supergroup's id, an integer"}
    {"chat":1,"user":2,"text":"x","new_chat":-100}
      {"line":133,"chat":1,"error":"\"new_chat\" goes with the event \"migrate\", not with \"message\""}
    {"chat":1,"user":2,"event":"join","topic_name":"x"}
      {"line":136,"chat":1,"error":"\"topic_name\" goes with the event \"topic\", not with \"join\""}
    {"chat":1,"user":2,"event":"edit","message_id":1,"text":"x","media":{"id":"u","type":"image"}}
      {"line":139,"chat":1,"error":"\"media\" goes with the event \"message\", not with \"edit\""}
    {"chat":1,"user":2,"media":"photo.jpg"}
      {"line":142,"chat":1,"error":"\"media\" must be an object with \"id\" and \"type\", not text"}
    {"chat":1,"user":2,"media":{"type":"image"}}
      {"line":145,"chat":1,"error":"\"media.id\" is missing: the file's lasting id, text"}
    {"chat":1,"user":2,"media":{"id":"","type":"image"}}
      {"line":148,"chat":1,"error":"\"media.id\" must be text, not empty text"}
    {"chat":1,"user":2,"media":{"id":"u"}}
      {"line":151,"chat":1,"error":"\"media.type\" is missing: what it is, such as \"image\" or \"document\""}
    {"chat":1,"user":2,"media":{"id":"u","type":"photo"}}
      {"line":154,"chat":1,"error":"\"media.type\" must be one of \"image\", \"sticker\", \"animation\", \"video\", \"video-note\", \"audio\", \"voice\", \"document\", \"unknown\", not \"photo\""}
    {"chat":1,"user":2,"media":{"id":"u","type":"image","size":-1}}
      {"line":157,"chat":1,"error":"\"media.size\" must be a number of bytes, not -1"}
    {"chat":1,"user":2,"media":{"id":"u","type":"image","mime":"image/png"}}
      {"line":160,"chat":1,"error":"unknown key \"media.mime\"; did you mean \"media.mime_type\"?"}
    {"chat":1,"user":2,"media":{"id":"u","type":"image","id":"v"}}
      {"line":163,"chat":1,"error":"\"media.id\" is given twice"}
    "#);
    insta::assert_snapshot!(errors[bad.len()..].join("\n"), @r#"
    {"line":166,"error":"the line is not UTF-8 (at byte 28)"}
    {"line":167,"error":"the line is longer than 1048576 bytes"}
    "#);
}

#[test]
fn what_comes_in_reaches_the_database() {
    let home = Home::in_memory();
    let input = [
        r#"{"chat":-7,"chat_type":"supergroup","chat_title":"Workshop","user":1,"name":"Ann","username":"@ann","text":"hi","message_id":1,"date":"2026-01-31T08:00:00+01:00"}"#,
        r#"{"chat":-7,"user":2,"name":"Bob","text":"","message_id":"m2","reply_to":1,"thread":3,"date":1769842801,"media":{"id":"u1","type":"voice","size":7,"mime_type":"audio/ogg"}}"#,
        r#"{"chat":-7,"user":1,"event":"edit","message_id":1,"text":"hello","date":"2026-01-31 07:00:02"}"#,
        r#"{"chat":-7,"user":1,"event":"topic","thread":3,"topic_name":"Rust","icon_color":255}"#,
        r#"{"chat":-7,"user":3,"name":"Cyd","event":"join"}"#,
        r#"{"chat":-7,"user":1,"event":"title","chat_title":"Forum"}"#,
        r#"{"chat":-7,"user":1,"text":"again","message_id":"1"}"#,
    ];
    let said = home.run(&["-q", "console", "--json"], input.join("\n"));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    let duplicates: Vec<_> = said.out.lines().map(|line| json(line)["duplicate"].as_bool().unwrap()).collect();
    assert_eq!(duplicates, [false, false, false, false, false, false, true], "an id is one, as a number or as text");
    let rows = home.texts(
        "SELECT message_id || ' ' || date || ' ' || user_id || ' ' || message_type || ' ' || ifnull(reply_id, '-') || ' '
                || thread_id || ' ' || ifnull(media_id, '-') || ': ' || message_text FROM chat_messages ORDER BY date",
    );
    insta::assert_snapshot!(rows.join("\n"), @"
    1 2026-01-31 07:00:00 1 text - 0 -: hello
    m2 2026-01-31 07:00:01 2 voice 1 3 u1:
    ");
    let rest = home.texts(
        "SELECT title || ', ' || type FROM chat_info UNION ALL
         SELECT full_name || ' ' || username FROM chat_users UNION ALL
         SELECT file_unique_id || ' ' || file_size || ' ' || mime_type FROM media_attachments UNION ALL
         SELECT topic_id || ' ' || name || ' ' || icon_color FROM chat_topics",
    );
    insta::assert_snapshot!(rest.join("\n"), @"
    Forum, supergroup
    Ann @ann
    Bob 
    Cyd 
    u1 7 audio/ogg
    3 Rust 255
    ");
}
