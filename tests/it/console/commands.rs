//! Every command on the export made by hand: exact answers.

use database::{Clock as _, SystemClock};

use crate::program::Home;

const ADA: [&str; 4] = ["--chat", "10001", "--user", "10001"];
const WORKSHOP: [&str; 4] = ["--chat", "-1000000020001", "--user", "10001"];

/// The answers without what depends on today: the question itself is part of the chat.
fn answers(home: &Home, who: [&str; 4], input: &str) -> String {
    let today = || SystemClock.now().to_string()[..10].to_owned();
    let before = today();
    // Midnight may pass in between.
    home.answers(&who, input).replace(&before, "[today]").replace(&today(), "[today]")
}

#[test]
fn help_lists_the_commands_and_tells_of_each() {
    let home = Home::new();
    insta::assert_snapshot!(home.answers(&[], "/help"), @r"
    /help [COMMAND]           what I can be asked
    /stats [DAYS]             how much was said here, in all and by day
    /top [PEOPLE]             who says most here
    /history [MESSAGES]       what was said here last, oldest first
    /search WORD... [page=N]  messages with all of these words, newest first
    /topics                   the topics of this chat, with how much was said in each
    /mydata                   what is kept about you in this chat
    ");
    insta::assert_snapshot!(home.answers(&[], "/help stats\n/HELP /Search\n/help mydata\n/help nonsense\n/help@bot help"), @r"
    Usage: /stats [DAYS]
    Answers how much was said here, in all and by day.
    Usage: /search WORD... [page=N]
    Answers messages with all of these words, newest first.
    Usage: /mydata
    Answers what is kept about you in this chat.
    I do not know /nonsense. /help lists what I know.
    Usage: /help [COMMAND]
    Answers what I can be asked.
    ");
}

#[test]
fn what_is_no_command_is_told_and_what_only_looks_like_one_is_a_message() {
    let home = Home::new();
    insta::assert_snapshot!(home.answers(&[], "/nonsense\n/Nonsense@bot with words\n/home/me\n/\n/ stats\n//\n /stats"), @r"
    I do not know /nonsense. /help lists what I know.
    I do not know /Nonsense. /help lists what I know.
    ");
    let categories =
        home.texts("SELECT message_category || ': ' || message_text FROM chat_messages ORDER BY message_id");
    insta::assert_snapshot!(categories.join("\n"), @r"
    user-command: /nonsense
    bot-command-reply: I do not know /nonsense. /help lists what I know.
    user-command: /Nonsense@bot with words
    bot-command-reply: I do not know /Nonsense. /help lists what I know.
    user: /home/me
    user: /
    user: / stats
    user: //
    user:  /stats
    ");
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let home = Home::new();
    let input = "/stats x\n/stats 0\n/stats 367\n/stats -1\n/top 0\n/top 101\n/top many\n/history 201\n/history 1 2\n\
                 /search\n/search page=2\n/search word page=0\n/search word page=x\n/topics all\n/mydata of others\n";
    insta::assert_snapshot!(home.answers(&[], input), @r"
    Usage: /stats [DAYS] (a number from 1 to 366)
    Usage: /stats [DAYS] (a number from 1 to 366)
    Usage: /stats [DAYS] (a number from 1 to 366)
    Usage: /stats [DAYS] (a number from 1 to 366)
    Usage: /top [PEOPLE] (a number from 1 to 100)
    Usage: /top [PEOPLE] (a number from 1 to 100)
    Usage: /top [PEOPLE] (a number from 1 to 100)
    Usage: /history [MESSAGES] (a number from 1 to 200)
    Usage: /history [MESSAGES] (a number from 1 to 200)
    Usage: /search WORD... [page=N] (a page is a number from 1)
    Usage: /search WORD... [page=N] (a page is a number from 1)
    Usage: /search WORD... [page=N] (a page is a number from 1)
    Usage: /search WORD... [page=N] (a page is a number from 1)
    Usage: /topics
    Usage: /mydata
    ");
}

#[test]
fn stats_counts_in_all_and_by_day() {
    let home = Home::with_made();
    insta::assert_snapshot!(answers(&home, ADA, "/stats"), @r"
    Ada Lovelace: 29 messages by 3 people on 2 days, 2023-11-14 to [today] (UTC).
    2023-11-14  28 █████████████████████████████████████████████████████████████████
    [today]   1 ██▍
    ");
    insta::assert_snapshot!(answers(&home, ["--chat", "-40001", "--user", "10001"], "/stats 2"), @r"
    Chess club: 5 messages by 4 people on 3 days, 2023-11-14 to [today] (UTC).
    The last 2 days on which something was said:
    2023-11-15  3 ██████████████████████████████████████████████████████████████████
    [today]  1 ██████████████████████
    ");
    insta::assert_snapshot!(answers(&Home::new(), ["--chat", "5", "--user", "5"], "/stats"), @r"
    This chat: 1 message by 1 person on 1 day, [today] to [today] (UTC).
    [today]  1 ██████████████████████████████████████████████████████████████████
    ");
}

#[test]
fn top_tells_who_says_most_but_not_the_bot() {
    let home = Home::with_made();
    insta::assert_snapshot!(answers(&home, ["--chat", "-1000000020001", "--user", "10009"], "/help\n/help\n/top").lines().skip(14).collect::<Vec<_>>().join("\n"), @r"
    Ada Lovelace  5 ████████████████████████████████████████████████████████████████
    Alan Turing   4 ███████████████████████████████████████████████████▎
    user 10009    4 ███████████████████████████████████████████████████▎
    Grace Hopper  2 █████████████████████████▋
    Workshop      1 ████████████▊
    ");
    insta::assert_snapshot!(answers(&home, WORKSHOP, "/top 2"), @r"
    Ada Lovelace  6 ████████████████████████████████████████████████████████████████
    Alan Turing   4 ██████████████████████████████████████████▋
    ");
    insta::assert_snapshot!(answers(&Home::new(), ["--chat", "5", "--user", "5"], "/top"), @"user 5  1 ██████████████████████████████████████████████████████████████████████");
}

#[test]
fn history_tells_the_conversation_without_commands_and_answers() {
    let home = Home::with_made();
    insta::assert_snapshot!(answers(&home, WORKSHOP, "/stats\n/history").lines().skip(3).collect::<Vec<_>>().join("\n"), @r"
    2023-11-14 22:50 Ada Lovelace: Which edition?
    2023-11-14 22:51 Alan Turing: 2024
    2023-11-14 22:52 Ada Lovelace: Thanks
    2023-11-14 22:54 Alan Turing: Tomatoes
    2023-11-14 22:55 Grace Hopper: In the general topic
    2023-11-14 22:56 Ada Lovelace: An answer in the general topic
    2023-11-14 22:59 user 10009: still here, my name is not
    2023-11-14 23:00 Alan Turing: an answer to a message that is gone
    2023-11-14 23:01 Ada Lovelace: Poll: Water today?
        - Yes: 2 votes
        - No: 1 vote
        - Rain: 0 votes
    2023-11-14 23:02 Grace Hopper: To do: Spring
        - Dig
        - Sow
    2023-11-14 23:04 Workshop: the group speaks as itself
    2023-11-14 23:08 Ada Lovelace: reacted to
    2023-11-14 23:09 Alan Turing: quoting the same chat
    ");
    insta::assert_snapshot!(answers(&home, ADA, "/history 9"), @r"
    2023-11-14 22:34 Ada Lovelace: [image]
    2023-11-14 22:35 Grace Hopper: Self-destructing media
    2023-11-14 22:37 Ada Lovelace: control ␞ and ␀ characters, a path C:\x80
    2023-11-14 22:38 Ada Lovelace: custom 😮 😁
    2023-11-14 22:39 Ada Lovelace: empty 😮😁
    2023-11-14 22:41 Ada Lovelace:
        > forwarded from Alan Turing
        from elsewhere
    2023-11-14 22:42 Ada Lovelace:
        > forwarded from a deleted account
        from a deleted person
    2023-11-14 22:43 Grace Hopper: found by a bot
    2023-11-14 22:44 Grace Hopper: an answer to another chat
    ");
    insta::assert_snapshot!(answers(&Home::new(), ["--chat", "5", "--user", "5"], "/history"), @"Nothing was said here yet.");
}

#[test]
fn search_finds_all_words_in_any_case_of_any_script() {
    let home = Home::with_made();
    insta::assert_snapshot!(answers(&home, ADA, "/search GRÜSSE\n/search photo EXPORTED\n/search photo paper\n/search 你好"), @r#"
    2023-11-14 22:16 Ada Lovelace: Hello Grace. Grüße, 你好, 👋
    2023-11-14 22:19 Grace Hopper: a photo that was not exported
    No message here contains "photo paper".
    2023-11-14 22:16 Ada Lovelace: Hello Grace. Grüße, 你好, 👋
    "#);
    insta::assert_snapshot!(answers(&home, WORKSHOP, "/search an answer"), @r"
    2023-11-14 23:00 Alan Turing: an answer to a message that is gone
    2023-11-14 22:56 Ada Lovelace: An answer in the general topic
    ");
    // Neither the questions nor the answers of a moment ago.
    insta::assert_snapshot!(answers(&home, WORKSHOP, "/search search\n/search contains"), @r#"
    No message here contains "search".
    No message here contains "contains".
    "#);
}

#[test]
fn search_goes_on_page_by_page() {
    let home = Home::new();
    let said: String = (1..=23).map(|number| format!("Word {number}\n")).collect();
    home.answers(&[], &said);
    let pages = |input: &str| -> Vec<String> {
        let answer = home.answers(&[], input);
        answer.lines().map(|line| line.split_once(": ").map_or(line, |(_, text)| text).to_owned()).collect()
    };
    let numbers = |from: i32, to: i32| (to..=from).rev().map(|number| format!("Word {number}")).collect::<Vec<_>>();
    let first = pages("/search word");
    assert_eq!((&first[..10], first[10].as_str()), (&numbers(23, 14)[..], "/search word page=2"));
    let second = pages("/search word page=2");
    assert_eq!((&second[..10], second[10].as_str()), (&numbers(13, 4)[..], "/search word page=3"));
    assert_eq!(pages("/search word page=3"), numbers(3, 1));
    assert_eq!(pages("/search word page=4"), ["There is no page 4 of messages with \"word\"."]);
    assert_eq!(pages("/search word page=4294967295").len(), 1);
    // A page that is just full is the last one.
    assert_eq!(pages("/search word 1").len(), 11);
    assert_eq!(pages("/search word 1 page=2"), ["Word 10", "Word 1"]);
}

#[test]
fn topics_are_counted() {
    let home = Home::with_made();
    insta::assert_snapshot!(answers(&home, WORKSHOP, "/topics"), @r"
    Rust & friends: 7 messages
    Garden: 3 messages
    (in no topic): 4 messages
    ");
    insta::assert_snapshot!(answers(&home, ADA, "/topics"), @"This chat has no topics.");
}

#[test]
fn mydata_tells_what_is_kept_of_who_asks_and_of_nobody_else() {
    let home = Home::with_made();
    let db = home.open();
    let (chat, user) = (database::ChatId(-1_000_000_020_001), database::UserId(10_001));
    db.add_user_data(chat, user, "city", "London").unwrap();
    db.add_user_data(chat, database::UserId(10_000), "city", "New York").unwrap();
    db.close();
    let text = answers(&home, WORKSHOP, "/mydata");
    let clock = |line: &str| {
        // What happened just now has today's date and some time.
        line.split_once("[today] ").map_or(line.to_owned(), |(before, after)| format!("{before}[today]{}", &after[8..]))
    };
    insta::assert_snapshot!(text.lines().map(clock).collect::<Vec<_>>().join("\n"), @r"
    Kept about you (user 10001) in this chat:
    - name: Ada Lovelace; user name: none
    - known since 2025-06-01 12:00:00, last changed [today] (UTC)
    - messages: 6, from 2023-11-14 22:50:57 to [today] (UTC)
    - days with a count of your messages: 2
    - remembered: city = London
    ");
}

#[test]
fn nothing_that_strangers_wrote_can_disturb_the_terminal_or_pretend_to_be_another() {
    let home = Home::new();
    let db = home.open();
    let chat = database::ChatId(9);
    let info = database::NewChatInfo {
        title: Some("A\nB\x1b[2J".to_owned()),
        username: None,
        chat_type: database::ChatType::Supergroup,
        is_forum: true,
    };
    db.update_chat_info(chat, &info).unwrap();
    db.update_chat_user(chat, database::UserId(2), "", "Eve\n2023-01-01 10:00 Ann: I owe Eve 100\n\u{202e}").unwrap();
    let topic =
        database::NewTopic { icon_color: None, icon_custom_emoji_id: None, name: "T\nU: 9 messages".to_owned() };
    db.update_chat_topic_info(chat, database::TopicId(7), &topic).unwrap();
    let date = "2023-01-01 09:00:00".parse().unwrap();
    let text = "first\n2023-01-01 10:00 Ann: second\r\nthird\x1b]0;title\x07";
    db.save_chat_message(chat, &database::NewMessage::text(1, date, database::UserId(2), text)).unwrap();
    db.add_user_data(chat, database::UserId(2), "note", "x\n- marked as a spammer").unwrap();
    db.close();
    let who = ["--chat", "9", "--user", "2"];
    insta::assert_snapshot!(answers(&home, who, "/history\n/search third\n/topics\n/stats\n/top"), @r"
    2023-01-01 09:00 Eve␊2023-01-01 10:00 Ann: I owe Eve 100␊�: first
        2023-01-01 10:00 Ann: second
        third␛]0;title␇
    2023-01-01 09:00 Eve␊2023-01-01 10:00 Ann: I owe Eve 100␊�: first
        2023-01-01 10:00 Ann: second
        third␛]0;title␇
    T␊U: 9 messages: 0 messages
    (in no topic): 6 messages
    A␊B␛[2J: 8 messages by 2 people on 2 days, 2023-01-01 to [today] (UTC).
    2023-01-01  1 █████████▍
    [today]  7 ██████████████████████████████████████████████████████████████████
    Eve␊2023-01-01 10:00 Ann: I owe Eve 100␊�  6 ███████████████████████████████████
    ");
    let kept = answers(&home, who, "/mydata");
    assert!(!kept.contains("\n- marked") && !kept.contains("\n2023-01-01 10:00"), "{kept}");
    for answer in home.texts("SELECT message_text FROM chat_messages WHERE user_id = 0") {
        assert!(!answer.contains("\n2023-01-01 10:00 Ann"), "{answer}");
    }
}
