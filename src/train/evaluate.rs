//! Predictions without training: on the validation split at intervals, on the whole training split at the end.

use super::TrainError;
use super::stop::StopFlag;
use crate::data::DataError;
use crate::data::batches::Batch;
use crate::data::tokenizer::TokenLengths;
use crate::engine::{Engine, Predicted};
use crate::facts::Score;

/// What was found of a batch.
pub fn score_of(batch: &Batch, Predicted { loss, right }: Predicted, lengths: &TokenLengths) -> Score {
    let tokens = batch.targets.len();
    Score {
        tokens: tokens as u64,
        bytes: lengths.sum(&batch.targets),
        // Batches differ in size at the end of a split: each one counts by its tokens.
        nats: loss * tokens as f64,
        right,
    }
}

/// The score of all batches. `None` without batches, or when asked to stop on the way.
pub fn score(
    engine: &mut dyn Engine,
    batches: impl Iterator<Item = Result<Batch, DataError>>,
    lengths: &TokenLengths,
    stop: &StopFlag,
) -> Result<Option<Score>, TrainError> {
    let mut score = Score::default();
    for batch in batches {
        if stop.is_requested() {
            return Ok(None);
        }
        let batch = batch?;
        score.add(&score_of(&batch, engine.predict(&batch)?, lengths));
    }
    Ok((score.tokens > 0).then_some(score))
}
