//! The guide to many databases and back, followed word for word: every command in it is run, in its order, and prints
//! what the guide shows.
//!
//! Marks in the document say what a reader does between commands: `<!-- write FILE -->` before a block writes it there,
//! `<!-- start -->` and `<!-- stop -->` start and stop a bot.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use trycmd::TestCases;

use crate::program::{Home, MADE, Running};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/migration-guide.md");
const BOT: &str = env!("CARGO_BIN_EXE_bot-under-test");
/// The folder of the guide's reader.
const READER: &str = "/home/you/playground";

/// What a reader of the guide does.
#[derive(Debug)]
enum Step {
    Write(PathBuf, String),
    Start,
    Stop,
    /// Commands and what they print.
    Type(String),
}

/// The steps of a document.
fn steps(document: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        let block = |lines: &mut std::str::Lines<'_>| {
            let block = lines.by_ref().take_while(|line| line.trim() != "```");
            block.map(|line| format!("{}\n", line.strip_prefix("   ").unwrap_or(line))).collect::<String>()
        };
        match line.strip_prefix("<!-- ").and_then(|mark| mark.strip_suffix(" -->")) {
            Some("start") => steps.push(Step::Start),
            Some("stop") => steps.push(Step::Stop),
            Some(mark) => {
                if let Some(file) = mark.strip_prefix("write ") {
                    let opening = lines.by_ref().find(|line| line.trim().starts_with("```"));
                    assert!(opening.is_some(), "a block follows its mark");
                    steps.push(Step::Write(file.into(), block(&mut lines)));
                }
            }
            None if line == "```console" => steps.push(Step::Type(block(&mut lines))),
            None => {}
        }
    }
    steps
}

/// A bot at work in a folder, as a program has it. It has answered, and nothing was said in any chat.
fn start(place: &Path) -> Running {
    let mut bot = Running::start(Command::new(BOT).args(["--quiet", "console", "--json"]).current_dir(place));
    bot.say("{}");
    let answer = bot.hear();
    assert!(answer.contains("\"error\""), "{answer}");
    bot
}

fn stop(bot: Running) {
    let said = bot.end();
    // Of one line it was told that it is none.
    assert_eq!((said.code, said.err.as_str()), (Some(3), ""));
}

#[test]
fn the_guide_to_many_databases_and_back_says_what_happens() {
    let home = Home::new();
    let place = fs::canonicalize(home.path("")).unwrap();
    let steps_folder = Home::new();
    fs::create_dir_all(place.join("configs")).unwrap();
    fs::write(place.join("result.json"), fs::read(MADE).unwrap()).unwrap();
    // How far a move is it tells where that takes long: on a busy machine, and not in the guide.
    let program = steps_folder.file("bot", format!(
        "#!/bin/sh\nexec 3>&1\ncode=$({{ {{ {BOT} \"$@\" 2>&1; echo $? >&4; }} | grep -v '^chat .*: .* of .* rows' >&3; }} 4>&1)\nexit $code\n"
    ));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (mut typed, mut bot) = (0, None);
    for step in steps(&fs::read_to_string(GUIDE).unwrap()) {
        match step {
            Step::Write(file, text) => fs::write(place.join(file), text).unwrap(),
            Step::Start => assert!(bot.replace(start(&place)).is_none(), "one bot at a time"),
            Step::Stop => stop(bot.take().unwrap()),
            Step::Type(commands) => {
                typed += 1;
                let file = steps_folder.path(&format!("step-{typed}.md"));
                // An output ends with an empty line there.
                let commands = commands.replace(READER, place.to_str().unwrap()).replace("\n$ ", "\n\n$ ");
                fs::write(&file, format!("```console\n{commands}\n```\n")).unwrap();
                // Where the commands are run.
                symlink(&place, file.with_extension("in")).unwrap();
                // One after the other: cases of one run would go side by side.
                TestCases::new().case(&file).register_bin("bot", &program).run();
            }
        }
    }
    assert!(bot.is_none() && typed > 5, "{typed} blocks");
}
