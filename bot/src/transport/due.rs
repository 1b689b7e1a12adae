//! That what the bot says by itself could not be said: told once, however often it is tried, and once when it can again.

use std::collections::BTreeSet;

use super::console::with_sources;
use crate::message::HandleError;

/// How many reasons are told until it goes well again: no failure has more, unless each is another.
const MOST: usize = 8;

/// What was told since it went well.
#[derive(Default)]
pub(super) struct Trouble {
    told: BTreeSet<String>,
}

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Failed(String),
    Again,
}

impl Trouble {
    /// Takes note of how it went this time, and tells of it where that is news. It goes well where nothing is due: what was
    /// said may be a part.
    pub(super) fn note(&mut self, tried: &Result<bool, HandleError>) {
        match self.news(tried) {
            Some(News::Failed(error)) => {
                tracing::error!(error, "what is due could not be said; it is tried again every second");
            }
            // As loud as can be heard where nothing was asked to be told.
            Some(News::Again) => tracing::warn!("what is due can be said again"),
            None => {}
        }
    }

    fn news(&mut self, tried: &Result<bool, HandleError>) -> Option<News> {
        match tried {
            Ok(false) => None,
            Ok(true) => (!std::mem::take(&mut self.told).is_empty()).then_some(News::Again),
            Err(error) => {
                let error = with_sources(error.as_ref());
                let is_news = self.told.len() < MOST && self.told.insert(error.clone());
                is_news.then_some(News::Failed(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once_until_it_went_well_and_that_it_did_is_told_too() {
        let mut trouble = Trouble::default();
        let mut after = |tried: Result<bool, &str>| trouble.news(&tried.map_err(HandleError::from));
        let failed = |reason: &str| Some(News::Failed(reason.to_owned()));
        assert_eq!(after(Ok(true)), None);
        assert_eq!(after(Err("gone")), failed("gone"));
        assert_eq!(after(Err("gone")), None);
        // Two reasons by turns, as where one reminder's source is away besides.
        assert_eq!(after(Err("full")), failed("full"));
        assert_eq!([after(Err("gone")), after(Err("full"))], [None, None]);
        assert_eq!(after(Ok(false)), None, "something else was said");
        assert_eq!(after(Ok(true)), Some(News::Again));
        assert_eq!(after(Ok(true)), None);
        assert_eq!(after(Err("gone")), failed("gone"), "another time");
    }

    #[test]
    fn reasons_that_are_others_each_time_are_not_told_each_time() {
        let mut trouble = Trouble::default();
        let told = (0..100).filter_map(|number| trouble.news(&Err(format!("reason {number}").into())));
        assert_eq!(told.count(), MOST);
    }
}
