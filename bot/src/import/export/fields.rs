//! One record's known keys with their values, whatever these are; everything else is passed over unread.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The keys that are kept. A key that is not here costs no memory, and its strings need not even be valid.
const KNOWN: &[&str] = &[
    "action",
    "actor",
    "actor_id",
    "address",
    "author",
    "contact_information",
    "date",
    "date_unixtime",
    "dice",
    "duration_seconds",
    "edited",
    "edited_unixtime",
    "file",
    "file_name",
    "file_size",
    "forwarded_from",
    "forwarded_from_id",
    "from",
    "from_id",
    "game_description",
    "game_title",
    "giveaway_information",
    "giveaway_results",
    "height",
    "id",
    "invoice_information",
    "live_location_period_seconds",
    "location_information",
    "media_type",
    "members",
    "message_id",
    "mime_type",
    "new_icon_emoji_id",
    "new_title",
    "paid_stars_amount",
    "performer",
    "photo",
    "photo_file_size",
    "place_name",
    "poll",
    "reply_to_message_id",
    "reply_to_peer_id",
    "self_destruct_period_seconds",
    "sticker_emoji",
    "text",
    "title",
    "todo_list",
    "type",
    "via_bot",
    "width",
];

/// The known keys of one record, each once.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// The value; `None` where it is missing or `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// Whether the key is there, `null` or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == key)
    }

    /// The value's plain text, taken out; `None` where it is missing or empty.
    pub(crate) fn take_text(&mut self, key: &str) -> Option<String> {
        let slot = self.0.iter_mut().find(|(known, _)| *known == key)?;
        Some(text_of(slot.1.take())).filter(|text| !text.is_empty())
    }

    /// The value as a whole number, written as one or as text.
    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        self.get(key).and_then(integer)
    }

    /// The value as a size or length.
    pub(crate) fn size<N: TryFrom<i64>>(&self, key: &str) -> Option<N> {
        self.integer(key).and_then(|number| number.try_into().ok())
    }

    /// A repeated key is no error: what is not empty wins, and of two the later one.
    fn put(&mut self, key: &'static str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            None => self.0.push((key, value)),
            Some(slot) if !is_empty(&value) => slot.1 = value,
            Some(_) => {}
        }
    }
}

/// A whole number, written as one or as text.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Plain text: of a string itself, of an array its parts, of an object its `text`, of a number its digits.
pub(crate) fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(parts) => parts.into_iter().map(text_of).collect(),
        Value::Object(mut part) => part.remove("text").map(text_of).unwrap_or_default(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) => String::new(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(parts) => parts.iter().all(is_empty),
        _ => false,
    }
}

/// Reads one element of `messages`: its fields, or `None` for one that is no object.
pub(crate) struct FieldsSeed;

impl<'de> DeserializeSeed<'de> for FieldsSeed {
    type Value = Option<Fields>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed {
    type Value = Option<Fields>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields(Vec::with_capacity(12));
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Some(key) => fields.put(key, map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(KNOWN.binary_search(&key).ok().map(|at| KNOWN[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Fields {
        FieldsSeed.deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap().unwrap()
    }

    #[test]
    fn the_known_keys_are_sorted_for_the_search() {
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn of_a_key_written_twice_the_one_with_content_wins() {
        assert_eq!(read(r#"{"text": "gift", "text": ""}"#).take_text("text").as_deref(), Some("gift"));
        assert_eq!(read(r#"{"text": "", "text": "gift"}"#).take_text("text").as_deref(), Some("gift"));
        assert_eq!(read(r#"{"text": "gift", "text": [""]}"#).take_text("text").as_deref(), Some("gift"));
    }

    #[test]
    fn text_is_flattened_in_order() {
        let mut fields = read(r#"{"text": ["see ", {"type": "link", "text": "a.b"}, {"type": "x"}, " now", 5, null]}"#);
        assert_eq!(fields.take_text("text").as_deref(), Some("see a.b now5"));
    }

    #[test]
    fn numbers_may_be_text() {
        let fields =
            read(r#"{"id": "-7", "width": 12, "height": -1, "file_size": 1e3, "message_id": 18446744073709551616}"#);
        assert_eq!((fields.integer("id"), fields.size("width")), (Some(-7), Some(12_u32)));
        assert_eq!((fields.size::<u32>("height"), fields.integer("message_id")), (None, None));
    }
}
