//! `/history`: what was said last.

use database::{MessageFilter, Result};

use super::{CONVERSATION, Call, Command, Who, people};

pub(super) const HISTORY: Command = Command {
    name: "history",
    arguments: "[MESSAGES]",
    summary: "what was said here last, oldest first",
    who: Who::Everybody,
    run,
};

fn run(call: &Call<'_>) -> Result<String> {
    let most = match call.number(&HISTORY, 20, 200) {
        Ok(most) => most,
        Err(usage) => return Ok(usage),
    };
    let filter =
        MessageFilter { limit: Some(most), categories: Some(CONVERSATION.to_vec()), ..MessageFilter::default() };
    let messages = call.db.get_chat_messages_since(call.incoming.chat, &filter)?;
    if messages.is_empty() {
        return Ok("Nothing was said here yet.".to_owned());
    }
    Ok(messages.iter().rev().map(people::message).collect::<Vec<_>>().join("\n"))
}
