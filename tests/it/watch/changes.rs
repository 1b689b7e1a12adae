//! The ways in which people and programs change a file, for whatever follows one.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

/// Follows a file that says TOML, with `[database.chat_mapping]` at its end.
pub(crate) trait Followed {
    /// The folder that everything is in.
    fn root(&self) -> &Path;
    /// The file.
    fn file(&self) -> &Path;
    /// For so long nothing becomes of the file.
    fn stays_for(&mut self, time: Duration);
    /// What the file says is refused, which is waited for.
    fn is_refused(&mut self);
}

/// Makes the file say a text, in one of so many rounds; answers when the last write was.
type Change<F> = fn(&mut F, &str, usize) -> Instant;

/// One way of changing a file, and where the file is.
pub(crate) struct Way<F> {
    pub(crate) name: &'static str,
    /// The file's folder, below the root.
    pub(crate) folder: &'static str,
    /// Makes the folder, with a file of this text.
    pub(crate) prepare: fn(&Path, &str),
    pub(crate) change: Change<F>,
}

pub(crate) fn ways<F: Followed>() -> [Way<F>; 7] {
    [
        in_a_plain_folder("in place", in_place),
        in_a_plain_folder("in two parts", in_two_parts),
        in_a_plain_folder("renamed over", renamed_over),
        in_a_plain_folder("in place after renamed over", in_turn),
        in_a_plain_folder("folder recreated", folder_recreated),
        in_a_plain_folder("broken, then good", broken_then_good),
        Way { name: "link swapped", folder: "current/configs", prepare: put_behind_link, change: link_swapped },
    ]
}

fn in_a_plain_folder<F>(name: &'static str, change: Change<F>) -> Way<F> {
    Way { name, folder: PLAIN, prepare: put_in_a_folder, change }
}

/// The folder of a file that is reached through no link.
pub(crate) const PLAIN: &str = "configs";

pub(crate) fn put_in_a_folder(root: &Path, text: &str) {
    fs::create_dir(root.join(PLAIN)).unwrap();
    fs::write(root.join(PLAIN).join("bot.toml"), text).unwrap();
}

/// `current` leads to a folder with the configuration, as where whole releases are put in place at once.
fn put_behind_link(root: &Path, text: &str) {
    release(root, "release-0", text);
}

fn in_place<F: Followed>(followed: &mut F, text: &str, _: usize) -> Instant {
    fs::write(followed.file(), text).unwrap();
    Instant::now()
}

fn in_two_parts<F: Followed>(followed: &mut F, text: &str, round: usize) -> Instant {
    // Also where the first part is a whole number of lines, which is the part that may be valid: without its last lines,
    // and so without routes.
    let ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    let cut =
        if round.is_multiple_of(2) { 37 * round % text.len() } else { ends[ends.len() - 2 - (round / 2 + 1) % 6] };
    let mut file = File::create(followed.file()).unwrap();
    file.write_all(&text.as_bytes()[..cut]).unwrap();
    followed.stays_for(Duration::from_millis(500));
    file.write_all(&text.as_bytes()[cut..]).unwrap();
    Instant::now()
}

fn renamed_over<F: Followed>(followed: &mut F, text: &str, _: usize) -> Instant {
    let other = followed.file().with_extension("new");
    fs::write(&other, text).unwrap();
    fs::rename(&other, followed.file()).unwrap();
    Instant::now()
}

fn in_turn<F: Followed>(followed: &mut F, text: &str, round: usize) -> Instant {
    if round.is_multiple_of(2) { in_place(followed, text, round) } else { renamed_over(followed, text, round) }
}

fn folder_recreated<F: Followed>(followed: &mut F, text: &str, round: usize) -> Instant {
    let folder = followed.file().parent().unwrap().to_owned();
    fs::remove_dir_all(&folder).unwrap();
    followed.stays_for(Duration::from_millis([0, 20, 1100, 400][round % 4]));
    fs::create_dir(&folder).unwrap();
    fs::write(followed.file(), text).unwrap();
    Instant::now()
}

fn broken_then_good<F: Followed>(followed: &mut F, text: &str, round: usize) -> Instant {
    let broken = [
        text.replace("[database.chat_mapping]", "[database.chat_mapping"),
        text.replace(" = \"archive\"", " = \"nowhere\""),
    ];
    fs::write(followed.file(), &broken[round % 2]).unwrap();
    followed.is_refused();
    in_place(followed, text, round)
}

fn link_swapped<F: Followed>(followed: &mut F, text: &str, round: usize) -> Instant {
    release(followed.root(), &format!("release-{round}"), text);
    Instant::now()
}

fn release(root: &Path, name: &str, text: &str) {
    let folder = root.join(name).join("configs");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("bot.toml"), text).unwrap();
    symlink(name, root.join("next")).unwrap();
    fs::rename(root.join("next"), root.join("current")).unwrap();
}
