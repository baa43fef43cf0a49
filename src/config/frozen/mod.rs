//! A plan as the file that its run keeps, and what distinguishes two plans of one run.

mod differ;
mod freeze;

pub use differ::{adapted, differences, pinned};
#[cfg(test)]
pub(super) use freeze::is_of_the_first;
pub use freeze::{read_frozen, render_frozen};

use super::keys::{schema, value};
use super::plan::experiment;
use super::{LoadOptions, error, load};
