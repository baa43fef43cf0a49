//! PTX text to words and marks.

use super::ParseError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, an opcode with its dots, or one directive such as `.reg`.
    Word(&'a str),
    /// Begins with a digit; the sign is a mark before it.
    Number(&'a str),
    /// In double quotes, which are not part of it.
    Quoted(&'a str),
    Mark(char),
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexeme<'a> {
    pub token: Token<'a>,
    pub line: usize,
    /// Byte offsets in the text.
    pub start: usize,
    pub end: usize,
}

const MARKS: &str = "@!,;:{}()[]<>+-=|";

pub(super) fn lex(text: &str) -> Result<Vec<Lexeme<'_>>, ParseError> {
    let bytes = text.as_bytes();
    let mut lexemes = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&byte) = bytes.get(at) {
        let rest = &text[at..];
        let error = |reason: &str| ParseError {
            line,
            reason: reason.to_owned(),
            text: text.lines().nth(line - 1).unwrap_or_default().to_owned(),
        };
        let (token, length) = match byte {
            b'\n' => {
                line += 1;
                at += 1;
                continue;
            }
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if rest.starts_with("//") => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            b'/' if rest.starts_with("/*") => {
                let length = rest.find("*/").ok_or_else(|| error("comment without end"))? + 2;
                line += rest[..length].matches('\n').count();
                at += length;
                continue;
            }
            b'"' => {
                let length = rest[1..].find('"').ok_or_else(|| error("text without end"))?;
                (Token::Quoted(&rest[1..=length]), length + 2)
            }
            byte if byte.is_ascii_digit() => {
                let length = span(rest, |c| c.is_ascii_alphanumeric() || c == '.');
                (Token::Number(&rest[..length]), length)
            }
            b'.' => {
                let length = 1 + span(&rest[1..], in_name);
                (Token::Word(&rest[..length]), length)
            }
            byte if in_name(byte as char) => {
                let length = span(rest, |c| in_name(c) || c == '.');
                (Token::Word(&rest[..length]), length)
            }
            byte if MARKS.contains(byte as char) => (Token::Mark(byte as char), 1),
            _ => return Err(error("a character that is not PTX")),
        };
        lexemes.push(Lexeme { token, line, start: at, end: at + length });
        at += length;
    }
    Ok(lexemes)
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '%')
}

fn span(text: &str, within: impl Fn(char) -> bool) -> usize {
    text.find(|c| !within(c)).unwrap_or(text.len())
}
