//! The interpreter: a recorded call with its arguments, made on a wrapper, its answer as JSON.

use database::{
    CacheType, DatabaseWrapper, Error, MediaChanges, MediaId, MediaStatus, MessageCategory, MessageFilter, MessageType,
    NewChatInfo, NewMedia, NewMessage, NewSpam, NewSummarization, NewTopic, SpamReason, SummarizationKey, TopicId,
};
use serde_json::{Map, Value, json};

use super::args::Args;

/// What a read answers, as JSON.
macro_rules! answer {
    ($result:expr) => {
        json!($result.unwrap())
    };
}

/// Makes a call. Fails loudly on a call or an argument that it does not know.
pub(crate) fn call(db: &DatabaseWrapper, name: &str, given: &Map<String, Value>) -> Value {
    let args = Args::new(given);
    let answer = None
        .or_else(|| messages(db, name, &args))
        .or_else(|| media(db, name, &args))
        .or_else(|| people(db, name, &args))
        .or_else(|| chats(db, name, &args))
        .or_else(|| settings(db, name, &args))
        .or_else(|| shared(db, name, &args))
        .or_else(|| spam(db, name, &args))
        .or_else(|| caches(db, name, &args))
        .unwrap_or_else(|| panic!("the golden file calls `{name}`, which is not known"));
    args.all_asked_for(name);
    answer
}

fn messages(db: &DatabaseWrapper, name: &str, args: &Args<'_>) -> Option<Value> {
    Some(match name {
        "save_chat_message" => {
            let text = args.text_or("message_text", "");
            let mut message = NewMessage::text(args.message("message_id"), args.date("date"), args.user(), text);
            message.reply_id = args.opt_message("reply_id");
            message.thread_id = args.opt_int("thread_id").map_or(TopicId::NONE, TopicId);
            message.root_message_id = args.opt_message("root_message_id");
            message.quote_text = args.opt_text("quote_text");
            message.media_id = args.opt_text("media_id").map(MediaId::from);
            if let Some(kind) = args.opt_text("message_type") {
                message.message_type = MessageType::from(kind.as_str());
            }
            if let Some(category) = args.opt_text("message_category") {
                message.message_category = MessageCategory::from(category.as_str());
            }
            done(db.save_chat_message(args.chat(), &message))
        }
        "get_chat_messages_since" => {
            let words = |list: &Value| {
                let list = list.as_array().expect("a list of categories");
                list.iter().map(|word| MessageCategory::from(word.as_str().unwrap())).collect()
            };
            let filter = MessageFilter {
                since: args.opt_date("since"),
                till: args.opt_date("till"),
                thread_id: args.opt_int("thread_id").map(TopicId),
                categories: args.get("message_category").map(words),
                limit: args.limit(),
            };
            flat(db.get_chat_messages_since(args.chat(), &filter))
        }
        "get_chat_message_by_message_id" => {
            let found = db.get_chat_message_by_message_id(args.chat(), &args.message("message_id"));
            let Value::Array(found) = flat(found.map(|found| found.into_iter().collect::<Vec<_>>())) else {
                unreachable!()
            };
            found.into_iter().next().unwrap_or_default()
        }
        "get_chat_messages_by_root_id" => {
            let thread = args.opt_int("thread_id").map(TopicId);
            flat(db.get_chat_messages_by_root_id(args.chat(), &args.message("root_message_id"), thread))
        }
        "get_chat_messages_by_user" => flat(db.get_chat_messages_by_user(args.chat(), args.user(), args.limit())),
        "update_chat_message_category" => {
            let category = MessageCategory::from(args.text("message_category").as_str());
            done(db.update_chat_message_category(args.chat(), &args.message("message_id"), &category))
        }
        _ => return None,
    })
}

