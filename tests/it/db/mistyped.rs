//! What is said where a command is mistyped, and where it cannot do what it looks as if it did.

use insta::assert_snapshot;

use super::site::{Site, TWO};

#[test]
fn what_is_missing_or_is_no_number_is_said() {
    let site = Site::new(TWO);
    end(&site);
    let mut told = String::new();
    let nonsense = site.home.path("nonsense");
    for args in [
        &["db", "move", "--from", "archive", "--to", "primary"][..],
        &["db", "move", "--to", "primary"],
        &["--chat", "abc"],
        &["db", "route", "abc"],
        &["db", "verify", "1", "x"],
        &["db", "restore", nonsense.to_str().unwrap()],
    ] {
        let (code, said) = site.said(args);
        told += &format!("{code}: {}\n", said.split("\n\n").next().unwrap().trim_end());
    }
    assert_snapshot!(told, @r#"
        2: error: the following required arguments were not provided:
        <CHAT|--all|--where <KIND>>
        2: error: the following required arguments were not provided:
        <CHAT|--all|--where <KIND>>
        2: error: invalid value 'abc' for '--chat <ID>': an id is a whole number, such as 7 or -1001234567890
        2: error: invalid value 'abc' for '<CHAT>': an id is a whole number, such as 7 or -1001234567890
        2: error: invalid value 'x' for '[CHAT]...': an id is a whole number, such as 7 or -1001234567890
        1: error: [home]/nonsense does not exist; name a folder that `bot db backup` made, or a database file and its source with --source
        "#);
}

#[test]
fn what_is_lost_where_an_empty_file_takes_the_place_of_one_is_said() {
    let site = Site::new(TWO);
    end(&site);
    std::fs::remove_file(site.data("archive.db")).unwrap();
    let without_a_bot = site.said(&["db", "adopt", "archive", "--new"]);
    // Nothing is made where there is one.
    let again = site.said(&["db", "adopt", "archive", "--new"]);
    assert_eq!([without_a_bot.0, again.0], [0, 0]);
    assert!(without_a_bot.1.contains("what its chats had before, if anything, is only in the file that was there"));
    assert_eq!(again.1, "archive is open: [home]/data/archive.db (1 chat by name)\n");
    std::fs::remove_file(site.data("archive.db")).unwrap();
    let running = site.start();
    assert_eq!(site.said(&["db", "adopt", "archive", "--new"]), without_a_bot);
    assert_eq!(running.end().code, Some(0));
}

fn end(site: &Site) {
    assert_eq!(site.start().end().code, Some(0));
}
