//! The layers: built-in defaults, files, the environment, options.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::Duration;

use config::{Layers, LogFormat, LogLevel, Origin, Owner};
use database::{ChatId, Durability, Form, OnUnavailable, PartialResults, UserId};
use insta::assert_snapshot;

use super::{Place, right, two_sources};

#[test]
fn a_later_file_wins_key_by_key() {
    let place = Place::new();
    place.file("one.toml", "[bot]\nname = \"One\"\nowners = [1]\n[log]\nlevel = \"info\"\n");
    place.file("two.toml", "[bot]\nname = \"Two\"\n[log]\nformat = \"json\"\n");
    let config = place.load(&["one.toml", "two.toml"], &[]).unwrap();
    assert_eq!((config.bot.name.as_str(), config.bot.owners), ("Two", vec![Owner::Id(UserId(1))]));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Info, LogFormat::Json));
    assert_eq!(place.load(&["two.toml", "one.toml"], &[]).unwrap().bot.name, "One");
    // A list is one value.
    place.file("three.toml", "[bot]\nowners = [3]\n");
    assert_eq!(place.load(&["one.toml", "three.toml"], &[]).unwrap().bot.owners, [Owner::Id(UserId(3))]);
}

#[test]
fn the_environment_is_over_all_files() {
    let place = Place::new();
    place.file("bot.toml", "[bot]\nname = \"File\"\n[log]\nlevel = \"info\"\n");
    let environment = [("SWITCHYARD_BOT__NAME", "Outside"), ("SWITCHYARD_LOG__LEVEL", "debug"), ("BOT__NAME", "No")];
    let config = place.load(&["bot.toml"], &environment).unwrap();
    assert_eq!((config.bot.name.as_str(), config.log.level), ("Outside", LogLevel::Debug));
    let of = |key: &str| config.settings.iter().find(|setting| setting.key == key).unwrap().origin.clone();
    assert_eq!(of("bot.name"), Origin::Environment("SWITCHYARD_BOT__NAME".to_owned()));
    assert_eq!(of("log.format"), Origin::Default);
}

#[test]
fn what_the_environment_says_becomes_numbers_truth_and_lists() {
    let place = Place::new();
    place.file("bot.toml", two_sources(""));
    let environment = [
        ("SWITCHYARD_BOT__OWNERS", "7, @ada,,-3"),
        ("SWITCHYARD_DATABASE__SOURCES__ARCHIVE__TIMEOUT", "2.5"),
        ("SWITCHYARD_DATABASE__SOURCES__ARCHIVE__MAX_CONNECTIONS", "9"),
        ("SWITCHYARD_DATABASE__SOURCES__ARCHIVE__READONLY", "true"),
        ("SWITCHYARD_DATABASE__SOURCES__ARCHIVE__DURABILITY", "normal"),
        ("SWITCHYARD_DATABASE__CHAT_MAPPING__-100", "archive"),
        ("SWITCHYARD_DATABASE__PARTIAL_RESULTS", "error"),
    ];
    let config = place.load(&["bot.toml"], &environment).unwrap();
    assert_eq!(config.bot.owners, [Owner::Id(UserId(7)), Owner::Name("ada".to_owned()), Owner::Id(UserId(-3))]);
    let archive = &config.database.sources[&"archive".parse().unwrap()];
    assert_eq!(archive.timeout, Duration::from_millis(2500));
    assert_eq!((archive.max_connections, archive.readonly, archive.durability), (9, true, Durability::Normal));
    assert_eq!(config.database.chat_mapping[&ChatId(-100)].as_str(), "archive");
    assert_eq!(config.database.partial_results, PartialResults::Error);
}

