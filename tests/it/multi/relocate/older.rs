//! Older configurations that are put back: nobody's history is hidden by them, however often a chat was moved since.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// What is done, one after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The chat is moved to the source of this number, if it is not there; whether the configuration follows.
    Move(usize, bool),
    /// One of the configurations until then comes into force, while it runs or by a start; then the last one again.
    PutBack(prop::sample::Index, bool),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, prop::bool::weighted(0.8)).prop_map(|(to, follows)| Step::Move(to, follows)),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, starts)| Step::PutBack(which, starts)),
        1 => Just(Step::Restart),
    ]
}

/// A configuration with what a move would have it say.
fn followed(config: &DatabaseConfig, report: &MoveReport) -> DatabaseConfig {
    let mut config = config.clone();
    for change in &report.mapping {
        match change {
            MappingChange::Set { chat, source } => drop(config.chat_mapping.insert(*chat, source.clone())),
            MappingChange::Remove { chat } => drop(config.chat_mapping.remove(chat)),
            other => panic!("{other}"),
        }
    }
    config
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_older_configuration_leads_a_chat_to_its_rows_however_often_it_was_moved(
        is_mapped: bool,
        steps in prop::collection::vec(step(), 1..10),
    ) {
        const NAMES: [&str; 3] = ["primary", "archive", "third"];
        let scratch = Scratch::new();
        let mapping: &[_] = if is_mapped { &[(CHAT.0, "archive")] } else { &[] };
        let mut configs = vec![sources(scratch.path(), mapping)];
        let mut place = if is_mapped { "archive" } else { "primary" };
        let (mut db, mut control) = open(&configs[0]);
        db.set_chat_setting(CHAT, "language", "nl").unwrap();
        let is_there = |db: &DatabaseWrapper, control: &Control, place: &str| {
            let route = control.explain(CHAT);
            let language = db.get_chat_setting(CHAT, "language").unwrap();
            route.source == name(place) && route.disputed.is_none() && language.as_deref() == Some("nl")
        };
        for step in steps {
            let (mut other, last) = (None, configs.last().unwrap().clone());
            match step {
                Step::Move(to, follows) if NAMES[to] != place => {
                    let report = moved(&control, CHAT, NAMES[to]).unwrap();
                    place = NAMES[to];
                    if follows {
                        let next = followed(&last, &report);
                        control.reload(&next).unwrap();
                        configs.push(next);
                    }
                }
                Step::Move(..) => {}
                Step::PutBack(which, false) => {
                    let older = which.get(&configs);
                    control.reload(older).unwrap();
                    prop_assert!(is_there(&db, &control, place), "{place}: {:?}", control.explain(CHAT));
                    control.reload(&last).unwrap();
                }
                Step::PutBack(which, true) => other = Some(which.get(&configs)),
                Step::Restart => other = Some(&last),
            }
            for config in other.into_iter().flat_map(|other| [other, &last]) {
                db.close();
                (db, control) = open(config);
                prop_assert!(is_there(&db, &control, place), "{place}: {:?}", control.explain(CHAT));
                // What all files say of it is read.
                control.warm_up(&NAMES.map(name), Duration::from_secs(30));
                prop_assert!(control.status().disputed.is_empty());
            }
            let mark = "SELECT COUNT(*) FROM switchyard_meta WHERE key LIKE 'moved:%'";
            let marks: i64 = sqlite(&scratch.file(&format!("{place}.db"))).query_row(mark, [], |row| row.get(0)).unwrap();
            prop_assert_eq!(marks, 0, "{} says that the chat has left it", place);
            prop_assert!(is_there(&db, &control, place), "{place}: {:?}", control.explain(CHAT));
        }
        db.close();
    }
}
