//! Damaged and odd files: what is in force afterwards is what was before, or exactly what the file says. That is judged
//! by a TOML parser and the documented rules, not by what loads configurations.

use std::fmt::Display;
use std::fs;

use config::{Layers, Outcome};
use database::DatabaseConfig;

use super::Site;
use super::oracle::said;
use crate::config::mutations::{Random, count, damage};

#[test]
fn whatever_becomes_of_a_file_the_old_table_stays_or_its_own_is_in_force() {
    let site = Site::plain();
    let whole = site.text(0);
    let mut in_force = site.says();
    assert_eq!(said(&site.file, whole.as_bytes()), Some(in_force.clone()));
    let (mut applied, mut refused) = (0, 0);
    for seed in 0..count() {
        let mut content = whole.clone().into_bytes();
        damage(&mut content, &mut Random(seed));
        match read(&site, &mut in_force, &content, &format_args!("seed {seed}")) {
            Outcome::Applied => applied += 1,
            Outcome::Refused(_) => refused += 1,
            Outcome::Unchanged => {}
        }
    }
    assert!(applied > 0 && refused > 0, "{applied} {refused}");
}

#[test]
fn keys_of_chats_are_numbers_in_whatever_way_they_are_written() {
    let site = Site::plain();
    let mut in_force = site.says();
    for (written, chat) in [
        ("5 = \"archive\"", Some(5)),
        ("\"6\" = 'archive'", Some(6)),
        ("'+7' = \"archive\"", Some(7)),
        ("-007 = \"archive\"", Some(-7)),
        ("\"\\u0038\" = \"\\u0061rchive\"", Some(8)),
        ("-9223372036854775808 = \"archive\"", Some(i64::MIN)),
        ("9223372036854775808 = \"archive\"", None),
        ("+7 = \"archive\"", None),
        ("1_000 = \"archive\"", None),
        ("0x10 = \"archive\"", None),
        ("\" 5\" = \"archive\"", None),
        ("\"\" = \"archive\"", None),
        ("1.5 = \"archive\"", None),
        ("5 = \"archive\"\n\"5\" = \"archive\"", None),
        ("5 = \"archive\"\n05 = \"archive\"", None),
        ("5 = \"Archive\"", None),
        ("5 = \"${ARCHIVE}\"", None),
        ("5 = [\"archive\"]", None),
        ("5 = 1", None),
    ] {
        let text = format!(
            "[database]\ndefault_source = \"primary\"\n[database.sources]\nprimary.path = \"a.db\"\n\
             archive = {{ path = \"b.db\" }}\n[database.chat_mapping]\n{written}\n"
        );
        let outcome = read(&site, &mut in_force, text.as_bytes(), &written);
        match chat {
            Some(chat) => {
                assert_eq!(outcome, Outcome::Applied, "{written}");
                let mapping: Vec<_> = in_force.chat_mapping.iter().map(|(id, name)| (id.0, name.as_str())).collect();
                assert_eq!(mapping, [(chat, "archive")], "{written}");
            }
            None => assert!(matches!(outcome, Outcome::Refused(_)), "{written}: {outcome:?}"),
        }
    }
}

#[test]
fn paths_lead_from_the_file_to_the_folder_of_the_data_and_from_there_to_the_databases() {
    let site = Site::plain();
    let mut in_force = site.says();
    let root = fs::canonicalize(site.scratch.path()).unwrap();
    let folder = site.file.parent().unwrap();
    let here = std::env::current_dir().unwrap();
    for (written, path) in [
        ("data_dir = \"files\"\nsources.one.path = \"a.db\"", Some(folder.join("files/a.db"))),
        ("data_dir = \"./files/\"\nsources.one.path = \"./deep//b.db\"", Some(folder.join("files/deep/b.db"))),
        ("data_dir = \"../files\"\nsources.one.path = \"c.db\"", Some(root.join("files/c.db"))),
        ("data_dir = \"files\"\nsources.one.path = \"../../d.db\"", Some(root.join("d.db"))),
        ("data_dir = \"files\"\nsources.one.path = \"/srv/e.db\"", Some("/srv/e.db".into())),
        ("data_dir = \"/srv/files\"\nsources.one.path = \"f.db\"", Some("/srv/files/f.db".into())),
        ("sources.one.path = \"g.db\"", Some(here.join("data/g.db"))),
        ("path = \"h.db\"", Some(here.join("data/h.db"))),
        ("data_dir = \"files\"", Some(folder.join("files/bot.db"))),
        ("data_dir = \"\"\npath = \"a.db\"", None),
        ("data_dir = \"${HOME}\"\npath = \"a.db\"", None),
        ("path = \"\"", None),
        ("path = \":memory:\"", None),
        ("path = \"file:a.db\"", None),
        ("path = \"a\\u0000.db\"", None),
        ("path = 1", None),
        ("path = \"a.db\"\nsources.one.path = \"a.db\"", None),
        ("path = \"a.db\"\nchat_mapping = {}", None),
        ("sources = {}", None),
        ("sources.One.path = \"a.db\"", None),
        ("sources.one.path = \"a.db\"\nsources.two.path = \"b.db\"", None),
        ("default_source = \"one\"\nsources.one.path = \"a.db\"\nsources.two.path = \"x/../a.db\"", None),
    ] {
        let outcome = read(&site, &mut in_force, format!("[database]\n{written}\n").as_bytes(), &written);
        match path {
            Some(path) => {
                assert_eq!(outcome, Outcome::Applied, "{written}");
                let paths: Vec<_> = in_force.sources.values().map(|source| &source.path).collect();
                assert_eq!(paths, [&path], "{written}");
            }
            None => assert!(matches!(outcome, Outcome::Refused(_)), "{written}: {outcome:?}"),
        }
    }
}

/// Has the watch read a file of this content. In force is afterwards what the file says, and what was where that is
/// nothing.
fn read(site: &Site, in_force: &mut DatabaseConfig, content: &[u8], name: &dyn Display) -> Outcome {
    fs::write(&site.file, content).unwrap();
    let outcome = site.watch.reload_now().outcome;
    let found: Vec<_> = site.applied.try_iter().map(|(_, table)| table).collect();
    let context = || format!("{name}: {outcome:?}\n{}", String::from_utf8_lossy(content));
    match said(&site.file, content) {
        Some(says) if says == *in_force => {
            assert_eq!(outcome, Outcome::Unchanged, "{}", context());
            assert!(found.is_empty(), "{}", context());
        }
        Some(says) => {
            assert_eq!(found.as_slice(), std::slice::from_ref(&says), "{}", context());
            *in_force = says;
        }
        None => {
            // For the reason that everybody is given.
            let layers = Layers { files: vec![site.file.clone()], ..Layers::default() };
            let reason = layers.load().err().map(|error| Outcome::Refused(error.to_string()));
            assert_eq!(Some(&outcome), reason.as_ref(), "{}", context());
            assert!(found.is_empty(), "{}", context());
        }
    }
    outcome
}
