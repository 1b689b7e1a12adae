//! Damaged files: whatever becomes of a configuration, reading it neither panics nor tells its secrets.

use std::fmt::Write as _;

use config::Layers;

use super::Place;

use crate::support::asked;

/// How many damaged files are read where nothing else is said. `CONFIG_MUTATIONS=100000 cargo test -p tests mutations`
/// reads a hundred thousand.
const MUTATIONS: u64 = 10_000;

pub(crate) fn count() -> u64 {
    asked("CONFIG_MUTATIONS", MUTATIONS)
}

/// A configuration that is right, with secrets where they do no harm: in comments, in paths, in a name.
const RIGHT: &str = r#"# The token is 123456789:AAFcanarySECRET-xyz, the password s3cr3tPassw0rd, the other swordfishunderthebridge.
[bot]
name = "Switchyard s3cr3tPassw0rd"
owners = [7, "@ada", "@grace_h"]

[log]
level = "info"     # s3cr3tPassw0rd
format = "text"

[database]
data_dir = "/srv/s3cr3tPassw0rd/data"
default_source = "primary"
on_unavailable = "stand-in"
partial_results = "warn"

[database.sources.primary]
type = "sqlite"
path = "s3cr3tPassw0rd/${FOLDER}/bot.db"
timeout = 30.0
max_connections = 5
durability = "full"

[database.sources.archive]
type = "sqlite"
# 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b
path = "archive-AAFcanarySECRET-xyz.db"
readonly = true

[database.sources.third]
path = "swordfishunderthebridge/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b.db"

[database.chat_mapping]
-1001234567890 = "archive"
-1002345678901 = "archive"
"#;

/// One that is wrong, with secrets where people put them by mistake: as settings that there are not, as keys, as names.
const WRONG: &str = r#"# The token is 123456789:AAFcanarySECRET-xyz, the password s3cr3tPassw0rd.
[bot]
name = "Switchyard"
owners = [7, "@ada", "swordfishunderthebridge"]
token = "123456789:AAFcanarySECRET-xyz"
"123456789:AAFcanarySECRET-xyz" = "token"
swordfishunderthebridge = "password"

[telegram]
token = '123456789:AAFcanarySECRET-xyz'
password = """
s3cr3tPassw0rd"""
s3cr3tPassw0rd = true
9f86d081884c7d659a2feaa0c55ad015a3bf4f1b = "key"

[database]
data_dir = "/srv/s3cr3tPassw0rd/data"
default_source = "swordfishunderthebridge"
dsn = "mysql://bot:s3cr3tPassw0rd@localhost/AAFcanarySECRET-xyz"
swordfishunderthebridge = "${9f86d081884c7d659a2feaa0c55ad015a3bf4f1b}"

[database.sources.primary]
path = "s3cr3tPassw0rd/${FOLDER}/bot.db"
swordfishunderthebridge = 1

[database.sources.archive]
path = "s3cr3tPassw0rd/${FOLDER}/bot.db"
timeout = "swordfishunderthebridge"

[database.sources]
swordfishunderthebridge = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"

[database.chat_mapping]
-1001234567890 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
swordfishunderthebridge = "primary"
"#;

/// Parts of the secrets, each long enough to be nothing else: in letters of both sizes, in small ones alone, in digits
/// of base 16.
const CANARIES: [&str; 4] =
    ["AAFcanarySECRET-xyz", "s3cr3tPassw0rd", "swordfishunderthebridge", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"];
const PART: usize = 10;

/// Numbers that look random and are the same in every run: `SplitMix64` (G. Steele and others, "Fast splittable
/// pseudorandom number generators", 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    /// A range of up to so many bytes.
    fn range(&mut self, length: usize, most: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        start..(start + 1 + self.below(most)).min(length)
    }
}

/// Damages a file in one to four ways.
pub(crate) fn damage(content: &mut Vec<u8>, random: &mut Random) {
    const PIECES: [&[u8]; 14] =
        [b"\n", b"\"", b"'", b"=", b"[", b"]", b"[[", b"#", b"${", b"}", b".", b"\\u0000", b"\xff", b"\"\"\""];
    for _ in 0..=random.below(4) {
        let length = content.len();
        match random.below(8) {
            0 => {
                if let Some(byte) = content.get_mut(random.below(length)) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => drop(content.drain(random.range(length, 40))),
            2 => {
                let copy = content[random.range(length, 80)].to_vec();
                let at = random.below(length + 1);
                content.splice(at..at, copy);
            }
            3 => {
                let mut lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
                let (one, other) = (random.below(lines.len()), random.below(lines.len()));
                lines.swap(one, other);
                *content = lines.join(&b'\n');
            }
            4 => {
                let at = random.below(length + 1);
                content.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied());
            }
            5 => {
                let range = random.range(length, 1);
                content.splice(range, PIECES[random.below(PIECES.len())].iter().copied());
            }
            // The line breaks are what keeps keys, values and comments apart.
            6 => {
                let breaks: Vec<_> = (0..length).filter(|at| b"\n=\"#".contains(&content[*at])).collect();
                if let Some(at) = breaks.get(random.below(breaks.len())) {
                    content.remove(*at);
                }
            }
            _ => content.truncate(length - random.below(length / 4 + 1)),
        }
    }
}

