//! What this build is made of: without the feature `multi-source` nothing of it is compiled in.

use std::process::Command;

use memchr::memmem;
use rstest::rstest;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bot-under-test");

/// The packages that only many databases need.
const OF_MANY: [&str; 3] = ["arc-swap", "memmap2", "notify"];

#[test]
fn the_program_under_test_was_compiled_with_the_feature_exactly_where_the_tests_were() {
    // The names of functions stand in a program that nobody stripped. (The tests would hold their own text.)
    let program = std::fs::read(PROGRAM).unwrap();
    let holds = |name: &str| memmem::find(&program, name.as_bytes()).is_some();
    assert!(holds("parking_lot") && holds("database"), "this program says nothing of what it is made of");
    assert_eq!(holds("datasource_router"), cfg!(feature = "multi-source"));
    assert_eq!(holds("arc_swap"), cfg!(feature = "multi-source"));
}

#[rstest]
#[case::without(&[], false)]
#[case::with(&["--features", "multi-source"], true)]
fn the_bot_depends_on_what_many_databases_need_only_with_the_feature(
    #[case] features: &[&str],
    #[case] expected: bool,
) {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let tree = Command::new(cargo)
        .args(["tree", "--package", "bot", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--offline", "--locked"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"rusqlite"), "{tree}");
    for package in OF_MANY {
        assert_eq!(names.contains(&package), expected, "{package}");
    }
}
