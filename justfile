# The daily commands. Each is written out in CONTRIBUTING.md too; nothing needs `just`.

# Lists the commands
default:
    @just --list

# Talks to the bot on data/bot.db
run *ARGS:
    cargo run --release -p bot -- {{ARGS}}

# Runs all tests, without and with the feature for many databases
test:
    cargo test --workspace && cargo test --workspace --features multi-source

# Runs one test by (part of) its name and shows what it prints
test-one NAME:
    cargo test --workspace --features multi-source {{NAME}} -- --nocapture

# Formats
fmt:
    cargo fmt --all

# Lints as strictly as .ci/run does
lint:
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --workspace --all-targets --features multi-source -- -D warnings

# Builds the documentation of the code
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --features multi-source

# Checks licences, duplicates and origins of the dependencies (needs cargo-deny)
deny:
    cargo deny check licenses bans sources

# Everything that a change has to pass
ci:
    .ci/run
