//! From files and `--set` to layers of checked values, each with its place, and from layers to one value per key.

mod check;
mod document;
mod inherit;
mod layers;
mod odd;
mod overrides;
mod provenance;
mod sections;
mod sweep;
mod syntax;

pub(super) use inherit::{Lineage, identity, read};
pub(super) use layers::{Layer, Resolved, Setting, resolve};
pub(super) use overrides::Overrides;
pub(super) use provenance::Origin;
pub(super) use sections::Findings;
pub use sweep::MAX_RUNS;
pub(super) use sweep::too_many;

use super::keys::{Manual, parse, run_reference, schema, value};
use super::{error, hint};

/// What a key makes of a value, where it takes it.
#[cfg(test)]
pub(super) fn kept(key: &'static schema::Key, value: toml::Value) -> Option<toml::Value> {
    check::check(key, value, std::path::Path::new("")).ok()
}

/// What all `--set` options say.
pub(super) fn overrides(options: &[String], findings: &mut Findings) -> Overrides {
    overrides::read(options, findings)
}
