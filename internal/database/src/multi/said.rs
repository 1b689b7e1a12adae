//! What the configuration said of a chat whenever it was moved.

use std::collections::BTreeSet;

use crate::route::SourceName;

/// What the configuration said of a chat at each of its moves: a source, or nothing (`None`). An older configuration
/// that is put back says one of these.
///
/// In files it is their names with commas between them, an empty one for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said(BTreeSet<Option<SourceName>>);

impl Said {
    /// With what the configuration says at one more move.
    pub(super) fn and(mut self, line: Option<&SourceName>) -> Self {
        self.0.insert(line.cloned());
        self
    }

    /// Whether the configuration said this at one of them.
    pub(super) fn includes(&self, line: Option<&SourceName>) -> bool {
        self.0.iter().any(|said| said.as_ref() == line)
    }

    /// Whether it said this and nothing else.
    pub(super) fn is_only(&self, line: Option<&SourceName>) -> bool {
        self.0.len() == 1 && self.includes(line)
    }

    /// From a file. Names that no source can have are passed over.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let line = |name: &str| if name.is_empty() { Some(None) } else { name.parse().ok().map(Some) };
        Self(text.unwrap_or_default().split(',').filter_map(line).collect())
    }

    /// For a file; `None` where only nothing was said.
    pub(super) fn text(&self) -> Option<String> {
        let names: Vec<_> = self.0.iter().map(|line| line.as_ref().map_or("", SourceName::as_str)).collect();
        Some(names.join(",")).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_a_file_is_read_again_and_so_is_what_was_kept_of_a_last_move_alone() {
        let name = |text: &str| text.parse::<SourceName>().ok();
        for lines in [vec![None], vec![name("a")], vec![None, name("a")], vec![name("b"), None, name("a"), None]] {
            let said = lines.iter().fold(Said::default(), |said, line| said.and(line.as_ref()));
            assert_eq!(Said::parse(said.text().as_deref()), said);
            assert!(lines.iter().all(|line| said.includes(line.as_ref())));
            assert!(!said.includes(name("c").as_ref()));
        }
        assert!(Said::parse(None).is_only(None));
        assert!(Said::parse(Some("archive")).is_only(name("archive").as_ref()));
        assert!(!Said::parse(Some(",archive")).is_only(None));
    }
}
