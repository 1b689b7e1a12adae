//! Half-written files on disk, cut at many places. Each place is tried with a clock of its own beside the room.

use std::fs::{self, File};
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::{SETTLED, Site, rounds};

/// How many are tried side by side: each takes a few handles from the system, of which there are not many.
const AT_ONCE: usize = 24;

#[test]
fn no_half_of_a_file_changes_a_route_while_its_writer_pauses() {
    let place = Site::plain();
    let length = place.text(1).len();
    drop(place);
    // Evenly over the file; with 50 rounds all of it.
    let step = (length / (8 * rounds())).max(1);
    let cuts: Vec<_> = (0..length).step_by(step).collect();
    for cuts in cuts.chunks(AT_ONCE) {
        let sites: Vec<_> = cuts.iter().map(|cut| (*cut, Site::plain())).collect();
        let mut halves: Vec<_> = sites.iter().map(|(cut, site)| half_written(site, *cut)).collect();
        // Every second file comes to say what it said before.
        let until = Instant::now() + Duration::from_millis(500);
        for (_, site) in &sites {
            site.quiet(until.saturating_duration_since(Instant::now()));
        }
        for (file, rest) in &mut halves {
            file.write_all(rest.as_bytes()).unwrap();
        }
        let written = Instant::now();
        let until = written + SETTLED;
        for (cut, site) in &sites {
            if cut % 2 == 1 {
                site.live(written);
            }
        }
        for (_, site) in &sites {
            site.quiet(until.saturating_duration_since(Instant::now()));
        }
    }
}

/// The file as far as it is written, and the rest of it.
fn half_written(site: &Site, cut: usize) -> (File, String) {
    let text = site.text(cut % 2);
    let (half, rest) = text.split_at(cut.min(text.len()));
    let mut file = File::create(&site.file).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    // Nothing is in a buffer: what was written can be read.
    assert_eq!(fs::read_to_string(&site.file).unwrap(), half);
    (file, rest.to_owned())
}
