//! Text made ready to be shown: bar charts, tables, and strangers' text made safe for a terminal.

pub mod chart;
pub mod sanitize;
pub mod table;
