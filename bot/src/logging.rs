//! Where the program's own log goes: standard error, so that standard output holds results only. Where somebody types in
//! that terminal, whoever has the line shows the log above it.

use std::io::{self, IsTerminal, Write};

use config::{LogConfig, LogFormat, LogLevel};
use parking_lot::RwLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Shows a line of the log; `false` where it is to be printed plainly.
type Show = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Who shows the log, while somebody types.
static SHOWN_BY: RwLock<Option<Show>> = RwLock::new(None);

/// Has the log be shown so from now on, where this answers that it is.
pub fn show_by(show: impl Fn(&str) -> bool + Send + Sync + 'static) {
    *SHOWN_BY.write() = Some(Box::new(show));
}

/// Has it go to standard error alone again.
pub fn show_plainly() {
    *SHOWN_BY.write() = None;
}

/// The log's lines, one each time it is written.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_shown = SHOWN_BY.read().as_ref().is_some_and(|show| show(&String::from_utf8_lossy(line)));
        if !is_shown {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

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
        .with_writer(|| Lines)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_span_events(FmtSpan::CLOSE);
    // A second start (in tests) finds a logger in place already, which is as good.
    let _ = match config.format {
        LogFormat::Text => logger.try_init(),
        LogFormat::Json => logger.json().try_init(),
    };
}
