//! What is kept about a person: shown, and erased without a trace.

use bot::message::Incoming;
use database::{MessageId, MessageType, NewMedia, NewMessage, NewSummarization, SummarizationKey};
use insta::assert_snapshot;

use super::{ADA, BOB, Bench, GROUP, OTHER, SUPER};

/// A word that only one person ever uses.
const CANARY: &str = "zirconium";

fn canary(bench: &Bench, chat: i64, text: &str) -> Incoming {
    let mut incoming = bench.incoming(chat, ADA, text);
    incoming.user_name = format!("Ada {CANARY}");
    incoming.username = Some(format!("ada_{CANARY}"));
    incoming
}

/// The person says, asks for and is said all there is, in a chat.
fn live(bench: &Bench, chat: i64) {
    let send = |text: &str| {
        let incoming = canary(bench, chat, text);
        let id = incoming.message_id.clone();
        bench.send(incoming);
        id
    };
    let said = send(&format!("I like {CANARY} a lot"));
    send(&format!("/remember {CANARY} {CANARY}"));
    send("/recall");
    send("/mydata show");
    send(&format!("/search {CANARY}"));
    send(&format!("/remind 1h {CANARY}"));
    send(&format!("/spam {CANARY} pills"));
    send(&format!("/help {CANARY}"));
    let mut picture = canary(bench, chat, &format!("a picture of {CANARY}"));
    let mut media = NewMedia::new(format!("{CANARY}-{chat}").as_str());
    media.description = Some(CANARY.to_owned());
    media.media_type = MessageType::Image;
    picture.media = Some(media);
    bench.send(picture);
    // What others do with it.
    bench.reply(chat, BOB, &said, "/ham");
    let flagged = send(&format!("more {CANARY}"));
    bench.reply(chat, BOB, &flagged, "/spam");
    bench.say(chat, BOB, "/history");
    bench.say(chat, BOB, "/search like");
    bench.say(chat, BOB, "/top");
    bench.pass(3600);
    bench.due();
    let quoting = NewMessage {
        reply_id: Some(said),
        quote_text: Some(format!("like {CANARY}")),
        ..NewMessage::text(bench.incoming(chat, BOB, "").message_id, bench.now(), BOB.into(), "me too")
    };
    bench.db.save_chat_message(chat.into(), &quoting).unwrap();
}

#[test]
fn in_a_group_that_chat_is_erased_and_no_other() {
    let bench = Bench::new();
    for chat in [GROUP, OTHER] {
        live(&bench, chat);
    }
    let in_chat = |chat: i64| {
        let (column, media) = (format!("chat_id=Integer({chat})"), format!("{CANARY}-{chat}"));
        let rows = bench.rows_with(CANARY).into_iter();
        rows.filter(|row| row.contains(&column) || row.contains(&media)).collect::<Vec<_>>()
    };
    assert!(in_chat(GROUP).len() > 10, "{:#?}", in_chat(GROUP));
    let elsewhere = in_chat(OTHER);
    let answered = super::answer(&bench.send(canary(&bench, GROUP, "/mydata erase yes")));
    assert!(answered.starts_with("Erased what was kept about you in this chat ("), "{answered}");
    assert_eq!(in_chat(GROUP), [""; 0]);
    assert_eq!(in_chat(OTHER), elsewhere);
    assert_eq!(bench.count(&format!("chat_messages WHERE chat_id = {GROUP} AND user_id = {ADA}")), 0);
    assert_eq!(bench.count(&format!("chat_user_stats WHERE chat_id = {GROUP} AND user_id = {ADA}")), 0);
}

#[test]
fn in_private_everything_is_erased() {
    let bench = Bench::new();
    for chat in [GROUP, ADA, SUPER] {
        live(&bench, chat);
    }
    let mut titled = canary(&bench, ADA, "hello");
    titled.chat_title = Some(format!("Ada {CANARY}"));
    bench.send(titled);
    assert!(bench.rows_with(CANARY).len() > 30);
    let answered = super::answer(&bench.send(canary(&bench, ADA, "/mydata erase yes")));
    assert_eq!(answered.lines().count(), 3, "{answered}");
    assert_eq!(bench.rows_with(CANARY), [""; 0]);
    assert_eq!(bench.count(&format!("chat_users WHERE user_id = {ADA}")), 0);
}

