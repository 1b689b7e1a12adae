//! `/stats`: a chat in figures, with a bar for each day.

use database::Result;

use super::{Call, Command};
use crate::text::chart::{bar_chart, counted};

pub(super) const STATS: Command =
    Command { name: "stats", arguments: "[DAYS]", summary: "how much was said here, in all and by day", run };

fn run(call: &Call<'_>) -> Result<String> {
    let days = match call.number(&STATS, 14, 366) {
        Ok(days) => days,
        Err(usage) => return Ok(usage),
    };
    let chat = call.incoming.chat;
    let totals = call.db.get_chat_totals(chat)?;
    let (Some(first), Some(last)) = (totals.first_day, totals.last_day) else {
        return Ok("Nothing was said here yet.".to_owned());
    };
    let date = |day: database::Timestamp| day.to_string()[..10].to_owned();
    let number = |count: i64, one, many| counted(count.unsigned_abs(), one, many);
    let mut lines = vec![format!(
        "{}: {} by {} on {}, {} to {} (UTC).",
        call.chat_name()?,
        number(totals.messages, "message", "messages"),
        number(totals.people, "person", "people"),
        number(totals.days, "day", "days"),
        date(first),
        date(last),
    )];
    let mut activity = call.db.get_chat_days(chat, days)?;
    activity.reverse();
    if i64::from(days) < totals.days {
        lines.push(format!("The last {days} days on which something was said:"));
    }
    let rows: Vec<_> = activity.iter().map(|day| (date(day.day), day.messages.unsigned_abs())).collect();
    lines.extend(bar_chart(&rows, call.incoming.columns));
    Ok(lines.join("\n"))
}
