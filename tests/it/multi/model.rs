//! One file is the model of many: the same calls have the same answers, whatever they are and however chats are spread.
//!
//! Three exceptions are meant, and kept out of the sequences:
//!
//! - One media id in chats of different sources is one attachment in one file and several in many. So the media of each
//!   source have ids of their own here, beside those that belong to no chat.
//! - Erasing a person erases media of the chat's source, by what messages of that source show. So a message that nobody
//!   erases shows each attachment that belongs to no chat (`show_shared_media`); `multi::media` shows the difference.
//! - A supergroup that speaks before it is known what it comes of leaves copies in the default source, which one file
//!   has not. So nobody speaks there before (`settled`); `multi::supergroups` shows what becomes of it.

mod reads;

use std::collections::{BTreeMap, BTreeSet};

use database::multi::Control;
use database::{
    ChatId, DatabaseConfig, DatabaseWrapper, Durability, MediaId, NewMedia, NewMessage, PartialResults, SourceConfig,
    UserId,
};
use proptest::prelude::*;

use self::reads::{READS, text};
use super::{config_of, name};
use crate::replay::writes::{KINDS, WORDS, Write};
use crate::sources_text::read_operations;
use crate::support::{HandClock, Scratch, asked, rows, time};

const START: &str = "2026-02-01 00:00:00";
const SOURCES: [&str; 4] = ["a", "b", "c", "d"];
/// Group 4 is mapped nowhere, and supergroup 13 is only where group 3 is once it is known to go on with it.
const MAPPING: [(i64, &str); 5] = [(-1, "b"), (-2, "c"), (-3, "d"), (-11, "b"), (-12, "c")];
/// The supergroup that goes on with each group has an id further down by so much.
const SUPERGROUP: i64 = 10;
const GROUPS: std::ops::RangeInclusive<i64> = 1..=4;
const INHERITS: i64 = 13;
/// Writes of these rooms go into the step that makes supergroups of groups, whose ids have to go to one source.
const OF_ALIASES: &str = "aliases.";

/// What happens to both.
#[derive(Clone, Debug)]
enum Step {
    Write(Write),
    Read(usize, Write),
    /// The group becomes the supergroup of its own number.
    Migrate(i64),
    /// Only many sources have what is reloaded.
    Reload(Reload),
}

/// Changes of the configuration that move no chat.
#[derive(Clone, Copy, Debug)]
enum Reload {
    AddUnused,
    DropUnused,
    Timeout,
    Readers,
    Durability,
    Strictness,
    /// Maps a chat to where it is anyway.
    MapInherited,
}

fn call() -> impl Strategy<Value = Write> {
    let chats = prop_oneof![3 => GROUPS, 1 => SUPERGROUP + GROUPS.start()..=SUPERGROUP + GROUPS.end()];
    (Write::any(), chats).prop_map(|(write, chat)| Write { chat, ..write })
}

fn step() -> impl Strategy<Value = Step> {
    use Reload as R;
    let reloads =
        vec![R::AddUnused, R::DropUnused, R::Timeout, R::Readers, R::Durability, R::Strictness, R::MapInherited];
    prop_oneof![
        12 => call().prop_map(Step::Write),
        6 => (0..READS.len(), call()).prop_map(|(read, call)| Step::Read(read, call)),
        1 => GROUPS.prop_map(Step::Migrate),
        2 => prop::sample::select(reloads).prop_map(Step::Reload),
    ]
}

/// The same rows twice: in one file, and in many.
struct Both {
    scratch: Scratch,
    clock: HandClock,
    one: DatabaseWrapper,
    many: DatabaseWrapper,
    control: Control,
    config: DatabaseConfig,
    /// The groups that became supergroups.
    migrated: BTreeSet<i64>,
}

