//! Losses without training: on the validation split at intervals, on the whole training split at the end.

use super::TrainError;
use super::stop::StopFlag;
use crate::data::DataError;
use crate::data::batches::Batch;
use crate::engine::Engine;

/// Mean loss over the tokens of all batches, in nats per token. `None` without batches, or when asked to stop on the way.
pub fn mean_loss(
    engine: &mut dyn Engine,
    batches: impl Iterator<Item = Result<Batch, DataError>>,
    stop: &StopFlag,
) -> Result<Option<f64>, TrainError> {
    let (mut sum, mut tokens) = (0.0, 0usize);
    for batch in batches {
        if stop.is_requested() {
            return Ok(None);
        }
        let batch = batch?;
        // Batches differ in size at the end of a split: each one counts by its tokens.
        sum += engine.loss(&batch)? * batch.targets.len() as f64;
        tokens += batch.targets.len();
    }
    Ok((tokens > 0).then(|| sum / tokens as f64))
}
