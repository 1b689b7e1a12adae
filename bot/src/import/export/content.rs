//! A message's text, and a short text for content that is neither text nor a file: polls, places, contacts and the like.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::fields::{Fields, integer, text_of};

/// The plain text of a message. A poll is always told, other content only where there is no text.
pub(crate) fn text(fields: &mut Fields, has_media: bool) -> String {
    let text = fields.take_text("text").unwrap_or_default();
    if let Some(poll) = object(fields, "poll") {
        return join("\n", [text, poll_text(poll)]);
    }
    if text.is_empty() && !has_media { described(fields).unwrap_or_default() } else { text }
}

fn described(fields: &Fields) -> Option<String> {
    let own = |key: &str| fields.get(key).cloned().map(text_of).unwrap_or_default();
    if let Some(contact) = object(fields, "contact_information") {
        let name = join(" ", [part(contact, "first_name"), part(contact, "last_name")]);
        return Some(label("Contact", [name, part(contact, "phone_number")]));
    }
    let place = object(fields, "location_information").map(|point| {
        let number = |key: &str| point.get(key).cloned().map(text_of).unwrap_or_default();
        join(", ", [number("latitude"), number("longitude")])
    });
    if fields.has("place_name") {
        return Some(label("Place", [own("place_name"), own("address"), place.unwrap_or_default()]));
    }
    if fields.has("location_information") {
        let kind = if fields.has("live_location_period_seconds") { "Live location" } else { "Location" };
        return Some(label(kind, [place.unwrap_or_default()]));
    }
    if fields.has("game_title") {
        return Some(label("Game", [own("game_title"), own("game_description")]));
    }
    if let Some(invoice) = object(fields, "invoice_information") {
        return Some(label("Invoice", [part(invoice, "title"), part(invoice, "description")]));
    }
    if let Some(giveaway) = object(fields, "giveaway_information") {
        let prizes = format!("{} prizes", number(giveaway, "quantity"));
        return Some(label("Giveaway", [prizes, part(giveaway, "additional_prize")]));
    }
    if let Some(results) = object(fields, "giveaway_results") {
        let winners = format!("{} winners", number(results, "winners_count"));
        return Some(label("Giveaway results", [winners, part(results, "additional_prize")]));
    }
    if let Some(list) = object(fields, "todo_list") {
        let mut text = label("To do", [part(list, "title")]);
        for item in items(list) {
            text.push_str("\n- ");
            text.push_str(&part(item, "text"));
        }
        return Some(text);
    }
    if let Some(dice) = object(fields, "dice") {
        return Some(label("Dice", [join(" ", [part(dice, "emoji"), part(dice, "value")])]));
    }
    if let Some(stars) = fields.integer("paid_stars_amount") {
        return Some(label("Paid media", [format!("{stars} stars")]));
    }
    fields.has("self_destruct_period_seconds").then(|| "Self-destructing media".to_owned())
}

fn poll_text(poll: &Map<String, Value>) -> String {
    let mut text = label("Poll", [part(poll, "question")]);
    for answer in items(poll) {
        let votes = number(answer, "voters");
        let _ = write!(text, "\n- {}: {votes} {}", part(answer, "text"), if votes == 1 { "vote" } else { "votes" });
    }
    text
}

fn object<'a>(fields: &'a Fields, key: &str) -> Option<&'a Map<String, Value>> {
    fields.get(key).and_then(Value::as_object)
}

fn items(of: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    of.get("answers").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn part(of: &Map<String, Value>, key: &str) -> String {
    of.get(key).cloned().map(text_of).unwrap_or_default()
}

fn number(of: &Map<String, Value>, key: &str) -> i64 {
    of.get(key).and_then(integer).unwrap_or_default()
}

fn label<const N: usize>(label: &str, parts: [String; N]) -> String {
    let content = join(", ", parts);
    if content.is_empty() { label.to_owned() } else { format!("{label}: {content}") }
}

fn join<const N: usize>(separator: &str, parts: [String; N]) -> String {
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(separator)
}
