//! The set of sources behind the wrapper: one file, or many behind a router.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::gathered::Missing;
use crate::ids::ChatId;
use crate::route::{Route, SourceName};
use crate::source::{Displaced, Source};

/// The sources that there are. A call takes one [`Topology`] and uses it to its end.
pub(crate) trait SourceSet: Send + Sync {
    /// Lends the current topology.
    fn with_topology(&self, f: &mut dyn FnMut(&dyn Topology));

    /// The aliases have changed. Where chats have routes, a supergroup inherits that of the group it was.
    fn aliases_changed(&self) {}

    /// Copies what a chat has from one source to another, where that does not have it; answers how many rows. A set of
    /// one has nothing to copy.
    fn bring(&self, _chat: ChatId, _from: &Arc<Source>, _to: &Arc<Source>) -> Result<u64> {
        Ok(0)
    }

    /// Waits while a chat is being led to another source, for so long at most.
    fn wait_while_moving(&self, _route: Route, _most: Duration) {}

    /// Closes all sources.
    fn close(&self);
}

/// Which sources there are and what goes where, at one moment.
pub(crate) trait Topology: Sync {
    /// The source that serves a route now.
    fn resolve(&self, route: Route) -> &Arc<Source>;

    /// Whether what serves a route may be used for it. Asked once that is open: some of it stands in the file.
    fn check(&self, _op: &'static str, _route: Route) -> Result<()> {
        Ok(())
    }

    /// The same for a write, asked in its turn at the writer: a chat that is being moved is not written for a moment.
    fn check_write(&self, op: &'static str, route: Route) -> Result<()> {
        self.check(op, route)
    }

    /// The same topology, for somebody else to ask before a write on this route. `None` where nothing is to be asked.
    fn shared(&self, _route: Route) -> Option<Arc<dyn Topology + Send>> {
        None
    }

    /// Whether a route is known for a chat.
    fn is_routed(&self, _chat: ChatId) -> bool {
        false
    }

    /// The source of a name.
    fn named(&self, name: &str) -> Option<&Arc<Source>>;

    /// Every source that serves chats now: the default one first, the others by name.
    fn every(&self) -> Vec<&Arc<Source>>;

    /// The source that a route's chat belongs to, where that is away and another serves it.
    fn displaced(&self, _route: Route) -> Option<&Displaced> {
        None
    }

    /// The sources that are away, which another serves, and why.
    fn away(&self) -> Vec<Missing> {
        Vec::new()
    }

    /// Whether an answer over all sources fails while one of them cannot be asked.
    fn is_strict(&self) -> bool {
        false
    }
}

/// The error for a name that no source has.
pub(crate) fn unknown_source(topology: &dyn Topology, op: &'static str, name: &str) -> Error {
    let known = topology.every().iter().map(|source| format!("`{}`", source.name())).collect::<Vec<_>>().join(", ");
    Error::new(op, &SourceName::unchecked(name), ErrorKind::UnknownSource { known })
}
