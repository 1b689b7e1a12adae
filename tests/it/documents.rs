//! What documents show: each configuration is loaded, and routed through, or refused as the document says, and the
//! commands of proofs are ones that are run.

use std::collections::BTreeSet;
use std::path::Path;

use config::{Config, ConfigError, Layers};
use database::{ChatId, DatabaseConfig, SourceName};

use crate::support::Scratch;

const DOCUMENTS: [&str; 2] = ["docs/database-multi-source.md", "docs/migration-guide.md"];
const EXAMPLE: &str = "configs/database-multi-source.toml.example";

/// A file of the project.
fn read(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(file)).unwrap()
}

/// The blocks of a document behind a mark, each with what the mark says.
fn marked(document: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(mark) = line.trim().strip_prefix("<!-- config: ").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        assert!(lines.next().unwrap().trim().starts_with("```"), "a block follows its mark");
        let block: Vec<&str> = lines.by_ref().map(str::trim).take_while(|line| *line != "```").collect();
        found.push((mark.to_owned(), block.join("\n") + "\n"));
    }
    found
}

fn load(scratch: &Scratch, text: &str) -> Result<Config, ConfigError> {
    let file = scratch.file("example.toml");
    std::fs::write(&file, text).unwrap();
    Layers { files: vec![file], ..Layers::default() }.load()
}

/// Where a chat lives by the file alone.
fn home(config: &DatabaseConfig, chat: i64) -> &SourceName {
    config.chat_mapping.get(&ChatId(chat)).unwrap_or(&config.default_source)
}

#[test]
fn what_a_document_shows_as_a_configuration_is_one_and_what_it_shows_as_refused_is_refused_so() {
    for document in DOCUMENTS {
        let scratch = Scratch::new();
        let mut accepted = 0;
        let mut refusal = None;
        for (mark, block) in marked(&read(document)) {
            match mark.as_str() {
                "accepted" => {
                    let config = load(&scratch, &block).unwrap_or_else(|error| panic!("{document}: {error}\n{block}"));
                    assert!(config.database.sources.len() > 1);
                    accepted += 1;
                }
                "refused" => {
                    let error = load(&scratch, &block).expect_err(&block).to_string();
                    refusal = Some(error.replace(&format!("{}/", scratch.path().display()), ""));
                }
                "said" => assert_eq!(refusal.take().unwrap(), block.trim_end(), "{document}"),
                other => panic!("{document}: unknown mark {other}"),
            }
        }
        assert!(accepted > 0 && refusal.is_none(), "{document}");
    }
}

/// What a command of a proof is known by: the variables that it sets, and the benchmarks, examples and programs it runs.
fn marks(text: &str) -> BTreeSet<String> {
    let words: Vec<_> = text.split(|letter: char| letter.is_whitespace() || "`:;,()".contains(letter)).collect();
    let is_variable = |word: &&str| {
        word.split_once('=').is_some_and(|(name, value)| {
            name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_') && value.parse::<u32>().is_ok()
        })
    };
    let named = words.windows(2).filter(|pair| ["--bench", "--example", "--bin"].contains(&pair[0]));
    words
        .iter()
        .filter(|word| is_variable(word))
        .map(|word| (*word).to_owned())
        .chain(named.map(|pair| pair.join(" ")))
        .collect()
}

#[test]
fn the_long_form_of_every_proof_is_run_by_the_commands_that_run_them() {
    let commands = marks(&read("justfile"));
    for document in ["docs/proofs.md", "docs/RELIABILITY.md"] {
        // (How lines are counted is no proof.)
        let told = marks(read(document).split("\n## Coverage").next().unwrap());
        assert!(told.len() > 5, "{document}: {told:?}");
        let missing: Vec<_> = told.difference(&commands).collect();
        assert!(missing.is_empty(), "{document}: {missing:?}");
    }
}

#[test]
fn the_example_is_a_configuration_and_leads_chats_where_it_says() {
    let scratch = Scratch::new();
    let config = load(&scratch, &read(EXAMPLE)).unwrap().database;
    let homes =
        [-1_001_111_111_111, -1_002_222_222_222, -1_003_333_333_333, 4711].map(|chat| home(&config, chat).as_str());
    assert_eq!(homes, ["archive", "community", "community", "primary"]);
}
