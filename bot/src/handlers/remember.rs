//! `/remember`, `/recall` and `/forget`: things that a person asks to be remembered, in this chat.

use database::Result;

use super::{Call, Command, Who};

pub(super) const REMEMBER: Command = Command {
    name: "remember",
    arguments: "KEY TEXT",
    summary: "keep a text for you under a key, in this chat",
    who: Who::Everybody,
    run: remember,
};

pub(super) const RECALL: Command = Command {
    name: "recall",
    arguments: "[KEY]",
    summary: "what I was asked to remember for you",
    who: Who::Everybody,
    run: recall,
};

pub(super) const FORGET: Command = Command {
    name: "forget",
    arguments: "KEY",
    summary: "forget what stands under a key",
    who: Who::Everybody,
    run: forget,
};

/// The longest key, in characters.
const KEY_LENGTH: usize = 64;

fn remember(call: &Call<'_>) -> Result<String> {
    let (key, text) = call.word_and_rest();
    if key.is_empty() || text.is_empty() || key.chars().count() > KEY_LENGTH {
        return Ok(format!("{} (a key is one word of at most {KEY_LENGTH} characters)", REMEMBER.usage()));
    }
    call.db.add_user_data(call.incoming.chat, call.incoming.user, key, text)?;
    Ok(format!("I will remember {key}."))
}

fn recall(call: &Call<'_>) -> Result<String> {
    let kept = call.db.get_user_data(call.incoming.chat, call.incoming.user)?;
    Ok(match call.arguments {
        "" if kept.is_empty() => "I was not asked to remember anything for you here.".to_owned(),
        "" => kept.iter().map(|(key, text)| format!("{key}: {text}")).collect::<Vec<_>>().join("\n"),
        key => {
            kept.get(key).cloned().unwrap_or_else(|| format!("I know no {key} of yours. /recall lists what I know."))
        }
    })
}

fn forget(call: &Call<'_>) -> Result<String> {
    let key = call.arguments;
    if key.is_empty() {
        return Ok(FORGET.usage());
    }
    let (chat, user) = (call.incoming.chat, call.incoming.user);
    // While the chat's database is away it may be known there all the same.
    if !call.db.is_displaced(chat) && !call.db.get_user_data(chat, user)?.contains_key(key) {
        return Ok(format!("I know no {key} of yours. /recall lists what I know."));
    }
    call.db.delete_user_data(chat, user, key)?;
    Ok(format!("I forgot {key}."))
}
