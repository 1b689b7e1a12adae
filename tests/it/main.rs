//! The integration tests: one binary, a module a theme.
//!
//! The modules stand under `cfg(test)` so that lints know their helpers as test code.

#[cfg(test)]
mod bayes;
#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod built;
#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod child;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod config;
#[cfg(test)]
mod console;
#[cfg(test)]
mod db;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod golden;
#[cfg(test)]
#[cfg(feature = "multi-source")]
mod guide;
#[cfg(test)]
mod handlers;
#[cfg(test)]
mod handover;
#[cfg(test)]
mod import;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod json;
#[cfg(test)]
mod maintenance;
#[cfg(test)]
#[cfg(feature = "multi-source")]
mod multi;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod program;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod shell;
#[cfg(test)]
mod sources_text;
#[cfg(test)]
mod stress;
#[cfg(test)]
mod support;
#[cfg(test)]
mod syscalls;
#[cfg(test)]
mod troubleshooting;
#[cfg(test)]
mod values;
#[cfg(test)]
mod versions;
#[cfg(test)]
#[cfg(feature = "multi-source")]
mod watch;
