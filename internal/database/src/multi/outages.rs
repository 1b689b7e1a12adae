//! The sources that cannot be used now, as memory has it: no file is looked at, so that it can be asked every second.

use std::time::SystemTime;

use super::control::Control;
use super::standin::ServedBy;
use crate::route::SourceName;
use crate::source::Health;

/// A source that cannot be used, or whose chats are not home yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outage {
    /// The source.
    pub source: SourceName,
    /// Why, and what to do; `None` while it comes home.
    pub reason: Option<String>,
    /// Since when.
    pub since: SystemTime,
    /// Who serves its chats meanwhile; `None` where their calls fail.
    pub served_by: Option<ServedBy>,
}

impl Control {
    /// The sources that cannot be used now, and those whose chats are not home yet.
    pub fn outages(&self) -> Vec<Outage> {
        let table = self.router.table();
        let mut outages = Vec::new();
        for (place, source) in table.sources.iter().enumerate() {
            let away = table.away_of(place);
            let failed = match source.health() {
                Health::Unavailable { reason, since } => Some((reason, since)),
                _ => None,
            };
            let since = away.map(|away| away.since).or_else(|| failed.as_ref().map(|(_, since)| *since));
            if let Some(since) = since {
                let (reason, served_by) = (failed.map(|(reason, _)| reason), away.map(|away| away.by));
                outages.push(Outage { source: source.name().clone(), reason, since, served_by });
            }
        }
        outages
    }
}
