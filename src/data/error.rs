use std::path::PathBuf;

use crate::units;

/// What can be wrong with a corpus. Every message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error(
        "data.corpus = \"{name}\" is not a known corpus (known: {known}); for text of your own set data.path"
    )]
    UnknownCorpus { name: String, known: String },
    #[error("data.path: {} does not exist; give a text file or a folder of text files", path.display())]
    NotFound { path: PathBuf },
    #[error("data.path: {} is neither a file nor a folder", path.display())]
    NotFileOrFolder { path: PathBuf },
    #[error("{} could not be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "{} is not UTF-8 text: the byte at offset {offset} fits no character; convert the file first \
         (for example with `iconv -f LATIN1 -t UTF-8`)", path.display()
    )]
    NotUtf8 { path: PathBuf, offset: usize },
    #[error("{} is {what}, not text; {advice}", path.display())]
    NoCorpus { path: PathBuf, what: &'static str, advice: &'static str },
    #[error("{}, {row}: {what}", path.display())]
    Row { path: PathBuf, row: String, what: String },
    #[error("{} cannot be read as token ids: {what}", path.display())]
    TokenFile { path: PathBuf, what: String },
    #[error(
        "{} holds the id {id}, and the vocabulary has {vocab_size}: the file was changed or damaged; put it back as it was (a file \
         of the token cache can be deleted: it is made again)", path.display()
    )]
    Id { path: PathBuf, id: u32, vocab_size: usize },
    #[error(
        "tokens could not be written to {}: {source}; make room there, set RUNNER_DATA_DIR to a folder on another disk, or set \
         data.cache = false to hold them in memory", folder.display()
    )]
    Cache { folder: PathBuf, source: std::io::Error },
    #[error("kept tokens are damaged: {what}; delete that file, or set data.cache = false")]
    Damaged { what: String },
    #[error(
        "{} holds token ids, which are not joined with other files; give it alone as data.path, or give data.weights, one for each \
         path", path.display()
    )]
    TokensAmongTexts { path: PathBuf },
    #[error("{} is empty; a corpus needs text", path.display())]
    Empty { path: PathBuf },
    #[error(
        "the folder {} has no text files: none of its {} ends in {extensions}; rename the files or \
         join them into one and give that as data.path (token files, .bin, are named one by one)", path.display(), units::counted(*other_files as u64, "file")
    )]
    NoText { path: PathBuf, other_files: usize, extensions: String },
    #[error(
        "corpus `{}` is not on this machine and could not be downloaded from {}: {reason}; fetch that address elsewhere \
         and put the file at {} ({} bytes, SHA-256 {}), or set RUNNER_DATA_DIR to a folder that holds {}",
        .wanted.name, .wanted.url, .wanted.put_at.display(), .wanted.bytes, .wanted.sha256, .wanted.relative
    )]
    Download { reason: String, wanted: Box<WantedFile> },
    #[error(
        "corpus `{name}` has no place to be kept: {reason}; set RUNNER_DATA_DIR to a folder for downloaded corpora"
    )]
    NoCacheFolder { name: String, reason: String },
    #[error(
        "the {split} split{} has {}, but {purpose} needs {needed}; {advice}",
        .text.as_ref().map_or_else(String::new, |text| format!(" of {text}")), units::counted(*tokens as u64, "token")
    )]
    TooShort {
        split: &'static str,
        /// Which one of several texts that are mixed.
        text: Option<String>,
        tokens: usize,
        needed: usize,
        purpose: String,
        advice: &'static str,
    },
    #[error(
        "model.vocab_size = {model} is smaller than the {tokenizer} tokenizer's vocabulary of {tokenizer_size}; \
         raise it, or set it to 0 to have it follow the tokenizer"
    )]
    VocabularyTooSmall { model: usize, tokenizer: &'static str, tokenizer_size: usize },
    #[error(
        "the text has {missing} of {} outside the vocabulary of the model of train.init_from, more than one in a hundred: {named}; \
         take a model that was trained with the tokenizer byte or gpt2, which know every character, or start from random weights \
         (train.init_from = \"\")", units::counted(*all as u64, "character")
    )]
    UnknownCharacters { missing: usize, all: usize, named: String },
    #[error("the saved data position does not fit this run: {reason}")]
    Position { reason: String },
}

/// A file that is needed and not there: where to get it, where to put it, and how to know that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedFile {
    /// The corpus's name.
    pub name: String,
    pub url: String,
    pub put_at: PathBuf,
    /// The end of `put_at` below the data folder.
    pub relative: String,
    pub bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
}
