//! The table of keys, and what is made of it for people and tools: `runner explain` and the JSON Schema.

pub mod schema;

mod explain;
mod json_schema;
mod manual;
pub(super) mod parse;
pub(super) mod value;

pub use explain::{explain, explain_all};
pub use json_schema::json_schema;
pub use manual::DEFAULTS;
pub(super) use manual::Manual;
pub use value::value_text;

#[cfg(test)]
use super::read;
use super::{error, hint, names, plan::experiment};
