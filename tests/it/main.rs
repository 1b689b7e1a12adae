//! The integration tests: one binary, a module a theme.
//!
//! The modules stand under `cfg(test)` so that lints know their helpers as test code.

#[cfg(test)]
mod console;
#[cfg(test)]
mod handlers;
#[cfg(test)]
mod import;
#[cfg(test)]
mod program;