impl Both {
    fn new() -> Self {
        let scratch = Scratch::in_memory();
        let clock = HandClock::at("2026-01-01 00:00:00");
        let one = SourceConfig { durability: Durability::Normal, ..SourceConfig::new(scratch.file("one.db")) };
        let one = DatabaseWrapper::open_with(&one, clock.options()).unwrap();
        let mut config = config_of(scratch.path(), &SOURCES, &MAPPING);
        config.sources.values_mut().for_each(|source| source.durability = Durability::Normal);
        let (many, control) = DatabaseWrapper::open_multi(&config, clock.options()).unwrap();
        let both = Self { scratch, clock, one, many, control, config, migrated: BTreeSet::new() };
        both.show_shared_media();
        both.know_people();
        both
    }

    /// People are known from the start, so that what they say is listed; and some media are there.
    fn know_people(&self) {
        for db in [&self.one, &self.many] {
            for group in GROUPS {
                for user in 1..=2 {
                    db.update_chat_user(ChatId(-group), UserId(user), "@known", "Known").unwrap();
                }
            }
            for word in &WORDS[..3] {
                db.add_media_attachment(None, &NewMedia::new(format!("shared {word}"))).unwrap();
            }
        }
    }

    /// A message that nobody erases shows each attachment that belongs to no chat, in one file and in the shared
    /// source. Without it, erasing whoever showed one last erases it in one file; in many it stays where the message
    /// was in another source, and goes where it was in the shared one, whatever other sources show. Erasing is one
    /// transaction on one source, so this is meant, and told in `docs/database-multi-source.md`.
    fn show_shared_media(&self) {
        for (word, number) in WORDS.iter().zip(0..) {
            let media_id = Some(MediaId::from(format!("shared {word}")));
            let message = NewMessage { media_id, ..NewMessage::text(100 + number, time(START), UserId(77), "look") };
            [&self.one, &self.many].iter().for_each(|db| db.save_chat_message(ChatId(-4), &message).unwrap());
        }
    }

    /// The call as it can be made: the media are those of the chat's source or of no chat, and nobody speaks in a
    /// supergroup that is not there yet and whose place depends on the group that it goes on with.
    fn settled(&self, op: &str, call: &Write) -> Write {
        let mut call = call.clone();
        if call.chat == INHERITS && !self.migrated.contains(&(INHERITS - SUPERGROUP)) {
            call.chat -= SUPERGROUP;
        }
        let is_of_chat = match op.split_once('.').unwrap().0 {
            "media" => call.flag,
            "imports" => true,
            _ => call.number % 2 == 0,
        };
        let own = ["of a ", "of b ", "of c ", "of d "];
        let place = usize::try_from(call.chat % SUPERGROUP % 4).unwrap();
        call.media_mark = if is_of_chat { own[place] } else { "shared " };
        call
    }

