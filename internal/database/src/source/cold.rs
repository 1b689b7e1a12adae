//! Reads of a source that has no room for a reading connection: on the writer's, which is lent for it.
//!
//! Nobody writes meanwhile, as nobody else reads. The connection prepares nothing for a read but what a reader may.
//! Whoever reads in the midst of such a read is given a reader, whatever room there is, and whoever writes another
//! writer: they would wait for themselves.

use std::time::Instant;

use super::context::Context;
use super::database::Database;
use super::read::ReadTx;
use crate::error::{ErrorKind, Result};

impl Database {
    /// Runs a read on the writer's connection as if it were a reader's.
    #[cold]
    pub(super) fn read_on_writer<T>(
        &self,
        context: &Context<'_>,
        deadline: Instant,
        f: impl FnOnce(&ReadTx<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut seat = self.seat(context, deadline)?;
        // A new one where the last had to be given up.
        self.link(&mut seat.state().connection, context, deadline)?;
        let lent = seat.lend().ok_or_else(|| context.error(ErrorKind::Closed))?;
        lent.link().until(deadline);
        f(&ReadTx::new(lent.link(), *context))
    }
}
