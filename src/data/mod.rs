//! From text to batches of token ids.

pub mod batches;
