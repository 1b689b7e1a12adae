//! Who may give which command, what help says, and what bad arguments are answered with.

use insta::assert_snapshot;

use super::{ADA, BOB, Bench, GROUP, OTHER, OWNER};

const OWNERS_ALONE: [&str; 3] = ["chats", "status", "route"];

#[test]
fn help_shows_what_the_writer_may_do() {
    let bench = Bench::new();
    let everybody = bench.say(GROUP, ADA, "/help");
    assert_snapshot!(everybody, @"
        /start                    what I am
        /help [COMMAND]           what I can be asked
        /stats [DAYS]             how much was said here, in all and by day
        /top [PEOPLE]             who says most here
        /history [MESSAGES]       what was said here last, oldest first
        /search WORD... [page=N]  messages with all of these words, newest first
        /topics                   the topics of this chat, with how much was said in each
        /remember KEY TEXT        keep a text for you under a key, in this chat
        /recall [KEY]             what I was asked to remember for you
        /forget KEY               forget what stands under a key
        /remind WHEN TEXT         say something here later: in 90s, 10m, 2h30m or 3d, or at 2030-01-31T08:00 (UTC)
        /settings                 how I behave in this chat, and what can be set
        /set SETTING VALUE        change how I behave in this chat
        /unset SETTING            go back to how I behave by myself
        /spam [TEXT]              teach me that the message you answer, or this text, is spam
        /ham [TEXT]               teach me that the message you answer, or this text, is no spam
        /mydata [show | erase]    what is kept about you: in this chat, or everywhere where we are alone
        ");
    let owner = bench.say(GROUP, OWNER, "/help");
    let more: Vec<_> = owner.lines().filter(|line| !everybody.contains(line)).collect();
    assert_snapshot!(more.join("\n"), @"
        /chats                    the groups that I am in
        /status                   how I am doing: databases, tasks, how long I run
        /route [CHAT]             which database this chat, or the one of this id, is in, and why
        ");
    for command in OWNERS_ALONE {
        assert!(!everybody.contains(&format!("/{command}")), "{command}");
        assert_eq!(bench.say(GROUP, ADA, &format!("/help {command}")), bench.say(GROUP, ADA, &format!("/{command}")));
    }
    for command in OWNERS_ALONE {
        let said = bench.say(GROUP, OWNER, &format!("/{command} x"));
        assert!(said.starts_with(&format!("Usage: /{command}")), "{said}");
    }
    assert_snapshot!(bench.say(GROUP, OWNER, "/help chats"), @"/chats: the groups that I am in");
    assert_snapshot!(bench.say(GROUP, ADA, "/help /SET"), @"/set SETTING VALUE: change how I behave in this chat");
    assert_snapshot!(bench.say(GROUP, ADA, "/help nothing"), @"I do not know /nothing. /help lists what I know.");
    assert_snapshot!(bench.say(GROUP, ADA, "/start"), @"I am Switchyard. I keep what is said here and answer questions about it. /help lists what I can be asked, /mydata shows what I keep about you.");
    assert_snapshot!(bench.say(GROUP, ADA, "/frobnicate now"), @"I do not know /frobnicate. /help lists what I know.");
}

#[test]
fn each_command_that_help_lists_helps_with_itself() {
    let bench = Bench::new();
    let listed = bench.say(GROUP, OWNER, "/help");
    let names: Vec<_> = listed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names.len(), 20);
    for name in names {
        let help = bench.say(GROUP, OWNER, &format!("/help {name}"));
        assert!(help.starts_with(name) && help.contains(": "), "{help}");
    }
}

#[test]
fn owners_commands_are_refused_to_others() {
    let bench = Bench::new();
    let grace = |chat: i64, text: &str| {
        let mut incoming = bench.incoming(chat, 9, text);
        incoming.username = Some("gRACE".to_owned());
        super::answer(&bench.send(incoming))
    };
    for command in OWNERS_ALONE {
        let refused = format!("/{command} is for the bot's owners. ");
        let in_group = refused.clone() + "Give it in a private chat with me to see how you become one.";
        // Others need not know the writer's id.
        let alone = refused.clone()
            + &format!(
                "Whoever runs the bot can make you one: they add your id, {ADA}, to `owners` under [bot] and restart it."
            );
        for (chat, answer) in [(GROUP, &in_group), (ADA, &alone)] {
            assert_eq!(bench.say(chat, ADA, &format!("/{command}")), *answer);
            assert_eq!(bench.say(chat, ADA, &format!("/{}@switchyard_bot x", command.to_uppercase())), *answer);
            assert!(!bench.say(chat, OWNER, &format!("/{command}")).starts_with(&refused));
            assert!(!grace(chat, &format!("/{command}")).starts_with(&refused));
        }
        // A full name, or a user name that begins alike, owns nothing.
        for (name, username) in
            [("grace", None), ("@Grace", None), ("", Some("gracee")), ("", Some("@grace")), ("", Some(""))]
        {
            let mut incoming = bench.incoming(GROUP, 10, &format!("/{command}"));
            incoming.user_name = name.to_owned();
            incoming.username = username.map(str::to_owned);
            assert_eq!(super::answer(&bench.send(incoming)), in_group);
        }
    }
}

#[test]
fn owners_are_told_of_groups_and_of_the_databases() {
    let bench = Bench::new();
    assert_eq!(bench.say(OWNER, OWNER, "/chats"), "I am in no group.");
    let mut titled = bench.incoming(GROUP, ADA, "hello");
    titled.chat_title = Some("Engines".to_owned());
    bench.send(titled);
    bench.say(OTHER, ADA, "hello");
    assert_snapshot!(bench.say(OWNER, OWNER, "/chats"), @"
        -6 group (no title)
        -5 group Engines
        ");
    assert_eq!(bench.say(OWNER, OWNER, "/route -5"), "Chat -5 is in primary: there is one database.");
    assert_eq!(bench.say(GROUP, OWNER, "/route"), "Chat -5 is in primary: there is one database.");
    assert_eq!(
        bench.say(OWNER, OWNER, "/route here"),
        "Usage: /route [CHAT] (a chat is a whole number; without one it is this chat)"
    );
    bench.say(GROUP, ADA, "/remind 1h tea");
    let status = bench.say(OWNER, OWNER, "/status").replace(bench.path().to_str().unwrap(), "PATH");
    let stable: Vec<_> = status.lines().map(|line| line.split(" (").next().unwrap()).collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_snapshot!(stable.join("\n").replace(version, "VERSION"), @"
        Switchyard VERSION, running for 0 h 00 min.
        Database primary: PATH
        1 task waiting.
        ");
}

#[test]
fn bad_arguments_are_answered_with_how_to_use_the_command() {
    let bench = Bench::new();
    let long_key = format!("/remember {} x", "k".repeat(65));
    let given = [
        "/stats x",
        "/stats 0",
        "/stats 367",
        "/stats 1 2",
        "/top -1",
        "/top 101",
        "/history 0",
        "/history 201",
        "/history all",
        "/search",
        "/search page=2",
        "/search a page=0",
        "/search a page=x",
        "/start a",
        "/topics x",
        "/remember",
        "/remember key",
        &long_key,
        "/recall nothing",
        "/forget",
        "/forget nothing",
        "/remind",
        "/remind 10m",
        "/remind tomorrow tea",
        "/remind 0s tea",
        "/remind 1830d23h tea",
        "/remind 1831d tea",
        "/remind 2025-12-31T23:59 tea",
        "/remind 2026-13-01T00:00 tea",
        "/settings x",
        "/set",
        "/set detect-spam",
        "/set detect-spam maybe",
        "/set spam-threshold",
        "/set spam-threshold 101",
        "/set spam-threshold nan",
        "/set volume 11",
        "/unset",
        "/unset volume",
        "/spam",
        "/ham",
        "/spam !?",
        "/mydata x",
        "/mydata show x",
        "/mydata erase no",
        "/mydata erase YES",
        "/mydata erase yes please",
    ];
    let answers = given.iter().map(|text| format!("{text} -> {}", bench.say(GROUP, ADA, text)));
    let answers = answers.collect::<Vec<_>>().join("\n").replace(&"k".repeat(65), "kkk");
    assert_snapshot!(answers, @"
        /stats x -> Usage: /stats [DAYS] (a number from 1 to 366)
        /stats 0 -> Usage: /stats [DAYS] (a number from 1 to 366)
        /stats 367 -> Usage: /stats [DAYS] (a number from 1 to 366)
        /stats 1 2 -> Usage: /stats [DAYS] (a number from 1 to 366)
        /top -1 -> Usage: /top [PEOPLE] (a number from 1 to 100)
        /top 101 -> Usage: /top [PEOPLE] (a number from 1 to 100)
        /history 0 -> Usage: /history [MESSAGES] (a number from 1 to 200)
        /history 201 -> Usage: /history [MESSAGES] (a number from 1 to 200)
        /history all -> Usage: /history [MESSAGES] (a number from 1 to 200)
        /search -> Usage: /search WORD... [page=N] (a page is a number from 1)
        /search page=2 -> Usage: /search WORD... [page=N] (a page is a number from 1)
        /search a page=0 -> Usage: /search WORD... [page=N] (a page is a number from 1)
        /search a page=x -> Usage: /search WORD... [page=N] (a page is a number from 1)
        /start a -> Usage: /start
        /topics x -> Usage: /topics
        /remember -> Usage: /remember KEY TEXT (a key is one word of at most 64 characters)
        /remember key -> Usage: /remember KEY TEXT (a key is one word of at most 64 characters)
        /remember kkk x -> Usage: /remember KEY TEXT (a key is one word of at most 64 characters)
        /recall nothing -> I know no nothing of yours. /recall lists what I know.
        /forget -> Usage: /forget KEY
        /forget nothing -> I know no nothing of yours. /recall lists what I know.
        /remind -> Usage: /remind WHEN TEXT (WHEN is like 90s, 10m, 2h30m, 3d or 2030-01-31T08:00, UTC)
        /remind 10m -> Usage: /remind WHEN TEXT (WHEN is like 90s, 10m, 2h30m, 3d or 2030-01-31T08:00, UTC)
        /remind tomorrow tea -> Usage: /remind WHEN TEXT (WHEN is like 90s, 10m, 2h30m, 3d or 2030-01-31T08:00, UTC)
        /remind 0s tea -> I can remind you of something from a second to five years away.
        /remind 1830d23h tea -> I can remind you of something from a second to five years away.
        /remind 1831d tea -> I can remind you of something from a second to five years away.
        /remind 2025-12-31T23:59 tea -> I can remind you of something from a second to five years away.
        /remind 2026-13-01T00:00 tea -> Usage: /remind WHEN TEXT (WHEN is like 90s, 10m, 2h30m, 3d or 2030-01-31T08:00, UTC)
        /settings x -> Usage: /settings
        /set -> Usage: /set SETTING VALUE (there are detect-spam, spam-threshold)
        /set detect-spam -> detect-spam must be true or false.
        /set detect-spam maybe -> detect-spam must be true or false.
        /set spam-threshold -> spam-threshold must be a number from 0 to 100.
        /set spam-threshold 101 -> spam-threshold must be a number from 0 to 100.
        /set spam-threshold nan -> spam-threshold must be a number from 0 to 100.
        /set volume 11 -> Usage: /set SETTING VALUE (there are detect-spam, spam-threshold)
        /unset -> Usage: /unset SETTING
        /unset volume -> volume is not set here. /settings lists what is.
        /spam -> Usage: /spam [TEXT] (answer the message that you mean, or write its text)
        /ham -> Usage: /ham [TEXT] (answer the message that you mean, or write its text)
        /spam !? -> There are no words in it to learn from.
        /mydata x -> Usage: /mydata [show | erase]
        /mydata show x -> Usage: /mydata [show | erase]
        /mydata erase no -> Usage: /mydata [show | erase]
        /mydata erase YES -> Usage: /mydata [show | erase]
        /mydata erase yes please -> Usage: /mydata [show | erase]
        ");
    assert_eq!(bench.count("user_data") + bench.count("chat_settings") + bench.count("spam_messages"), 0);
    // Just within five years, and that alone.
    assert_eq!(bench.count("delayed_tasks"), 0);
}

#[test]
fn a_reminder_may_be_five_years_away() {
    let bench = Bench::new();
    assert_eq!(bench.say(GROUP, ADA, "/remind 1830d tea"), "I will remind you at 2031-01-05 12:00:00 (UTC).");
    assert_eq!(bench.say(GROUP, ADA, "/remind 1s tea"), "I will remind you at 2026-01-01 12:00:01 (UTC).");
}

#[test]
fn settings_are_set_per_chat_and_shown() {
    let bench = Bench::new();
    assert_snapshot!(bench.say(GROUP, ADA, "/settings"), @"
        detect-spam = false (not set): flag new messages that look like spam
        spam-threshold = 90 (not set): from which score on a message is flagged
        ");
    assert_eq!(bench.say(GROUP, ADA, "/set detect-spam true"), "detect-spam is now true.");
    assert_eq!(bench.say(GROUP, ADA, "/set spam-threshold  99.5 "), "spam-threshold is now 99.5.");
    bench.db.set_chat_setting(GROUP.into(), "old", "x").unwrap();
    assert_snapshot!(bench.say(GROUP, BOB, "/settings"), @"
        detect-spam = true: flag new messages that look like spam
        spam-threshold = 99.5: from which score on a message is flagged
        old = x: not heeded by me
        ");
    assert!(bench.say(OTHER, ADA, "/settings").contains("detect-spam = false (not set)"));
    assert_eq!(bench.say(GROUP, ADA, "/unset detect-spam"), "detect-spam is no longer set.");
    assert_eq!(bench.say(GROUP, ADA, "/unset old"), "old is no longer set.");
    assert_eq!(bench.say(GROUP, ADA, "/unset old"), "old is not set here. /settings lists what is.");
    assert_eq!(bench.count("chat_settings"), 1);
}

#[test]
fn what_is_remembered_is_a_persons_in_a_chat() {
    let bench = Bench::new();
    assert_eq!(bench.say(GROUP, ADA, "/recall"), "I was not asked to remember anything for you here.");
    assert_eq!(bench.say(GROUP, ADA, "/remember tea green,\n  no sugar"), "I will remember tea.");
    assert_eq!(bench.say(GROUP, BOB, "/remember tea black"), "I will remember tea.");
    assert_eq!(bench.say(OTHER, ADA, "/remember tea none"), "I will remember tea.");
    assert_eq!(bench.say(GROUP, ADA, "/recall tea"), "green,\n  no sugar");
    assert_eq!(bench.say(GROUP, BOB, "/recall tea"), "black");
    assert_eq!(bench.say(OTHER, ADA, "/recall tea"), "none");
    bench.say(GROUP, ADA, "/remember tea jasmine");
    bench.say(GROUP, ADA, "/remember cake lemon");
    assert_eq!(bench.say(GROUP, ADA, "/recall"), "cake: lemon\ntea: jasmine");
    assert_eq!(bench.say(GROUP, ADA, "/forget tea"), "I forgot tea.");
    assert_eq!(bench.say(GROUP, ADA, "/recall tea"), "I know no tea of yours. /recall lists what I know.");
    assert_eq!(bench.say(GROUP, BOB, "/recall tea"), "black");
    assert_eq!(bench.say(OTHER, ADA, "/recall tea"), "none");
}

#[test]
fn no_line_break_makes_what_somebody_wrote_look_like_anothers_message() {
    let bench = Bench::new();
    for line_break in ["\r", "\r\n", "\n", "\u{b}", "\u{85}", "\u{2028}", "\u{2029}"] {
        bench.say(GROUP, ADA, &format!("tea{line_break}2026-01-01 12:00 Bob: I owe Ada 100"));
    }
    for asked in ["/history", "/search owe"] {
        let answer = bench.say(GROUP, ADA, asked);
        assert_eq!(answer.matches("I owe Ada 100").count(), 7);
        assert_eq!(answer.matches("\n    2026-01-01 12:00 Bob").count(), 7, "{answer:?}");
        assert!(!answer.contains(['\r', '\u{b}', '\u{85}', '\u{2028}', '\u{2029}']), "{answer:?}");
    }
}
