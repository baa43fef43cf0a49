//! From text to batches of token ids.
//!
//! [`load`] reads a corpus (a known one by name, a file, or a folder), tokenizes and splits it; [`batches::Batches`]
//! deals its windows out in a seeded order that can be resumed.

pub mod batches;
pub mod corpus;
mod dataset;
mod download;
mod error;
mod evaluation;
mod folder;
pub mod tokenizer;
mod tokenizer_file;

pub use corpus::{Found, KeptCorpora, kept_corpora, preflight};
pub use dataset::{Dataset, load, load_with};
pub use error::{DataError, WantedFile};
pub use evaluation::{evaluation_batches, whole_corpus_batches};
pub use tokenizer_file::{TOKENIZER_FILE, read_tokenizer, write_tokenizer};

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    /// The real Tiny Shakespeare: in `$RUNNER_TEST_DATA/tinyshakespeare/`, or beside the project in
    /// `../shared/data/tinyshakespeare/`. Tests that read it are ignored where `src/build.rs` has not found it.
    pub fn tiny_shakespeare() -> String {
        let folder = match std::env::var_os("RUNNER_TEST_DATA") {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        };
        let path = folder.join("tinyshakespeare/input.txt");
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}
