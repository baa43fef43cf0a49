//! An experiment file as text, and where in it things stand.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::error::{ConfigError, Line, Place};

/// Larger files are something else: weights, a corpus.
const MAX_BYTES: u64 = 4 << 20;

/// How the parser begins its message about a list that lacks a comma or its end.
const UNCLOSED_LIST: &str = "missing comma between array elements";

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
                problems.push(self.explain_syntax(error.message(), span, place));
            }
            // To the parser, all that follows an unclosed list is more of its elements.
            if error.message().starts_with(UNCLOSED_LIST) {
                break;
            }
        }
        if problems.is_empty() { Ok(table) } else { Err(problems) }
    }

    fn explain_syntax(&self, message: &str, span: Range<usize>, place: Place) -> ConfigError {
        let written = self.text.get(span).unwrap_or_default().trim();
        let problem = |what: &str| ConfigError::new(place.clone(), format!("invalid TOML: {what}"));
        if message.starts_with("string values must be quoted") {
            if written.is_empty() {
                problem("a value is missing after `=`")
            } else if written.contains("//") {
                problem("this is not a value").help("a comment starts with #")
            } else {
                problem("this is not a value")
                    .help(format!("a string needs quotes: {}", super::value_text(&written.into())))
            }
        } else if message.starts_with("invalid boolean") {
            problem(message).help("`true` and `false` are written in lower case")
        } else if message.starts_with("invalid mantissa") {
            problem("a number needs a digit before its decimal point").help("write 0.5, not .5")
        } else if message.starts_with("duplicate key") {
            problem("this key or section stands there twice")
                .help("keep one of the two, or join the two sections into one")
        } else if message.starts_with("key with no value") {
            problem("a key needs `=` and a value").help("write `key = value`")
        } else if message.starts_with(UNCLOSED_LIST) {
            problem("a list goes on here, but a comma is missing before")
                .help("was the list above meant to end with `]`?")
        } else if message.starts_with("invalid basic string") {
            problem("this string does not end on its line")
                .help("close it with \", or write a text of several lines between \"\"\" and \"\"\"")
        } else if message.starts_with("invalid unquoted key") {
            problem("this is not a key").help("write `key = value`; keys have letters, digits, `_` and `-`")
        } else {
            problem(message)
        }
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
