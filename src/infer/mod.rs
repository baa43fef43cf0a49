//! GPT-2 for generating text on the processor: no gradients, no tensors, weights in panels and a cache of keys and values.
//!
//! The numbers are those of the training forward pass in [`model`](crate::model), but for rounding; `tests` holds the two
//! against each other. Which texts are computed together changes no bit of any of them: a matrix has one way of multiplying,
//! chosen when it is packed and not by how many rows there are.
//!
//! | weights | multiplied |
//! |---|---|
//! | f32 | in f32 ([`panels`]) |
//! | bf16 | in bf16 and summed in f32, where the processor is faster at that; else in f32, widened on the way ([`panels`]) |
//! | int8 | in whole numbers, exactly, and scaled in f32 ([`int8`]) |
//!
//! Keys and values are kept and multiplied in f32.

mod attention;
mod cache;
mod decoder;
#[cfg(test)]
pub(crate) mod fixture;
pub mod int8;
mod load;
pub mod matrix;
pub mod panels;
mod probability;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use cache::Cache;
pub use decoder::{Decoder, Feed, Look, Seen};
pub use matrix::WeightKind;
pub use probability::log_sum_exp;

use crate::model::tensor_file::TensorFileError;
use crate::units;

/// A model could not be loaded, or not compute.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    #[error("weights in {}: {source}", path.display())]
    Weights { path: PathBuf, source: TensorFileError },
    #[error("token {token} is not in the model's vocabulary of {vocab_size}")]
    Token { token: u32, vocab_size: usize },
    #[error("{tokens} tokens do not fit where there is room for {room}")]
    NoRoom { tokens: usize, room: usize },
    #[error("there is not enough memory for {} of keys and values; ask for fewer or shorter texts", units::bytes(*bytes as f64))]
    OutOfMemory { bytes: usize },
}
