//! What the turns and the batches of writes wait with. They use nothing else, so that a model checker can take the
//! place of this file.

pub(super) use parking_lot::{Condvar, Mutex};

/// When a wait ends at the latest.
pub(super) type Deadline = std::time::Instant;
