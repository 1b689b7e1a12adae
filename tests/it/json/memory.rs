//! How much memory the program takes after few messages and after many.

use std::io::Write as _;

use super::{conversation, full_size, json, say_all};
use crate::program::{Home, Running};

/// What a process holds now and what it held at most, in kB.
fn memory(process: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// The memory of one program at two moments: after so many messages, and after more.
fn memory_after(few: usize, many: usize) -> [(u64, u64); 2] {
    let home = Home::in_memory();
    let mut running = Running::start(&mut home.bot(&["-q", "console", "--json"]));
    let process = running.child.id();
    let saying = say_all(&mut running, conversation(many as u64, 50, 1_000).into_iter().map(|sent| sent.line()));
    let mut after_few = None;
    for heard in 1..=many {
        assert!(json(&running.hear())["error"].is_null());
        if heard == few {
            after_few = Some(memory(process));
        }
    }
    let after_many = memory(process);
    drop(saying.join().unwrap());
    assert_eq!(running.end().code, Some(0));
    [after_few.unwrap(), after_many]
}

#[test]
fn memory_does_not_grow_with_the_number_of_messages() {
    // Until then SQLite fills its page cache, which is bounded by its settings: 8 MB for each connection.
    let few = 50_000;
    let many = if full_size() { 500_000 } else { 100_000 };
    let [after_few, after_many] = memory_after(few, many);
    writeln!(std::io::stderr(), "kB now and at most: {after_few:?} after {few}, {after_many:?} after {many}").unwrap();
    assert!(after_many.0 <= after_few.0 * 11 / 10, "now: {after_few:?} after {few}, {after_many:?} after {many}");
    assert!(after_many.1 <= after_few.1 * 11 / 10, "at most: {after_few:?} after {few}, {after_many:?} after {many}");
}
