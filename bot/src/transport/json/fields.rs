//! A line's keys and values, taken one by one, with errors that name the key and what would be right.
//!
//! Values are kept as they were written until they are asked for: a value that is only handed back is handed back
//! unchanged, and takes no more memory than its text. What an error shows of a value is its kind, or the number: never
//! text, which may be what somebody said.

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What is written where a line is no object.
const OBJECT_WANTED: &str = r#"not a JSON object, like {"chat":1,"user":2,"text":"hello"}"#;
/// How much like a key something has to be to be taken for a slip of the pen, from 0 to 1.
const ALIKE: f64 = 0.8;
/// How much of a number is shown.
const SHOWN_DIGITS: usize = 40;

/// The keys of an object with their values.
pub(super) struct Fields<'a> {
    /// What stands before the key's name in errors: empty, or `media.`
    within: &'static str,
    pairs: Vec<(String, &'a RawValue)>,
}

/// What a value can be taken as.
pub(super) trait FromJson: Sized {
    /// What is right, as in "must be an integer".
    const WANTED: &'static str;

    /// The value; `None` where it is something else.
    fn from_json(json: &str) -> Option<Self>;
}

impl FromJson for i64 {
    const WANTED: &'static str = "an integer of at most 64 bits";

    fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

impl FromJson for String {
    const WANTED: &'static str = "text";

    fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

impl<'a> Fields<'a> {
    /// Reads an object. Where it is broken, also answers why; what stood before the break is there all the same.
    pub(super) fn read(text: &'a str, within: &'static str) -> (Self, Result<(), String>) {
        let mut fields = Self { within, pairs: Vec::new() };
        if !text.trim_start().starts_with('{') {
            return (fields, Err(OBJECT_WANTED.to_owned()));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let read = Collect(&mut fields.pairs).deserialize(&mut json).and_then(|()| json.end());
        (fields, read.map_err(|error| not_json(&error)))
    }

    /// That every key is one of these, and given once.
    pub(super) fn check_keys(&self, known: &[&str]) -> Result<(), String> {
        for (index, (key, _)) in self.pairs.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                return Err(self.unknown(key, known));
            }
            if self.pairs[..index].iter().any(|(earlier, _)| earlier == key) {
                return Err(format!("\"{}{key}\" is given twice", self.within));
            }
        }
        Ok(())
    }

    /// A value as it was written, `null` too.
    pub(super) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// A key's value; `None` where the key is absent or `null`.
    pub(super) fn optional<T: FromJson>(&self, key: &str) -> Result<Option<T>, String> {
        let Some(value) = self.raw(key).map(RawValue::get).filter(|value| *value != "null") else { return Ok(None) };
        T::from_json(value).map(Some).ok_or_else(|| self.wrong(key, T::WANTED, &kind_of(value)))
    }

    /// A key's value, which has to be there: `what` says what it is.
    pub(super) fn required<T: FromJson>(&self, key: &str, what: &str) -> Result<T, String> {
        self.optional(key)?.ok_or_else(|| self.missing(key, what))
    }

    /// That the key has to be something else than it is.
    pub(super) fn wrong(&self, key: &str, wanted: &str, is: &str) -> String {
        format!("\"{}{key}\" must be {wanted}, not {is}", self.within)
    }

    /// That the key is missing.
    pub(super) fn missing(&self, key: &str, what: &str) -> String {
        format!("\"{}{key}\" is missing: {what}", self.within)
    }

    fn unknown(&self, key: &str, known: &[&str]) -> String {
        let within = self.within;
        let name = quoted(&format!("{within}{key}"));
        let likeness = |other: &str| strsim::jaro_winkler(&key.to_lowercase(), other);
        let nearest = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
        match nearest.filter(|nearest| likeness(nearest) > ALIKE) {
            Some(nearest) => format!("unknown key {name}; did you mean \"{within}{nearest}\"?"),
            None => format!("unknown key {name}"),
        }
    }

    /// The name of one of these words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, String> {
        let Some(word) = self.optional::<String>(key)? else { return Ok(None) };
        words.iter().find(|(name, _)| *name == word).map(|(_, value)| Some(*value)).ok_or_else(|| {
            let names: Vec<_> = words.iter().map(|(name, _)| quoted(name)).collect();
            self.wrong(key, &format!("one of {}", names.join(", ")), &quoted(&word))
        })
    }
}

/// What a value is, in words that give no text away.
pub(super) fn kind_of(json: &str) -> String {
    match json.as_bytes().first() {
        // Text that could not be taken as text.
        Some(b'"') if String::from_json(json).is_none() => "text with half a surrogate pair".to_owned(),
        Some(b'"') => "text".to_owned(),
        Some(b'{') => "an object".to_owned(),
        Some(b'[') => "a list".to_owned(),
        _ => json.chars().take(SHOWN_DIGITS).collect(),
    }
}

/// A word in quotation marks, shortened and with nothing in it that a terminal would obey.
pub(super) fn quoted(word: &str) -> String {
    let short: String = word.chars().take(SHOWN_DIGITS).collect();
    format!("\"{}\"", short.escape_debug())
}

/// The parser's complaint without the line, which is always the first.
fn not_json(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    format!("not JSON: {words} (at byte {})", error.column())
}

/// Puts the pairs of an object where they stay even if a later one is broken.
struct Collect<'p, 'a>(&'p mut Vec<(String, &'a RawValue)>);

impl<'a> DeserializeSeed<'a> for Collect<'_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Collect<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key()? {
            self.0.push((key, map.next_value()?));
        }
        Ok(())
    }
}
