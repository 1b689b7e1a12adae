//! The command lines that packages give the bot are ones that it understands.

use std::fs;
use std::path::Path;

use bot::cli::Cli;

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging");

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(PACKAGING).join(name)).unwrap()
}

/// The command lines of a unit: what stands behind `Exec...=`.
fn of_unit(name: &str) -> Vec<Vec<String>> {
    let unit = text(name);
    let lines = unit.lines().filter(|line| line.starts_with("Exec")).filter_map(|line| line.split_once('='));
    lines.map(|(_, command)| command.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn units_give_commands_that_there_are() {
    let service = of_unit("systemd/switchyard.service");
    assert_eq!(service.len(), 3, "{service:?}");
    let backup = of_unit("systemd/switchyard-backup.service");
    assert_eq!(backup.len(), 1, "{backup:?}");
    for command in service.iter().chain(&backup) {
        assert_eq!(command[0], "/usr/local/bin/bot");
        assert!(Cli::of(command).is_ok(), "{}: {}", command.join(" "), Cli::of(command).unwrap_err());
    }
}

#[test]
fn the_image_gives_commands_that_there_are() {
    let dockerfile = text("Dockerfile");
    let list = |of: &str| -> Vec<String> {
        let line = dockerfile.lines().find(|line| line.starts_with(of) || line.contains(&format!(" {of}"))).unwrap();
        serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
    };
    let entry = list("ENTRYPOINT");
    let run: Vec<_> = entry.iter().cloned().chain(list("CMD [\"console")).collect();
    for command in [entry, run, list("CMD [\"bot")] {
        assert!(Cli::of(&command).is_ok(), "{}: {}", command.join(" "), Cli::of(&command).unwrap_err());
    }
}

#[test]
fn what_is_installed_is_there() {
    for file in ["switchyard.service", "switchyard-in.socket", "switchyard-out.socket"] {
        assert!(text(&format!("systemd/{file}")).contains("switchyard"), "{file}");
    }
    // The pipes that the service takes are the two that there are.
    let service = text("systemd/switchyard.service");
    for end in ["in", "out"] {
        assert!(text(&format!("systemd/switchyard-{end}.socket")).contains(&format!("FileDescriptorName={end}\n")));
        assert!(service.contains(&format!("=fd:{end}\n")), "{end}");
    }
}
