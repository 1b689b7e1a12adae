//! Chats in two databases behind one wrapper, and a configuration that changes meanwhile.
//!
//! `cargo run -p database --features multi-source --example many_databases`

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;

use database::{
    ChatId, DatabaseConfig, DatabaseWrapper, Form, Options, PartialResults, Route, SourceConfig, SourceName,
};

const COMMUNITY: ChatId = ChatId(-1_001_234_567_890);
const SOMEBODY: ChatId = ChatId(4711);

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let folder = tempfile::tempdir()?;

    // What a configuration file says, as plain values.
    let source = |name: &str| -> Result<(SourceName, SourceConfig), Box<dyn Error>> {
        let name: SourceName = name.parse()?;
        let path = folder.path().join(format!("{name}.db"));
        Ok((name.clone(), SourceConfig { name, ..SourceConfig::new(path) }))
    };
    let mut config = DatabaseConfig {
        form: Form::Sources,
        data_dir: folder.path().to_owned(),
        sources: BTreeMap::from([source("primary")?, source("community")?]),
        default_source: "primary".parse()?,
        chat_mapping: BTreeMap::from([(COMMUNITY, "community".parse()?)]),
        partial_results: PartialResults::Warn,
    };

    // Handlers get the wrapper and notice nothing.
    let (db, control) = DatabaseWrapper::open_multi(&config, Options::default())?;
    for chat in [COMMUNITY, SOMEBODY] {
        db.set_chat_setting(chat, "language", "nl")?;
        writeln!(out, "chat {chat} is in {}", db.source_of(Route::Chat(chat))?)?;
    }

    // The configuration changes while the bot runs: another source, and a chat that is to be in it from now on.
    config.sources.extend([source("customer")?]);
    config.chat_mapping.insert(ChatId(5), "customer".parse()?);
    let change = control.reload(&config)?;
    writeln!(out, "generation {}: {change}", change.generation)?;

    for source in control.status().sources {
        writeln!(out, "{}: {:?}, chats routed there: {}", source.source.name, source.source.health, source.chats)?;
    }
    db.close();
    Ok(())
}
