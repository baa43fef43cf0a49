//! What tests of data need.

use std::path::{Path, PathBuf};

use super::Split;
use crate::config::experiment::{DataPlan, DataSource, Paths, TokenizerKind};

/// A plan of bytes without validation.
pub fn plan_of(source: DataSource) -> DataPlan {
    let (corpus, paths) = match source {
        DataSource::Corpus(name) => (Some(name), Vec::new()),
        DataSource::Path(path) => (None, vec![path]),
        DataSource::Paths(paths) => (None, paths),
    };
    DataPlan {
        corpus,
        path: Paths(paths),
        tokenizer: TokenizerKind::Byte,
        val_fraction: 0.0,
        ..DataPlan::default()
    }
}

/// All ids of a split.
pub fn ids(split: &Split) -> Vec<u32> {
    split.texts().flat_map(|tokens| tokens.to_vec().expect("readable")).collect()
}

/// The real Tiny Shakespeare: in `$RUNNER_TEST_DATA/tinyshakespeare/`, or beside the project in
/// `../shared/data/tinyshakespeare/`. Tests that read it are ignored where `src/build` has not found it.
pub fn tiny_shakespeare() -> String {
    let folder = match std::env::var_os("RUNNER_TEST_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    let path = folder.join("tinyshakespeare/input.txt");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
