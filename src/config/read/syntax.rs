//! Syntax errors in the words of a person: what the parser says, read together with the line it is about.

use std::ops::Range;

use super::document::Document;
use super::error::{ConfigError, Place};
use super::odd;
use super::value::value_text;

/// How the parser begins its message about a list that lacks a comma or its end.
pub(in crate::config) const UNCLOSED_LIST: &str = "missing comma between array elements";

/// The parser's message about a part of a document, explained.
pub(in crate::config) fn explain(document: &Document, message: &str, span: Range<usize>) -> ConfigError {
    let place = document.place(span.clone());
    let Parts { before, line, after } = Parts::of(document, &span);
    let written = document.text.get(span.clone()).unwrap_or_default().trim();
    let problem = |what: &str| ConfigError::new(place.clone(), format!("invalid TOML: {what}"));
    let says = |start: &str| message.starts_with(start);

    if let Some(problem) = odd_character(document, &place, written) {
        problem
    } else if line.starts_with(['/', ';']) || line.starts_with("--") {
        problem("this is neither a key nor a section").help("a comment starts with #")
    } else if line.starts_with('{') {
        problem("this looks like JSON").help("write [section] on a line of its own and `key = value` below")
    } else if says("string values must be quoted") {
        let (what, help) = not_a_value(written);
        let problem = problem(what);
        if help.is_empty() { problem } else { problem.help(help) }
    } else if says("invalid boolean") {
        problem(message).help("`true` and `false` are written in lower case")
    } else if says("invalid mantissa") {
        problem("a number needs a digit before its decimal point").help("write 0.5, not .5")
    } else if says("invalid float") && matches!(written.to_lowercase().as_str(), "null" | "none" | "nil") {
        problem(&format!("there is no `{written}`"))
            .help("remove the line to have the default; `runner explain` says what 0 or \"\" stand for")
    } else if says("unexpected key or value") || says("invalid float") && after.starts_with([';', ' ']) {
        let (what, help) = after_a_value(before, line, after);
        problem(what).help(help)
    } else if says("invalid float") {
        problem("this is not a number").help("numbers are written 10, 0.5 or 3e-4")
    } else if says("duplicate key") {
        twice(document, &place, written, line)
    } else if (says("key with no value") || says("invalid unquoted key")) && line.contains(':') {
        problem("a key is followed by `=`, not `:`").help("write `key = value`, and a section as [section]")
    } else if says("key with no value") {
        problem("a key needs `=` and a value").help("write `key = value`")
    } else if says("extra `=`") {
        problem("one `=` is enough").help("write `key = value`")
    } else if says(UNCLOSED_LIST) && before.contains('[') {
        problem("a comma is missing before this item of the list").help("write [1, 2, 3]")
    } else if says(UNCLOSED_LIST) {
        problem("the list continues here, but a comma is missing before")
            .help("was the list above meant to end with `]`?")
    } else if says("invalid multi-line") {
        let start = document.text.get(..span.start).and_then(|above| {
            above.rfind(["\"\"\"", "'''"][usize::from(says("invalid multi-line literal"))])
        });
        let start = start.map_or(place.clone(), |start| document.place(start..start + 3));
        ConfigError::new(start, "invalid TOML: this text of several lines does not end")
            .help("close it with the three quotes that it begins with")
    } else if says("invalid basic string") {
        problem("this string does not end on its line")
            .help("close it with \", or write a text of several lines between \"\"\" and \"\"\"")
    } else if message.contains("escape") || message.contains("unicode") {
        problem("`\\` has a meaning of its own between double quotes")
            .help("write a path with / or between single quotes, and a backslash itself as \\\\")
    } else if says("unquoted keys cannot be empty") {
        problem("a name is missing here").help("write `key = value`, and a section as [section]")
    } else if says("invalid unquoted key") {
        problem("this is not a key").help("write `key = value`; keys have letters, digits, `_` and `-`")
    } else {
        problem(message.trim_end_matches(", expected nothing"))
    }
}