    fn go(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Write(write) => {
                let op = KINDS[write.kind].0;
                if op.starts_with(OF_ALIASES) {
                    return self.go(&Step::Migrate((write.chat - 1) % SUPERGROUP + 1));
                }
                let write = self.settled(op, write);
                prop_assert_eq!(text(write.make(&self.one)), text(write.make(&self.many)), "{:?}", write);
            }
            Step::Read(read, call) => self.ask(*read, call)?,
            Step::Migrate(group) => {
                let (old, new) = (ChatId(-group), ChatId(-group - SUPERGROUP));
                prop_assert_eq!(text(self.one.migrate_chat(old, new)), text(self.many.migrate_chat(old, new)));
                self.migrated.insert(*group);
                prop_assert_eq!(self.one.current_chat(old), self.many.current_chat(old));
            }
            Step::Reload(reload) => self.reload(*reload)?,
        }
        Ok(())
    }

    fn ask(&self, read: usize, call: &Write) -> Result<(), TestCaseError> {
        let (op, ask) = READS[read];
        let call = self.settled(op, call);
        prop_assert_eq!(ask(&self.one, &call), ask(&self.many, &call), "{} {:?}", op, call);
        Ok(())
    }

    fn reload(&mut self, reload: Reload) -> Result<(), TestCaseError> {
        let sources = &mut self.config.sources;
        let altered = |of: &str| sources[&name(of)].clone();
        let changed = match reload {
            Reload::AddUnused => {
                let unused = SourceConfig { name: name("unused"), ..altered("b") };
                Some(SourceConfig { path: self.scratch.file("unused.db"), ..unused })
            }
            Reload::DropUnused => {
                sources.remove(&name("unused"));
                None
            }
            Reload::Timeout => {
                let source = altered("b");
                Some(SourceConfig { timeout: source.timeout + std::time::Duration::from_secs(1), ..source })
            }
            Reload::Readers => {
                let source = altered("c");
                Some(SourceConfig { max_connections: 2 + source.max_connections % 3, ..source })
            }
            Reload::Durability => {
                let source = altered("a");
                let is_full = source.durability == Durability::Full;
                let durability = if is_full { Durability::Normal } else { Durability::Full };
                Some(SourceConfig { durability, ..source })
            }
            Reload::Strictness => {
                self.config.partial_results = match self.config.partial_results {
                    PartialResults::Warn => PartialResults::Error,
                    _ => PartialResults::Warn,
                };
                None
            }
            Reload::MapInherited => {
                if self.migrated.contains(&(INHERITS - SUPERGROUP)) {
                    self.config.chat_mapping.insert(ChatId(-INHERITS), name("d"));
                }
                None
            }
        };
        if let Some(source) = changed {
            self.config.sources.insert(source.name.clone(), source);
        }
        let change = self.control.reload(&self.config).unwrap();
        prop_assert_eq!(change.rerouted, []);
        Ok(())
    }

    /// Asks everything of every chat with these arguments, then compares the rows in the files.
    fn end(self, with: &Write) -> Result<(), TestCaseError> {
        for group in GROUPS {
            for chat in [group, group + SUPERGROUP] {
                for flag in [false, true] {
                    let call = Write { chat, flag, ..with.clone() };
                    (0..READS.len()).try_for_each(|read| self.ask(read, &call))?;
                }
            }
        }
        let Self { scratch, one, many, .. } = self;
        one.close();
        many.close();
        let of = |files: &[&str]| {
            let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for file in files.iter().map(|file| scratch.file(file)).filter(|file| file.exists()) {
                for (table, rows) in rows(&file) {
                    // What files say of themselves is not content: in the settings, how they were migrated.
                    let is_content = |row: &String| table != "settings" || !row.contains("db-migration");
                    all.entry(table.clone()).or_default().extend(rows.into_iter().filter(is_content));
                }
            }
            all.retain(|table, _| !matches!(table.as_str(), "switchyard_meta" | "switchyard_sources"));
            all.values_mut().for_each(|rows| rows.sort());
            all
        };
        prop_assert_eq!(of(&["one.db"]), of(&["a.db", "b.db", "c.db", "d.db", "unused.db"]));
        Ok(())
    }
}

fn cases() -> u32 {
    asked("MODEL_CASES", 200)
}

#[test]
fn every_read_there_is_stands_in_the_model() {
    let known: BTreeSet<_> = READS.iter().map(|(op, _)| (*op).to_owned()).collect();
    assert_eq!(known.len(), READS.len());
    let mut expected = read_operations();
    // Calls itself `know_aliases`, and is part of every other that follows one.
    assert!(expected.remove("aliases.know_aliases"));
    // Is asked by `add_alias` in `migrate_chat`.
    assert!(expected.remove("aliases.check_successor"));
    // Is made by `migrate_chat` between two sources, which one file has not.
    assert!(expected.remove("aliases.read_group"));
    assert_eq!(known, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_sources_answer_as_one_file_does(
        steps in prop::collection::vec(step(), 1..120),
        last in call(),
    ) {
        let mut both = Both::new();
        for (index, step) in (0..).zip(&steps) {
            both.clock.set(time(START).saturating_add_seconds(index));
            both.go(step)?;
        }
        both.end(&last)?;
    }
}
