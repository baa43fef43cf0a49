//! What to lower, and by how much, when memory is short.

use super::{MemoryNeed, Place, Workload};
use crate::units;

/// Estimates may be a little short.
const SAFETY: f64 = 0.95;

impl MemoryNeed {
    /// In words, what to do after memory ran out, of which so many bytes were there when the run began.
    pub fn advice_after(&self, accumulation: usize, available_bytes: Option<u64>) -> String {
        let needed = self.estimate().bytes();
        let Some(available) = available_bytes.map(|bytes| bytes as f64) else {
            return format!(
                "the run needs an estimated {}; lower train.batch_size, and raise train.gradient_accumulation_steps in turn",
                units::bytes(needed)
            );
        };
        let numbers = format!(
            "the run needs an estimated {}, and {} was free when it began",
            units::bytes(needed),
            units::bytes(available)
        );
        if needed > SAFETY * available {
            return format!("{numbers}; {}", self.advice(accumulation, available));
        }
        // The estimate was too low by a little, or somebody else took the rest.
        let other = match self.place {
            Place::Host => "",
            Place::Gpu { .. } => " (`nvidia-smi` shows who uses this GPU)",
        };
        format!(
            "{numbers}; unless another program took it{other}, {}",
            self.advice(accumulation, 0.75 * needed)
        )
    }

    /// In words, what would make it fit into so many bytes. `accumulation` is `train.gradient_accumulation_steps`.
    pub fn advice(&self, accumulation: usize, available_bytes: f64) -> String {
        let estimate = self.estimate();
        let fits = |workload: &Workload| {
            let bytes = Self { workload: *workload, ..*self }.estimate().bytes();
            (bytes <= SAFETY * available_bytes).then_some(bytes)
        };
        let checkpointing = Workload { activation_checkpointing: true, ..self.workload };
        let tried = if self.workload.activation_checkpointing {
            vec![(self.workload, "")]
        } else {
            vec![(self.workload, ""), (checkpointing, "train.activation_checkpointing = true and ")]
        };
        let mut ways: Vec<String> = Vec::new();
        if !self.workload.activation_checkpointing
            && let Some(bytes) = fits(&checkpointing)
        {
            ways.push(format!("train.activation_checkpointing = true (about {})", units::bytes(bytes)));
        }
        for (workload, beside) in tried {
            // With checkpointing only where nothing less was found.
            if !beside.is_empty() && !ways.is_empty() {
                break;
            }
            if let Some((batch_size, bytes)) = smaller_batch(&workload, fits) {
                ways.push(format!(
                    "{beside}train.batch_size = {batch_size} with train.gradient_accumulation_steps = {} (about {}, the \
                     same tokens in a step)",
                    accumulation * self.workload.batch_size / batch_size,
                    units::bytes(bytes)
                ));
            }
        }
        if !ways.is_empty() {
            return format!("set {}", ways.join(", or "));
        }
        let at_any_batch = estimate.bytes_at_any_batch();
        if at_any_batch > SAFETY * available_bytes {
            let other = match self.place {
                Place::Host => "",
                Place::Gpu { .. } => ", or a GPU with more memory,",
            };
            return format!(
                "{} of it is for the model whatever the batch: only a smaller model (model.n_layer, model.n_embd){other} \
                 helps",
                units::bytes(at_any_batch)
            );
        }
        "lower train.sequence_length".to_owned()
    }
}

/// The largest batch size that divides this one, is smaller and fits, and what it takes.
fn smaller_batch(workload: &Workload, fits: impl Fn(&Workload) -> Option<f64>) -> Option<(usize, f64)> {
    let divides = |n: &usize| workload.batch_size.is_multiple_of(*n);
    (1..workload.batch_size)
        .rev()
        .filter(divides)
        .find_map(|n| fits(&Workload { batch_size: n, ..*workload }).map(|bytes| (n, bytes)))
}
