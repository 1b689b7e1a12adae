//! Two sources on one file, by whatever names it goes.

use std::os::unix::fs::symlink;

use insta::assert_snapshot;

use super::Place;

/// What is wrong with two sources at these paths.
fn both(place: &Place, first: &str, second: &str) -> Option<String> {
    place.file(
        "bot.toml",
        format!(
            "[database]\ndata_dir = \"data\"\ndefault_source = \"a\"\n[database.sources.a]\npath = \"{first}\"\n\
             [database.sources.b]\npath = \"{second}\"\n"
        ),
    );
    place.load(&["bot.toml"], &[]).err().map(|error| place.anonymous(&error.to_string()))
}

#[test]
fn two_sources_on_one_file_are_refused() {
    let place = Place::new();
    let same = both(&place, "bot.db", "bot.db");
    assert_snapshot!(same.as_deref().unwrap_or_default(), @"DIR/bot.toml:7: `database.sources.b.path` leads to the same file as the `path` at DIR/bot.toml:5; each source needs a file of its own");

    // None of the files is there yet.
    for other in ["./bot.db", "../data/bot.db", "x/../bot.db", "x/y/../../bot.db"] {
        assert_eq!(both(&place, "bot.db", other), same, "{other}");
    }
    let absolute = place.path("data/bot.db");
    assert_eq!(both(&place, "bot.db", absolute.to_str().unwrap()), same);
    assert_eq!(both(&place, "bot.db", "bot2.db"), None);

    // The folder is not there either, and is reached over a link.
    std::fs::create_dir(place.path("real")).unwrap();
    symlink("real", place.path("linked")).unwrap();
    assert_eq!(both(&place, "../real/new.db", "../linked/new.db"), same);
    assert_eq!(both(&place, "../real/sub/new.db", "../linked/sub/new.db"), same);
    assert_eq!(both(&place, "../real/sub/new.db", "../linked/other/new.db"), None);

    // A link to a file that is not there yet will lead to it.
    symlink("new.db", place.path("real/dangling.db")).unwrap();
    symlink("dangling.db", place.path("real/twice.db")).unwrap();
    symlink("round.db", place.path("real/round.db")).unwrap();
    assert_eq!(both(&place, "../real/new.db", "../linked/dangling.db"), same);
    assert_eq!(both(&place, "../real/new.db", "../real/twice.db"), same);
    assert_eq!(both(&place, "../real/new.db", "../real/round.db"), None);
}

#[test]
fn two_sources_on_one_file_are_refused_by_device_and_inode() {
    let place = Place::new();
    place.file("data/bot.db", "");
    place.file("data/other.db", "");
    std::fs::hard_link(place.path("data/bot.db"), place.path("data/hard.db")).unwrap();
    symlink("bot.db", place.path("data/soft.db")).unwrap();
    symlink("data", place.path("linked")).unwrap();
    let same = both(&place, "bot.db", "bot.db");
    assert!(same.is_some());
    for other in ["hard.db", "soft.db", "../linked/bot.db", "../linked/soft.db", "../linked/../data/hard.db"] {
        assert_eq!(both(&place, "bot.db", other), same, "{other}");
    }
    assert_eq!(both(&place, "bot.db", "other.db"), None);
}

#[test]
fn the_source_that_stands_later_is_the_one_that_is_refused() {
    let place = Place::new();
    place.file(
        "bot.toml",
        "[database]\ndata_dir = \"data\"\ndefault_source = \"z\"\n[database.sources.z]\npath = \"bot.db\"\n\
         [database.sources.a]\npath = \"bot.db\"\n",
    );
    assert_snapshot!(place.wrong(&["bot.toml"], &[]), @"DIR/bot.toml:7: `database.sources.a.path` leads to the same file as the `path` at DIR/bot.toml:5; each source needs a file of its own");
}

#[test]
fn dots_lead_where_the_system_would_go() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("deep/down/here")).unwrap();
    symlink("deep/down/here", place.path("linked")).unwrap();
    let leads = |path: &str| {
        place.file("bot.toml", format!("[database]\ndata_dir = \".\"\npath = \"{path}\"\n"));
        let config = place.load(&["bot.toml"], &[]).unwrap();
        let file = config.database.sources[&config.database.default_source].path.clone();
        std::fs::write(&file, "").unwrap();
        place.anonymous(std::fs::canonicalize(&file).unwrap().to_str().unwrap())
    };
    assert_eq!(leads("linked/a.db"), "DIR/deep/down/here/a.db");
    assert_eq!(leads("linked/../b.db"), "DIR/deep/down/b.db");
    assert_eq!(leads("linked/../../c.db"), "DIR/deep/c.db");
    assert_eq!(leads("deep/../d.db"), "DIR/d.db");
    // A second time they are there.
    assert_eq!(leads("linked/../../c.db"), "DIR/deep/c.db");
}
