//! `/spam` and `/ham`: teaching this chat's spam filter, which scores new messages where the chat's settings ask for it.
//!
//! The filter is naive Bayes over the words of a message (each counted once), with one added to every count; see
//! I. Androutsopoulos and others, "An evaluation of naive Bayesian anti-spam filtering" (2000). What a chat teaches is
//! its own: it is kept in the chat's source and used in this chat alone.

use std::collections::BTreeSet;

use database::{
    ChatId, ChatMessage, ClassDelta, DatabaseWrapper, ErrorKind, Lesson, MessageCategory, MessageId, NewSpam, Opposite,
    Result, SpamReason, TokenDelta, Unlearnt, UserId,
};
use unicode_segmentation::UnicodeSegmentation;

use super::settings::{DEFAULT_THRESHOLD, DETECT_SPAM, SPAM_THRESHOLD};
use super::{Call, Command, Who};
use crate::message::Incoming;

pub(super) const SPAM: Command = Command {
    name: "spam",
    arguments: "[TEXT]",
    summary: "teach me that the message you answer, or this text, is spam",
    who: Who::Everybody,
    run: |call| learn(call, &SPAM, true),
};

pub(super) const HAM: Command = Command {
    name: "ham",
    arguments: "[TEXT]",
    summary: "teach me that the message you answer, or this text, is no spam",
    who: Who::Everybody,
    run: |call| learn(call, &HAM, false),
};

/// Words of other lengths tell nothing.
const WORD_LENGTHS: std::ops::RangeInclusive<usize> = 2..=40;
/// So many words of a message are looked at.
const MOST_WORDS: usize = 500;

/// What is learnt from.
struct Example {
    user: UserId,
    message: MessageId,
    text: String,
    /// The chat that the message stands in, where it is not the text of a command.
    stands_in: Option<ChatId>,
}

fn learn(call: &Call<'_>, command: &Command, is_spam: bool) -> Result<String> {
    // What was taught of the message before, and would have to be taken back, is to be seen at home alone. Its source may
    // go away at any step.
    match learn_at_home(call, &call.db.at_home(), command, is_spam) {
        Err(error) if matches!(error.kind(), ErrorKind::Displaced) => {
            Ok("I cannot learn now, since this chat's database is away. Tell me again when it is back.".to_owned())
        }
        answer => answer,
    }
}

fn learn_at_home(call: &Call<'_>, db: &DatabaseWrapper, command: &Command, is_spam: bool) -> Result<String> {
    let chat = call.incoming.chat;
    let example = match (&call.incoming.reply_to, call.arguments) {
        (Some(answered), "") => match meant(db, chat, answered)? {
            None => return Ok("I do not have the message that you answer.".to_owned()),
            // Its category tells that it has to go when the person goes whom it answers.
            Some(found) if found.user_id == call.bot => {
                return Ok("I do not learn from what I said myself.".to_owned());
            }
            Some(found) => Example {
                user: found.user_id,
                message: found.message_id,
                text: found.message_text,
                stands_in: Some(found.chat_id),
            },
        },
        (None, "") => {
            return Ok(format!("{} (answer the message that you mean, or write its text)", command.usage()));
        }
        (_, text) => Example {
            user: call.incoming.user,
            message: call.incoming.message_id.clone(),
            text: text.to_owned(),
            stands_in: None,
        },
    };
    let words = words(&example.text);
    if words.is_empty() {
        return Ok("There are no words in it to learn from.".to_owned());
    }
    let reason = if call.rank == Who::Owners { SpamReason::Admin } else { SpamReason::User };
    let score = score(db, chat, &words)?.unwrap_or_default();
    let Example { user, message, text, stands_in } = example;
    let opposite = opposite(db, chat, (user, &message, &text), is_spam)?;
    let category = if is_spam { MessageCategory::UserSpam } else { MessageCategory::User };
    let lesson = Lesson {
        is_spam,
        example: NewSpam { user_id: user, message_id: message, text, reason, score },
        tokens: words.into_iter().collect(),
        category: stands_in.map(|chat| (chat, category)),
        opposite,
    };
    match db.learn_example(chat, &lesson) {
        Err(error) if error.is_duplicate() => return Ok("I learnt that already.".to_owned()),
        other => other?,
    }
    Ok(format!("I learnt that this is {}.", if is_spam { "spam" } else { "no spam" }))
}

/// The lesson that this one takes back: what was learnt from the message then, which may have been changed since.
fn opposite(
    db: &DatabaseWrapper,
    chat: ChatId,
    (user, message, text): (UserId, &MessageId, &str),
    is_spam: bool,
) -> Result<Opposite> {
    let taught = db.get_examples_of_user(chat, user)?;
    let found = taught.into_iter().find(|example| example.is_spam != is_spam && example.message_id == *message);
    let (chat_id, text) = found.map_or_else(|| (chat, text.to_owned()), |found| (found.chat_id, found.text));
    let tokens = words(&text).into_iter().collect();
    Ok(Opposite { chat_id, text, tokens })
}

