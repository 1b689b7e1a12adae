//! Where the program's own log goes: standard error, so that standard output holds results only.

use std::io::IsTerminal;

use config::{LogConfig, LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts logging as configured. `-v` and `-q` override the level, and `RUST_LOG` has the last word where it is set.
pub fn start(config: LogConfig, verbose: u8, quiet: bool) {
    let configured = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => configured,
        (false, 1) => configured.max(LevelFilter::INFO),
        (false, _) => configured.max(LevelFilter::DEBUG),
    };
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    // Every call on a database is a span: its end tells how long it took.
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_span_events(FmtSpan::CLOSE);
    // A second start (in tests) finds a logger in place already, which is as good.
    let _ = match config.format {
        LogFormat::Text => logger.try_init(),
        LogFormat::Json => logger.json().try_init(),
    };
}
