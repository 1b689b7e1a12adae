//! The words that columns hold. A word that this release does not know survives as text.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::source::{FromValue, ToValue, ValueRef};

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A word that this release does not know.
            Other(Box<str>),
        }

        impl $name {
            /// The word as it is stored.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl ToValue for $name {
            fn to_param(&self) -> ValueRef<'_> {
                ValueRef::Text(self.as_str())
            }
        }

        impl FromValue for $name {
            const EXPECTED: &'static str = "text";

            fn from_value(value: ValueRef<'_>) -> Option<Self> {
                match value {
                    ValueRef::Text(text) => Some(Self::from(text)),
                    _ => None,
                }
            }
        }
    };
}

text_enum! {
    /// How far the handling of a media attachment is.
    MediaStatus {
        /// Seen, nothing done.
        New = "new",
        /// Being worked on.
        Pending = "pending",
        /// Stored and described.
        Done = "done",
        /// Given up.
        Failed = "failed",
    }
}

text_enum! {
    /// Who said a message, and in which role.
    MessageCategory {
        /// Not said.
        Unspecified = "unspecified",
        /// A person's message.
        User = "user",
        /// A person's command to the bot.
        UserCommand = "user-command",
        /// A channel's post.
        Channel = "channel",
        /// The bot's message.
        Bot = "bot",
        /// The bot's answer to a command.
        BotCommandReply = "bot-command-reply",
        /// The bot's report of an error.
        BotError = "bot-error",
        /// The bot's summary of a conversation.
        BotSummary = "bot-summary",
        /// The bot's notice of spam.
        BotSpamNotification = "bot-spam-notification",
        /// A person's message that was found to be spam.
        UserSpam = "user-spam",
    }
}

text_enum! {
    /// What a message consists of.
    MessageType {
        /// Text.
        Text = "text",
        /// A picture.
        Image = "image",
        /// A sticker.
        Sticker = "sticker",
        /// A moving picture without sound.
        Animation = "animation",
        /// A video.
        Video = "video",
        /// A round video message.
        VideoNote = "video-note",
        /// Music.
        Audio = "audio",
        /// A voice message.
        Voice = "voice",
        /// A file.
        Document = "document",
        /// Something else.
        Unknown = "unknown",
    }
}

text_enum! {
    /// Why a message is kept as spam or as ham.
    SpamReason {
        /// The filter decided.
        Auto = "auto",
        /// A person reported it.
        User = "user",
        /// An administrator decided.
        Admin = "admin",
        /// A ban was lifted.
        Unban = "unban",
    }
}

text_enum! {
    /// The kind of a chat.
    ChatType {
        /// Between two.
        Private = "private",
        /// A basic group.
        Group = "group",
        /// A large group.
        Supergroup = "supergroup",
        /// A channel.
        Channel = "channel",
    }
}

/// A cache of answers from elsewhere; each has a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheType {
    /// Weather by place.
    Weather,
    /// Coordinates by name.
    Geocoding,
    /// Web searches.
    YandexSearch,
    /// Places by text.
    GeocodeMapsSearch,
    /// Places by coordinates.
    GeocodeMapsReverse,
    /// Places by id.
    GeocodeMapsLookup,
}

impl CacheType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Weather,
        Self::Geocoding,
        Self::YandexSearch,
        Self::GeocodeMapsSearch,
        Self::GeocodeMapsReverse,
        Self::GeocodeMapsLookup,
    ];

    /// The cache's word.
    pub fn as_str(self) -> &'static str {
        self.table().trim_start_matches("cache_")
    }

    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Weather => "cache_weather",
            Self::Geocoding => "cache_geocoding",
            Self::YandexSearch => "cache_yandex_search",
            Self::GeocodeMapsSearch => "cache_geocode_maps_search",
            Self::GeocodeMapsReverse => "cache_geocode_maps_reverse",
            Self::GeocodeMapsLookup => "cache_geocode_maps_lookup",
        }
    }
}
