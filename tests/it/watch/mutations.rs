//! Damaged files: what is in force afterwards is what was before, or exactly what the file says.

use std::fs;

use config::Outcome;

use super::Site;
use crate::config::mutations::{Random, count, damage};

#[test]
fn whatever_becomes_of_a_file_the_old_table_stays_or_its_own_is_in_force() {
    let site = Site::plain();
    let whole = site.text(0);
    let mut in_force = site.says();
    let layers = config::Layers { files: vec![site.file.clone()], ..config::Layers::default() };
    let (mut applied, mut refused) = (0, 0);
    for seed in 0..count() {
        let mut content = whole.clone().into_bytes();
        damage(&mut content, &mut Random(seed));
        fs::write(&site.file, &content).unwrap();
        let says = layers.load();
        let reload = site.watch.reload_now();
        let found: Vec<_> = site.applied.try_iter().map(|(_, table)| table).collect();
        let context = || format!("seed {seed}: {reload:?}\n{}", String::from_utf8_lossy(&content));
        match says {
            Ok(says) if says.database == in_force => {
                assert_eq!(reload.outcome, Outcome::Unchanged, "{}", context());
                assert!(found.is_empty(), "{}", context());
            }
            Ok(says) => {
                assert_eq!(found.as_slice(), std::slice::from_ref(&says.database), "{}", context());
                in_force = says.database;
                applied += 1;
            }
            Err(error) => {
                assert_eq!(reload.outcome, Outcome::Refused(error.to_string()), "{}", context());
                assert!(found.is_empty(), "{}", context());
                refused += 1;
            }
        }
    }
    assert!(applied > 0 && refused > 0, "{applied} {refused}");
}
