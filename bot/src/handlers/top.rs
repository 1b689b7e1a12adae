//! `/top`: who says most, with a bar for each person.

use database::Result;

use super::{Call, Command, Who, people};
use crate::text::chart::bar_chart;

pub(super) const TOP: Command =
    Command { name: "top", arguments: "[PEOPLE]", summary: "who says most here", who: Who::Everybody, run };

fn run(call: &Call<'_>) -> Result<String> {
    let most = match call.number(&TOP, 10, 100) {
        Ok(most) => most,
        Err(usage) => return Ok(usage),
    };
    let mut people = call.db.get_top_people(call.incoming.chat, most + 1)?;
    people.retain(|person| person.user_id != call.bot);
    people.truncate(most as usize);
    if people.is_empty() {
        return Ok("Nobody said anything here yet.".to_owned());
    }
    let rows: Vec<_> = people
        .iter()
        .map(|person| {
            let full_name = person.full_name.as_deref().unwrap_or_default();
            let name = people::name(full_name, person.username.as_deref().unwrap_or_default(), person.user_id);
            (name, person.messages.unsigned_abs())
        })
        .collect();
    Ok(bar_chart(&rows, call.incoming.columns).join("\n"))
}
