//! Models for tests.

use std::path::Path;

use crate::model::ModelConfig;
use crate::model::params::layout;
use crate::model::tensor_file::{Entry, write};

/// Numbers that look random and are the same each time, in [-1, 1).
pub fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// A file of weights large enough that every part of the model matters for its logits.
pub fn write_weights(path: &Path, model: &ModelConfig) {
    let mut next = noise(7);
    let entries = layout(model).into_iter().map(|parameter| {
        let around =
            if parameter.name.contains("ln_") && parameter.name.ends_with("weight") { 1.0 } else { 0.0 };
        let size = if parameter.is_matrix() { 1.7 / (model.n_embd as f32).sqrt() } else { 0.5 };
        let values: Vec<f32> = (0..parameter.len()).map(|_| around + size * next()).collect();
        let entry = match *parameter.shape.as_slice() {
            [rows, columns] => Entry::new(&(rows, columns), move || Ok::<_, String>(values.clone())),
            _ => Entry::new(&(parameter.len(),), move || Ok::<_, String>(values.clone())),
        };
        (parameter.name, entry)
    });
    write(path, entries.collect()).unwrap();
}
