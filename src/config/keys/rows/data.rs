//! `[data]`: the text, its tokens, and their order.

use std::fmt;
use std::path::PathBuf;

use crate::config::keys::kind::{BELOW_ONE, choice};
use crate::config::keys::row::section;
use crate::config::keys::types::Paths;
use crate::facts::words::words;

section! {
    /// The text, its tokens, and the order in which the training sees them.
    data: DataPlan {
        /// A corpus known by name: `salt-crown` (an original play in Early Modern English, part of the program, needs no
        /// network), `wall-letters` (letters from the play's world, prose, part of the program too) or `tinyshakespeare` (1.1 MB,
        /// downloaded once and verified). Setting `path` in a stronger layer replaces it. Empty: none, `data.path` says what to
        /// read.
        corpus: Option<String> = "salt-crown", choice(&["salt-crown", "tinyshakespeare", "wall-letters", ""]);
        /// A file of your own, a folder whose files are read in name order, or a list of these. A file holds text, JSON lines (`.jsonl`,
        /// a document in each line, see `text_column`), either of them compressed (`.gz`, `.zst`), a Parquet table, or the token ids of nanoGPT or
        /// llm.c (`.bin`). Relative to the file that says so; with `--set`, relative to the working directory. Setting `corpus` in a stronger
        /// layer replaces it. Empty: none, `data.corpus` says what to read.
        path: Paths = "";
        /// How often each of the paths of a list is trained on: with [3, 1] three windows of the first come for each one of the second, whatever
        /// their sizes. `val_fraction` is then cut from the end of each. An empty list joins them in their order, as the files of a folder
        /// are.
        weights: Vec<f64> = [];
        /// The key of JSON lines, or the column of a Parquet table, that holds the text.
        text_column: String = "text";
        /// What stands between documents, which are the files of a folder or of a list, the lines of JSON lines and the rows of a table. auto: the token
        /// `<|endoftext|>` with the tokenizer gpt2, a line break with the others. end_of_text: that token, which only gpt2 has. line_break: a line
        /// break. none: nothing. A single text file is one document.
        separator: Separator = "auto";
        /// Whether `<|endoftext|>` in a text is the token of that name (id 50256), as in GPT-2's own training text, and not the seven tokens
        /// that these characters are otherwise. Only gpt2 has it; the other tokenizers read the characters.
        special_tokens: bool = true;
        /// Keep the tokens of a corpus of more than 64 MB in the data folder (`$RUNNER_DATA_DIR`, or the platform's cache folder), so that the next
        /// run does not make them again. Without it they are held in memory.
        cache: bool = true;
        /// How text becomes numbers: gpt2 (byte-pair encoding, 50,257 tokens), char (one token per distinct character of
        /// the corpus), byte (256 tokens). Losses per token under different tokenizers cannot be compared.
        tokenizer: TokenizerKind = "char";
        /// Share of the tokens, cut from the end of the corpus, that is kept out of training to validate on. 0: no
        /// validation, the model trains on the whole text.
        val_fraction: f64 = 0.1, BELOW_ONE;
        /// Which window of the text comes next. random: windows start anywhere, with replacement. shuffled_epochs: every window once
        /// per epoch, in a new order and cut at other places each time. fixed_windows: every window once per epoch, in a new order, cut
        /// at the same places each time, as a shuffled dataset of chunks is. sequential: from the start of the text to its end, over
        /// again.
        order: WindowOrder = "random";
    }
}

words! {
    /// What stands between documents: the files of a folder, the rows of a table.
    Separator {
        /// `<|endoftext|>` where the tokenizer has it, else a line break.
        Auto = "auto",
        EndOfText = "end_of_text",
        LineBreak = "line_break",
        None = "none",
    }
}

words! {
    /// How text becomes numbers.
    TokenizerKind {
        Gpt2 = "gpt2",
        Char = "char",
        Byte = "byte",
    }
}

impl TokenizerKind {
    /// As it is written in `data.tokenizer`.
    pub fn name(self) -> &'static str {
        self.word()
    }
}

words! {
    /// Which window of the text comes next.
    WindowOrder {
        Random = "random",
        ShuffledEpochs = "shuffled_epochs",
        FixedWindows = "fixed_windows",
        Sequential = "sequential",
    }
}

/// Where the text comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataSource {
    /// A known corpus: `embedded`'s name or `tinyshakespeare`.
    Corpus(String),
    /// A file, or a folder read in name order. Absolute, or relative to the working directory.
    Path(PathBuf),
    /// Several of them, in this order.
    Paths(Vec<PathBuf>),
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corpus(name) => f.write_str(name),
            Self::Path(path) => path.display().fmt(f),
            Self::Paths(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                f.write_str(&paths.join(", "))
            }
        }
    }
}

impl DataPlan {
    /// What `path` names, or else `corpus`.
    pub fn source(&self) -> DataSource {
        match self.path.0.as_slice() {
            [] => DataSource::Corpus(self.corpus.clone().unwrap_or_default()),
            [path] => DataSource::Path(path.clone()),
            paths => DataSource::Paths(paths.to_vec()),
        }
    }
}
