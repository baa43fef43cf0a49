//! What is wrong with a configuration, told the way compilers do: what, where, why, and what to do.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

/// One problem. Its `Display` is a block of lines: the headline, the place with the line as written, notes, help.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.render())]
pub struct ConfigError {
    /// What is wrong, with key and value: a lower-case fragment.
    pub what: String,
    /// The dotted key, where the problem is about one.
    pub key: Option<Box<str>>,
    pub place: Place,
    /// What else is involved: other keys, their values and places.
    pub notes: Vec<String>,
    /// What to do next.
    pub help: Option<String>,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Line(Box<Line>),
    /// A file as a whole.
    File(PathBuf),
    /// A `--set`, as it was given.
    Set(String),
    /// Another option or argument of the command.
    Argument(String),
    /// The embedded defaults.
    Default,
}

/// Part of a line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub file: PathBuf,
    /// Counted from 1, as columns are.
    pub line: usize,
    pub column: usize,
    /// Characters from the column on that are meant.
    pub width: usize,
    /// The line as it is written.
    pub text: String,
}

/// All problems of all files, in the order of the files. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigErrors {
    pub problems: Vec<ConfigError>,
}

impl std::error::Error for ConfigErrors {}

impl ConfigError {
    pub(super) fn new(place: Place, what: impl Into<String>) -> ConfigError {
        ConfigError { what: what.into(), key: None, place, notes: Vec::new(), help: None }
    }

    pub(super) fn key(mut self, key: impl Into<Box<str>>) -> ConfigError {
        self.key = Some(key.into());
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> ConfigError {
        self.notes.push(note.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> ConfigError {
        self.help = Some(help.into());
        self
    }

    fn render(&self) -> String {
        let mut text = format!("error: {}", self.what);
        let mut margin = 2;
        match &self.place {
            Place::Line(place) => {
                let Line { file, line, column, width, text: written } = place.as_ref();
                margin = line.to_string().len() + 1;
                let space = " ".repeat(margin);
                let _ = write!(text, "\n{}--> {}:{line}:{column}", " ".repeat(margin - 1), file.display());
                let _ = write!(text, "\n{space}|\n{line} | {}", written.replace('\t', " "));
                let _ = write!(text, "\n{space}| {}{}", " ".repeat(column - 1), "^".repeat(*width));
            }
            Place::File(file) => {
                let _ = write!(text, "\n --> {}", file.display());
            }
            Place::Set(given) => {
                let _ = write!(text, "\n --> --set {}", shell_quoted(given));
            }
            Place::Argument(given) => {
                let _ = write!(text, "\n --> {given}");
            }
            Place::Default => text.push_str("\n --> the defaults of this program"),
        }
        let details =
            self.notes.iter().map(|note| ("note", note)).chain(self.help.iter().map(|h| ("help", h)));
        for (label, detail) in details {
            let indent = " ".repeat(margin + label.len() + 4);
            let detail = detail.replace('\n', &format!("\n{indent}"));
            let _ = write!(text, "\n{}= {label}: {detail}", " ".repeat(margin));
        }
        // What files say is shown to people, and must not move their cursor or colour their terminal.
        text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
    }
}

impl Place {
    /// `experiments/a.toml:12`, `--set`, or what else names the place in a few characters.
    pub(super) fn short(&self) -> String {
        match self {
            Place::Line(place) => format!("{}:{}", place.file.display(), place.line),
            Place::File(file) => file.display().to_string(),
            Place::Set(_) => "--set".into(),
            Place::Argument(given) => given.clone(),
            Place::Default => "default".into(),
        }
    }

    fn file(&self) -> Option<&PathBuf> {
        match self {
            Place::Line(place) => Some(&place.file),
            Place::File(file) => Some(file),
            _ => None,
        }
    }

    fn line(&self) -> usize {
        if let Place::Line(place) = self { place.line } else { 0 }
    }
}

impl ConfigErrors {
    /// Keeps the first of equal problems (a parent's problem shows up once per child, a point's once per point) and puts
    /// those of one file together, in the order of its lines.
    pub(super) fn new(problems: Vec<ConfigError>) -> ConfigErrors {
        let mut distinct: Vec<ConfigError> = Vec::new();
        for problem in problems {
            if !distinct.contains(&problem) {
                distinct.push(problem);
            }
        }
        let mut files: Vec<Option<PathBuf>> = Vec::new();
        for problem in &distinct {
            let file = problem.place.file().cloned();
            if !files.contains(&file) {
                files.push(file);
            }
        }
        distinct.sort_by_key(|problem| {
            (files.iter().position(|file| file.as_ref() == problem.place.file()), problem.place.line())
        });
        ConfigErrors { problems: distinct }
    }

    /// The problems without a heading and without their count, for a sentence that begins elsewhere.
    pub fn problems_alone(&self) -> String {
        let problems: Vec<String> = self.problems.iter().take(SHOWN).map(ToString::to_string).collect();
        let text = problems.join("\n\n");
        text.strip_prefix("error: ").unwrap_or(&text).to_owned()
    }
}

/// How many problems are printed in full. A sweep can have thousands.
const SHOWN: usize = 50;

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.problems.iter().take(SHOWN) {
            writeln!(f, "{problem}\n")?;
        }
        if self.problems.len() > SHOWN {
            writeln!(f, "... and {} more\n", self.problems.len() - SHOWN)?;
        }
        let mut files: Vec<&PathBuf> =
            self.problems.iter().filter_map(|problem| problem.place.file()).collect();
        files.sort();
        files.dedup();
        write!(f, "{}", counted(self.problems.len(), "problem"))?;
        if !files.is_empty() {
            write!(f, " in {}", counted(files.len(), "file"))?;
        }
        write!(f, "; nothing was started")
    }
}

/// `1 file`, `2 files`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// As it can be pasted into a shell.
fn shell_quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=._-+/:,".contains(c);
    if text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_like_a_compilers() {
        let place = Place::Line(Box::new(Line {
            file: "a.toml".into(),
            line: 12,
            column: 1,
            width: 2,
            text: "lr = 3e-4".into(),
        }));
        let problem = ConfigError::new(place, "unknown key `lr` in [optimizer]")
            .note("one note")
            .help("write `learning_rate`\nor nothing");
        let expected = "error: unknown key `lr` in [optimizer]
  --> a.toml:12:1
   |
12 | lr = 3e-4
   | ^^
   = note: one note
   = help: write `learning_rate`
           or nothing";
        assert_eq!(problem.to_string(), expected);
    }

    #[test]
    fn the_summary_counts_problems_and_files() {
        let errors = ConfigErrors::new(vec![
            ConfigError::new(Place::File("a.toml".into()), "x"),
            ConfigError::new(Place::File("b.toml".into()), "x"),
            ConfigError::new(Place::File("b.toml".into()), "x"),
            ConfigError::new(Place::Set("a b".into()), "x"),
        ]);
        let text = errors.to_string();
        assert!(text.contains("--> --set 'a b'"), "{text}");
        assert!(text.ends_with("3 problems in 2 files; nothing was started"), "{text}");
    }
}
