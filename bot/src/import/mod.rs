//! Bringing real chat history in.

pub mod export;
