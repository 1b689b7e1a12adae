//! Text made ready to be shown: bar charts, and strangers' text made safe for a terminal.

pub mod chart;
pub mod sanitize;
