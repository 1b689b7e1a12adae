//! Where `bot db backup` makes its sets: in the folder that was named, and in none that a slip of the hand names.

use std::os::unix::fs::{MetadataExt as _, symlink};

use insta::assert_snapshot;

use super::plain;
use crate::program::Home;
use crate::support::names_in;

fn backup(home: &Home, folder: &str) -> (Option<i32>, String) {
    let said = home.run(&["db", "backup", folder], "");
    (said.code, plain(&(said.err + &said.out)))
}

#[test]
fn only_the_last_folder_is_made_and_that_is_told() {
    let home = Home::with_made();
    let (code, said) = backup(&home, "missing/deep/backups");
    assert_eq!(code, Some(1));
    assert_snapshot!(said, @"error: the backup cannot be written: the folder [home]/missing/deep does not exist; correct the path, mount the disk that it is on, or create it");
    assert_eq!(names_in(&home.path("")), ["data"]);
    let said = home.run(&["db", "backup", "backups"], "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), "Created the folder [home]/backups.\n"), "{said:?}");
    assert_eq!(std::fs::metadata(home.path("backups")).unwrap().mode() & 0o777, 0o700);
    let said = home.run(&["db", "backup", "backups/"], "");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(names_in(&home.path("backups")).len(), 2);
    // For programs.
    for (folder, created) in [("others", "\"[home]/others\""), ("others", "null")] {
        let said = home.run(&["-q", "db", "backup", folder, "--json"], "");
        assert_eq!(said.err, "");
        assert!(said.out.contains(&format!("\"created\":{created},")), "{said:?}");
    }
}

#[test]
fn what_stands_in_the_place_of_the_folder_is_said() {
    let home = Home::with_made();
    home.file("afile", "mine");
    symlink(home.path("nowhere"), home.path("alink")).unwrap();
    let mut told = String::new();
    for folder in ["afile", "afile/backups", "alink", "/dev/null"] {
        let (code, said) = backup(&home, folder);
        assert_eq!(code, Some(1));
        told += &said;
    }
    assert_snapshot!(told, @"
        error: the backup cannot be written: [home]/afile is a file; name a folder, or move that away
        error: the backup cannot be written: [home]/afile is a file; name a folder, or move that away
        error: the backup cannot be written: [home]/alink is a link that leads nowhere; name a folder, or move that away
        error: the backup cannot be written: /dev/null is no folder; name a folder, or move that away
        ");
    assert_eq!(names_in(&home.path("")), ["afile", "alink", "data"]);
}

#[test]
fn copies_are_told_of_without_detours() {
    let home = Home::with_made();
    for folder in ["mnt", "mnt/disk", "run"] {
        std::fs::create_dir(home.path(folder)).unwrap();
    }
    symlink(home.path("mnt/disk"), home.path("link")).unwrap();
    for (named, shown) in [("run/../backups", "backups"), ("link", "mnt/disk")] {
        let said = home.run(&["-q", "db", "backup", named], "");
        assert_eq!(said.code, Some(0), "{said:?}");
        let set = names_in(&home.path(shown)).remove(0);
        assert!(said.out.trim_end().ends_with(&format!(" [home]/{shown}/{set}/primary.db")), "{said:?}");
        // What is put back is told of so, too.
        let said = home.run(&["db", "restore", "--json", &format!("{named}/{set}")], "");
        assert!(said.out.contains(&format!("\"from\":\"[home]/{shown}/{set}/primary.db\"")), "{said:?}");
    }
}