fn media(db: &DatabaseWrapper, name: &str, args: &Args<'_>) -> Option<Value> {
    let status = || args.opt_text("status").map(|word| MediaStatus::from(word.as_str()));
    Some(match name {
        "add_media_attachment" => {
            let mut media = NewMedia::new(args.text("file_unique_id").as_str());
            media.file_id = args.opt_text("file_id");
            media.file_size = args.opt_int("file_size");
            media.metadata = args.text_or("metadata", "{}");
            media.mime_type = args.opt_text("mime_type");
            media.local_url = args.opt_text("local_url");
            media.prompt = args.opt_text("prompt");
            media.description = args.opt_text("description");
            if let Some(kind) = args.opt_text("media_type") {
                media.media_type = MessageType::from(kind.as_str());
            }
            media.status = status().unwrap_or(MediaStatus::New);
            done(db.add_media_attachment(None, &media))
        }
        "get_media_attachment" => answer!(db.get_media_attachment(None, &MediaId::from(args.text("media_id")))),
        "update_media_attachment" => {
            let changes = MediaChanges {
                status: status(),
                file_size: args.opt_int("file_size"),
                description: args.opt_text("description"),
                ..MediaChanges::default()
            };
            done(db.update_media_attachment(None, &MediaId::from(args.text("media_id")), &changes))
        }
        _ => return None,
    })
}

fn people(db: &DatabaseWrapper, name: &str, args: &Args<'_>) -> Option<Value> {
    Some(match name {
        "update_chat_user" => {
            done(db.update_chat_user(args.chat(), args.user(), &args.text("username"), &args.text("full_name")))
        }
        "get_chat_user" => answer!(db.get_chat_user(args.chat(), args.user())),
        "get_chat_user_by_username" => answer!(db.get_chat_user_by_username(args.chat(), &args.text("username"))),
        "get_chat_users" => answer!(db.get_chat_users(args.chat(), args.limit(), args.opt_date("seen_since"))),
        "mark_user_is_spammer" => done(db.mark_user_is_spammer(args.chat(), args.user(), args.truth("is_spammer"))),
        "update_user_metadata" => done(db.update_user_metadata(args.chat(), args.user(), &args.text("metadata"))),
        "add_user_data" => done(db.add_user_data(args.chat(), args.user(), &args.text("key"), &args.text("data"))),
        "get_user_data" => answer!(db.get_user_data(args.chat(), args.user())),
        "delete_user_data" => done(db.delete_user_data(args.chat(), args.user(), &args.text("key"))),
        "clear_user_data" => done(db.clear_user_data(args.chat(), args.user())),
        _ => return None,
    })
}

fn chats(db: &DatabaseWrapper, name: &str, args: &Args<'_>) -> Option<Value> {
    let key = || SummarizationKey {
        topic_id: args.opt_int("topic_id").map(TopicId),
        first_message_id: args.message("first_message_id"),
        last_message_id: args.message("last_message_id"),
        prompt: args.text("prompt"),
    };
    Some(match name {
        "update_chat_info" => {
            let info = NewChatInfo {
                title: args.opt_text("title"),
                username: args.opt_text("username"),
                chat_type: args.text("type").as_str().into(),
                is_forum: args.get("is_forum").is_some_and(|truth| truth.as_bool().unwrap()),
            };
            done(db.update_chat_info(args.chat(), &info))
        }
        "get_chat_info" => answer!(db.get_chat_info(args.chat())),
        "get_user_chats" => answer!(db.get_user_chats(args.user()).map(database::Gathered::into_rows)),
        "get_all_group_chats" => answer!(db.get_all_group_chats().map(database::Gathered::into_rows)),
        "update_chat_topic_info" => {
            let info = NewTopic {
                icon_color: args.opt_int("icon_color"),
                icon_custom_emoji_id: args.opt_text("custom_emoji_id"),
                name: args.opt_text("topic_name").unwrap_or(NewTopic::default().name),
            };
            done(db.update_chat_topic_info(args.chat(), TopicId(args.int("topic_id")), &info))
        }
        "get_chat_topics" => answer!(db.get_chat_topics(args.chat())),
        "add_chat_summarization" => {
            let summarization = NewSummarization { key: key(), summary: args.text("summary") };
            done(db.add_chat_summarization(args.chat(), &summarization))
        }
        "get_chat_summarization" => answer!(db.get_chat_summarization(args.chat(), &key())),
        _ => return None,
    })
}

