//! Each way of changing a file, many times.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use config::Outcome;

use super::changes::{Followed, Way, ways};
use super::{LIVE, SETTLED, Site, rounds};

#[test]
fn whatever_way_a_file_is_changed_in_it_is_in_force_in_time_and_once() {
    // Side by side, each on a file of its own.
    let threads = ways::<Site>().map(|way| (way.name, thread::spawn(move || many(&way))));
    for (name, thread) in threads {
        thread.join().unwrap_or_else(|_| panic!("{name}"));
    }
}

fn many(way: &Way<Site>) {
    let mut site = Site::new(way.folder, way.prepare);
    for round in 1..=rounds() {
        // The poll is anywhere in its second.
        site.quiet(Duration::from_millis(170 * round as u64 % 1000));
        let text = site.text(round);
        let written = (way.change)(&mut site, &text, round);
        site.live(written);
    }
    site.quiet(SETTLED);
}

impl Followed for Site {
    fn root(&self) -> &Path {
        self.scratch.path()
    }

    fn file(&self) -> &Path {
        &self.file
    }

    fn stays_for(&mut self, time: Duration) {
        self.quiet(time);
    }

    fn is_refused(&mut self) {
        let start = Instant::now();
        while !matches!(self.watch.last(), Some(last) if matches!(last.outcome, Outcome::Refused(_))) {
            assert!(start.elapsed() < LIVE, "not told");
            self.quiet(Duration::from_millis(20));
        }
    }
}
