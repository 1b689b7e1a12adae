//! What was written while a source was away leaves at home what it would have left there: for every write there is,
//! on homes that hold rows.
//!
//! The longer form: `STAND_IN_CASES=2000 cargo test -p tests --features multi-source --test it standins::property`

use database::multi::Control;
use database::{DatabaseConfig, DatabaseWrapper, Durability, ErrorKind, OnUnavailable, Options};
use proptest::prelude::*;

use super::super::{config_of, name};
use crate::replay::writes::Write;
use crate::support::{HandClock, Scratch, asked, rows, time};

const START: &str = "2026-02-01 00:00:00";

fn config(scratch: &Scratch, policy: OnUnavailable) -> DatabaseConfig {
    let mapping: Vec<_> = (1..3).map(|chat| (-chat, "home")).collect();
    let mut config = config_of(scratch.path(), &["primary", "home"], &mapping);
    for source in config.sources.values_mut() {
        (source.durability, source.on_unavailable) = (Durability::Normal, policy);
    }
    config
}

fn open(config: &DatabaseConfig, options: Options) -> (DatabaseWrapper, Control) {
    DatabaseWrapper::open_multi(config, options).unwrap()
}

/// Makes each write at a moment of its own; one that finds its key taken changes nothing.
fn make(db: &DatabaseWrapper, clock: &HandClock, first: i64, writes: &[&Write]) {
    for (index, write) in (first..).zip(writes) {
        clock.set(time(START).saturating_add_seconds(index));
        match write.make(db) {
            Err(error) if !error.is_duplicate() && !matches!(error.kind(), ErrorKind::NoSuccessor { .. }) => {
                panic!("{write:?}: {error}")
            }
            _ => {}
        }
    }
}

/// Whether a write is of one chat alone. An attachment that belongs to none is in the default source, where one of the
/// same id is then found to be there already.
fn is_of_a_chat(write: &&Write) -> bool {
    let is_shared = write.op().starts_with("media.") && write.maybe_chat().is_none();
    !is_shared && !write.op().starts_with("aliases.") && write.op() != "imports.save_import"
}

fn cases() -> u32 {
    asked("STAND_IN_CASES", 40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_home_leaves_what_would_have_been_left_there(
        before in prop::collection::vec(Write::any(), 0..40),
        meanwhile in prop::collection::vec(Write::any(), 1..40),
        again in prop::collection::vec(Write::any(), 0..10),
        policy in prop_oneof![Just(OnUnavailable::StandIn), Just(OnUnavailable::Default)],
    ) {
        let of_chats = |writes: &'_ [Write]| writes.iter().filter(is_of_a_chat).cloned().collect::<Vec<_>>();
        let (before, meanwhile, again) = (of_chats(&before), of_chats(&meanwhile), of_chats(&again));
        let (before, meanwhile, again): (Vec<_>, Vec<_>, Vec<_>) =
            (before.iter().collect(), meanwhile.iter().collect(), again.iter().collect());
        let (direct, away) = (Scratch::in_memory(), Scratch::in_memory());
        for scratch in [&direct, &away] {
            let clock = HandClock::at(START);
            let config = config(scratch, policy);
            let (db, control) = open(&config, clock.options());
            make(&db, &clock, 0, &before);
            // In one of the two the home is away meanwhile, over a restart too.
            let is_away = std::ptr::eq(scratch, &away);
            let (file, elsewhere) = (scratch.file("home.db"), scratch.file("home.away"));
            // Opened, so that it is known: what was never there is made.
            control.retry(&name("home")).unwrap();
            db.close();
            if is_away {
                std::fs::rename(&file, &elsewhere).unwrap();
            }
            let half = meanwhile.len() / 2;
            let (db, _) = open(&config, clock.options());
            make(&db, &clock, 100, &meanwhile[..half]);
            db.close();
            let (db, control) = open(&config, clock.options());
            make(&db, &clock, 200, &meanwhile[half..]);
            if is_away {
                std::fs::rename(&elsewhere, &file).unwrap();
                control.retry(&name("home")).unwrap();
            }
            make(&db, &clock, 300, &again);
            db.close();
        }
        let of = |scratch: &Scratch| {
            let mut rows = rows(&scratch.file("home.db"));
            // What became of the journal is told there.
            assert_eq!(rows.remove("switchyard_parked"), Some(Vec::new()), "nothing is kept aside");
            rows.remove("switchyard_made");
            // Each folder's own.
            rows.remove("switchyard_meta");
            rows
        };
        prop_assert_eq!(of(&direct), of(&away));
        prop_assert!(!away.file("standin/home.db").exists());
    }
}
