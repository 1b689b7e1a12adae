//! The rows of the table: what is done, by whom, and what is hoped for.

use contest::{Durability, Work};

use crate::hosts::Host;

/// How long those pause who do something else between two calls, as a bot's handlers do: one millisecond.
const PAUSE_US: u64 = 1_000;

/// What the C library is told so that threads keep nothing that was given back. Each thread keeps up to seven pieces of each
/// size until it needs them again, so that 200 threads take more the longer they run, up to some 40 MB.
const NO_THREAD_CACHES: &str = "glibc.malloc.tcache_count=0";

/// One row: contenders that do the same work in turns.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) work: Work,
    pub(crate) durability: Durability,
    pub(crate) callers: usize,
    pub(crate) entrants: Vec<Entrant>,
    pub(crate) questions: Vec<Question>,
    pub(crate) turns: usize,
    pub(crate) warm_ms: u64,
    pub(crate) measure_ms: u64,
    pub(crate) pause_us: u64,
    pub(crate) calls: Option<usize>,
}

/// One contender of a row.
#[derive(Clone)]
pub(crate) struct Entrant {
    pub(crate) label: String,
    pub(crate) contender: &'static str,
    pub(crate) host: Host,
    /// How many callers it has, where that is not as many as the row says.
    pub(crate) callers: Option<usize>,
    pub(crate) connections: usize,
    pub(crate) stored: u64,
    pub(crate) size: u64,
    /// What the allocator is told (`GLIBC_TUNABLES`).
    pub(crate) allocator: Option<&'static str>,
}

/// No contender, for nobody is answered: one thread of rusqlite stores what all want, sixteen messages in each transaction.
pub(crate) const TOGETHER: &str = "one thread, 16 a commit";

/// What is asked of a row: how the first entrant does against another.
pub(crate) struct Question {
    pub(crate) text: &'static str,
    pub(crate) measure: Measure,
    pub(crate) against: Against,
    pub(crate) floor: f64,
    pub(crate) aim: f64,
}

/// What is compared.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    /// Calls a second: at least so many times the other's.
    Rate,
    /// The time that 99 of 100 calls stay below: at most so many times the other's.
    P99,
    /// The same, corrected for coordinated omission.
    P99Corrected,
    /// The time that half of the calls stay below: at most so many times the other's.
    P50,
    /// Calls a second: at most so many times fewer than the other's.
    Within,
    /// Memory at the end: at most so many times that a tenth of the way in.
    Memory,
}

