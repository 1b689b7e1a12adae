//! What happens in chats besides commands: edits, media, topics, joins, titles, and everything delivered twice.

use bot::message::{Event, Handle as _};
use database::{MessageType, NewMedia, NewTopic, Route, TopicId, UserId};

use super::{ADA, BOB, Bench, GROUP, OTHER, OWNER, SUPER};
use crate::support::rows;

#[test]
fn an_edit_changes_the_text_and_nothing_else() {
    let bench = Bench::new();
    let id = bench.tell(GROUP, ADA, "helo");
    bench.say(GROUP, BOB, "hi");
    let others = bench.rows_with("message_text=\"hi\"");
    let counts =
        |bench: &Bench| (rows(&bench.path()).remove("chat_stats"), rows(&bench.path()).remove("chat_user_stats"));
    let before = counts(&bench);
    let edit = |text: &str, chat: i64| {
        let mut incoming = bench.incoming(chat, ADA, text);
        incoming.message_id = id.clone();
        incoming.event = Event::Edited;
        assert_eq!(bench.send(incoming).replies, []);
    };
    edit("hello", GROUP);
    let message = bench.db.get_chat_message_by_message_id(GROUP.into(), &id).unwrap().unwrap();
    assert_eq!(message.message_text, "hello");
    assert_eq!((bench.rows_with("message_text=\"hi\""), counts(&bench)), (others, before));
    // A command that a message becomes by an edit is not given, and the chats tell their messages apart.
    edit("/remember tea green", GROUP);
    edit("elsewhere", OTHER);
    assert_eq!((bench.count("user_data"), bench.count("chat_messages")), (0, 3));
    assert_eq!(bench.count("chat_messages WHERE chat_id = -5 AND message_text = '/remember tea green'"), 1);
}

#[test]
fn an_edit_of_a_message_that_is_not_there_is_kept_as_the_message() {
    let bench = Bench::new();
    let mut edit = bench.incoming(GROUP, ADA, "/remember tea green");
    edit.event = Event::Edited;
    assert_eq!(bench.send(edit.clone()).replies, []);
    assert_eq!(
        bench.count("chat_messages WHERE message_text = '/remember tea green' AND message_category = 'user'"),
        1
    );
    // It is not obeyed later either, when what it changed arrives.
    edit.event = Event::Message;
    assert!(bench.send(edit).duplicate);
    assert_eq!((bench.count("user_data"), bench.count("chat_messages")), (0, 1));
}

#[test]
fn an_edit_by_somebody_else_is_refused() {
    let bench = Bench::new();
    let id = bench.tell(GROUP, ADA, "hello");
    let mut edit = bench.incoming(GROUP, BOB, "private words");
    edit.message_id = id;
    edit.event = Event::Edited;
    let error = bench.bot.handle(edit).unwrap_err().to_string();
    assert_eq!(error, "message 1 is another user's: the edit is not kept");
    assert_eq!(bench.rows_with("private words"), [""; 0]);
}

#[test]
fn media_are_stored_with_their_chat_and_read_back() {
    let bench = Bench::new();
    let mut incoming = bench.incoming(GROUP, ADA, "look");
    let mut media = NewMedia::new("file-1");
    media.media_type = MessageType::Video;
    media.mime_type = Some("video/mp4".to_owned());
    incoming.media = Some(media.clone());
    bench.send(incoming);
    let mut again = bench.incoming(GROUP, BOB, "");
    again.media = Some(media);
    bench.send(again);
    let messages = bench.db.get_chat_messages_since(GROUP.into(), &Default::default()).unwrap();
    assert_eq!(messages.len(), 2);
    for message in messages {
        assert_eq!(message.message_type, MessageType::Video);
        assert_eq!(message.media.unwrap().mime_type.as_deref(), Some("video/mp4"));
    }
    assert_eq!(bench.count("media_attachments"), 1);
    assert!(bench.say(GROUP, ADA, "/history").ends_with("Bob: [video]"));
}

#[test]
fn what_happens_in_a_chat_is_written_to_its_source_and_what_is_shared_is_ids() {
    let bench = Bench::new();
    let mut incoming = bench.incoming(GROUP, ADA, "look");
    incoming.media = Some(NewMedia::new("file-1"));
    bench.send(incoming);
    for text in ["/remember tea green", "/set detect-spam true", "/spam pills", "/ham lunch", "pills", "/history"] {
        bench.say(GROUP, ADA, text);
    }
    let mut edit = bench.incoming(GROUP, ADA, "see");
    edit.event = Event::Edited;
    bench.send(edit);
    bench.happen(GROUP, ADA, Event::Topic(NewTopic { name: "Tea".to_owned(), ..NewTopic::default() }));
    bench.say(GROUP, ADA, "/mydata erase yes");
    let written = bench.recording.take();
    assert!(written.iter().any(|write| write.op == "media.add_media_attachment"));
    for write in &written {
        assert_eq!(write.route, Route::Chat(GROUP.into()), "{}", write.op);
    }
    // What waits for its time and what a chat became are of no chat.
    bench.say(GROUP, ADA, "/remind 1h tea");
    bench.happen(GROUP, ADA, Event::MigratedTo(SUPER.into()));
    let shared = bench.recording.take().into_iter().filter(|write| write.route == Route::Shared);
    let shared: Vec<_> = shared.map(|write| write.op).collect();
    assert_eq!(shared, ["tasks.add_delayed_task", "aliases.add_alias"]);
    bench.recording.take();
    bench.say(SUPER, ADA, "/mydata erase yes");
    let shared = bench.recording.take().into_iter().filter(|write| write.route == Route::Shared);
    assert_eq!(shared.map(|write| write.op).collect::<Vec<_>>(), ["tasks.delete_delayed_tasks"]);
}

