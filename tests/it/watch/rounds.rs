//! Each way of changing a file, many times.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use config::Outcome;

use super::{LIVE, SETTLED, Site, rounds};

/// Makes the file say a text in one of the ways; answers when the last write was.
type Change = fn(&Site, &str, usize) -> Instant;

#[test]
fn whatever_way_a_file_is_changed_in_it_is_in_force_in_time_and_once() {
    let in_a_plain_folder: [(&str, Change); 6] = [
        ("in place", in_place),
        ("in two parts", in_two_parts),
        ("renamed over", renamed_over),
        ("in place after renamed over", in_turn),
        ("folder recreated", folder_recreated),
        ("broken, then good", broken_then_good),
    ];
    let mut threads: Vec<_> =
        in_a_plain_folder.map(|(name, change)| (name, thread::spawn(move || many(&Site::plain(), change)))).into();
    threads
        .push(("link swapped", thread::spawn(|| many(&Site::new("current/configs", put_behind_link), link_swapped))));
    for (name, thread) in threads {
        thread.join().unwrap_or_else(|_| panic!("{name}"));
    }
}

fn many(site: &Site, change: Change) {
    for round in 1..=rounds() {
        // The poll is anywhere in its second.
        site.quiet(Duration::from_millis(170 * round as u64 % 1000));
        let written = change(site, &site.text(round), round);
        site.live(written);
    }
    site.quiet(SETTLED);
}

fn in_place(site: &Site, text: &str, _: usize) -> Instant {
    fs::write(&site.file, text).unwrap();
    Instant::now()
}

fn in_two_parts(site: &Site, text: &str, round: usize) -> Instant {
    // Also where the first part is a whole number of lines, which is the part that may be valid.
    let ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    let cut = if round.is_multiple_of(2) { ends[ends.len() - 2 - round / 2 % 6] } else { 37 * round % text.len() };
    let mut file = File::create(&site.file).unwrap();
    file.write_all(&text.as_bytes()[..cut]).unwrap();
    site.quiet(Duration::from_millis(500));
    file.write_all(&text.as_bytes()[cut..]).unwrap();
    Instant::now()
}

fn renamed_over(site: &Site, text: &str, _: usize) -> Instant {
    let other = site.file.with_extension("new");
    fs::write(&other, text).unwrap();
    fs::rename(&other, &site.file).unwrap();
    Instant::now()
}

fn in_turn(site: &Site, text: &str, round: usize) -> Instant {
    if round.is_multiple_of(2) { in_place(site, text, round) } else { renamed_over(site, text, round) }
}

fn folder_recreated(site: &Site, text: &str, round: usize) -> Instant {
    let folder = site.file.parent().unwrap();
    fs::remove_dir_all(folder).unwrap();
    site.quiet(Duration::from_millis([0, 20, 1100, 400][round % 4]));
    fs::create_dir(folder).unwrap();
    fs::write(&site.file, text).unwrap();
    Instant::now()
}

fn broken_then_good(site: &Site, text: &str, round: usize) -> Instant {
    let broken = [text.replace("[database.chat_mapping]", "[database.chat_mapping"), text.replace("-1002", "x")];
    fs::write(&site.file, &broken[round % 2]).unwrap();
    let start = Instant::now();
    while !matches!(site.watch.last(), Some(last) if matches!(last.outcome, Outcome::Refused(_))) {
        assert!(start.elapsed() < LIVE, "not told");
        site.quiet(Duration::from_millis(20));
    }
    in_place(site, text, round)
}

/// `current` leads to a folder with the configuration, as where whole releases are put in place at once.
fn put_behind_link(root: &Path, text: &str) {
    release(root, "release-0", text);
}

fn link_swapped(site: &Site, text: &str, round: usize) -> Instant {
    release(site.scratch.path(), &format!("release-{round}"), text);
    Instant::now()
}

fn release(root: &Path, name: &str, text: &str) {
    let folder = root.join(name).join("configs");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("bot.toml"), text).unwrap();
    symlink(name, root.join("next")).unwrap();
    fs::rename(root.join("next"), root.join("current")).unwrap();
}