#[test]
fn others_rows_and_the_days_totals_stay() {
    let bench = Bench::new();
    let before = |bench: &Bench| {
        let of_bob = bench.rows_with("user_id=Integer(8)");
        let mut kept: Vec<_> =
            of_bob.into_iter().filter(|row| !row.contains(CANARY) && !row.contains("me too")).collect();
        kept.extend(bench.rows_with("key=\"detect-spam\""));
        kept.extend(bench.rows_with("token=\"lunch\""));
        kept
    };
    bench.say(GROUP, BOB, "/set detect-spam false");
    bench.say(GROUP, BOB, "/remember tea black");
    bench.say(GROUP, BOB, "/ham lunch at noon");
    bench.say(GROUP, BOB, "/recall");
    bench.say(GROUP, ADA, "/ham lunch with me");
    live(&bench, GROUP);
    let shown = bench.rows_with("tea: black");
    let kept = before(&bench);
    let totals = |bench: &Bench| crate::support::rows(&bench.path()).remove("chat_stats").unwrap();
    let days = totals(&bench);
    // The command itself is counted, and so is its answer.
    let erase = canary(&bench, GROUP, "/mydata erase yes");
    bench.send(erase);
    let lunch = |rows: Vec<String>| rows.into_iter().filter(|row| !row.contains("token=\"lunch\"")).collect::<Vec<_>>();
    assert_eq!(lunch(before(&bench)), lunch(kept));
    assert_eq!(bench.rows_with("tea: black"), shown);
    let tokens = bench.db.get_bayes_tokens(Some(GROUP.into()), &["lunch", "with", "me", CANARY]).unwrap();
    let tokens: Vec<_> =
        tokens.iter().map(|token| (token.token.as_str(), token.ham_count, token.total_count)).collect();
    assert_eq!(tokens, [("lunch", 1, 1)]);
    let classes = bench.db.get_bayes_classes(Some(GROUP.into())).unwrap();
    assert_eq!(classes.iter().map(|class| (class.is_spam, class.message_count)).collect::<Vec<_>>(), [(false, 1)]);
    let count = |days: &[String]| -> i64 {
        let number = |day: &String| day.split("messages_count=Integer(").nth(1)?.split(')').next()?.parse::<i64>().ok();
        days.iter().map(|day| number(day).unwrap()).sum()
    };
    assert_eq!(count(&totals(&bench)), count(&days) + 2);
}

