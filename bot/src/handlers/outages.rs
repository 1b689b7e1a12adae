//! Telling the owners of a database that cannot be used: each of those whose id is known once an outage, in the chat
//! that they alone have with the bot. The id of one who is configured by a user name is known once they have written.

use std::collections::BTreeMap;
use std::time::Duration;

use config::Owner;
use database::{ChatId, TopicId, UserId};

use super::bot::Bot;
use crate::control::Outage;
use crate::message::{Due, Incoming};

/// How the tasks are called that this room looks after.
const PREFIX: &str = "outage:";
/// How long a database cannot be used before anybody is told: what is over at once is no news.
const LASTS: Duration = Duration::from_secs(5);
/// A database that is well for less than so many seconds has had one outage.
const ONE_OUTAGE: i64 = 600;

/// The owners who are configured by a name and have written, by that name in small letters.
pub(super) type Met = BTreeMap<String, UserId>;

/// Who was told of which database, with the last moment (in seconds of Unix time) when it could not be used.
pub(super) type Told = BTreeMap<String, i64>;

/// What the owners are to be told now; in one chat, or in all.
pub(super) fn due(bot: &Bot, chat: Option<ChatId>) -> Vec<Due> {
    let outages = bot.operator.outages();
    let now = bot.clock.now().unix_seconds();
    let mut told = bot.told.lock();
    told.retain(|_, seen| now - *seen < ONE_OUTAGE);
    let mut due = Vec::new();
    for outage in outages.iter().filter(|outage| outage.lasted >= LASTS) {
        for owner in bot.owners.iter().filter_map(|owner| id(bot, owner)) {
            let task = task(outage, owner);
            let private = ChatId(owner.0);
            if let Some(seen) = told.get_mut(&task) {
                *seen = now;
            } else if chat.is_none_or(|chat| chat == private) {
                due.push(Due { task, chat: private, thread: TopicId(0), text: text(outage) });
            }
        }
    }
    due
}

/// Takes note that an owner was told; `false` where it was something else that was said.
pub(super) fn said(bot: &Bot, due: &Due) -> bool {
    let is_ours = due.task.starts_with(PREFIX);
    if is_ours {
        bot.told.lock().insert(due.task.clone(), bot.clock.now().unix_seconds());
    }
    is_ours
}

fn task(outage: &Outage, owner: UserId) -> String {
    format!("{PREFIX}{}:{owner}", outage.source)
}

/// The id of an owner, where it is known: one who is configured by a name alone is known once they have written.
fn id(bot: &Bot, owner: &Owner) -> Option<UserId> {
    match owner {
        Owner::Id(id) => Some(*id),
        Owner::Name(name) => bot.met.lock().get(&name.to_lowercase()).copied(),
    }
}

/// Takes note of who writes under a name that an owner is configured by. Whoever writes under another name by now has
/// that one no more.
pub(super) fn meet(bot: &Bot, incoming: &Incoming) {
    let Some(own) = incoming.username.as_deref().map(str::to_lowercase) else { return };
    let mut met = bot.met.lock();
    met.retain(|name, id| *id != incoming.user || *name == own);
    let is_owners = |owner: &Owner| matches!(owner, Owner::Name(name) if name.to_lowercase() == own);
    if bot.owners.iter().any(is_owners) {
        met.insert(own, incoming.user);
    }
}

fn text(outage: &Outage) -> String {
    let Outage { source, reason, served_by, .. } = outage;
    let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let meanwhile = match served_by {
        Some(by) => format!("Its chats are served by {by}, and what is written comes home by itself."),
        None => "What is asked of it fails until it is back.".to_owned(),
    };
    format!("The database {source} cannot be used{reason}. {meanwhile} /status tells how it is.")
}
