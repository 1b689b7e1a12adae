//! What the tests of sources open databases with.

use std::sync::Arc;
use std::time::Instant;

use super::{Budget, Database, Left, OpenError, Opener, SourceConfig, Stays};
use crate::time::SystemClock;

/// Opens files as they come, within a budget perhaps.
#[derive(Default)]
pub(super) struct Plain {
    budget: Option<Arc<Budget>>,
}

impl Plain {
    /// One that closes sources for others where the budget has no room for them.
    #[cfg(feature = "multi-source")]
    pub(super) fn within(budget: Arc<Budget>) -> Self {
        Self { budget: Some(budget) }
    }
}

impl Opener for Plain {
    fn open(&self, config: &SourceConfig, left: Option<&Left>, deadline: Instant) -> Result<Database, OpenError> {
        Database::open(config, left, deadline, &SystemClock, &|_| Ok(()))
    }

    fn budget(&self) -> Option<(Arc<Budget>, Stays)> {
        self.budget.clone().map(|budget| (budget, Stays::WhileThereIsRoom))
    }
}