fn settings(db: &DatabaseWrapper, name: &str, args: &Args<'_>) -> Option<Value> {
    Some(match name {
        "set_setting" => done(db.set_setting(&args.text("key"), &args.text("value"))),
        "get_setting" => {
            let found = db.get_setting(&args.text("key")).unwrap();
            json!(found.or(args.opt_text("default")))
        }
        "get_settings" => {
            let mut found = db.get_settings().unwrap();
            // Left out of the recording.
            assert!(found.remove("db-migration-last-run").is_some());
            json!(found)
        }
        "set_chat_setting" => done(db.set_chat_setting(args.chat(), &args.text("key"), &args.text("value"))),
        "unset_chat_setting" => done(db.unset_chat_setting(args.chat(), &args.text("key"))),
        "clear_chat_settings" => done(db.clear_chat_settings(args.chat())),
        "get_chat_setting" => answer!(db.get_chat_setting(args.chat(), &args.text("setting"))),
        "get_chat_settings" => answer!(db.get_chat_settings(args.chat())),
        _ => return None,
    })
}

fn shared(db: &DatabaseWrapper, name: &str, args: &Args<'_>) -> Option<Value> {
    Some(match name {
        "add_delayed_task" => done(db.add_delayed_task(
            &args.text("task_id"),
            args.int("delayed_ts"),
            &args.text("function"),
            &args.text("kwargs"),
        )),
        "update_delayed_task" => done(db.update_delayed_task(&args.text("id"), args.truth("is_done"))),
        "get_pending_delayed_tasks" => answer!(db.get_pending_delayed_tasks()),
        _ => return None,
    })
}

fn spam(db: &DatabaseWrapper, name: &str, args: &Args<'_>) -> Option<Value> {
    let example = || NewSpam {
        user_id: args.user(),
        message_id: args.message("message_id"),
        text: args.text("text"),
        reason: SpamReason::from(args.text("reason").as_str()),
        score: args.get("score").and_then(Value::as_f64).expect("a score"),
    };
    Some(match name {
        "add_spam_message" => done(db.add_spam_message(args.chat(), &example())),
        "add_ham_message" => done(db.add_ham_message(args.chat(), &example())),
        "get_spam_messages_by_text" => {
            answer!(db.get_spam_messages_by_text(&args.text("text")).map(database::Gathered::into_rows))
        }
        "get_spam_messages" => answer!(db.get_spam_messages(args.limit()).map(database::Gathered::into_rows)),
        "get_spam_messages_by_user_id" => answer!(db.get_spam_messages_by_user_id(args.chat(), args.user())),
        "delete_spam_messages_by_user_id" => done(db.delete_spam_messages_by_user_id(args.chat(), args.user())),
        _ => return None,
    })
}

fn caches(db: &DatabaseWrapper, name: &str, args: &Args<'_>) -> Option<Value> {
    let cache = || {
        let word = args.text("cache_type");
        CacheType::ALL.into_iter().find(|cache| cache.as_str() == word).expect("a known cache")
    };
    Some(match name {
        "set_cache_storage" => {
            done(db.set_cache_storage(&args.text("namespace"), &args.text("key"), &args.text("value")))
        }
        "unset_cache_storage" => done(db.unset_cache_storage(&args.text("namespace"), &args.text("key"))),
        "get_cache_storage" => answer!(db.get_cache_storage()),
        "set_cache_entry" => done(db.set_cache_entry(cache(), &args.text("key"), &args.text("data"))),
        "get_cache_entry" => answer!(db.get_cache_entry(cache(), &args.text("key"), args.opt_int("ttl"))),
        "clear_cache" => {
            db.clear_cache(cache()).unwrap();
            Value::Null
        }
        _ => return None,
    })
}

/// Earlier releases answered true, or false for a key that was there.
fn done(result: Result<(), Error>) -> Value {
    match result {
        Ok(()) => Value::Bool(true),
        Err(error) if error.is_duplicate() => Value::Bool(false),
        Err(error) => panic!("{error}"),
    }
}

/// Messages with their media's fields beside their own, as earlier releases gave them.
fn flat(result: Result<Vec<database::ChatMessage>, Error>) -> Value {
    const FIELDS: [&str; 12] = [
        "created_at",
        "description",
        "file_id",
        "file_size",
        "file_unique_id",
        "local_url",
        "media_type",
        "metadata",
        "mime_type",
        "prompt",
        "status",
        "updated_at",
    ];
    let flatten = |message| {
        let Value::Object(mut message) = serde_json::to_value(message).unwrap() else { unreachable!() };
        let media = message.remove("media").unwrap();
        for field in FIELDS {
            message.insert(format!("media_{field}"), media.get(field).cloned().unwrap_or_default());
        }
        Value::Object(message)
    };
    result.unwrap().into_iter().map(flatten).collect()
}
