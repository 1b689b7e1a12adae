//! The outline of an export: it is walked from the first to the last byte, and no more than one record is ever held.

use std::fmt;
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::chat::{ChatHeader, HeaderKeys, SkippedChat};
use super::error::Place;
use super::fields::FieldsSeed;
use super::position::Position;
use super::reader::{Sink, Summary};
use super::record::Record;

/// Why the walk stopped, where it was not the parser who stopped it.
pub(crate) enum Stop<E> {
    /// The sink's error.
    Sink(E),
    /// What is found is JSON, but not what an export has there.
    Shape(&'static str, Place),
}

/// The state of a walk.
pub(crate) struct Walk<'a, S: Sink> {
    pub(crate) sink: &'a mut S,
    pub(crate) position: Rc<Position>,
    pub(crate) summary: Summary,
    /// Filled before a walk fails with an error of its own: serde's can only carry text.
    pub(crate) stop: Option<Stop<S::Error>>,
    /// Something of the document made sense.
    pub(crate) entered: bool,
}

impl<S: Sink> Walk<'_, S> {
    fn sent<T, E: Error>(&mut self, answer: Result<T, S::Error>) -> Result<T, E> {
        answer.map_err(|error| {
            self.stop = Some(Stop::Sink(error));
            E::custom("stopped by the sink")
        })
    }

    fn shape<E: Error>(&mut self, found: &'static str) -> E {
        self.stop = Some(Stop::Shape(found, self.position.place()));
        E::custom(found)
    }
}

/// The whole document, or one chat of a list: the same, but that a document may have lists of chats.
pub(crate) struct Object<'w, 'a, S: Sink> {
    pub(crate) walk: &'w mut Walk<'a, S>,
    pub(crate) root: bool,
    pub(crate) left: bool,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Object<'_, '_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Object<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chat or an export")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { walk, root, left } = self;
        let mut keys = HeaderKeys::default();
        let (mut had_messages, mut had_lists, mut had_about) = (false, false, false);
        while let Some(key) = map.next_key_seed(KeySeed)? {
            walk.entered = true;
            match key {
                Key::Name => keys.name = Some(map.next_value()?),
                Key::Type => keys.kind = Some(map.next_value()?),
                Key::Id => keys.id = Some(map.next_value()?),
                Key::Messages if had_messages => return Err(walk.shape("a chat with `messages` twice")),
                Key::Messages if !keys.complete() => {
                    return Err(walk.shape("a chat whose `messages` stand before its `type` and `id`"));
                }
                Key::Messages => {
                    had_messages = true;
                    let header = keys.finish(left, walk.position.line());
                    map.next_value_seed(Messages { walk, header, bare_id: keys.bare_id() })?;
                }
                Key::Chats | Key::LeftChats if root => {
                    had_lists = true;
                    map.next_value_seed(Section { walk, left: key == Key::LeftChats })?;
                }
                Key::About | Key::PersonalInformation if root => {
                    had_about = true;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if root && !had_messages && !had_lists {
            return Err(walk.shape(if had_about {
                "an export of all data, but without chats (tick the chats when exporting)"
            } else {
                "an object with neither `messages` nor `chats`"
            }));
        }
        if !root && !had_messages {
            walk.summary.skipped_chats.push(SkippedChat {
                bare_id: keys.bare_id(),
                reason: "it has no messages",
                line: walk.position.line(),
                records: 0,
            });
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.walk.shape("a list instead of an object"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(self.walk.shape("a string instead of an object"))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(self.walk.shape("`null` instead of an object"))
    }
}

/// `chats` or `left_chats`.
struct Section<'w, 'a, S: Sink> {
    walk: &'w mut Walk<'a, S>,
    left: bool,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Section<'_, '_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Section<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list of chats")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed)? {
            if key == Key::List {
                map.next_value_seed(List { walk: &mut *self.walk, left: self.left })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The chats of a section.
struct List<'w, 'a, S: Sink> {
    walk: &'w mut Walk<'a, S>,
    left: bool,
}

impl<'de, S: Sink> DeserializeSeed<'de> for List<'_, '_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for List<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of chats")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let left = self.left;
        while seq.next_element_seed(Object { walk: &mut *self.walk, root: false, left })?.is_some() {}
        Ok(())
    }
}

/// The records of a chat; of one that cannot be taken they are only counted.
struct Messages<'w, 'a, S: Sink> {
    walk: &'w mut Walk<'a, S>,
    header: Result<ChatHeader, &'static str>,
    bare_id: Option<i64>,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Messages<'_, '_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Messages<'_, '_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { walk, header, bare_id } = self;
        let header = match header {
            Ok(header) => header,
            Err(reason) => {
                let line = walk.position.line();
                let mut records = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    records += 1;
                }
                walk.summary.skipped_chats.push(SkippedChat { bare_id, reason, line, records });
                return Ok(());
            }
        };
        walk.summary.chats += 1;
        walk.summary.left_chats += u64::from(header.left);
        let chat = header.id;
        let answer = walk.sink.chat(header);
        walk.sent(answer)?;
        let position = Rc::clone(&walk.position);
        while let Some((fields, line)) = seq.next_element_seed(At(&position))? {
            let record = Record::new(fields, chat, line);
            walk.summary.count(&record);
            let answer = walk.sink.record(record);
            walk.sent(answer)?;
        }
        let answer = walk.sink.chat_end();
        walk.sent(answer)
    }
}

/// A record's fields with the line where it begins: the parser has looked at its first byte and no further.
struct At<'p>(&'p Position);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = (Option<super::fields::Fields>, u64);

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let line = self.0.line();
        Ok((FieldsSeed.deserialize(from)?, line))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Name,
    Type,
    Id,
    Messages,
    Chats,
    LeftChats,
    List,
    About,
    PersonalInformation,
    Other,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Key, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "name" => Key::Name,
            "type" => Key::Type,
            "id" => Key::Id,
            "messages" => Key::Messages,
            "chats" => Key::Chats,
            "left_chats" => Key::LeftChats,
            "list" => Key::List,
            "about" => Key::About,
            "personal_information" => Key::PersonalInformation,
            _ => Key::Other,
        })
    }
}
