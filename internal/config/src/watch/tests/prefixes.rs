//! Half-written files, byte by byte: none of them is ever acted on.

use std::io;
use std::time::{Duration, Instant};

use super::super::changes::{Changes, Pace, Stamp};
use super::super::reading::{Reading, alike, is_known};
use super::{parsed, text};
use crate::load::Config;

fn stamp(version: i64) -> Vec<Stamp> {
    vec![Stamp::There { device: 1, inode: 1, size: 1, modified: (version, 0), changed: (version, 0) }]
}

/// What is acted on where a file says these things, each for so long, and is looked at as the watch does.
fn acted_on(current: &Config, says: &[(&Reading, Duration)]) -> Vec<(usize, Reading)> {
    let start = Instant::now();
    let mut changes = Changes::new(Pace::STEADY);
    changes.note(start, stamp(0));
    changes.settle();
    let (mut now, mut acted) = (start, Vec::new());
    let mut current = current.clone();
    for (version, (reading, length)) in (1..).zip(says) {
        let end = now + *length;
        while now < end {
            changes.note(now, stamp(version));
            if changes.due().is_some_and(|due| now >= due) {
                if is_known(&current, None, reading) {
                    changes.settle();
                } else if let Some(reading) = changes.consider(now, (*reading).clone()) {
                    current = reading.as_ref().unwrap_or(&current).clone();
                    acted.push((usize::try_from(version).unwrap(), reading));
                }
            }
            now = changes.next_look(now).min(end);
        }
    }
    acted
}

#[test]
fn no_prefix_of_a_file_is_acted_on_and_the_whole_file_is_once() {
    let old = parsed(&text("-1002 = \"archive\"")).unwrap();
    let news = [
        text("-1002 = \"archive\""),
        text("-1002 = \"archive\"\n-1003 = \"archive\""),
        text("-1002 = \"primary\""),
        text("[database.sources.third]\npath = \"third.db\"\ntimeout = 30.0\nreadonly = true"),
        text("-1002 = \"archive\"").replace("[database]", "[database]\npartial_results = \"error\""),
        text("-1002 = \"archive\"\n-1003 = \"archive\"")
            .replace("[database]", "[database]\npartial_results = \"error\""),
        text("-1002 = \"archive\"\n[log]\nlevel = \"info\"").replace("Yard", "Signal box"),
    ];
    let mut valid = 0;
    for new in &news {
        let whole = parsed(new);
        let expected = usize::from(!is_known(&old, None, &whole));
        for cut in 0..new.len() {
            let prefix = parsed(&new[..cut]);
            valid += usize::from(prefix.is_ok());
            // A prefix that says all that the file says is the whole file.
            if alike(&prefix, &whole) {
                continue;
            }
            for pause in [100, 300, 500, 1000, 1400] {
                let says = [(&prefix, Duration::from_millis(pause)), (&whole, Duration::from_secs(4))];
                let acted = acted_on(&old, &says);
                let versions: Vec<_> = acted.iter().map(|(version, _)| *version).collect();
                assert_eq!(versions, vec![2; expected], "cut at {cut}, {pause} ms:\n{}", &new[..cut]);
            }
        }
    }
    // Otherwise the test proves nothing.
    assert!(valid > 50, "{valid}");
}

#[test]
fn two_readings_that_differ_are_acted_on_only_when_a_third_agrees() {
    // The clock of a file system can be too coarse to show a write: the stamp stays the same.
    let (one, other) = (parsed(&text("-1002 = \"archive\"")), parsed(&text("-1003 = \"archive\"")));
    let start = Instant::now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let mut changes = Changes::new(Pace::STEADY);
    changes.note(start, stamp(1));
    changes.note(at(1), stamp(1));
    assert_eq!(changes.due(), Some(at(300)));
    assert!(changes.consider(at(300), one).is_none());
    assert_eq!(changes.due(), Some(at(1500)));
    assert!(changes.consider(at(1500), other.clone()).is_none());
    assert_eq!(changes.due(), Some(at(3000)));
    assert!(changes.consider(at(3000), other).is_some());
    assert_eq!(changes.due(), None);
}

#[test]
fn whatever_changes_is_seen_by_the_stamp() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("bot.toml");
    assert_eq!(Stamp::of(&file), Stamp::Absent(io::ErrorKind::NotFound));
    std::fs::write(&file, "1").unwrap();
    let before = Stamp::of(&file);
    assert_eq!(std::fs::read(&file).unwrap(), b"1");
    assert_eq!(Stamp::of(&file), before, "reading changes nothing");
    std::fs::write(folder.path().join("other"), "1").unwrap();
    std::fs::rename(folder.path().join("other"), &file).unwrap();
    assert_ne!(Stamp::of(&file), before);
}

#[test]
fn what_says_the_same_in_other_words_is_no_news() {
    let old = parsed(&text("-1002 = \"archive\"")).unwrap();
    let is = |new: &str| is_known(&old, None, &parsed(new));
    let with = |line: &str| text(&format!("-1002 = \"archive\"\n{line}"));
    for same in [with("# a comment"), with("[log]\nlevel = \"warn\""), with("").replace("-1001", "\"-1001\"")] {
        assert!(is(&same), "{same}");
    }
    let changed = |from: &str, to: &str| with("").replace(from, to);
    for news in [
        text(""),
        text("-1002 = \"primary\""),
        with("-1003 = \"archive\""),
        with("-1003 = \"primary\""),
        with("[database.sources.third]\npath = \"third.db\""),
        with("[log]\nlevel = \"info\""),
        changed("readonly = true", ""),
        changed("archive.db", "other.db"),
        changed("name = \"Yard\"", ""),
        changed("[database]", "[database]\npartial_results = \"error\""),
        changed("[database]", "[database]\non_unavailable = \"fail\""),
        changed("[database]", "[database]\ndata_dir = \"elsewhere\""),
        String::new(),
        "[".to_owned(),
    ] {
        assert!(!is(&news), "{news}");
    }
    // What was turned down is known, and the way back is news.
    let refused = parsed(&text(""));
    assert!(is_known(&old, Some(&refused), &refused));
    assert!(!is_known(&old, Some(&refused), &Ok(old.clone())));
    let (one, other) = (Err("no".to_owned()), Err("neither".to_owned()));
    assert!(is_known(&old, Some(&one), &one));
    assert!(!is_known(&old, Some(&one), &other));
}
