//! What the integration tests and the proof on full-size exports share.

pub mod made_up;
pub mod peak;
pub mod rows;
