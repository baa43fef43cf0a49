//! A published result.

use serde::{Deserialize, Serialize};

/// A published result that the run is compared with; see `[reference]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reference {
    pub name: String,
    pub source: String,
    pub hardware: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secs: Option<f64>,
    /// Points of the train-loss curve: step, loss in nats per token.
    pub curve: Vec<(u64, f64)>,
}
