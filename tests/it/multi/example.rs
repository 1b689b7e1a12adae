//! The example configuration: from the file on disk to the databases.

use std::path::{Path, PathBuf};

use config::Layers;
use database::{ChatId, DatabaseWrapper, Options, Route};

use crate::support::Scratch;

#[test]
fn the_example_configuration_leads_each_chat_to_the_source_it_names() {
    let scratch = Scratch::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let file = root.join("configs/database-multi-source.toml.example");
    let layers = Layers { files: vec![file], data_dir: Some(PathBuf::from(scratch.path())), ..Layers::default() };
    let (db, _) = DatabaseWrapper::open_multi(&layers.load().unwrap().database, Options::default()).unwrap();
    let chats = [-1_001_111_111_111, -1_002_222_222_222, -1_003_333_333_333, 4711].map(ChatId);
    let homes = chats.map(|chat| db.source_of(Route::Chat(chat)).unwrap().to_string());
    assert_eq!(homes, ["archive", "community", "community", "primary"]);
    for chat in chats {
        db.set_chat_setting(chat, "language", "nl").unwrap();
    }
    db.close();
    assert_eq!(scratch.names(), ["archive.db", "bot.db", "community.db", "switchyard.lock"]);
}
