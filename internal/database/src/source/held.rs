//! A source's open database, held open: it is not closed for others meanwhile, and whether the source still works on it can
//! be asked.

use std::sync::Arc;
use std::time::Instant;

use super::Source;
use super::database::Database;
use crate::error::Result;

/// An open database and the source that worked on it.
pub(crate) struct Held {
    pub(super) source: Arc<Source>,
    pub(super) database: Arc<Database>,
}

impl Held {
    /// The database of this moment, opened where it is not.
    pub(crate) fn of(source: &Arc<Source>, op: &'static str) -> Result<Self> {
        let database = source.database(op, Instant::now() + source.config().timeout)?;
        Ok(Self { source: Arc::clone(source), database })
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Whether the source still works on it: what is opened anew may have other content.
    pub(crate) fn is_whole(&self) -> bool {
        self.source.door.open_now().is_some_and(|now| Arc::ptr_eq(&now, &self.database))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::SourceConfig;
    use super::super::door::{Failure, Why};
    use super::super::test_opener::Plain;
    use super::*;

    #[test]
    fn it_is_whole_until_the_source_works_on_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let config = SourceConfig::new(folder.path().join("a.db"));
        let source = Arc::new(Source::lazy(config, Arc::<Plain>::default()));
        let first = Held::of(&source, "test.hold").unwrap();
        assert!(first.is_whole());

        assert!(source.door.give_up(&first.database));
        assert!(!first.is_whole());
        source.door.fail(Failure {
            why: Why::Busy(Duration::ZERO),
            since: SystemTime::now(),
            until: Some(Instant::now()),
            file: None,
        });
        // It is not waited for that the first one is let go.
        *source.door.left.lock() = None;
        let second = Held::of(&source, "test.hold").unwrap();
        assert!(second.is_whole());
        assert!(!first.is_whole());
    }
}
