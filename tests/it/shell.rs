//! What the program tells shells and `man` of itself.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use rstest::rstest;

use crate::program::Home;
use crate::support::names_in;

/// What the program prints, run where its configuration is wrong.
fn printed(home: &Home, arguments: &[&str]) -> String {
    std::fs::create_dir_all(home.path("configs")).unwrap();
    std::fs::write(home.path("configs/bot.toml"), "wrong").unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_bot-under-test"))
        .args(arguments)
        .current_dir(home.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[rstest]
#[case::commands("db", &["bot", "d"])]
#[case::their_commands("status", &["bot", "db", "sta"])]
#[case::options("--data-dir", &["bot", "--da"])]
#[case::options_of_commands("--again", &["bot", "import", "--ag"])]
#[case::values("zsh", &["bot", "completions", "z"])]
fn bash_completes(#[case] wanted: &str, #[case] typed: &[&str]) {
    let home = Home::new();
    std::fs::write(home.path("bot.bash"), printed(&home, &["completions", "bash"])).unwrap();
    let (last, before) = (typed.last().unwrap(), typed[typed.len() - 2]);
    let script = format!(
        "source bot.bash; COMP_WORDS=({}); COMP_CWORD={}; _bot bot {last} {before}; echo \"${{COMPREPLY[@]}}\"",
        typed.join(" "),
        typed.len() - 1
    );
    let ran = Command::new("bash").args(["-c", &script]).current_dir(home.path("")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "");
    assert_eq!(String::from_utf8(ran.stdout).unwrap().trim(), wanted);
}

#[rstest]
fn other_shells_are_told_every_command(#[values("zsh", "fish", "elvish", "powershell")] shell: &str) {
    let script = printed(&Home::new(), &["completions", shell]);
    for command in ["run", "console", "import", "config", "check", "db", "status", "journal", "completions", "man"] {
        assert!(script.contains(command), "{command} is not in the script for {shell}");
    }
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let home = Home::new();
    let program = printed(&home, &["man"]);
    assert!(program.starts_with(".ie") && program.contains(".TH bot 1"), "{program}");
    printed(&home, &["man", "pages"]);
    assert_eq!(std::fs::read_to_string(home.path("pages/bot.1")).unwrap(), program);
    // The pages that a page leads to are those that are there.
    let pages: BTreeSet<_> = names_in(&home.path("pages")).into_iter().collect();
    let led_to = pages.iter().flat_map(|page| {
        let page = std::fs::read_to_string(home.path("pages").join(page)).unwrap().replace("\\-", "-");
        let named = page.split_whitespace().filter_map(|word| word.strip_suffix("(1)"));
        named.map(|name| format!("{}.1", name.rsplit("\\fB").next().unwrap_or(name))).collect::<Vec<_>>()
    });
    let led_to: BTreeSet<_> = led_to.collect();
    let all_but_the_first: BTreeSet<_> = pages.iter().filter(|page| *page != "bot.1").cloned().collect();
    assert!(pages.contains("bot-db-status.1"), "{pages:?}");
    assert_eq!(led_to, all_but_the_first);
}
