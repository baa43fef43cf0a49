//! Configurations for tests.

use super::{LoadOptions, load, render_frozen};

/// What [`render_frozen`] makes of an experiment with this text.
pub(crate) fn frozen_text(experiment: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exp.toml");
    std::fs::write(&path, experiment).unwrap();
    let plans = load(&[path], &LoadOptions::default()).unwrap_or_else(|errors| panic!("{errors}"));
    render_frozen(&plans[0])
}
