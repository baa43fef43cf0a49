//! An experiment file as text, and where in it things stand.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::error::{ConfigError, Line, Place};
use super::syntax;

/// Larger files are something else: weights, a corpus.
const MAX_BYTES: u64 = 4 << 20;

/// A file's path and text.
#[derive(Debug)]
pub(super) struct Document {
    pub path: PathBuf,
    pub text: String,
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
        if meta.len() > MAX_BYTES {
            return Err(fail(
                format!("`{shown}` has {} MiB, which is no experiment file", meta.len() >> 20),
                "experiment files are TOML text; a corpus is named by `data.path`, weights by `train.init_from`",
            ));
        }
        let bytes = std::fs::read(path)
            .map_err(|error| fail(format!("`{shown}` cannot be read: {error}"), "check its permissions"))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..good].iter().filter(|&&byte| byte == b'\n').count();
            fail(format!("`{shown}` is not UTF-8 text: invalid byte on line {line}"), "save it as UTF-8")
        })?;
        Ok(Document { path: path.to_path_buf(), text })
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
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let place = self.place(span.clone());
            if problems.last().is_none_or(|last| last.place.short() != place.short()) {
                problems.push(syntax::explain(self, error.message(), span));
            }
            // To the parser, all that follows an unclosed list is more of its elements.
            if error.message().starts_with(syntax::UNCLOSED_LIST) {
                break;
            }
        }
        if problems.is_empty() { Ok(table) } else { Err(problems) }
    }

    /// The place of a byte range: its line, and how much of it lies on that line.
    pub fn place(&self, span: Range<usize>) -> Place {
        let start = self.floor(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let rest = &self.text[line_start..];
        let written = rest.split('\n').next().unwrap_or_default().trim_end();
        let line = 1 + self.text[..line_start].matches('\n').count();
        let column = self.text[line_start..start].chars().count();
        let end = self.floor(span.end).clamp(start, line_start + rest.len());
        let marked = self.text[start..end].split('\n').next().unwrap_or_default().trim_end();
        // A very long line is cut: the message is read in a terminal.
        let text: String = written.chars().take(160).collect();
        let width = marked.chars().count().max(1).min(text.chars().count().saturating_sub(column).max(1));
        Place::Line(Box::new(Line { file: self.path.clone(), line, column: column + 1, width, text }))
    }

    /// The nearest character boundary at or before a byte.
    fn floor(&self, byte: usize) -> usize {
        self.text.floor_char_boundary(byte)
    }
}
