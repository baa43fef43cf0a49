//! From merged values to plans: sweep points, the rules between keys, and the names of runs.

pub mod experiment;

mod build;
mod expand;
mod idle;
mod rules;
mod run_name;
mod select;
mod validate;

pub(super) use expand::expand;
pub use idle::{IdleKey, idle_sentences};
pub(super) use select::select;

use super::keys::{parse, schema, value};
use super::{error, read};