#[test]
fn what_is_kept_is_shown_before_it_is_erased() {
    let bench = Bench::new();
    let mut first = bench.incoming(GROUP, ADA, "hello");
    first.username = Some("ada".to_owned());
    first.chat_title = Some("Engines".to_owned());
    bench.send(first);
    bench.say(GROUP, ADA, "/remember tea green");
    bench.say(GROUP, ADA, "/spam pills");
    bench.say(OTHER, ADA, "hi");
    bench.say(OTHER, ADA, "/remind 3d tea");
    bench.say(OTHER, ADA, "/remind 1s milk");
    let mut picture = bench.incoming(OTHER, ADA, "");
    picture.media = Some(NewMedia::new("hers"));
    let shown = picture.message_id.clone();
    bench.send(picture);
    let quoting = NewMessage {
        reply_id: Some(shown.clone()),
        quote_text: Some("look".to_owned()),
        ..NewMessage::text("q", bench.now(), BOB.into(), "nice")
    };
    bench.db.save_chat_message(OTHER.into(), &quoting).unwrap();
    let key = SummarizationKey {
        topic_id: None,
        first_message_id: shown.clone(),
        last_message_id: shown,
        prompt: "short".to_owned(),
    };
    let summary = NewSummarization { key, summary: "A picture.".to_owned() };
    bench.db.add_chat_summarization(OTHER.into(), &summary).unwrap();
    bench.pass(86_400);
    bench.due();
    assert_snapshot!(bench.say(GROUP, ADA, "/mydata"), @"
        Kept about you (user 7) in this chat:
        - name: Ada; user name: @ada
        - known since 2026-01-01 12:00:00, last heard of 2026-01-02 12:00:00 (UTC)
        - messages: 4, from 2026-01-01 12:00:00 to 2026-01-02 12:00:00 (UTC)
        - days with a count of your messages: 2
        - messages kept as examples of spam: 1
        - remembered: tea = green
        /mydata erase tells how to have it erased.
        ");
    assert_snapshot!(bench.say(ADA, ADA, "/mydata show"), @"
        Kept about you (user 7) in this chat:
        - name: Ada; user name: none
        - known since 2026-01-02 12:00:00, last heard of 2026-01-02 12:00:00 (UTC)
        - messages: 1, from 2026-01-02 12:00:00 to 2026-01-02 12:00:00 (UTC)
        - days with a count of your messages: 1
        Kept about you (user 7) in the group -6:
        - name: Ada; user name: none
        - known since 2026-01-01 12:00:00, last heard of 2026-01-01 12:00:00 (UTC)
        - messages: 4, from 2026-01-01 12:00:00 to 2026-01-01 12:00:00 (UTC)
        - days with a count of your messages: 1
        - files that only you showed: 1
        - messages of others that quote you: 1
        - summaries of what was said, by you too: 1
        - reminders that wait: 1
        Kept about you (user 7) in the group Engines:
        - name: Ada; user name: @ada
        - known since 2026-01-01 12:00:00, last heard of 2026-01-02 12:00:00 (UTC)
        - messages: 4, from 2026-01-01 12:00:00 to 2026-01-02 12:00:00 (UTC)
        - days with a count of your messages: 2
        - messages kept as examples of spam: 1
        - remembered: tea = green
        /mydata erase tells how to have it erased.
        ");
    assert_snapshot!(bench.say(GROUP, ADA, "/mydata erase"), @"
        This would be erased, and cannot be brought back:
        - in this chat: 5 messages with my answers to your commands, your names, 1 thing remembered, 1 example of spam or no spam, your counts
        How much was said on a day stays: it names nobody. If you mean it: /mydata erase yes
        ");
    assert_snapshot!(bench.say(ADA, ADA, "/mydata erase"), @"
        This would be erased, and cannot be brought back:
        - in this chat: 2 messages with my answers to your commands, your names, 0 things remembered, 0 examples of spam or no spam, your counts
        - in the group -6: 4 messages with my answers to your commands, your names, 0 things remembered, 0 examples of spam or no spam, your counts, 1 reminder, 1 file that only you showed, 1 quotation of you by others, 1 summary of what was said
        - in the group Engines: 5 messages with my answers to your commands, your names, 1 thing remembered, 1 example of spam or no spam, your counts
        How much was said on a day stays: it names nobody. If you mean it: /mydata erase yes
        ");
    let rows = bench.count("chat_messages");
    bench.say(BOB, BOB, "/mydata");
    assert_eq!(bench.count("chat_messages"), rows + 2);
}

#[test]
fn reminders_go_with_whoever_asked_for_them_said_or_not() {
    let bench = Bench::new();
    for chat in [GROUP, OTHER] {
        for person in [ADA, BOB] {
            bench.say(chat, person, "/remind 1h soon");
            bench.say(chat, person, "/remind 1d later");
        }
    }
    bench.pass(3600);
    bench.due();
    let left = |condition: &str| bench.count(&format!("delayed_tasks WHERE kwargs LIKE '%\"user_id\":7,%'{condition}"));
    assert_eq!((left(""), left(" AND is_done")), (4, 2));
    bench.say(GROUP, ADA, "/mydata erase yes");
    assert_eq!((left(""), left(" AND kwargs LIKE '%\"chat_id\":-6,%'")), (2, 2));
    bench.say(ADA, ADA, "/mydata erase yes");
    assert_eq!((left(""), bench.count("delayed_tasks")), (0, 4));
}

#[test]
fn a_picture_stays_as_long_as_somebody_else_shows_it() {
    let bench = Bench::new();
    let show = |user: i64, id: &str| {
        let mut incoming = bench.incoming(GROUP, user, "");
        incoming.media = Some(NewMedia::new(id));
        bench.send(incoming);
    };
    show(ADA, "hers");
    show(ADA, "both");
    show(BOB, "both");
    bench.say(GROUP, ADA, "/mydata erase yes");
    let left: Vec<_> =
        ["hers", "both"].map(|id| bench.count(&format!("media_attachments WHERE file_unique_id = '{id}'"))).into();
    assert_eq!(left, [0, 1]);
    bench.say(GROUP, BOB, "/mydata erase yes");
    assert_eq!(bench.count("media_attachments"), 0);
}

#[test]
fn whoever_was_erased_is_met_anew() {
    let bench = Bench::new();
    bench.say(GROUP, ADA, "/remember tea green");
    bench.say(GROUP, ADA, "/mydata erase yes");
    assert_eq!(bench.say(GROUP, ADA, "/recall"), "I was not asked to remember anything for you here.");
    assert_eq!(bench.count(&format!("chat_users WHERE user_id = {ADA} AND messages_count = 1")), 1);
    let id = MessageId::from("1");
    assert!(bench.db.get_chat_message_by_message_id(GROUP.into(), &id).unwrap().is_none());
}