/// The message that is meant by answering one: it, or the one that it warns of.
fn meant(db: &DatabaseWrapper, chat: ChatId, answered: &MessageId) -> Result<Option<ChatMessage>> {
    let found = db.get_chat_message_by_message_id(chat, answered)?;
    match found {
        Some(ChatMessage {
            message_category: MessageCategory::BotSpamNotification, reply_id: Some(flagged), ..
        }) => db.get_chat_message_by_message_id(chat, &flagged),
        found => Ok(found),
    }
}

/// What an example takes away from the counts of a model when it is unlearnt.
fn taken_away(words: &BTreeSet<String>, is_spam: bool) -> (Vec<TokenDelta>, ClassDelta) {
    let (spam, ham) = if is_spam { (-1, 0) } else { (0, -1) };
    let tokens = words.iter().map(|word| TokenDelta { token: word.clone(), spam, ham }).collect();
    (tokens, ClassDelta { is_spam, messages: -1, tokens: -i64::try_from(words.len()).unwrap_or(i64::MAX) })
}

/// Unlearns what a person's messages taught a chat, and drops them as examples: the words of a model are theirs too.
pub(super) fn unlearn(db: &DatabaseWrapper, chat: ChatId, user: UserId) -> Result<()> {
    let mut taught = Vec::new();
    for example in db.get_examples_of_user(chat, user)? {
        let words = words(&example.text);
        // What the chat was taught before it became a supergroup it took over.
        let models = if example.chat_id == chat { vec![chat] } else { vec![chat, example.chat_id] };
        for model in models {
            let (tokens, class) = taken_away(&words, example.is_spam);
            taught.push(Unlearnt { chat: model, tokens, class });
        }
    }
    db.forget_examples_of_user(chat, user, &taught)
}

/// Scores a message where the chat asks for it; answers what to say where the score is high. Changes nothing. While the
/// chat's database is away nobody is judged: what the chat taught and set is not there.
pub(super) fn check(db: &DatabaseWrapper, incoming: &Incoming) -> Result<Option<String>> {
    match check_at_home(&db.at_home(), incoming) {
        Err(error) if matches!(error.kind(), ErrorKind::Displaced) => Ok(None),
        found => found,
    }
}

fn check_at_home(db: &DatabaseWrapper, incoming: &Incoming) -> Result<Option<String>> {
    let chat = incoming.chat;
    if db.get_chat_setting(chat, DETECT_SPAM)?.as_deref() != Some("true") {
        return Ok(None);
    }
    let threshold = db.get_chat_setting(chat, SPAM_THRESHOLD)?.and_then(|text| text.parse().ok());
    let Some(score) = score(db, chat, &words(&incoming.text))? else { return Ok(None) };
    let warning = || format!("This looks like spam (score {score:.0} of 100). If it is not, answer it with /ham.");
    Ok((score >= threshold.unwrap_or(DEFAULT_THRESHOLD)).then(warning))
}

/// Whether somebody said of a message what it is: then it is not judged again.
pub(super) fn was_taught(db: &DatabaseWrapper, incoming: &Incoming) -> Result<bool> {
    let examples = db.get_examples_of_user(incoming.chat, incoming.user)?;
    Ok(examples.iter().any(|example| example.chat_id == incoming.chat && example.message_id == incoming.message_id))
}

/// How much the words look like spam, 0 to 100; `None` until the chat has taught both kinds, or where it knows none of
/// the words. Before anything is known of a message, spam is as likely as its opposite: how often a chat taught each
/// tells how eager its people are, not how much spam there is.
fn score(db: &DatabaseWrapper, chat: ChatId, words: &BTreeSet<String>) -> Result<Option<f64>> {
    let classes = db.get_bayes_classes(Some(chat))?;
    let messages = |is_spam| {
        let count = classes.iter().find(|class| class.is_spam == is_spam).map_or(0, |class| class.message_count);
        count.max(0) as f64
    };
    let (spam, ham) = (messages(true), messages(false));
    if spam < 1.0 || ham < 1.0 || words.is_empty() {
        return Ok(None);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let known = db.get_bayes_tokens(Some(chat), &words)?;
    if known.is_empty() {
        return Ok(None);
    }
    let odds: f64 = known
        .iter()
        .map(|token| {
            let in_spam = (token.spam_count.max(0) as f64 + 1.0) / (spam + 2.0);
            let in_ham = (token.ham_count.max(0) as f64 + 1.0) / (ham + 2.0);
            (in_spam / in_ham).ln()
        })
        .sum();
    Ok(Some(100.0 / (1.0 + (-odds).exp())))
}

/// The different words of a text, in one case.
fn words(text: &str) -> BTreeSet<String> {
    text.unicode_words()
        .filter(|word| WORD_LENGTHS.contains(&word.chars().count()))
        .take(MOST_WORDS)
        .map(str::to_lowercase)
        .collect()
}
