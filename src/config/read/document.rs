//! An experiment file as text, and where in it things stand.

use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::error::{ConfigError, Line, Place};
use super::syntax;
use crate::files::plain::{self, NotPlain};

/// Larger files are something else: weights, a corpus.
const MAX_BYTES: u64 = 1 << 20;
/// Syntax errors that are told of one file.
const MAX_ERRORS: usize = 200;
/// Characters of a line that are shown: the message is read in a terminal.
const MAX_SHOWN: usize = 160;

/// A file's path and text.
#[derive(Debug)]
pub(in crate::config) struct Document {
    pub path: PathBuf,
    pub text: String,
    /// The byte at which each line starts.
    lines: Vec<usize>,
}

impl Document {
    /// Reads a file. The error stands at `named_at`, where a file names this one, or else at the file itself.
    pub fn read(path: &Path, named_at: Option<&Place>) -> Result<Document, ConfigError> {
        let fail = |what: String, help: &str| {
            let place = named_at.cloned().unwrap_or_else(|| Place::File(path.to_path_buf()));
            ConfigError::new(place, what).help(help)
        };
        let shown = path.display();
        let meta = std::fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if shown.to_string().contains(['*', '?']) => {
                fail(format!("no file matches `{shown}`"), "the shell found nothing to put in its place")
            }
            io::ErrorKind::NotFound => fail(
                format!("there is no file `{shown}`"),
                "paths in a file are relative to that file; others to the working directory",
            ),
            _ => fail(format!("`{shown}` cannot be read: {error}"), "check the path and its permissions"),
        })?;
        if meta.is_dir() {
            return Err(fail(
                format!("`{shown}` is a folder, not an experiment file"),
                &format!("name the files in it: {}", path.join("*.toml").display()),
            ));
        }
        let mut bytes = Vec::new();
        // Only a person can mean a pipe: what a file names is a file.
        let open = if named_at.is_none() { plain::open_given } else { plain::open };
        // What the file system says of its size is not to be trusted: a pipe has none, and what is appended to grows.
        open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(|error| {
            match plain::not_plain(&error) {
                Some(NotPlain::Other(kind)) => fail(
                    format!("`{shown}` is {kind}, not an experiment file"),
                    "save the text as a file and name that; text from another program can be given as /dev/stdin or by the \
                     shell's <(...)",
                ),
                _ => fail(format!("`{shown}` cannot be read: {error}"), "check its permissions"),
            }
        })?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(fail(
                format!("`{shown}` has more than {} MiB, which is no experiment file", MAX_BYTES >> 20),
                "experiment files are TOML text; a corpus is named by `data.path`, weights by `train.init_from`",
            ));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Document::of(path, text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let shown = Document::of(path, String::from_utf8_lossy(error.as_bytes()).into_owned());
                let problem = ConfigError::new(shown.place(at..at), "this is not UTF-8 text");
                Err(problem.help("save the file as UTF-8"))
            }
        }
    }

    fn of(path: &Path, text: String) -> Document {
        let starts = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Document { path: path.to_path_buf(), text, lines }
    }

    /// Whether the program wrote it for a run, with every key (`render_frozen`).
    pub fn is_frozen(&self) -> bool {
        let head = self.text.lines().next().unwrap_or_default();
        head.starts_with("# Run ") && head.contains(": every key as it was resolved")
    }

    /// The folder that paths in the file are relative to.
    pub fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The file as a table, or its syntax errors, at most one per line.
    pub fn parse(&self) -> Result<Spanned<DeTable<'_>>, Vec<ConfigError>> {
        let (table, mut errors) = DeTable::parse_recoverable(&self.text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let mut problems: Vec<ConfigError> = Vec::new();
        let mut last = None;
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let line = self.line_of(span.start);
            if last.replace(line) != Some(line) {
                problems.push(syntax::explain(self, error.message(), span));
            }
            // To the parser, all that follows an unclosed list is more of its elements.
            if error.message().starts_with(syntax::UNCLOSED_LIST) || problems.len() == MAX_ERRORS {
                break;
            }
        }
        if problems.is_empty() { Ok(table) } else { Err(problems) }
    }

    /// The place of a byte range: its line, and how much of it lies on that line.
    pub fn place(&self, span: Range<usize>) -> Place {
        let start = self.floor(span.start);
        let line = self.line_of(start);
        let line_start = self.lines[line];
        let line_end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let column = self.text[line_start..start].chars().count();
        let end = self.floor(span.end).clamp(start, line_end);
        let marked = self.text[start..end].trim_end().chars().count().max(1);
        let written = self.text[line_start..line_end].trim_end();
        let text: String = written.chars().take(MAX_SHOWN).collect();
        let width = marked.min(text.chars().count().saturating_sub(column).max(1));
        Place::Line(Box::new(Line {
            file: self.path.clone(),
            line: line + 1,
            column: column + 1,
            width,
            text,
        }))
    }

    /// Index of the line that a byte lies in.
    fn line_of(&self, byte: usize) -> usize {
        self.lines.partition_point(|&start| start <= byte).saturating_sub(1)
    }

    /// The nearest character boundary at or before a byte.
    fn floor(&self, byte: usize) -> usize {
        self.text.floor_char_boundary(byte)
    }
}