/// What a person can be shown of an error: its text and what a developer's log would print.
fn shown(layers: &Layers) -> Option<String> {
    let error = layers.load().err()?;
    let mut text = String::new();
    write!(text, "{error} {error:?} {error:#?}").unwrap();
    Some(text)
}

fn secret_in(text: &str) -> Option<&'static str> {
    let parts = |canary: &'static str| (0..=canary.len() - PART).map(move |at| &canary[at..at + PART]);
    CANARIES.into_iter().flat_map(parts).find(|part| text.contains(part))
}

/// Reads the file whole, and damaged in as many ways as were asked for. Answers how often it was accepted and refused.
fn damaged(whole: &str) -> (u64, u64) {
    let place = Place::new();
    let path = place.file("bot.toml", whole);
    let environment = vec![("FOLDER".into(), "s3cr3tPassw0rd".into())];
    let layers = Layers { files: vec![path.clone()], environment, data_dir: None };
    let mut counts = (0, 0);
    for seed in 0..count() {
        let mut content = whole.as_bytes().to_vec();
        damage(&mut content, &mut Random(seed));
        std::fs::write(&path, &content).unwrap();
        match shown(&layers) {
            None => counts.0 += 1,
            Some(text) => {
                counts.1 += 1;
                let secret = secret_in(&text);
                assert_eq!(secret, None, "seed {seed}:\n{}\n{text}", String::from_utf8_lossy(&content));
            }
        }
    }
    counts
}

#[test]
fn no_damage_to_a_right_file_makes_it_panic_or_tell_a_secret() {
    let place = Place::new();
    place.file("bot.toml", RIGHT);
    place.load(&["bot.toml"], &[("FOLDER", "s3cr3tPassw0rd")]).unwrap();
    let (accepted, refused) = damaged(RIGHT);
    assert!(accepted > count() / 20 && refused > count() / 20, "{accepted} accepted, {refused} refused");
}

#[test]
fn no_damage_to_a_file_full_of_misplaced_secrets_makes_it_panic_or_tell_one() {
    let place = Place::new();
    place.file("bot.toml", WRONG);
    let told = place.wrong(&["bot.toml"], &[("FOLDER", "s3cr3tPassw0rd")]);
    assert_eq!(secret_in(&told), None, "{told}");
    assert!(told.lines().count() > 10, "each of them is complained of: {told}");
    let (accepted, refused) = damaged(WRONG);
    assert!(refused > accepted, "{accepted} accepted, {refused} refused");
}

#[test]
fn each_refusal_of_a_file_full_of_secrets_keeps_them() {
    // A value in the wrong place, one at a time: lines of the file, each made a value, a key and a table of each table.
    let place = Place::new();
    let tables = ["", "[bot]", "[log]", "[database]", "[database.sources.x]", "[database.chat_mapping]"];
    let keys =
        ["name", "owners", "level", "data_dir", "path", "sources", "type", "timeout", "default_source", "-1", "x"];
    let quoted = CANARIES.map(|canary| format!("\"{canary}\""));
    for secret in quoted.iter().map(String::as_str).chain(CANARIES) {
        for table in tables {
            let mut contents = vec![format!("{table}\n{secret} = 1\n"), format!("{table}\n[{secret}]\na = 1\n")];
            contents.push(format!("{table}\n[database.sources.{secret}]\npath = \"x\"\ntimeout = 0\n"));
            contents.push(format!("{table}\n[database.sources.{secret}]\npath = \"${{\"\n"));
            for key in keys {
                contents.push(format!("{table}\n{key} = {secret}\n"));
                contents.push(format!("{table}\n{key} = [{secret}]\n"));
                contents.push(format!("{table}\n{key} = {{ {secret} = {secret} }}\n"));
                contents.push(format!("{table}\n{key} = \"${{{}}}\"\n", secret.trim_matches('"')));
            }
            for content in contents {
                place.file("bot.toml", &content);
                let layers = Layers { files: vec![place.path("bot.toml")], ..Layers::default() };
                let secret = shown(&layers).as_deref().and_then(secret_in);
                assert_eq!(secret, None, "{content}\n{:?}", shown(&layers));
            }
        }
    }
}
