//! A bot with several databases, in a folder of its own.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::plain;
use crate::program::{Home, Running, Said, until};

/// A configuration file beside a data folder, and bots that are run on it.
pub(super) struct Site {
    pub(super) home: Home,
}

/// What a test says of the databases, besides where they are.
pub(super) const TWO: &str = "default_source = \"primary\"\n[database.sources.primary]\npath = \"primary.db\"\n\
                              [database.sources.archive]\npath = \"archive.db\"\n[database.chat_mapping]\n-100 = \"archive\"\n";

impl Site {
    /// A site whose configuration says this in its table `[database]`.
    pub(super) fn new(databases: &str) -> Self {
        let site = Self { home: Home::new() };
        site.configure(databases);
        site
    }

    pub(super) fn configure(&self, databases: &str) {
        self.home.file("bot.toml", format!("[bot]\nowners = [1]\n[database]\n{databases}"));
    }

    pub(super) fn bot(&self, args: &[&str]) -> Command {
        let config = self.home.path("bot.toml");
        let mut all = vec!["--config", config.to_str().unwrap()];
        all.extend(args);
        self.home.bot(&all)
    }

    /// Runs a command to its end without input.
    pub(super) fn run(&self, args: &[&str]) -> Said {
        self.home.of(Running::start(&mut self.bot(args)).end())
    }

    /// What a command says, in the form that is the same everywhere.
    pub(super) fn said(&self, args: &[&str]) -> (i32, String) {
        let Said { code, out, err } = self.run(args);
        (code.unwrap(), plain(&(err + &out)))
    }

    /// What `bot db --json` answers.
    pub(super) fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["db", "--json"];
        all.extend(args);
        let said = self.run(&all);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// A bot that has answered its first line, and so has opened what it can.
    pub(super) fn start(&self) -> Running {
        let mut running = Running::start(&mut self.bot(&["-q", "console", "--json"]));
        speak(&mut running, -1, "hello");
        running
    }

    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.home.data().join(name)
    }

    /// How the last change of the configuration ended, once there was one at all.
    pub(super) fn last_reload(&self, outcome: &str) -> Value {
        let mut last = Value::Null;
        until("the configuration is read", || {
            last = self.json(&["status"])["last_reload"].clone();
            last["outcome"] == outcome
        });
        last
    }
}

/// Says something in a chat; answers where it was stored, and what the bot says, or why it was not handled.
pub(super) fn speak(running: &mut Running, chat: i64, text: &str) -> (String, String) {
    running.say(&serde_json::json!({"chat": chat, "user": 1, "text": text}).to_string());
    let answer: Value = serde_json::from_str(&running.hear()).unwrap();
    if let Some(error) = answer["error"].as_str() {
        return (String::new(), error.to_owned());
    }
    let replies = answer["replies"].as_array().unwrap().iter().map(|reply| reply.as_str().unwrap());
    (answer["source"].as_str().unwrap().to_owned(), replies.collect::<Vec<_>>().join("\n"))
}
