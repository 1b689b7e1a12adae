//! The tables of before that calls still use: what may be written by them past what is so now.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::datasource_router::RoutingTable;
use crate::ids::ChatId;
use crate::route::Route;
use crate::source::Source;
use crate::sources::Topology as _;

/// The tables that another has taken the place of.
#[derive(Default)]
pub(super) struct Earlier(Mutex<Vec<Weak<RoutingTable>>>);

impl Earlier {
    /// Another table takes the place of this one. Told before that, so that whoever sees the next one finds this here.
    pub(super) fn add(&self, table: &Arc<RoutingTable>) {
        let mut tables = self.0.lock();
        tables.retain(|table| table.strong_count() > 0);
        tables.push(Arc::downgrade(table));
    }

    /// Whether a call may still use a table by which a chat's rows are written past this source; then how long such a
    /// call may take at most.
    pub(super) fn writes_past(&self, chat: ChatId, source: &Arc<Source>) -> Option<Duration> {
        let tables: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        let table = tables.iter().find(|table| is_past(table, chat, source))?;
        table.sources.iter().map(|source| source.config().timeout).max()
    }
}

/// Whether a call on this table may write the chat's rows, or the attachments beside them, without this source's one writer
/// having seen it: the file is another source there, as where its settings were others, or the chat is in another one, as
/// where a stand-in served it. What the call is, and of which chat, is not known.
fn is_past(table: &RoutingTable, chat: ChatId, source: &Arc<Source>) -> bool {
    let is_other = |one: &Arc<Source>| {
        let is_of_file = one.name() == source.name() || one.config().path == source.config().path;
        is_of_file && !Arc::ptr_eq(one, source)
    };
    table.sources.iter().any(is_other) || !Arc::ptr_eq(table.resolve(Route::Chat(chat)), source)
}
