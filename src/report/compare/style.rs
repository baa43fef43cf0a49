//! The same sentences for a page and for a terminal.

use crate::markdown;
use crate::units;

/// How words are set apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For pages: code in backticks, what others wrote escaped.
    Markdown,
    /// For terminals and logs: nothing but the words, and no control characters.
    Plain,
}

impl Style {
    /// A name or a value as it stands in a file.
    pub fn code(self, text: &str) -> String {
        match self {
            Style::Markdown => markdown::code(text),
            Style::Plain => plain(text),
        }
    }

    /// [`Style::code`] for the one thing that is to be seen first.
    pub fn winner(self, text: &str) -> String {
        match self {
            Style::Markdown => format!("**{}**", markdown::code(text)),
            Style::Plain => plain(text),
        }
    }

    /// What a setting is called, within a sentence: where many keys differ, the first of them.
    pub fn setting(self, label: &str) -> String {
        const MOST: usize = 90;
        if label.chars().count() <= MOST {
            return self.code(label);
        }
        let kept: String = label.chars().take(MOST - 2).collect();
        self.code(&format!("{}, …", kept.rsplit_once(", ").map_or(kept.as_str(), |(whole, _)| whole)))
    }

    /// What others wrote, as words.
    pub fn text(self, text: &str) -> String {
        match self {
            Style::Markdown => markdown::escape(text),
            Style::Plain => plain(text),
        }
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(parts: &[String]) -> String {
    units::listed(parts, "and")
}

/// Small numbers as words, as at the start of a sentence they should be: `two seeds`.
pub fn in_words(number: usize) -> String {
    const WORDS: [&str; 11] =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    WORDS.get(number).map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

/// The first letter as a capital.
pub fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
