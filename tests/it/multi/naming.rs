//! Reads of a source that is named explicitly: what is in that one, whatever the routes say.

use database::{ChatId, ChatType, ErrorKind, NewChatInfo, Route, UserId};
use rstest::rstest;

use super::{config_of, logged, open};
use crate::support::Scratch;

const CHAT: ChatId = ChatId(-1);

#[test]
fn a_named_source_answers_alone_and_the_audit_tells_of_it() {
    let scratch = Scratch::new();
    let (db, _) = open(&config_of(scratch.path(), &["primary", "archive"], &[(-1, "archive")]));
    db.set_chat_setting(CHAT, "language", "nl").unwrap();
    db.update_chat_user(CHAT, UserId(7), "@ada", "Ada").unwrap();
    let info = NewChatInfo { title: None, username: None, chat_type: ChatType::Group, is_forum: false };
    db.update_chat_info(CHAT, &info).unwrap();
    let of = |source: &str| db.on_source(source).get_chat_setting(CHAT, "language").unwrap();
    assert_eq!(of("archive").as_deref(), Some("nl"));
    let (answer, log) = logged(|| of("primary"));
    assert_eq!(answer, None);
    assert!(log.contains("database::audit") && log.contains("source=\"primary\""), "{log}");
    let chats = |source: &str| db.on_source(source).get_user_chats(UserId(7)).unwrap().len();
    assert_eq!((chats("archive"), chats("primary")), (1, 0));
    // The name is the read's, not the wrapper's.
    assert_eq!(db.get_chat_setting(CHAT, "language").unwrap().as_deref(), Some("nl"));
}

#[rstest]
#[case::not_configured("nowhere")]
#[case::no_name_at_all("")]
#[case::another_case("Primary")]
#[case::with_a_blank("primary ")]
fn a_name_that_no_source_has_is_an_error_and_never_the_default_source(#[case] source: &str) {
    let scratch = Scratch::new();
    let (db, control) = open(&config_of(scratch.path(), &["primary", "archive"], &[(-1, "archive")]));
    let named = db.on_source(source);
    let errors = [
        named.get_chat_setting(CHAT, "language").unwrap_err(),
        named.get_settings().unwrap_err(),
        named.get_all_group_chats().unwrap_err(),
        named.get_media_attachment(None, &"picture".into()).unwrap_err(),
        named.get_chat_messages_since(CHAT, &Default::default()).unwrap_err(),
        named.source_of(Route::Shared).unwrap_err(),
    ];
    for error in errors {
        let ErrorKind::UnknownSource { known } = error.kind() else { panic!("{error}") };
        assert_eq!(known, "`primary`, `archive`");
        assert_eq!(error.source_name().as_str(), source);
    }
    assert_eq!(control.status().sources.len(), 2);
}

#[test]
fn writes_on_a_named_source_are_refused_and_change_nothing() {
    let scratch = Scratch::new();
    let (db, _) = open(&config_of(scratch.path(), &["primary", "archive"], &[(-1, "archive")]));
    for source in ["primary", "archive", "nowhere"] {
        let named = db.on_source(source);
        let errors = [
            named.set_chat_setting(CHAT, "language", "nl").unwrap_err(),
            named.set_setting("theme", "dark").unwrap_err(),
            named.migrate_chat(CHAT, ChatId(-9)).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error.kind(), ErrorKind::ExplicitWrite), "{error}");
        }
    }
    assert_eq!(db.get_chat_settings(CHAT).unwrap().len(), 0);
    assert_eq!(db.get_setting("theme").unwrap(), None);
    assert_eq!(db.current_chat(CHAT), CHAT);
}
