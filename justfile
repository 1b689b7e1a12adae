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

# Runs all proofs in their long form (docs/proofs.md, docs/RELIABILITY.md), one test at a time: some measure times
proofs:
    CONFIG_MUTATIONS=100000 cargo test -p tests --test it config::mutations
    JSON_FULL_SIZE=1 cargo test --release -p tests --test it json:: -- --nocapture
    CONFIG_MUTATIONS=100000 RELOAD_ROUNDS=50 cargo test --release -p tests --features multi-source --test it watch::
    RELOAD_ROUNDS=50 cargo test --release -p tests --features multi-source --test it db::reloading
    MODEL_CASES=3000 cargo test --release -p tests --features multi-source --test it multi::model
    ISOLATION_CASES=3000 cargo test --release -p tests --features multi-source --test it multi::isolation
    THREADS_FULL_SIZE=1 cargo test --release -p tests --features multi-source --test it multi::threads -- --nocapture --test-threads=1
    THREADS_FULL_SIZE=1 cargo test --release -p tests --features multi-source --test it held:: -- --nocapture
    MOVES=20 MOVED_MESSAGES=32474 MOVE_KILLS=20 cargo test --release -p tests --features multi-source --test it multi::live -- --nocapture --test-threads=1
    MOVE_KILLS=20 cargo test --release -p tests --features multi-source --test it db::killed -- --nocapture
    MOVES=1 MOVED_MESSAGES=1000000 cargo test --release -p tests --features multi-source --test it multi::live::a_chat_moves -- --nocapture
    OUTAGES=300 KILLS=1000 cargo test --release -p tests --features multi-source --test it standins::torture -- --nocapture
    HOMECOMING_EVERY=1 cargo test --release -p tests --features multi-source --test it standins::killed -- --nocapture
    SYSCALLS_EVERY=1 cargo test --release -p tests --features multi-source --test it syscalls
    SYSCALLS_EVERY=1 cargo test --release -p tests --features multi-source --test it standins::failing
    OUTAGE_CASES=2000 cargo test --release -p tests --features multi-source --test it standins::model
    STAND_IN_CASES=2000 cargo test --release -p tests --features multi-source --test it standins::property
    HELD_SECONDS=30 cargo test --release -p tests --features multi-source --test it standins::a_source_that
    HELD_SECONDS=30 THREADS_FULL_SIZE=1 cargo test --release -p tests --features multi-source --test it multi::threads::a_source_that_another -- --nocapture
    RESTORE_KILLS=100 cargo test --release -p tests --features multi-source --test it db::restoring
    cargo test --release -p tests --features multi-source --test it db::backups
    cargo run --release -p database --features multi-source --example move_speed
    cargo bench -p database --features multi-source --bench routing
    cargo bench -p database --features multi-source --bench thousand

# Proves the import on a real export: how fast, exact and small in memory it is, and that killing it spoils nothing
full-size EXPORT *ARGS:
    cargo run --release -p tests --features multi-source --bin full-size -- {{EXPORT}} {{ARGS}}

# Measures which lines of the feature for many databases the tests run
coverage *FILTER:
    .ci/coverage {{FILTER}}

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

# Measures single calls
bench:
    cargo bench -p database --bench calls

# Measures the database crate against its peers, in turns
peers *ARGS="--quick":
    cargo run --release --manifest-path tests/benches/peers/Cargo.toml -- {{ARGS}}

# Everything that a change has to pass
ci:
    .ci/run
