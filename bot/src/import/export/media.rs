//! A message's attachment: what the export tells of it, and where its file lies if it was exported too.

use super::fields::Fields;

/// The kinds of attachment that the export tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A photo.
    Photo,
    /// A sticker.
    Sticker,
    /// A short silent clip.
    Animation,
    /// A video.
    Video,
    /// A round video message.
    VideoMessage,
    /// A voice message.
    Voice,
    /// A piece of music.
    Audio,
    /// Any other file.
    Document,
}

/// An attachment. The export has no lasting file id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The kind.
    pub kind: MediaKind,
    /// Path of the file relative to the export's folder; `None` where the file was not exported.
    pub path: Option<String>,
    /// The file's name when it was sent.
    pub file_name: Option<String>,
    /// The media type, such as `video/mp4`.
    pub mime_type: Option<String>,
    /// Bytes.
    pub file_size: Option<u64>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Seconds.
    pub duration_seconds: Option<u32>,
    /// The emoji that a sticker stands for.
    pub sticker_emoji: Option<String>,
    /// The title of a piece of music.
    pub title: Option<String>,
    /// Who performs it.
    pub performer: Option<String>,
    /// It was to vanish so many seconds after it was seen.
    pub self_destruct_seconds: Option<u32>,
}

impl Media {
    pub(crate) fn read(fields: &mut Fields) -> Option<Self> {
        let kind = match fields.get("media_type").and_then(|kind| kind.as_str()) {
            Some("sticker") => MediaKind::Sticker,
            Some("animation") => MediaKind::Animation,
            Some("video_file") => MediaKind::Video,
            Some("video_message") => MediaKind::VideoMessage,
            Some("voice_message") => MediaKind::Voice,
            Some("audio_file") => MediaKind::Audio,
            _ if fields.has("photo") => MediaKind::Photo,
            _ if fields.has("file") => MediaKind::Document,
            _ => return None,
        };
        let photo = kind == MediaKind::Photo;
        let path = fields.take_text(if photo { "photo" } else { "file" });
        Some(Self {
            kind,
            path: path.filter(|path| !is_excuse(path)),
            file_name: fields.take_text("file_name"),
            mime_type: fields.take_text("mime_type"),
            file_size: fields.size(if photo { "photo_file_size" } else { "file_size" }),
            width: fields.size("width"),
            height: fields.size("height"),
            duration_seconds: fields.size("duration_seconds"),
            sticker_emoji: fields.take_text("sticker_emoji"),
            title: fields.take_text("title"),
            performer: fields.take_text("performer"),
            self_destruct_seconds: fields.size("self_destruct_period_seconds"),
        })
    }
}

/// The sentence in brackets that stands for a path where a file was not exported, possibly behind the file's name.
fn is_excuse(path: &str) -> bool {
    path.starts_with("(File ")
        || path.starts_with("(Photo ")
        || path.ends_with("Change data exporting settings to download.)")
        || path.ends_with("(File unavailable, please try again later)")
}
