//! The order in which windows of the corpus are trained on.

/// Token windows for one forward pass, row-major (B, T).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub batch_size: usize,
    pub sequence_length: usize,
    /// B * T token ids.
    pub inputs: Vec<u32>,
    /// B * T token ids: the inputs moved on by one.
    pub targets: Vec<u32>,
}