/// Who it is compared with.
#[derive(Clone, Copy)]
pub(crate) enum Against {
    /// The entrant of that label.
    One(&'static str),
    /// The best of all that are not ours.
    Best,
    /// Itself, earlier.
    Itself,
}

fn entrant(contender: &'static str, connections: usize) -> Entrant {
    let host = match contender {
        "sqlx" => Host::Sqlx,
        "r2d2_sqlite" | "deadpool-sqlite" | "tokio-rusqlite" | "diesel" | "rusqlite-0.40" => Host::Pools,
        _ => Host::Ours,
    };
    let label = match contender {
        "ours" | "rusqlite" | "rusqlite-0.40" => contender.to_owned(),
        pool => format!("{pool}, {connections}"),
    };
    Entrant { label, contender, host, callers: None, connections, stored: 1_000, size: 1, allocator: None }
}

impl Entrant {
    fn called(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }
}

fn question(text: &'static str, measure: Measure, against: Against, floor: f64, aim: f64) -> Question {
    Question { text, measure, against, floor, aim }
}

/// All rows. In a quick run the data is small and the time short: its figures mean nothing.
pub(crate) fn all(quick: bool) -> Vec<Row> {
    let row = |name, title, work, callers, entrants, questions| Row {
        name,
        title,
        work,
        durability: Durability::Full,
        callers,
        entrants,
        questions,
        // Many short turns rather than a few long ones: what else the machine does comes and goes within seconds.
        turns: 11,
        warm_ms: match (quick, work) {
            (true, _) => 50,
            // Until each log has begun anew and its file grows no more: as long as it does, each sync writes more.
            (false, Work::Save) => 2_500,
            (false, _) => 200,
        },
        // Of many callers some wait long: the time has to be longer than that.
        measure_ms: match (quick, callers) {
            (true, _) => 150,
            (false, 1) => 1_000,
            (false, _) => 2_000,
        },
        pause_us: 0,
        calls: None,
    };
    let least = if quick { 10 } else { 1 };
    let many_pools = || {
        let pools = ["r2d2_sqlite", "deadpool-sqlite", "tokio-rusqlite", "sqlx", "diesel"];
        pools.map(|contender| entrant(contender, 1)).to_vec()
    };
    let crowd = || {
        let mut entrants = vec![entrant("ours", 5), entrant("rusqlite", 1).called("rusqlite behind a mutex")];
        entrants.extend(["r2d2_sqlite", "deadpool-sqlite", "sqlx", "diesel"].map(|contender| entrant(contender, 16)));
        entrants.extend(many_pools());
        let together = Entrant { callers: Some(1), ..entrant("rusqlite, together", 16) };
        entrants.push(together.called(TOGETHER));
        entrants
    };
    let alone = || {
        let mut entrants = vec![entrant("ours", 5), entrant("rusqlite", 1)];
        entrants.extend(many_pools());
        entrants.push(entrant("rusqlite-0.40", 1));
        entrants
    };
    let readers = || {
        // As many connections as a source has where nobody says otherwise, and as many as the others.
        let mut entrants = vec![entrant("ours", 5), entrant("ours", 17).called("ours, 17 connections")];
        entrants.push(entrant("rusqlite", 16).called("rusqlite, one each"));
        let pools = ["r2d2_sqlite", "deadpool-sqlite", "tokio-rusqlite", "sqlx", "diesel"];
        entrants.extend(pools.map(|contender| entrant(contender, 16)));
        entrants
    };
    let newest = |label, contender, stored| Entrant { stored: stored / least, ..entrant(contender, 5) }.called(label);
    let cross = |stored| {
        let all = |label| Entrant { stored, size: 9, ..entrant(label, 5) }.called(label);
        vec![all("ours, all at a time"), all("ours, one after the other")]
    };
    let one_by_one = Against::One("ours, one after the other");
    let batches = |contender| Entrant { stored: 0, size: 2_000 / least, ..entrant(contender, 5) };
    let crowded = |label, contender, size| Entrant { stored: 0, size, ..entrant(contender, 5) }.called(label);
    let against_together = || {
        let text = "against one thread that answers nobody (no limit set)";
        question(text, Measure::Rate, Against::One(TOGETHER), 0.0, 1.0)
    };
    let (r2d2_crowd, rusqlite) = (Against::One("r2d2_sqlite, 16"), Against::One("rusqlite"));
    let corrected = || {
        let text = "p99, corrected, against r2d2_sqlite with 16 connections (no limit set)";
        question(text, Measure::P99Corrected, r2d2_crowd, f64::INFINITY, 0.02)
    };
    vec![
        row(
            "save-durable-16",
            "save_chat_message, durable, 16 callers",
            Work::Save,
            16,
            crowd(),
            vec![
                question("against r2d2_sqlite with 16 connections", Measure::Rate, r2d2_crowd, 5.0, 9.0),
                question("p99 against r2d2_sqlite with 16 connections", Measure::P99, r2d2_crowd, 0.2, 0.02),
                corrected(),
                question("against the best peer", Measure::Rate, Against::Best, 2.0, 2.5),
                against_together(),
            ],
        ),
        Row {
            pause_us: PAUSE_US,
            ..row(
                "save-durable-paced",
                "save_chat_message, durable, 16 callers, each with a pause of 1 ms after a call",
                Work::Save,
                16,
                crowd(),
                vec![
                    question(
                        "against r2d2_sqlite with 16 connections (no limit set)",
                        Measure::Rate,
                        r2d2_crowd,
                        0.0,
                        5.0,
                    ),
                    corrected(),
                    question("against the best peer (no limit set)", Measure::Rate, Against::Best, 0.0, 2.0),
                ],
            )
        },
        row(
            "save-durable-1",
            "save_chat_message, durable, 1 caller",
            Work::Save,
            1,
            alone(),
            vec![question("against rusqlite", Measure::Rate, rusqlite, 0.9, 0.97)],
        ),
        Row {
            durability: Durability::Normal,
            ..row(
                "save-normal-16",
                "save_chat_message, `normal`, 16 callers",
                Work::Save,
                16,
                crowd(),
                vec![
                    question("against r2d2_sqlite with 16 connections", Measure::Rate, r2d2_crowd, 1.5, 3.0),
                    against_together(),
                ],
            )
        },
        Row {
            durability: Durability::Normal,
            pause_us: PAUSE_US,
            ..row(
                "save-normal-paced",
                "save_chat_message, `normal`, 16 callers, each with a pause of 1 ms after a call",
                Work::Save,
                16,
                crowd(),
                vec![question(
                    "against r2d2_sqlite with 16 connections (no limit set)",
                    Measure::Rate,
                    r2d2_crowd,
                    0.0,
                    1.5,
                )],
            )
        },
        Row {
            durability: Durability::Normal,
            ..row(
                "save-normal-1",
                "save_chat_message, `normal`, 1 caller",
                Work::Save,
                1,
                alone(),
                vec![question("against rusqlite (no limit set)", Measure::Rate, rusqlite, 0.0, 1.0)],
            )
        },
        row(
            "setting-1",
            "get_chat_setting, routed, 1 caller",
            Work::Setting,
            1,
            alone(),
            vec![question("against rusqlite with a cached statement", Measure::Rate, rusqlite, 0.85, 0.95)],
        ),
        row(
            "message-16",
            "get_chat_message_by_message_id (join), 16 callers",
            Work::Message,
            16,
            readers(),
            vec![
                question("against the best peer", Measure::Rate, Against::Best, 1.0, 1.3),
                question("against r2d2_sqlite with 16 connections (no limit set)", Measure::Rate, r2d2_crowd, 0.0, 1.3),
            ],
        ),
        row(
            "message-1",
            "get_chat_message_by_message_id (join), 1 caller",
            Work::Message,
            1,
            alone(),
            vec![question("against rusqlite (no limit set)", Measure::Rate, rusqlite, 0.0, 0.95)],
        ),
        row(
            "newest",
            "the last 50 messages of a chat, 1 caller",
            Work::Newest,
            1,
            vec![
                newest("ours, 1,000,000 rows", "ours", 1_000_000),
                newest("ours, 10,000 rows", "ours", 10_000),
                newest("rusqlite, 1,000,000 rows", "rusqlite", 1_000_000),
                newest("rusqlite, 10,000 rows", "rusqlite", 10_000),
            ],
            vec![question(
                "time at 1,000,000 rows against 10,000",
                Measure::P50,
                Against::One("ours, 10,000 rows"),
                1.5,
                1.2,
            )],
        ),
        row(
            "cross",
            "reads over 10 sources, some milliseconds each",
            Work::Cross,
            1,
            cross(5_000),
            vec![question("against one after the other", Measure::Rate, one_by_one, 1.3, 1.6)],
        ),
        row(
            "cross-middle",
            "reads over 10 sources, twice as long",
            Work::Cross,
            1,
            cross(10_000),
            vec![question("against one after the other", Measure::Rate, one_by_one, 1.3, 1.6)],
        ),
        row(
            "cross-long",
            "reads over 10 sources, ten times as long",
            Work::Cross,
            1,
            cross(50_000 / least),
            vec![question("against one after the other", Measure::Rate, one_by_one, 1.3, 1.6)],
        ),
        row(
            "import",
            "save_import in batches of 2,000, rows a second",
            Work::Import,
            1,
            vec![batches("ours"), batches("rusqlite")],
            vec![question("against rusqlite, the same rows in the same batches", Measure::Rate, rusqlite, 0.7, 0.9)],
        ),
        Row {
            turns: 5,
            calls: Some(if quick { 20 } else { 100 }),
            ..row(
                "many",
                "200 tasks at random chats, each in its own source, 256 open files",
                Work::Many,
                200,
                vec![
                    crowded("ours, 5,000 sources", "ours, many", 5_000 / least),
                    crowded("ours, 40 sources", "ours, many", 40),
                    crowded("rusqlite, opened for each call", "rusqlite, a connection a call", 5_000 / least),
                    crowded("the same, logs left", "rusqlite, a connection a call, log left", 5_000 / least),
                ],
                vec![
                    question(
                        "memory at the end, every source used, against a tenth in, a third used (no limit set)",
                        Measure::Memory,
                        Against::Itself,
                        f64::INFINITY,
                        1.1,
                    ),
                    question(
                        "throughput against 40 sources, within",
                        Measure::Within,
                        Against::One("ours, 40 sources"),
                        f64::INFINITY,
                        2.0,
                    ),
                    question(
                        "throughput against a connection for each call (no limit set)",
                        Measure::Rate,
                        Against::One("rusqlite, opened for each call"),
                        0.0,
                        1.0,
                    ),
                ],
            )
        },
        // By a tenth of it every source has been used: what grows afterwards is lost.
        Row {
            turns: 1,
            calls: Some(if quick { 40 } else { 1_000 }),
            ..row(
                "many-long",
                "the same for ten times as long",
                Work::Many,
                200,
                vec![
                    crowded("ours, 5,000 sources", "ours, many", 5_000 / least),
                    Entrant {
                        allocator: Some(NO_THREAD_CACHES),
                        ..crowded("ours, threads keep nothing", "ours, many", 5_000 / least)
                    },
                ],
                vec![
                    question("memory at the end against a tenth in", Measure::Memory, Against::Itself, 1.1, 1.1),
                    question(
                        "the same without what the C library keeps for each of 200 threads (no limit set)",
                        Measure::Memory,
                        Against::One("ours, threads keep nothing"),
                        f64::INFINITY,
                        1.1,
                    ),
                ],
            )
        },
    ]
}
