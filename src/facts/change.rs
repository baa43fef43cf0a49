//! How one configuration differs from another.

use serde::{Deserialize, Serialize};

/// One key that was configured otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Dotted: `optimizer.learning_rate`; `data sha256` for the text itself.
    pub key: String,
    /// Values as they are written in TOML.
    pub before: String,
    pub now: String,
}
