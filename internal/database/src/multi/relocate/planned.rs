//! What a move would do. Nothing is made or changed by asking: a source whose file is not there yet is not opened for it.

use super::super::control::Control;
use super::report::{MoveOptions, MovePlan};
use super::{MoveError, plan};
use crate::ids::ChatId;
use crate::route::SourceName;

impl Control {
    /// What moving a chat would do. Changes nothing, but for opening the sources that are there.
    ///
    /// # Errors
    /// The move would be refused.
    pub fn plan_move(&self, chat: ChatId, to: &SourceName, options: &MoveOptions) -> Result<MovePlan, MoveError> {
        self.planned(chat, to, options).map_err(|error| match error {
            // Nothing was begun that could be repeated or undone.
            MoveError::Database(error) => MoveError::unavailable(error),
            refused => refused,
        })
    }

    fn planned(&self, chat: ChatId, to: &SourceName, options: &MoveOptions) -> Result<MovePlan, MoveError> {
        let chats = self.together(chat);
        if !self.check_disputed(&chats, Some(to))?.is_empty() {
            return Ok(MovePlan::of_nothing(to, plan::free(&*self.source(to)?)));
        }
        let unfinished = self.unfinished(&chats)?;
        unfinished.iter().try_for_each(|entry| self.check_not_remapped(entry))?;
        let mut parts = self.parts(&chats, to, options.keep)?;
        let is_led_back = parts.is_empty();
        if is_led_back && unfinished.is_empty() {
            parts = self.left_behind(&chats, to)?.unwrap_or_default();
        }
        if unfinished.is_empty() {
            self.check_known(&chats, to)?;
        }
        self.check_not_there(&chats, &parts, to)?;
        // Those that are led back were looked at.
        for part in parts.iter().filter(|_| !is_led_back) {
            // What an earlier try has left at the target goes before.
            if !unfinished.iter().any(|one| one.chat == part.chat && one.left_in() == to.as_str()) {
                plan::check_empty(part)?;
            }
        }
        let (rows, media) = (plan::rows(&parts)?, plan::media(&parts)?);
        let (bytes, target) = (plan::bytes(&parts, &rows, media)?, self.source(to)?);
        plan::check_disk(&target, bytes)?;
        Ok(MovePlan {
            chats: parts.iter().map(|part| (part.chat, part.from.name().clone())).collect(),
            to: to.clone(),
            is_new: target.would_be_made("relocate.look")?,
            is_nowhere: rows.is_empty() && plan::is_nowhere(&self.router.table().sources, &chats),
            rows,
            media,
            bytes,
            bytes_free: plan::free(&target),
            mapping: self.routes(&chats, to).1,
        })
    }
}