/// A character on the line of an error that looks like another, or like nothing, and is most likely its reason.
fn odd_character(document: &Document, place: &Place, written: &str) -> Option<ConfigError> {
    let Place::Line(line) = place else { return None };
    let start: usize = document.text.split_inclusive('\n').take(line.line - 1).map(str::len).sum();
    let text = document.text[start..].split('\n').next().unwrap_or_default();
    let (at, odd) = odd::first_on_line(text)?;
    let there = document.place(start + at..start + at + odd.c.len_utf8());
    let problem = |what: String| ConfigError::new(there.clone(), format!("invalid TOML: {what}"));
    let is_quote = |c: char| odd::odd(c).is_some_and(|odd| odd.instead.starts_with("quotes"));
    Some(if is_quote(odd.c) && written.contains(is_quote) {
        problem(format!("this is not a value, because {} is no quote", odd.named()))
            .help(format!("quotes must be straight: {}", value_text(&written.trim_matches(is_quote).into())))
    } else {
        problem(format!("{} has no meaning here", odd.named())).help(odd.instead)
    })
}

/// The line of an error, and what of it stands before and after the place where the error begins.
struct Parts<'a> {
    before: &'a str,
    line: &'a str,
    after: &'a str,
}

impl Parts<'_> {
    fn of<'a>(document: &'a Document, span: &Range<usize>) -> Parts<'a> {
        let (above, below) = document.text.split_at(document.text.floor_char_boundary(span.start));
        let start = above.rfind('\n').map_or(0, |newline| newline + 1);
        let after = below.split('\n').next().unwrap_or_default().trim_end();
        let line = document.text[start..above.len() + after.len()].trim();
        Parts { before: above[start..].trim_start(), line, after }
    }
}

/// What stands after `=` without quotes.
fn not_a_value(written: &str) -> (&'static str, String) {
    let what = "this is not a value";
    if written.is_empty() {
        ("a value is missing after `=`", String::new())
    } else if written.contains("//") {
        (what, "a comment starts with #".into())
    } else if let Some(bare) = written.strip_suffix(';') {
        (what, format!("a line ends without `;`: {bare}"))
    } else if written.starts_with(|c: char| c.is_ascii_digit()) && written.contains(' ') {
        (
            "something follows the value",
            "write each key on a line of its own, a comment after #, and text in quotes".into(),
        )
    } else {
        (what, format!("a string needs quotes: {}", value_text(&written.into())))
    }
}

/// What stands on a line after its header or value.
fn after_a_value(before: &str, line: &str, after: &str) -> (&'static str, &'static str) {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    if after.starts_with(',') && digit(before.chars().last()) && digit(after.chars().nth(1)) {
        ("a number has no comma", "write 0.9 for a fraction, and 10_000 or 10000 for a large number")
    } else if after == "," || after == ";" {
        ("a line ends without `,` or `;`", "remove it: each key has a line of its own")
    } else if line.starts_with('[') {
        ("something follows the header of a section", "write its keys on the lines below")
    } else if after.ends_with('\'') {
        ("the string ends before this", "put a text that has ' in it between double quotes")
    } else {
        ("something follows the value", "write each key on a line of its own, and a comment after #")
    }
}

/// A key or section that was there before, with the line where it was, if it was spelled the same way.
fn twice(document: &Document, place: &Place, written: &str, line: &str) -> ConfigError {
    let number = if let Place::Line(place) = place { place.line } else { 1 };
    let above = document.text.lines().map(str::trim).enumerate().take(number - 1);
    let is_header = line.starts_with('[');
    let (what, help, first) = if is_header {
        let header = line.split('#').next().unwrap_or(line).trim();
        let first =
            above.filter(|(_, other)| other.split('#').next().unwrap_or(other).trim() == header).last();
        (format!("{header} stands there twice"), "put the keys of both below one header", first)
    } else {
        let name = |line: &str| line.split('=').next().unwrap_or_default().trim().replace(['"', '\''], "");
        // Only the section that the line is in: others may have a key of the same name.
        let own: Vec<(usize, &str)> = above.collect();
        let header = own.iter().rposition(|(_, other)| other.starts_with('[')).map_or(0, |header| header + 1);
        let first =
            own[header..].iter().find(|(_, other)| other.contains('=') && name(other) == name(line)).copied();
        (
            format!("the key `{}` stands there twice", written.replace(['"', '\''], "")),
            "keep one of the two",
            first,
        )
    };
    let problem = ConfigError::new(place.clone(), format!("invalid TOML: {what}")).help(help);
    match first {
        Some((index, _)) => {
            problem.note(format!("the first is at {}:{}", document.path.display(), index + 1))
        }
        None => problem,
    }
}
