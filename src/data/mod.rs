//! From text to batches of token ids.
//!
//! [`load`] reads a corpus (a known one by name, files, or folders), tokenizes and splits it; [`batches::Batches`]
//! deals its windows out in a seeded order that can be resumed.
//!
//! ```text
//! corpus: names, paths -> form: what each file is -> reader: its documents, in pieces
//!     -> encode: joined, cut at safe places, encoded on all cores -> tokens: in memory, or in a file
//! ```

pub mod batches;
mod cache;
pub mod corpus;
mod dataset;
mod download;
mod encode;
mod error;
mod evaluation;
mod folder;
mod form;
mod kept;
mod reader;
mod split;
mod table;
mod token_file;
mod tokenized;
pub mod tokenizer;
mod tokenizer_file;
mod tokens;

pub use corpus::{Found, KeptCorpora, kept_corpora, preflight};
pub use dataset::{Dataset, LARGE_BYTES, load, load_kept, load_telling, load_with};
pub use error::{DataError, WantedFile};
pub use evaluation::{evaluation_batches, whole_corpus_batches};
pub use form::{is_named_lines, plain_text};
pub use split::Split;
pub use tokenizer_file::{TOKENIZER_FILE, read_tokenizer, write_tokenizer};
pub use tokens::Tokens;

#[cfg(test)]
pub(crate) mod tests;