#[test]
fn topics_have_names_and_counts() {
    let bench = Bench::new();
    let topic = |name: &str| NewTopic { name: name.to_owned(), ..NewTopic::default() };
    let named = |thread: i64, name: &str| {
        let mut incoming = bench.incoming(SUPER, ADA, "");
        incoming.thread = TopicId(thread);
        incoming.event = Event::Topic(topic(name));
        bench.send(incoming);
    };
    assert_eq!(bench.say(SUPER, ADA, "/topics"), "This chat has no topics.");
    named(3, "Enginse");
    named(3, "Engines");
    named(4, "Tea");
    for _ in 0..2 {
        let mut incoming = bench.incoming(SUPER, ADA, "puff");
        incoming.thread = TopicId(3);
        bench.send(incoming);
    }
    let shown = bench.say(SUPER, ADA, "/topics");
    assert_eq!(shown, "Engines: 2 messages\nTea: 0 messages\n(in no topic): 3 messages");
    // The answer stands in the topic of the question.
    let mut asked = bench.incoming(SUPER, ADA, "/recall");
    asked.thread = TopicId(4);
    bench.send(asked);
    assert_eq!(bench.count("chat_messages WHERE thread_id = 4 AND user_id = 99"), 1);
}

#[test]
fn joins_titles_and_names_are_noted() {
    let bench = Bench::new();
    bench.happen(GROUP, ADA, Event::Joined);
    assert_eq!(bench.db.get_chat_user(GROUP.into(), UserId(ADA)).unwrap().unwrap().full_name, "Ada");
    let title = |title: &str, event: Event| {
        let mut incoming = bench.incoming(GROUP, ADA, "");
        incoming.chat_title = Some(title.to_owned());
        incoming.event = event;
        bench.send(incoming);
        bench.db.get_chat_info(GROUP.into()).unwrap().unwrap().title.unwrap()
    };
    assert_eq!(title("Engines", Event::Titled), "Engines");
    assert_eq!(title("Tea", Event::Titled), "Tea");
    // A transport that does not tell the title takes none away.
    bench.happen(GROUP, ADA, Event::Left);
    assert_eq!(bench.db.get_chat_info(GROUP.into()).unwrap().unwrap().title.as_deref(), Some("Tea"));
    assert!(bench.say(OWNER, OWNER, "/chats").contains("-5 group Tea"));
    assert_eq!(bench.count("chat_messages WHERE chat_id = -5"), 0);

    let mut renamed = bench.incoming(GROUP, ADA, "it is me");
    renamed.user_name = "Ada Lovelace".to_owned();
    renamed.username = Some("ada".to_owned());
    bench.send(renamed);
    let ada = bench.db.get_chat_user_by_username(GROUP.into(), "@ada").unwrap().unwrap();
    assert_eq!((ada.full_name.as_str(), ada.messages_count), ("Ada Lovelace", 1));
    let mut nameless = bench.incoming(GROUP, ADA, "again");
    nameless.user_name = String::new();
    bench.send(nameless);
    assert_eq!(bench.db.get_chat_user(GROUP.into(), UserId(ADA)).unwrap().unwrap().full_name, "Ada Lovelace");
}

#[test]
fn a_message_delivered_twice_is_stored_counted_and_answered_once() {
    let bench = Bench::new();
    let texts = ["hello", "/remember tea green", "/spam cheap pills", "/set detect-spam true", "/stats", "/nothing"];
    for text in texts {
        let incoming = bench.incoming(GROUP, ADA, text);
        let first = bench.send(incoming.clone());
        assert!(!first.duplicate);
        let before = rows(&bench.path());
        bench.pass(60);
        let again = bench.send(incoming);
        assert!(again.duplicate && again.replies.is_empty(), "{text}");
        assert_eq!(again.source, first.source);
        assert_eq!(rows(&bench.path()), before, "{text}");
    }
    // The same id in another chat is another message.
    let mut elsewhere = bench.incoming(OTHER, ADA, "hello");
    elsewhere.message_id = "1".into();
    assert!(!bench.send(elsewhere).duplicate);
}

#[test]
fn replies_are_stored_as_answers_and_chains_have_a_root() {
    let bench = Bench::new();
    let first = bench.tell(GROUP, ADA, "first");
    let mut second = bench.incoming(GROUP, BOB, "second");
    second.reply_to = Some(first.clone());
    let id = second.message_id.clone();
    bench.send(second);
    bench.reply(GROUP, ADA, &id, "third");
    let chain = bench.db.get_chat_messages_by_root_id(GROUP.into(), &first, None).unwrap();
    assert_eq!(chain.iter().map(|message| message.message_text.as_str()).collect::<Vec<_>>(), ["second", "third"]);
    let asked = bench.tell(GROUP, ADA, "/recall");
    assert_eq!(
        bench.count(&format!(
            "chat_messages WHERE user_id = 99 AND reply_id = '{asked}' AND message_category = 'bot-command-reply'"
        )),
        1
    );
}
