//! What every part may know without knowing the part that does it: names, sizes and words, no tensors and no files.

pub mod optimizer;
