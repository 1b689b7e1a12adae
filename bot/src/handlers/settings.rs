//! `/settings`, `/set` and `/unset`: how the bot behaves in this chat.

use database::Result;

use super::{Call, Command, Who};

pub(super) const SETTINGS: Command = Command {
    name: "settings",
    arguments: "",
    summary: "how I behave in this chat, and what can be set",
    who: Who::Everybody,
    run: show,
};

pub(super) const SET: Command = Command {
    name: "set",
    arguments: "SETTING VALUE",
    summary: "change how I behave in this chat",
    who: Who::Everybody,
    run: set,
};

pub(super) const UNSET: Command = Command {
    name: "unset",
    arguments: "SETTING",
    summary: "go back to how I behave by myself",
    who: Who::Everybody,
    run: unset,
};

/// Whether new messages are scored and flagged.
pub(super) const DETECT_SPAM: &str = "detect-spam";
/// From which score on.
pub(super) const SPAM_THRESHOLD: &str = "spam-threshold";
/// The threshold where none is set.
pub(super) const DEFAULT_THRESHOLD: f64 = 90.0;

/// A setting that the bot heeds.
struct Known {
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    means: &'static str,
    accepts: fn(&str) -> bool,
}

const KNOWN: [Known; 2] = [
    Known {
        name: DETECT_SPAM,
        default: "false",
        allowed: "true or false",
        means: "flag new messages that look like spam",
        accepts: |value| matches!(value, "true" | "false"),
    },
    Known {
        name: SPAM_THRESHOLD,
        default: "90",
        allowed: "a number from 0 to 100",
        means: "from which score on a message is flagged",
        accepts: |value| value.parse::<f64>().is_ok_and(|number| (0.0..=100.0).contains(&number)),
    },
];

fn show(call: &Call<'_>) -> Result<String> {
    let mut set = call.db.get_chat_settings(call.incoming.chat)?;
    let mut lines: Vec<_> = KNOWN
        .iter()
        .map(|known| {
            let value = set.remove(known.name).unwrap_or_else(|| format!("{} (not set)", known.default));
            format!("{} = {value}: {}", known.name, known.means)
        })
        .collect();
    // Left by an earlier release, perhaps.
    lines.extend(set.iter().map(|(name, value)| format!("{name} = {value}: not heeded by me")));
    Ok(lines.join("\n"))
}

fn set(call: &Call<'_>) -> Result<String> {
    let (name, value) = call.word_and_rest();
    let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
        return Ok(format!("{} (there are {})", SET.usage(), names()));
    };
    if !(known.accepts)(value) {
        return Ok(format!("{name} must be {}.", known.allowed));
    }
    call.db.set_chat_setting(call.incoming.chat, name, value)?;
    Ok(format!("{name} is now {value}."))
}

fn unset(call: &Call<'_>) -> Result<String> {
    let name = call.arguments;
    let chat = call.incoming.chat;
    if name.is_empty() {
        return Ok(UNSET.usage());
    }
    if call.db.get_chat_setting(chat, name)?.is_none() {
        return Ok(format!("{name} is not set here. /settings lists what is."));
    }
    call.db.unset_chat_setting(chat, name)?;
    Ok(format!("{name} is no longer set."))
}

fn names() -> String {
    KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}