#[test]
fn what_is_wrong_in_the_environment_is_told_by_the_variables_name() {
    let wrong = |name: &str, value: &str| {
        let place = Place::new();
        place.file("bot.toml", two_sources(""));
        place.wrong(&["bot.toml"], &[(name, value)])
    };
    assert_snapshot!(wrong("SWITCHYARD_LOG__LEVEL", ""), @r#"environment variable SWITCHYARD_LOG__LEVEL: `log.level` must be one of "error", "warn", "info", "debug", "trace""#);
    assert_snapshot!(wrong("SWITCHYARD_DATABASE__SOURCES__PRIMARY__TIMEOUT", "soon"), @"environment variable SWITCHYARD_DATABASE__SOURCES__PRIMARY__TIMEOUT: `database.sources.primary.timeout` must be a number of seconds from 0.001 to 3600");
    assert_snapshot!(wrong("SWITCHYARD_DATABASE__SOURCES__PRIMARY__READONLY", "yes"), @"environment variable SWITCHYARD_DATABASE__SOURCES__PRIMARY__READONLY: `database.sources.primary.readonly` is text, but must be true or false");
    assert_snapshot!(wrong("SWITCHYARD_BOT__OWNERS", "7,ada"), @r#"environment variable SWITCHYARD_BOT__OWNERS: `bot.owners` has an entry that is neither a user id (a whole number) nor a user name ("@name")"#);
    assert_snapshot!(wrong("SWITCHYARD_DATABASE__DATADIR", "x"), @"environment variable SWITCHYARD_DATABASE__DATADIR: `database.datadir` is not a setting; did you mean `data_dir`?");
    assert_snapshot!(wrong("SWITCHYARD_BOT__TOKEN", "x"), @"environment variable SWITCHYARD_BOT__TOKEN: `bot.?` is not a setting; here there are: name, owners");
    assert_snapshot!(wrong("SWITCHYARD___", "x"), @"environment variable SWITCHYARD___: `?` is not a setting; here there are: bot, log, database");
    assert_snapshot!(wrong("SWITCHYARD_BOT__NAME__FIRST", "x"), @"environment variable SWITCHYARD_BOT__NAME__FIRST: `bot.name` is a table, but must be text between double quotes");
}

#[test]
fn what_only_begins_like_a_setting_is_passed_over_and_named() {
    let place = Place::new();
    place.file("bot.toml", "");
    // As Kubernetes sets them for a service of this name.
    let environment = [
        ("SWITCHYARD_SERVICE_HOST", "10.0.0.1"),
        ("SWITCHYARD_LOG", "debug"),
        ("SWITCHYARD_", "x"),
        ("SWITCHYARD", "x"),
    ];
    let config = place.load(&["bot.toml"], &environment).unwrap();
    assert_eq!(config.passed_over, ["SWITCHYARD_", "SWITCHYARD_LOG", "SWITCHYARD_SERVICE_HOST"]);
    assert_eq!(config.log.level, LogLevel::Warn);
    // Whatever is in it.
    let bytes = OsString::from_vec(b"\xff".to_vec());
    let environment = vec![("SWITCHYARD_PORT".into(), bytes)];
    Layers { files: vec![place.path("bot.toml")], environment, data_dir: None }.load().unwrap();
}

#[test]
fn what_is_not_utf_8_is_refused_and_not_passed_over() {
    let bytes = || OsString::from_vec(b"data-\xff".to_vec());
    let layers = |environment, data_dir| Layers { files: vec![], environment, data_dir };
    let refused = |layers: Layers| layers.load().unwrap_err().to_string();
    assert_snapshot!(refused(layers(vec![("SWITCHYARD_DATABASE__DATA_DIR".into(), bytes())], None)), @"environment variable SWITCHYARD_DATABASE__DATA_DIR: its value is not UTF-8; give it another one");
    assert_snapshot!(refused(layers(vec![], Some(PathBuf::from(bytes())))), @"option --data-dir: its value is not UTF-8; give it another one");
    // What is no setting may be what it likes.
    layers(vec![("OTHER".into(), bytes()), (bytes(), bytes())], None).load().unwrap();
}

#[test]
fn the_option_is_over_all() {
    let place = Place::new();
    let files = vec![place.file("bot.toml", "[database]\ndata_dir = \"file\"\n")];
    let environment = vec![("SWITCHYARD_DATABASE__DATA_DIR".into(), "outside".into())];
    let layers = Layers { files, environment, data_dir: Some(place.path("option")) };
    assert_eq!(layers.load().unwrap().database.data_dir, place.path("option"));
    let here = std::env::current_dir().unwrap();
    let layers = Layers { data_dir: None, ..layers };
    assert_eq!(layers.load().unwrap().database.data_dir, here.join("outside"));
    let layers = Layers { environment: vec![], ..layers };
    assert_eq!(layers.load().unwrap().database.data_dir, place.path("file"));
}

#[test]
fn a_data_folder_is_beside_the_file_that_says_it() {
    let place = Place::new();
    place.file("one/bot.toml", "[database]\ndata_dir = \"data\"\n");
    place.file("two/bot.toml", "[database]\npath = \"other.db\"\n");
    place.file("three/bot.toml", "[database]\ndata_dir = \"../shared\"\n");
    let data = |files: &[&str]| {
        let database = place.load(files, &[]).unwrap().database;
        (database.data_dir, database.sources[&database.default_source].path.clone())
    };
    assert_eq!(data(&["one/bot.toml", "two/bot.toml"]), (place.path("one/data"), place.path("one/data/other.db")));
    assert_eq!(data(&["one/bot.toml", "three/bot.toml"]), (place.path("shared"), place.path("shared/bot.db")));
    let nowhere = std::env::current_dir().unwrap().join("data");
    assert_eq!(data(&["two/bot.toml"]).0, nowhere);
    place.file("four.toml", "[database]\npath = \"/absolute/bot.db\"\n");
    assert_eq!(data(&["four.toml"]).1, PathBuf::from("/absolute/bot.db"));
}

#[test]
fn a_variable_in_a_value_is_replaced() {
    let place = Place::new();
    let text = "[bot]\nname = \"${WHO} and ${WHO}${NOTHING}\"\nowners = [\"${OWNER}\"]\n\
                [database]\ndata_dir = \"${WHO}/$HOME/{x}\"\n";
    place.file("bot.toml", text);
    let environment = [("WHO", "Ada ${OWNER}"), ("NOTHING", ""), ("OWNER", "7")];
    let config = place.load(&["bot.toml"], &environment).unwrap();
    // Once: what a variable holds is not looked at again.
    assert_eq!(config.bot.name, "Ada ${OWNER} and Ada ${OWNER}");
    assert_eq!(config.bot.owners, [Owner::Id(UserId(7))]);
    assert_eq!(config.database.data_dir, place.path("Ada ${OWNER}/$HOME/{x}"));
}

#[test]
fn a_value_that_a_later_layer_replaces_is_not_checked() {
    let place = Place::new();
    place.file("one.toml", "[bot]\nname = \"\"\n");
    place.file("two.toml", "[bot]\nname = \"Two\"\n");
    assert_eq!(place.load(&["one.toml", "two.toml"], &[]).unwrap().bot.name, "Two");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_do_no_harm() {
    assert_eq!(right("\u{feff}[bot]\r\nname = \"Ada\"\r\n").bot.name, "Ada");
}

#[test]
fn a_source_has_the_settings_of_its_table() {
    let config = right(
        "[database]\ndata_dir = \"d\"\ndefault_source = \"primary\"\non_unavailable = \"fail\"\n\
         [database.sources.primary]\ntype = \"sqlite\"\npath = \"bot.db\"\ntimeout = 5\nmax_connections = 2\n\
         durability = \"normal\"\n\
         [database.sources.archive]\npath = \"archive.db\"\nreadonly = true\non_unavailable = \"default\"\n\
         [database.chat_mapping]\n-1001234567890 = \"archive\"\n42 = \"primary\"\n",
    );
    let database = config.database;
    assert_eq!((database.form, database.default_source.as_str()), (Form::Sources, "primary"));
    let primary = &database.sources[&"primary".parse().unwrap()];
    assert_eq!(primary.path, database.data_dir.join("bot.db"));
    assert_eq!((primary.timeout, primary.max_connections), (Duration::from_secs(5), 2));
    assert_eq!((primary.durability, primary.on_unavailable), (Durability::Normal, OnUnavailable::Fail));
    let archive = &database.sources[&"archive".parse().unwrap()];
    assert_eq!((archive.timeout, archive.max_connections), (Duration::from_secs(30), 5));
    assert_eq!((archive.readonly, archive.on_unavailable), (true, OnUnavailable::Default));
    let mapping: Vec<_> = database.chat_mapping.iter().map(|(chat, name)| (chat.0, name.as_str())).collect();
    assert_eq!(mapping, [(-1_001_234_567_890, "archive"), (42, "primary")]);
}

#[test]
fn the_data_folder_is_found_also_where_the_configuration_is_wrong() {
    let place = Place::new();
    let said = "[database]\ndata_dir = \"elsewhere\"\n";
    let wrong =
        ["[bot]\nnmae = 1\n", "[database.chat_mapping]\n-5 = \"nowhere\"\n", "[bot\n", "name = \"\n", "x = = 1\n"];
    for wrong in wrong {
        place.file("bot.toml", format!("{said}{wrong}"));
        assert!(place.load(&["bot.toml"], &[]).is_err(), "{wrong}");
        let layers = |environment: &[(&str, &str)], data_dir: Option<&str>| Layers {
            files: vec![place.path("bot.toml"), place.path("missing.toml")],
            environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            data_dir: data_dir.map(PathBuf::from),
        };
        assert_eq!(layers(&[], None).data_dir_at_best(), place.path("elsewhere"), "{wrong}");
        let environment = [("SWITCHYARD_DATABASE__DATA_DIR", "/other")];
        assert_eq!(layers(&environment, None).data_dir_at_best(), PathBuf::from("/other"));
        assert_eq!(layers(&environment, Some("/third")).data_dir_at_best(), PathBuf::from("/third"));
    }
}
