//! The program and its configuration: what it finds, says and makes.

use std::path::Path;
use std::process::{Command, Stdio};

use config::Layers;
use insta::assert_snapshot;

use super::{Place, two_sources};
use crate::support::names_in;

/// What a run of the program left.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the program in this place without input. It sees no environment but what is given.
fn bot(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let ran = Command::new(env!("CARGO_BIN_EXE_bot-under-test"))
        .args(arguments)
        .current_dir(place.path(""))
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| narrow(&place.anonymous(&String::from_utf8(bytes).unwrap()));
    Ran { code: ran.status.code(), out: text(ran.stdout), err: text(ran.stderr) }
}

/// A text without the blanks that bring comments under one another: how many there are depends on the folder's name.
fn narrow(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("  #") {
        Some((left, comment)) => format!("{}  #{comment}\n", left.trim_end()),
        None => format!("{line}\n"),
    });
    lines.collect()
}

fn names(place: &Place) -> Vec<String> {
    names_in(&place.path(""))
}

#[test]
fn the_file_of_the_working_directory_is_found() {
    let place = Place::new();
    place.file("configs/bot.toml", "[database]\ndata_dir = \"../data\"\n");
    let ran = bot(&place, &["config", "check"], &[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_snapshot!(ran.out, @"The configuration is right: configs/bot.toml (1 database, 0 mapped chats).");
    let elsewhere = place.file("elsewhere.toml", "");
    let ran = bot(&place, &["--config", elsewhere.to_str().unwrap(), "config", "check"], &[]);
    assert_snapshot!(ran.out, @"The configuration is right: DIR/elsewhere.toml (1 database, 0 mapped chats).");
}

#[test]
fn without_a_file_the_defaults_are_in_force() {
    let place = Place::new();
    let ran = bot(&place, &["config", "check"], &[]);
    assert_snapshot!(ran.out, @"The configuration is right: built-in defaults (1 database, 0 mapped chats).");
    let ran = bot(&place, &["config", "show"], &[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_snapshot!(ran.out, @r#"
        [bot]
        name = "Switchyard"  # built-in default
        owners = []  # built-in default

        [database]
        data_dir = "DIR/data"  # built-in default
        path = "DIR/data/bot.db"  # built-in default

        [log]
        level = "warn"  # built-in default
        format = "text"  # built-in default
        "#);
    assert_eq!(names(&place), [""; 0]);
}

#[test]
fn what_is_in_force_is_shown_with_where_it_comes_from() {
    let place = Place::new();
    place.file("one.toml", format!("[bot]\nowners = [7, \"@ada\"]\n{}timeout = 2.5\n", two_sources("")));
    place.file("two.toml", "[bot]\nname = \"Ada \\\"the bot\\\"\"\n[database.chat_mapping]\n-100 = \"archive\"\n");
    let arguments = ["--config", "one.toml", "--config=two.toml", "--data-dir", "elsewhere", "config", "show"];
    let ran = bot(&place, &arguments, &[("SWITCHYARD_LOG__LEVEL", "error")]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_snapshot!(ran.out, @r#"
        [bot]
        name = 'Ada "the bot"'  # two.toml:2
        owners = [7, "@ada"]  # one.toml:2

        [database]
        data_dir = "DIR/elsewhere"  # option --data-dir
        on_unavailable = "stand-in"  # built-in default
        partial_results = "warn"  # built-in default
        default_source = "primary"  # one.toml:4

        [database.chat_mapping]
        -100 = "archive"  # two.toml:4

        [database.sources.archive]
        path = "DIR/elsewhere/archive.db"  # one.toml:8
        timeout = 2.5  # one.toml:9
        max_connections = 5  # built-in default
        durability = "full"  # built-in default
        readonly = false  # built-in default
        on_unavailable = "stand-in"  # built-in default

        [database.sources.primary]
        path = "DIR/elsewhere/bot.db"  # one.toml:6
        timeout = 30.0  # built-in default
        max_connections = 5  # built-in default
        durability = "full"  # built-in default
        readonly = false  # built-in default
        on_unavailable = "stand-in"  # built-in default

        [log]
        level = "error"  # environment variable SWITCHYARD_LOG__LEVEL
        format = "text"  # built-in default
        "#);
    // What is shown is TOML, and says the same when it is read again.
    place.file("three.toml", ran.out.replace("DIR", place.path("").to_str().unwrap().trim_end_matches('/')));
    let again = bot(&place, &["--config", "three.toml", "config", "show"], &[]);
    let values = |shown: &str| shown.lines().map(|line| line.split("  #").next().unwrap().trim().to_owned()).collect();
    let (before, after): (Vec<String>, Vec<String>) = (values(&ran.out), values(&again.out));
    assert_eq!(before, after);
}

#[test]
fn a_value_with_a_variable_is_shown_as_it_is_written_but_for_paths_and_each_on_one_line() {
    let place = Place::new();
    let text =
        "[bot]\nname = \"Ada ${SECRET}\"\nowners = [7, \"@${SECRET}\"]\n[database]\ndata_dir = \"${FOLDER}/data\"\n";
    place.file("bot.toml", text);
    let environment = [("SECRET", "swordfish"), ("FOLDER", "two\nlines \"and\" \\more")];
    let ran = bot(&place, &["--config", "bot.toml", "config", "show"], &environment);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_snapshot!(ran.out, @r#"
        [bot]
        name = "Ada ${SECRET}"  # bot.toml:2
        owners = [7, "@${SECRET}"]  # bot.toml:3

        [database]
        data_dir = "DIR/two\u000Alines \"and\" \\more/data"  # bot.toml:5
        path = "DIR/two\u000Alines \"and\" \\more/data/bot.db"  # built-in default

        [log]
        level = "warn"  # built-in default
        format = "text"  # built-in default
        "#);
    let shown = ran.out.replace("DIR", place.path("").to_str().unwrap().trim_end_matches('/'));
    place.file("shown.toml", shown);
    let again = place.load(&["shown.toml"], &environment).unwrap();
    assert_eq!(again.bot, place.load(&["bot.toml"], &environment).unwrap().bot);
}

#[test]
fn what_the_environment_is_passed_over_for_is_said() {
    let place = Place::new();
    let environment = [("SWITCHYARD_SERVICE_HOST", "10.0.0.1"), ("SWITCHYARD_PORT", "tcp://10.0.0.1:1")];
    let ran = bot(&place, &["config", "check"], &environment);
    assert_eq!(ran.code, Some(0));
    assert_snapshot!(ran.err, @"Passed over in the environment: SWITCHYARD_PORT, SWITCHYARD_SERVICE_HOST (the names of settings have two underscores, as SWITCHYARD_LOG__LEVEL).");
    assert_eq!(bot(&place, &["-q", "config", "check"], &environment).err, "");
}

#[test]
fn files_before_and_behind_the_command_are_read() {
    let place = Place::new();
    place.file("one.toml", "[bot]\nname = \"One\"\n[log]\nlevel = \"info\"\n");
    place.file("two.toml", "[bot]\nname = \"Two\"\n");
    let ran = bot(&place, &["--config", "one.toml", "config", "show", "--config", "two.toml"], &[]);
    assert!(ran.out.contains("name = \"Two\"") && ran.out.contains("level = \"info\""), "{}", ran.out);
}

#[test]
fn a_wrong_configuration_ends_every_command_with_2() {
    let place = Place::new();
    place.file("configs/bot.toml", "[bot]\nnmae = \"x\"\n\n[log]\nlevel = \"loud\"\n");
    let ran = bot(&place, &["config", "check"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert_snapshot!(ran.err, @r#"
        error: the configuration is wrong:
        configs/bot.toml:2: `bot.nmae` is not a setting; did you mean `name`?
        configs/bot.toml:5: `log.level` must be one of "error", "warn", "info", "debug", "trace"
        "#);
    let others = [&["config", "show"][..], &["run"], &[], &["console"], &["import", "x.json"], &["db", "status"]];
    for arguments in others {
        let other = bot(&place, arguments, &[]);
        assert_eq!((other.code, other.err.as_str()), (Some(2), ran.err.as_str()), "{arguments:?}");
    }
    assert_eq!(names(&place), ["configs"]);
}

#[test]
fn programs_are_told_the_same_of_a_configuration() {
    let place = Place::new();
    place.file("configs/bot.toml", "[bot]\nname = \"${SECRET}\"\nowners = [7]\n");
    let environment = [("SECRET", "swordfish"), ("SWITCHYARD_LOG__LEVEL", "info")];
    let ran = bot(&place, &["config", "check", "--json"], &environment);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_snapshot!(ran.out, @r#"{"databases":1,"files":["configs/bot.toml"],"mapped_chats":0,"ok":true}"#);
    let ran = bot(&place, &["config", "--json", "show", "--data-dir", "elsewhere"], &environment);
    assert_snapshot!(ran.out.replace("},{", "},\n{"), @r#"
    {"settings":[{"from":{"file":"configs/bot.toml","line":2},"key":"bot.name","value":"${SECRET}"},
    {"from":{"file":"configs/bot.toml","line":3},"key":"bot.owners","value":[7]},
    {"from":{"variable":"SWITCHYARD_LOG__LEVEL"},"key":"log.level","value":"info"},
    {"from":"default","key":"log.format","value":"text"},
    {"from":{"option":"--data-dir"},"key":"database.data_dir","value":"DIR/elsewhere"},
    {"from":"default","key":"database.path","value":"DIR/elsewhere/bot.db"}]}
    "#);

    place.file("configs/bot.toml", "[bot]\nnmae = \"swordfish\"\n");
    let ran = bot(&place, &["config", "check", "--json"], &[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(2), ""));
    assert_snapshot!(ran.out, @r#"{"ok":false,"problems":[{"from":{"file":"configs/bot.toml","line":2},"key":"bot.nmae","what":"is not a setting; did you mean `name`?"}]}"#);
}

#[test]
#[cfg(not(feature = "multi-source"))]
fn several_sources_are_refused_by_a_build_for_one_also_where_they_are_checked() {
    const SEVERAL: &str = "the configuration names 2 databases, and this build works on one; build it for several with \
                           `cargo build --release -p bot --features multi-source`, or leave one source that can be \
                           written in [database.sources]";
    let place = Place::new();
    place.file("configs/bot.toml", two_sources("[database.chat_mapping]\n-100 = \"archive\"\n"));
    for args in [
        &["config", "check"][..],
        &["run"],
        &["db", "status"],
        &["db", "strays"],
        &["db", "journal"],
        &["db", "adopt", "archive"],
        &["db", "move", "-100", "--to", "primary"],
    ] {
        let ran = bot(&place, args, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}");
        assert_eq!(ran.err.trim_end(), format!("error: {SEVERAL}"), "{args:?}");
    }
    let ran = bot(&place, &["config", "check", "--json"], &[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(2), ""));
    let said: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&said["ok"], &said["problems"][0]["what"]), (&false.into(), &SEVERAL.into()));
    assert_eq!(said["problems"][0]["from"]["file"], "configs/bot.toml");
    assert_eq!((names(&place), names_in(&place.path("configs"))), (vec!["configs".into()], vec!["bot.toml".into()]));
    // One source is no file without a name, and what is there for many is not in this build.
    place.file("configs/bot.toml", "[database.sources.main]\npath = \"chats.db\"\n");
    assert_eq!(bot(&place, &["config", "check"], &[]).code, Some(0));
    let ran = bot(&place, &["db", "strays"], &[]);
    assert_eq!(ran.code, Some(2));
    assert_snapshot!(ran.err, @"error: this takes a bot that is built with `cargo build --release -p bot --features multi-source`");
}

#[test]
#[cfg(not(feature = "multi-source"))]
fn one_writable_source_is_used_by_a_build_for_one() {
    let place = Place::new();
    place.file("bot.toml", "[database]\ndata_dir = \"data\"\n[database.sources.main]\npath = \"chats.db\"\n");
    let ran = bot(&place, &["--config", "bot.toml"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
    assert_snapshot!(ran.err, @"
        Using the configuration DIR/bot.toml.
        Created the folder DIR/data.
        Created the database DIR/data/chats.db.
        ");
    assert_eq!(names_in(&place.path("data")), ["chats.db"]);
}

#[test]
fn a_path_alone_makes_a_file_and_nothing_beside_it() {
    let place = Place::new();
    place.file("bot.toml", "[database]\ndata_dir = \".\"\npath = \"chats.db\"\n");
    let ran = bot(&place, &["--config", "bot.toml"], &[]);
    assert_eq!(ran.code, Some(0));
    assert_snapshot!(ran.err, @"
        Using the configuration DIR/bot.toml.
        Created the database DIR/chats.db.
        ");
    let ran = bot(&place, &["--config", "bot.toml"], &[]);
    assert_eq!(ran.code, Some(0));
    assert_snapshot!(ran.err, @"
        Using the configuration DIR/bot.toml.
        Using the database DIR/chats.db.
        ");
    assert_eq!(names(&place), ["bot.toml", "chats.db"]);
}

#[test]
fn the_repositorys_file_says_what_is_built_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/bot.toml");
    let layers = |files| Layers { files, ..Layers::default() };
    let said = layers(vec![file.clone()]).load().unwrap();
    let empty = Place::new();
    let built_in = layers(vec![empty.file("empty.toml", "")]).load().unwrap();
    assert_eq!((said.bot, said.log), (built_in.bot, built_in.log));
    let data = std::fs::canonicalize(file.parent().unwrap().parent().unwrap()).unwrap().join("data");
    assert_eq!(said.database.data_dir, data);
    let mut expected = built_in.database;
    let source = expected.sources.get_mut(&expected.default_source).unwrap();
    source.path = data.join(source.path.file_name().unwrap());
    expected.data_dir = data;
    assert_eq!(said.database, expected);
}

#[test]
fn what_the_repositorys_file_offers_behind_a_hash_is_the_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/bot.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let settings = text.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line));
    let offered: Vec<_> = settings.collect();
    assert!(offered.iter().filter(|line| is_setting(line)).count() > 4, "{offered:?}");
    let place = Place::new();
    place.file("offered/bot.toml", offered.join("\n"));
    place.file("plain/bot.toml", text);
    let (offered, plain) =
        (place.load(&["offered/bot.toml"], &[]).unwrap(), place.load(&["plain/bot.toml"], &[]).unwrap());
    assert_eq!((offered.bot, offered.log, offered.database), (plain.bot, plain.log, plain.database));
}

fn is_setting(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}
