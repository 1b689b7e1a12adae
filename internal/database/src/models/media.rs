//! Media attachments.

use serde::Serialize;

use super::{MediaStatus, MessageType, from_row};
use crate::ids::MediaId;
use crate::source::{BadColumn, Row};
use crate::time::Timestamp;

/// A media attachment to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMedia {
    /// The platform's lasting id of the file.
    pub file_unique_id: MediaId,
    /// The id to fetch the file by.
    pub file_id: Option<String>,
    /// The file's size in bytes.
    pub file_size: Option<i64>,
    /// What it is.
    pub media_type: MessageType,
    /// More about it, as JSON.
    pub metadata: String,
    /// How far its handling is.
    pub status: MediaStatus,
    /// Its MIME type.
    pub mime_type: Option<String>,
    /// Where a copy is kept.
    pub local_url: Option<String>,
    /// What a description was asked for with.
    pub prompt: Option<String>,
    /// What it shows.
    pub description: Option<String>,
}

impl NewMedia {
    /// A new picture of which nothing more is known.
    pub fn new(file_unique_id: impl Into<MediaId>) -> Self {
        Self {
            file_unique_id: file_unique_id.into(),
            file_id: None,
            file_size: None,
            media_type: MessageType::Image,
            metadata: "{}".to_owned(),
            status: MediaStatus::New,
            mime_type: None,
            local_url: None,
            prompt: None,
            description: None,
        }
    }
}

/// What is to be changed of an attachment; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaChanges {
    /// How far its handling is.
    pub status: Option<MediaStatus>,
    /// More about it, as JSON.
    pub metadata: Option<String>,
    /// Its MIME type.
    pub mime_type: Option<String>,
    /// Where a copy is kept.
    pub local_url: Option<String>,
    /// The file's size in bytes.
    pub file_size: Option<i64>,
    /// What a description was asked for with.
    pub prompt: Option<String>,
    /// What it shows.
    pub description: Option<String>,
}

/// A stored media attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaAttachment {
    /// The platform's lasting id of the file.
    pub file_unique_id: MediaId,
    /// The id to fetch the file by.
    pub file_id: Option<String>,
    /// The file's size in bytes.
    pub file_size: Option<i64>,
    /// What it is.
    pub media_type: MessageType,
    /// More about it, as JSON.
    pub metadata: String,
    /// How far its handling is.
    pub status: MediaStatus,
    /// Its MIME type.
    pub mime_type: Option<String>,
    /// Where a copy is kept.
    pub local_url: Option<String>,
    /// What a description was asked for with.
    pub prompt: Option<String>,
    /// What it shows.
    pub description: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

from_row!(
    MediaAttachment, "media_attachments", key: ["file_unique_id"],
    file_unique_id, file_id, file_size, media_type, metadata, status, mime_type, local_url, prompt, description,
    created_at, updated_at,
);

impl MediaAttachment {
    /// The attachment in a message's row, under names that begin with `media_`; `None` where the join found none.
    pub(super) fn joined(row: &Row<'_>) -> Result<Option<Self>, BadColumn> {
        let Some(file_unique_id) = row.get("media_file_unique_id")? else { return Ok(None) };
        Ok(Some(Self {
            file_unique_id,
            file_id: row.get("media_file_id")?,
            file_size: row.get("media_file_size")?,
            media_type: row.get("media_media_type")?,
            metadata: row.get("media_metadata")?,
            status: row.get("media_status")?,
            mime_type: row.get("media_mime_type")?,
            local_url: row.get("media_local_url")?,
            prompt: row.get("media_prompt")?,
            description: row.get("media_description")?,
            created_at: row.get("media_created_at")?,
            updated_at: row.get("media_updated_at")?,
        }))
    }
}
