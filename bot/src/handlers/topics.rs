//! `/topics`: the topics of a forum chat.

use std::collections::HashMap;

use database::{Result, TopicId};

use super::{Call, Command, Who};
use crate::text::chart::counted;
use crate::text::sanitize::sanitize_line;

pub(super) const TOPICS: Command = Command {
    name: "topics",
    arguments: "",
    summary: "the topics of this chat, with how much was said in each",
    who: Who::Everybody,
    run,
};

fn run(call: &Call<'_>) -> Result<String> {
    let chat = call.incoming.chat;
    let topics = call.db.get_chat_topics(chat)?;
    if topics.is_empty() {
        return Ok("This chat has no topics.".to_owned());
    }
    let mut said: HashMap<TopicId, i64> =
        call.db.get_topic_activity(chat)?.into_iter().map(|topic| (topic.topic_id, topic.messages)).collect();
    let messages = |count: i64| counted(count.unsigned_abs(), "message", "messages");
    let mut lines = Vec::new();
    for topic in topics {
        let count = said.remove(&topic.topic_id).unwrap_or_default();
        let name = topic.name.unwrap_or_else(|| format!("topic {}", topic.topic_id));
        lines.push(format!("{}: {}", sanitize_line(&name), messages(count)));
    }
    let elsewhere: i64 = said.values().sum();
    if elsewhere > 0 {
        lines.push(format!("(in no topic): {}", messages(elsewhere)));
    }
    Ok(lines.join("\n"))
}
