//! Files that are no export, or not whole: what is said, with which exit code, and that what came before is kept.

use super::*;

fn tell(home: &Home, name: &str, content: impl AsRef<[u8]>) -> String {
    home.file(name, content);
    tell_of(home, name)
}

/// How the program ends on a file, and what it says of it.
fn tell_of(home: &Home, name: &str) -> String {
    let said = home.run(&["-q", "import", home.path(name).to_str().unwrap()], "");
    format!("{name}: exit {}\n{}{}", said.code.unwrap(), said.out, said.err)
}

#[test]
fn every_file_that_cannot_be_taken_is_told_with_its_place() {
    let home = Home::new();
    let made = std::fs::read(MADE).unwrap();
    let broken =
        String::from_utf8(made.clone()).unwrap().replacen("\"text\": \"Tomatoes\"", "\"text\" \"Tomatoes\"", 1);
    let packed = gzip(&made);
    let mut damaged = packed.clone();
    damaged[packed.len() / 2..packed.len() / 2 + 64].fill(0xFF);
    let mut checksum = packed.clone();
    checksum[packed.len() - 8] ^= 1;
    std::fs::create_dir(home.path("folder")).unwrap();
    let texts = [
        tell(&home, "empty.json", ""),
        tell(&home, "page.html", "<!DOCTYPE html>\n<html>"),
        tell(&home, "list.json", "[1, 2]"),
        tell(&home, "object.json", "{\"a\": 1}"),
        tell(&home, "no-chats.json", "{\"about\": \"Here is the data you requested.\", \"contacts\": {\"list\": []}}"),
        tell(&home, "words.txt", "Dear diary"),
        tell(&home, "cut.json", &made[..20_000]),
        tell(&home, "broken.json", broken),
        tell(&home, "cut.json.gz", &packed[..packed.len() / 2]),
        tell(&home, "damaged.json.gz", damaged),
        tell(&home, "checksum.json.gz", checksum),
        tell_of(&home, "folder"),
        tell_of(&home, "missing.json"),
        tell_of(&home, "folder/result.json"),
        tell_of(&home, "data/bot.db"),
    ];
    let texts = texts.join("\n").replace(home.path("").to_str().unwrap(), "[home]/");
    insta::assert_snapshot!("import_of_files_that_cannot_be_taken", texts);
}

#[test]
fn a_file_that_cannot_be_read_by_this_user_is_told() {
    let home = Home::new();
    // Nobody can read a folder as a file, whatever the user may do: the folder is named like the file.
    std::fs::create_dir_all(home.path("folder/result.json")).unwrap();
    insta::assert_snapshot!(tell_of(&home, "folder"), @r"
    folder: exit 1
    error: [home]/folder: cannot open [home]/folder/result.json: Is a directory (os error 21)
    ");
}

#[test]
fn of_several_files_the_good_ones_are_taken() {
    let home = Home::new();
    let bad = home.file("words.txt", "Dear diary");
    let said = home.run(&["-q", "import", bad.to_str().unwrap(), SINGLE], "");
    assert_eq!(said.code, Some(3), "{said:?}");
    assert_eq!(home.one("SELECT COUNT(*) FROM chat_messages"), 3);
    let said = home.run(&["-q", "import", bad.to_str().unwrap(), "missing"], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(home.run(&["import"], "").code, Some(2));
}

#[test]
fn cut_off_anywhere_what_came_before_is_kept_and_the_whole_file_completes_it() {
    let made = std::fs::read(MADE).unwrap();
    let end = made.trim_ascii_end().len();
    let whole = Home::new();
    take_whole(&whole, MADE);
    let whole = whole.dump();
    for cut in (0..end).step_by(end / 24).skip(1).chain([end - 1]) {
        let home = Home::new();
        let db = home.open();
        let report = take(&db, home.file("cut.json", &made[..cut]));
        let error = report.error.as_ref().expect("an error").to_string();
        let line = made[..cut].iter().filter(|byte| **byte == b'\n').count() + 1;
        assert!(error.starts_with(&format!("the file is cut short: it ends at line {line}, byte {cut} ")), "{error}");
        let (kept, _) = new_and_known(&report);
        // A record that is there whole has been stored.
        let complete = made[..cut].windows(8).filter(|window| window == b"\n     },").count();
        let skipped: u64 = report.chats.iter().flat_map(|chat| chat.skipped.values()).map(|(count, _)| count).sum();
        let service: u64 = report.chats.iter().map(|chat| chat.service).sum();
        assert!(kept + service + skipped >= complete as u64, "{kept} {service} {skipped} {complete}");
        let report = take(&db, MADE);
        assert!(report.error.is_none());
        assert_eq!(new_and_known(&report), (60 - kept, kept), "cut at {cut}");
        db.close();
        assert_same_rows(&home.dump(), &whole, &format!("cut at {cut}"));
    }
}

#[test]
fn broken_in_the_middle_and_mended_in_place_it_goes_on_where_it_broke() {
    let home = Home::new();
    let mut document = Vec::new();
    MadeUp { chats: 2, records: 3_000, first_chat: 1 }.write(&mut document).unwrap();
    let whole = String::from_utf8(document).unwrap();
    // Behind the megabyte that tells the file from others, and as long as before: so the mended file is the same file.
    let at = whole.match_indices("\"text\": ").map(|(at, _)| at + 6).nth(5_000).unwrap();
    assert!(at > 1 << 20, "{at}");
    let broken = format!("{} {}", &whole[..at], &whole[at + 1..]);
    let db = home.open();
    let report = take(&db, home.file("export.json", &broken));
    let line = broken[..at].matches('\n').count() + 1;
    let error = report.error.as_ref().unwrap().to_string();
    assert!(error.starts_with(&format!("the file is broken at line {line}, byte {}: ", at + 2)), "{error}");
    let (kept, _) = new_and_known(&report);
    let records = 5_000;
    let report = take(&db, home.file("export.json", &whole));
    assert!(report.error.is_none());
    let messages = 2 * MadeUp { chats: 2, records: 3_000, first_chat: 1 }.messages() as u64;
    assert_eq!(new_and_known(&report), (messages - kept, 0));
    assert_eq!(report.chats.iter().map(|chat| chat.stored_before).sum::<u64>(), records);
    db.close();
    let undisturbed = Home::new();
    take_whole(&undisturbed, undisturbed.file("export.json", &whole));
    assert_same_rows(&home.dump(), &undisturbed.dump(), "mended");
}

#[test]
fn the_bots_own_database_is_not_read_as_an_export() {
    let home = Home::new();
    home.run(&["-q"], "hello\n");
    let database = home.path("data/bot.db");
    let said = home.run(&["-q", "import", database.to_str().unwrap()], "");
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("this is the bot's own database"), "{}", said.err);
}
