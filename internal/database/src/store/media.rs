//! Media attachments: in the source of the chat that they were said in, or in the shared one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::Result;
use crate::ids::{ChatId, MediaId};
use crate::models::{ChatMessage, MediaAttachment, MediaChanges, NewMedia};
use crate::route::Route;
use crate::source::{Changed, Refusal, ToValue, WriteTx};
use crate::time::Timestamp;
use crate::topology::OnTopology;
use crate::{DatabaseWrapper, params};

const SELECT: &str = "SELECT file_unique_id, file_id, file_size, media_type, metadata, status, mime_type, local_url,
        prompt, description, created_at, updated_at
 FROM media_attachments
 WHERE file_unique_id";

/// How many attachments are looked up in one statement.
const LOOK_UP_AT_ONCE: usize = 500;

impl DatabaseWrapper {
    /// Stores a media attachment: in the chat's source where a chat is given, else in the shared one.
    ///
    /// # Errors
    /// [`Duplicate`](crate::ErrorKind::Duplicate) where that source has one of this id: nothing is changed. The source
    /// cannot be written.
    pub fn add_media_attachment(&self, chat: Option<ChatId>, media: &NewMedia) -> Result<()> {
        let now = self.now();
        self.write_delegated("media.add_media_attachment", Route::chat_or_shared(chat), |tx| {
            let inserted = insert(tx, media, now)?;
            tx.require(inserted, Refusal::Duplicate)
        })
    }

    /// A media attachment: from the chat's source where a chat is given, else from the shared one, else from whichever
    /// has it; `None` where none has.
    ///
    /// # Errors
    /// A source cannot be read.
    pub fn get_media_attachment(&self, chat: Option<ChatId>, media: &MediaId) -> Result<Option<MediaAttachment>> {
        let sql = format!("{SELECT} = ?1");
        self.reading(Route::chat_or_shared(chat), |topology| {
            topology.read_first("media.get_media_attachment", chat, |tx| tx.query_one(&sql, params![media]))
        })
    }

    /// Changes a media attachment in the chat's source where a chat is given, else in the shared one; one that is not
    /// there is left alone.
    ///
    /// # Errors
    /// The source cannot be written.
    pub fn update_media_attachment(&self, chat: Option<ChatId>, media: &MediaId, changes: &MediaChanges) -> Result<()> {
        let now = self.now();
        let MediaChanges { status, metadata, mime_type, local_url, file_size, prompt, description } = changes;
        let given = [
            ("status", status.to_param()),
            ("metadata", metadata.to_param()),
            ("mime_type", mime_type.to_param()),
            ("local_url", local_url.to_param()),
            ("file_size", file_size.to_param()),
            ("prompt", prompt.to_param()),
            ("description", description.to_param()),
        ];
        let mut sql = "UPDATE media_attachments SET updated_at = ?2".to_owned();
        let mut params = vec![media.to_param(), now.to_param()];
        for (column, value) in given.into_iter().filter(|(_, value)| *value != crate::ValueRef::Null) {
            params.push(value);
            sql += &format!(", {column} = ?{}", params.len());
        }
        sql += " WHERE file_unique_id = ?1";
        self.execute("media.update_media_attachment", Route::chat_or_shared(chat), &sql, &params)
    }
}

/// Stores an attachment that the source does not have.
pub(super) fn insert(tx: &mut WriteTx<'_>, media: &NewMedia, now: Timestamp) -> Result<Changed> {
    let NewMedia { file_unique_id, file_id, file_size, media_type, metadata, status, .. } = media;
    let NewMedia { mime_type, local_url, prompt, description, .. } = media;
    tx.execute(
        "INSERT INTO media_attachments
             (file_unique_id, file_id, file_size, media_type, metadata, status, mime_type, local_url, prompt,
              description, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)
         ON CONFLICT (file_unique_id) DO NOTHING",
        params![
            file_unique_id,
            file_id,
            file_size,
            media_type,
            metadata,
            status,
            mime_type,
            local_url,
            prompt,
            description,
            now
        ],
    )
}

impl OnTopology<'_> {
    /// Fills in the media that a chat's source does not have and the shared one does.
    pub(super) fn with_shared_media(
        &self,
        op: &'static str,
        chat: ChatId,
        mut messages: Vec<ChatMessage>,
    ) -> Result<Vec<ChatMessage>> {
        let (home, shared) = (self.source(op, Route::Chat(chat))?, self.source(op, Route::Shared)?);
        let wanted: Vec<MediaId> = messages
            .iter()
            .filter(|message| message.media.is_none())
            .filter_map(|message| message.media_id.clone())
            .collect();
        if Arc::ptr_eq(home, shared) || wanted.is_empty() {
            return Ok(messages);
        }
        let found = shared.read(op, |tx| {
            tx.snapshot()?;
            let mut found: HashMap<MediaId, MediaAttachment> = HashMap::new();
            for some in wanted.chunks(LOOK_UP_AT_ONCE) {
                let places: Vec<_> = (1..=some.len()).map(|place| format!("?{place}")).collect();
                let params: Vec<_> = some.iter().map(ToValue::to_param).collect();
                let rows: Vec<MediaAttachment> = tx.query(&format!("{SELECT} IN ({})", places.join(", ")), &params)?;
                found.extend(rows.into_iter().map(|media| (media.file_unique_id.clone(), media)));
            }
            Ok(found)
        });
        match found {
            Ok(found) => {
                for message in messages.iter_mut().filter(|message| message.media.is_none()) {
                    message.media = message.media_id.as_ref().and_then(|id| found.get(id).cloned());
                }
            }
            // The chat's own rows are there: its reader goes on without what the shared source would have added.
            Err(error) => tracing::warn!(%error, "media fields are left empty"),
        }
        Ok(messages)
    }
}
