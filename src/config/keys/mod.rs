//! The table of keys, and what is made of it for people and tools: `runner explain` and the JSON Schema.

pub mod schema;

mod explain;
mod json_schema;
mod kind;
mod manual;
pub(super) mod parse;
mod row;
mod rows;
pub(super) mod run_reference;
mod types;
pub(super) mod value;

pub use explain::{explain, explain_all};
pub use json_schema::json_schema;
pub(super) use manual::Manual;
pub(super) use row::Section;
pub use rows::*;
pub use run_reference::name_of_run;
pub use schema::DEFAULTS;
pub use types::{Coefficients, Paths, TimeLimit, Written};
pub use value::value_text;

#[cfg(test)]
use super::read;
use super::{error, hint, names};
