//! Every refusal with its exact words.

use insta::assert_snapshot;

use super::{Place, right, two_sources, wrong};

/// A file with this line in the table of its only source, the fourth line.
fn in_source(line: &str) -> String {
    wrong(format!("# The bot's.\n[database.sources.primary]\npath = \"bot.db\"\n{line}\n"))
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    assert_snapshot!(wrong("[databse]\n"), @"bot.toml:1: `databse` is not a setting; did you mean `database`?");
    assert_snapshot!(wrong("[bot]\nnam = \"x\"\n"), @"bot.toml:2: `bot.nam` is not a setting; did you mean `name`?");
    assert_snapshot!(wrong("\n\n[log]\ncolour = true\n"), @"bot.toml:4: `log.?` is not a setting; here there are: level, format");
    assert_snapshot!(wrong("[database]\nlocation = \"x\"\n"), @"bot.toml:2: `database.?` is not a setting; here there are: data_dir, path, sources, default_source, on_unavailable, partial_results, chat_mapping");
    assert_snapshot!(in_source("pth = \"x\""), @"bot.toml:4: `database.sources.primary.pth` is not a setting; did you mean `path`?");
    // Which source it is can be told where a setting is nearly one.
    assert_snapshot!(wrong("[database.sources.community]\npth = \"x.db\"\n"), @r#"
        bot.toml:1: `database.sources.community` has no `path`; say which file it is, such as path = "bot.db"
        bot.toml:2: `database.sources.community.pth` is not a setting; did you mean `path`?
        "#);
    assert_snapshot!(in_source("journal = true"), @"bot.toml:4: `database.sources.primary.?` is not a setting; here there are: type, path, timeout, max_connections, durability, readonly, on_unavailable");
    // So may the name of a source be that is longer than such names are.
    let long = two_sources("timeout = 0\n[database.chat_mapping]\n-1 = \"x\"\n")
        .replace("archive", "a-source-with-a-long-name");
    assert_snapshot!(wrong(long), @r#"
        bot.toml:7: `database.sources.?.timeout` must be a number of seconds from 0.001 to 3600
        bot.toml:9: `database.chat_mapping.-1` names no source; there are "primary", others
        "#);
    // What does not look like a setting may be a secret that lost its key.
    assert_snapshot!(wrong("[bot]\n\"123456:AAF-x\" = 1\n"), @"bot.toml:2: `bot.?` is not a setting; here there are: name, owners");
}

#[test]
fn an_unknown_type_is_refused_and_a_planned_one_is_told() {
    assert_snapshot!(in_source("type = \"mysql\""), @r#"bot.toml:4: `database.sources.primary.type` is a kind of database that is planned, but not there yet; use "sqlite""#);
    assert_snapshot!(in_source("type = \"oracle\""), @r#"bot.toml:4: `database.sources.primary.type` is no known kind of database; use "sqlite""#);
    assert_snapshot!(in_source("type = 1"), @"bot.toml:4: `database.sources.primary.type` is a whole number, but must be text between double quotes");
}

#[test]
fn a_name_of_no_source_is_refused_with_those_that_there_are() {
    let with_default = |name: &str| two_sources("").replace("default_source = \"primary\"", name);
    assert_snapshot!(wrong(with_default("default_source = \"primery\"")), @r#"bot.toml:2: `database.default_source` names no source; there are "archive", "primary"; did you mean "primary"?"#);
    assert_snapshot!(wrong(with_default("default_source = \"elsewhere\"")), @r#"bot.toml:2: `database.default_source` names no source; there are "archive", "primary""#);
    assert_snapshot!(wrong(with_default("default_source = \"\"")), @r#"bot.toml:2: `database.default_source` names no source; there are "archive", "primary""#);
    assert_snapshot!(wrong(two_sources("[database.chat_mapping]\n-100 = \"archiv\"\n")), @r#"bot.toml:8: `database.chat_mapping.-100` names no source; there are "archive", "primary"; did you mean "archive"?"#);
    assert_snapshot!(wrong(two_sources("[database.chat_mapping]\n-100 = \"\"\n")), @r#"bot.toml:8: `database.chat_mapping.-100` names no source; there are "archive", "primary""#);
    assert_snapshot!(wrong(two_sources("[database.chat_mapping]\n-100 = 7\n")), @"bot.toml:8: `database.chat_mapping.-100` is a whole number, but must be the name of a source");
}

#[test]
fn of_several_sources_the_default_one_has_to_be_said() {
    assert_snapshot!(wrong(two_sources("").replace("default_source = \"primary\"", "")), @r#"bot.toml:1: `database` has several sources and no `default_source`; say which of "archive", "primary" holds what is mapped to none"#);
    assert_snapshot!(wrong("[database.sources]\n"), @"bot.toml:1: `database.sources` has no source; add a [database.sources.NAME] table with a `path`");
}

#[test]
fn a_default_source_that_is_only_read_is_refused() {
    assert_snapshot!(wrong(two_sources("readonly = true\n").replace("= \"primary\"", "= \"archive\"")), @"bot.toml:2: `database.default_source` is a read-only source, but what belongs to no chat is written there; choose one that is not read-only");
    assert_snapshot!(in_source("readonly = true"), @"bot.toml:2: `database.sources` has a read-only source alone, but what belongs to no chat is to be written; add one that is not read-only");
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    assert_snapshot!(wrong("[bot]\nname = \"a\"\nname = \"b\"\n"), @"bot.toml:3: this key stands here already; keep one of the two");
    assert_snapshot!(wrong("[bot]\n[log]\n[bot]\n"), @"bot.toml:3: this key stands here already; keep one of the two");
    assert_snapshot!(in_source("\n[database.sources.primary]\npath = \"other.db\""), @"
        bot.toml:5: this key stands here already; keep one of the two
        bot.toml:6: this key stands here already; keep one of the two
        ");
    assert_snapshot!(wrong(two_sources("[database.chat_mapping]\n-100 = \"archive\"\n-100 = \"primary\"\n")), @"bot.toml:9: this key stands here already; keep one of the two");
}

#[test]
fn a_chat_is_a_whole_number_and_stands_once() {
    let mapping = |lines: &str| wrong(two_sources(&format!("[database.chat_mapping]\n{lines}\n")));
    assert_snapshot!(mapping("chat = \"archive\""), @"bot.toml:8: `database.chat_mapping.?` is no chat id; an id is a whole number, such as -1001234567890");
    assert_snapshot!(mapping("\"-100.5\" = \"archive\""), @"bot.toml:8: `database.chat_mapping.?` is no chat id; an id is a whole number, such as -1001234567890");
    assert_snapshot!(mapping("9223372036854775808 = \"archive\""), @"bot.toml:8: `database.chat_mapping.?` is no chat id; an id is a whole number, such as -1001234567890");
    // The later line is refused, whichever way it is written.
    assert_snapshot!(mapping("-100 = \"archive\"\n-0100 = \"primary\""), @"bot.toml:9: `database.chat_mapping.-0100` stands here twice, written in two ways; keep one of them");
    assert_snapshot!(mapping("-0100 = \"archive\"\n-100 = \"primary\""), @"bot.toml:9: `database.chat_mapping.-100` stands here twice, written in two ways; keep one of them");
    assert_snapshot!(mapping("\"+7\" = \"archive\"\n7 = \"archive\""), @"bot.toml:9: `database.chat_mapping.7` stands here twice, written in two ways; keep one of them");
}

#[test]
fn a_sources_name_is_of_few_characters() {
    let named = |name: &str| wrong(format!("[database.sources.{name}]\npath = \"bot.db\"\n"));
    assert_snapshot!(named("Primary"), @"bot.toml:1: `database.sources.?` is no name of a source; a name has 1 to 64 of the characters a-z, 0-9, _ and -");
    for name in ["\"a b\"", "\"\"", "\"ä\"", "\"a.b\"", "\"a/b\"", &"a".repeat(65)] {
        assert_eq!(named(name), named("Primary"), "{name}");
    }
    let longest = "a-_9".repeat(16);
    let config = right(&format!("[database.sources.{longest}]\npath = \"bot.db\"\n"));
    assert_eq!(config.database.default_source.as_str(), longest);
}

#[test]
fn a_path_is_that_of_a_file() {
    let path = |path: &str| {
        let alone = wrong(format!("[database]\npath = {path}\n"));
        let of_source = wrong(format!("[database.sources.primary]\npath = {path}\n"));
        assert_eq!(of_source.replace("sources.primary.", ""), alone);
        alone
    };
    assert_snapshot!(path("\":memory:\""), @"bot.toml:2: `database.path` is a database in memory, which is lost at the end; give the path of a file");
    assert_snapshot!(path("\"\""), @r#"bot.toml:2: `database.path` is empty; give the path of a file, such as "bot.db""#);
    assert_snapshot!(path("\"file:bot.db?mode=memory\""), @"bot.toml:2: `database.path` is a URI; give the path of a file");
    assert_snapshot!(path("\"bot\\u0000.db\""), @"bot.toml:2: `database.path` has a NUL character; give the path of a file");
    assert_snapshot!(path("7"), @"bot.toml:2: `database.path` is a whole number, but must be text between double quotes");
    assert_snapshot!(wrong("[database.sources.primary]\ntimeout = 1\n"), @r#"bot.toml:1: `database.sources.primary` has no `path`; say which file it is, such as path = "bot.db""#);
    assert_snapshot!(wrong("[database]\ndata_dir = \"\"\n"), @"bot.toml:2: `database.data_dir` must be the path of a folder");
    assert_snapshot!(wrong("[database]\ndata_dir = [\"a\"]\n"), @"bot.toml:2: `database.data_dir` is a list, but must be text between double quotes");
}

#[test]
fn a_number_is_within_its_bounds() {
    assert_snapshot!(in_source("timeout = 0"), @"bot.toml:4: `database.sources.primary.timeout` must be a number of seconds from 0.001 to 3600");
    for timeout in ["-1", "0.0009", "3600.1", "inf", "nan", "-inf", "\"30\"", "true", "[30]", "1979-05-27"] {
        assert_eq!(in_source(&format!("timeout = {timeout}")), in_source("timeout = 0"), "{timeout}");
    }
    assert_snapshot!(in_source("max_connections = 1"), @"bot.toml:4: `database.sources.primary.max_connections` must be a whole number from 2 to 1000");
    for count in ["0", "-5", "1001", "5.0", "\"5\"", "9223372036854775807", "9223372036854775808", "{}"] {
        let refused = in_source(&format!("max_connections = {count}"));
        assert_eq!(refused, in_source("max_connections = 1"), "{count}");
    }
    for (timeout, count) in [("0.001", "2"), ("3600", "1000"), ("3_600.0", "0x10")] {
        right(&format!(
            "[database.sources.primary]\npath = \"bot.db\"\ntimeout = {timeout}\nmax_connections = {count}\n"
        ));
    }
}

#[test]
fn a_word_is_one_of_those_that_there_are() {
    assert_snapshot!(in_source("durability = \"most\""), @r#"bot.toml:4: `database.sources.primary.durability` must be one of "full", "normal""#);
    assert_snapshot!(in_source("on_unavailable = \"standin\""), @r#"bot.toml:4: `database.sources.primary.on_unavailable` must be one of "stand-in", "default", "fail""#);
    assert_snapshot!(in_source("readonly = \"true\""), @"bot.toml:4: `database.sources.primary.readonly` is text, but must be true or false");
    assert_snapshot!(wrong(format!("{}[database.chat_mapping]\n", two_sources("").replace("[database]\n", "[database]\npartial_results = \"ignore\"\n"))), @r#"bot.toml:2: `database.partial_results` must be one of "warn", "error""#);
    assert_snapshot!(wrong("[log]\nlevel = \"loud\"\nformat = \"xml\"\n"), @r#"
        bot.toml:2: `log.level` must be one of "error", "warn", "info", "debug", "trace"
        bot.toml:3: `log.format` must be one of "text", "json"
        "#);
    assert_snapshot!(wrong("[log]\nlevel = 3\n"), @"bot.toml:2: `log.level` is a whole number, but must be text between double quotes");
}

#[test]
fn the_two_forms_exclude_each_other() {
    assert_snapshot!(wrong(two_sources("").replace("[database]\n", "[database]\npath = \"one.db\"\n")), @"bot.toml:2: `database.path` names a single file, but there are [database.sources.*] too; keep one of the two forms");
    assert_snapshot!(wrong("[database]\ndefault_source = \"primary\"\non_unavailable = \"fail\"\npartial_results = \"warn\"\n\n[database.chat_mapping]\n-100 = \"archive\"\n"), @"
        bot.toml:2: `database.default_source` is for several sources; add [database.sources.NAME] tables, or remove it
        bot.toml:3: `database.on_unavailable` is for several sources; add [database.sources.NAME] tables, or remove it
        bot.toml:4: `database.partial_results` is for several sources; add [database.sources.NAME] tables, or remove it
        bot.toml:6: `database.chat_mapping` is for several sources; add [database.sources.NAME] tables, or remove it
        ");
    // The path being wrong as well does not change what the others are.
    assert_snapshot!(wrong("[database]\npath = \"\"\ndefault_source = \"primary\"\n"), @r#"
        bot.toml:2: `database.path` is empty; give the path of a file, such as "bot.db"
        bot.toml:3: `database.default_source` is for several sources; add [database.sources.NAME] tables, or remove it
        "#);
}

#[test]
fn tables_and_values_are_told_apart() {
    assert_snapshot!(wrong("bot = \"x\"\nlog = 1\n"), @"
        bot.toml:1: `bot` is text, but must be a table: [bot]
        bot.toml:2: `log` is a whole number, but must be a table: [log]
        ");
    assert_snapshot!(wrong("database = []\n"), @"bot.toml:1: `database` is a list, but must be a table: [database]");
    assert_snapshot!(wrong("[bot.name]\nfirst = \"x\"\n"), @"bot.toml:1: `bot.name` is a table, but must be text between double quotes");
    assert_snapshot!(wrong("[database]\nsources = \"bot.db\"\n"), @"bot.toml:2: `database.sources` is text, but must be a table: [database.sources]");
    // One thing is wrong with it, and not that the rest is there.
    assert_snapshot!(wrong("[database]\ndefault_source = \"a\"\nsources = 1\nchat_mapping = 1\n"), @"bot.toml:3: `database.sources` is a whole number, but must be a table: [database.sources]");
    assert_snapshot!(wrong("[database.sources]\nprimary = \"bot.db\"\n"), @"bot.toml:2: `database.sources.?` is text, but must be a table");
    assert_snapshot!(wrong(two_sources("").replace("[database]\n", "[database]\nchat_mapping = \"archive\"\n")), @"bot.toml:2: `database.chat_mapping` is text, but must be a table: [database.chat_mapping]");
    assert_snapshot!(wrong("[[database.sources]]\npath = \"bot.db\"\n"), @"bot.toml:1: `database.sources` is a list, but must be a table: [database.sources]");
}

#[test]
fn owners_are_ids_or_names() {
    for owners in ["[\"ada\"]", "[1.5]", "[\"@\"]", "[\"@a b\"]", "[\"\"]", "[[1]]", "[true]"] {
        let refused = wrong(format!("[bot]\nowners = {owners}\n"));
        assert_eq!(refused, wrong("[bot]\nowners = [\"ada\"]\n"), "{owners}");
    }
    assert_snapshot!(wrong("[bot]\nowners = [\n  1,\n  \"@ada\",\n  \"ada\",\n]\n"), @r#"bot.toml:5: `bot.owners` has an entry that is neither a user id (a whole number) nor a user name ("@name")"#);
    assert_snapshot!(wrong("[bot]\nowners = \"@ada\"\n"), @"bot.toml:2: `bot.owners` is text, but must be a list in square brackets");
    assert_snapshot!(wrong("[bot]\nowners = 7\n"), @"bot.toml:2: `bot.owners` is a whole number, but must be a list in square brackets");
    assert_snapshot!(wrong("[bot]\nname = \"\"\n"), @"bot.toml:2: `bot.name` must be a name of 1 to 64 characters on one line");
    for name in [" ", "a\\nb", "\\u001b[31m", &"x".repeat(65)] {
        assert_eq!(wrong(format!("[bot]\nname = \"{name}\"\n")), wrong("[bot]\nname = \"\"\n"), "{name}");
    }
}

#[test]
fn an_environment_variable_in_a_value_has_to_be_set() {
    assert_snapshot!(wrong("[bot]\nname = \"${UNSET_IN_TESTS}\"\n"), @"bot.toml:2: `bot.name` names an environment variable that is not set; set it, or write the value here");
    assert_snapshot!(wrong("[bot]\nname = \"a ${UNSET\"\n"), @"bot.toml:2: `bot.name` has a `${` without its `}`; write ${NAME} for an environment variable");
    assert_snapshot!(wrong("[bot]\nname = \"${}\"\n"), @"bot.toml:2: `bot.name` has a `${...}` that names no environment variable; a name is letters, digits and _");
    assert_snapshot!(wrong("[bot]\nname = \"${A B}\"\n"), @"bot.toml:2: `bot.name` has a `${...}` that names no environment variable; a name is letters, digits and _");
    assert_snapshot!(wrong("[bot]\nowners = [\"@a\", \"${UNSET_IN_TESTS}\"]\n"), @"bot.toml:2: `bot.owners` names an environment variable that is not set; set it, or write the value here");
}

#[test]
fn what_is_no_toml_is_refused_without_being_repeated() {
    assert_snapshot!(wrong("[bot]\nname = Ada\n"), @"bot.toml:2: this is a text that does not begin or end as it should; texts stand between double quotes");
    assert_snapshot!(wrong("[bot]\nname = \"Ada\n"), @"bot.toml:2: this is a text that does not begin or end as it should; texts stand between double quotes");
    assert_snapshot!(wrong("[bot]\njust words\n"), @"bot.toml:2: this is not TOML; a line is `key = value`, `[table]` or a comment behind #");
    assert_snapshot!(wrong("[bot\nname = \"Ada\"\n"), @"bot.toml:1: this is not TOML; a line is `key = value`, `[table]` or a comment behind #");
    assert_snapshot!(wrong("[bot]\nname =\n"), @"bot.toml:2: this is a text that does not begin or end as it should; texts stand between double quotes");
    assert_snapshot!(wrong("[bot]\nname = \"\\q\"\n"), @"bot.toml:2: this is not TOML; a line is `key = value`, `[table]` or a comment behind #");
    assert_snapshot!(wrong("{\"bot\": {\"name\": \"Ada\"}}\n"), @"bot.toml:1: this is not TOML; a line is `key = value`, `[table]` or a comment behind #");
    assert_snapshot!(wrong(b"[bot]\n# \xff\nname = \"Ada\"\n"), @"bot.toml:2: this is not UTF-8; save the file as UTF-8");
    assert_snapshot!(wrong(b"\xff\xfe[\0b\0"), @"bot.toml:1: this is not UTF-8; save the file as UTF-8");
}

#[test]
fn several_problems_are_all_told_in_the_order_of_their_lines() {
    let file = "[log]\nlevel = \"loud\"\n\n[bot]\nowners = [\"ada\"]\nname = \"${UNSET_IN_TESTS}\"\n\n\
                [database]\npath = \"one.db\"\ndefault_source = \"primery\"\n\n[database.chat_mapping]\n\
                chat = \"archive\"\n-100 = \"archiv\"\n\n[database.sources.Archive]\npath = \"archive.db\"\n\
                [database.sources.primary]\npath = \"\"\ntimeout = 0\ntype = \"mysql\"\nreadonly = 1\ntypo = 1\n";
    assert_snapshot!(wrong(file), @r#"
        bot.toml:2: `log.level` must be one of "error", "warn", "info", "debug", "trace"
        bot.toml:5: `bot.owners` has an entry that is neither a user id (a whole number) nor a user name ("@name")
        bot.toml:6: `bot.name` names an environment variable that is not set; set it, or write the value here
        bot.toml:9: `database.path` names a single file, but there are [database.sources.*] too; keep one of the two forms
        bot.toml:10: `database.default_source` names no source; there are "primary"; did you mean "primary"?
        bot.toml:13: `database.chat_mapping.?` is no chat id; an id is a whole number, such as -1001234567890
        bot.toml:14: `database.chat_mapping.-100` names no source; there are "primary"
        bot.toml:16: `database.sources.?` is no name of a source; a name has 1 to 64 of the characters a-z, 0-9, _ and -
        bot.toml:19: `database.sources.primary.path` is empty; give the path of a file, such as "bot.db"
        bot.toml:20: `database.sources.primary.timeout` must be a number of seconds from 0.001 to 3600
        bot.toml:21: `database.sources.primary.type` is a kind of database that is planned, but not there yet; use "sqlite"
        bot.toml:22: `database.sources.primary.readonly` is a whole number, but must be true or false
        bot.toml:23: `database.sources.primary.typo` is not a setting; did you mean `type`?
        "#);
    assert_snapshot!(wrong("[bot]\nname = Ada\n[log]\nlevel = loud\n"), @"
        bot.toml:2: this is a text that does not begin or end as it should; texts stand between double quotes
        bot.toml:4: this is a text that does not begin or end as it should; texts stand between double quotes
        ");
}

#[test]
fn problems_of_several_files_come_file_by_file() {
    let place = Place::new();
    place.file("z.toml", "[bot]\nnmae = \"x\"\n");
    place.file("a.toml", "[log]\n\nlevle = \"warn\"\n");
    assert_snapshot!(place.wrong(&["z.toml", "a.toml"], &[("SWITCHYARD_LOG__FORMAT", "xml")]), @r#"
        DIR/z.toml:2: `bot.nmae` is not a setting; did you mean `name`?
        DIR/a.toml:3: `log.levle` is not a setting; did you mean `level`?
        environment variable SWITCHYARD_LOG__FORMAT: `log.format` must be one of "text", "json"
        "#);
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let place = Place::new();
    std::fs::create_dir(place.path("folder.toml")).unwrap();
    assert_snapshot!(place.wrong(&["missing.toml"], &[]), @"DIR/missing.toml: cannot be read: No such file or directory (os error 2); correct the path given with --config");
    assert_snapshot!(place.wrong(&["folder.toml"], &[]), @"DIR/folder.toml: cannot be read: it is no file; correct the path given with --config");
    let large = std::fs::File::create(place.path("large.toml")).unwrap();
    large.set_len((16 << 20) + 1).unwrap();
    assert_snapshot!(place.wrong(&["large.toml"], &[]), @"DIR/large.toml: cannot be read: it is larger than any configuration is; correct the path given with --config");
}
