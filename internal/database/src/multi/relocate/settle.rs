//! Settling where a chat is that files contradict each other about: moving it to one of the two places says so, and
//! moves no row.

use std::time::Instant;

use super::super::control::Control;
use super::{MoveError, MoveReport, state};
use crate::ids::ChatId;
use crate::route::SourceName;

impl Control {
    /// Goes on with a disputed chat at the place that was named; `None` where nothing is disputed.
    pub(super) fn settle_dispute(&self, chats: &[ChatId], to: &SourceName) -> Result<Option<MoveReport>, MoveError> {
        let disputed = self.check_disputed(chats, Some(to))?;
        if disputed.is_empty() {
            return Ok(None);
        }
        let shared = self.shared()?;
        let numbers: Vec<_> = disputed.iter().map(|(chat, dispute)| (*chat, dispute.number)).collect();
        let moved: Vec<_> =
            disputed.iter().filter(|(_, dispute)| dispute.place == *to).map(|(chat, _)| *chat).collect();
        let (routes, mapping) = self.routes(&moved, to);
        let deadline = Instant::now() + shared.config().timeout;
        state::switch(&shared, &[], &routes, &numbers, true, self.db.now(), deadline)?;
        for (chat, number) in &numbers {
            self.router.arrived.counted(*chat, *number);
        }
        self.router.record(&routes);
        self.router.have_left(&moved, to);
        for (chat, dispute) in &disputed {
            let (home, place) = (&dispute.home, &dispute.place);
            tracing::info!(target: "database::audit", %chat, %home, %place, %to, "where a chat goes on was settled");
        }
        Ok(Some(MoveReport { mapping, ..MoveReport::to(to) }))
    }

    /// The disputed ones of some chats. Refuses where one of them is at neither place.
    pub(super) fn check_disputed(
        &self,
        chats: &[ChatId],
        to: Option<&SourceName>,
    ) -> Result<Vec<(ChatId, super::super::arrived::Dispute)>, MoveError> {
        let disputed = chats.iter().filter_map(|chat| Some((*chat, self.router.arrived.dispute(*chat)?)));
        let disputed: Vec<_> = disputed.collect();
        match disputed.iter().find(|(_, dispute)| to.is_none_or(|to| dispute.home != *to && dispute.place != *to)) {
            Some((chat, dispute)) => Err(MoveError::Disputed { chat: *chat, reason: dispute.reason(*chat) }),
            None => Ok(disputed),
        }
    }
}
