//! Markdown as text: tables, links and the escaping of what users wrote.

use std::path::{Component, Path, PathBuf};

/// Where the text of a table's column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A table whose cells are Markdown already. Renders to nothing without rows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Option<Align>)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[(&str, Align)]) -> Table {
        let columns = columns.iter().map(|&(name, align)| (name.to_owned(), Some(align))).collect();
        Table { columns, rows: Vec::new() }
    }

    pub fn column(&mut self, name: impl Into<String>, align: Align) {
        self.columns.push((name.into(), Some(align)));
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The table with its columns padded, so that the source reads well too, and a newline at the end.
    ///
    /// # Example
    /// ```
    /// use runner::markdown::{Align, Table};
    ///
    /// let mut table = Table::new(&[("run", Align::Left), ("loss", Align::Right)]);
    /// table.row(["seed=1", "0.0987"]);
    /// assert_eq!(table.render(), "| run    |   loss |\n| ------ | -----: |\n| seed=1 | 0.0987 |\n");
    /// ```
    pub fn render(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let names: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let widths: Vec<usize> = (0..names.len())
            .map(|column| {
                let lengths = self.rows.iter().map(|row| cell(row, column).chars().count());
                lengths.chain([names[column].chars().count(), 3]).max().unwrap_or(3)
            })
            .collect();
        let line = |row: &[String]| {
            let mut text = String::from("|");
            for (column, &width) in widths.iter().enumerate() {
                let cell = cell(row, column);
                match self.columns[column].1 {
                    Some(Align::Right) => text.push_str(&format!(" {cell:>width$} |")),
                    _ => text.push_str(&format!(" {cell:<width$} |")),
                }
            }
            text + "\n"
        };
        let mut text = line(&names) + "|";
        for (column, width) in widths.iter().enumerate() {
            let end = if self.columns[column].1 == Some(Align::Right) { ':' } else { '-' };
            text.push_str(&format!(" {}{end} |", "-".repeat(width - 1)));
        }
        text.push('\n');
        for row in &self.rows {
            text.push_str(&line(row));
        }
        text
    }
}

/// `text` from a user as one line that prints as it is: nothing in it acts as Markdown, HTML or a table's border.
/// What is harmless where it stands is left alone, so that the source reads well too.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|character| !character.is_control());
    let mut before = ' ';
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        let after = rest.clone().next().unwrap_or(' ');
        match character {
            '&' if after.is_ascii_alphanumeric() || after == '#' => escaped.push_str("&amp;"),
            '<' if after.is_ascii_alphabetic() || "/!?".contains(after) => escaped.push_str("&lt;"),
            '>' if escaped.is_empty() => escaped.push_str("&gt;"),
            // Within a word it is an underscore: x86_64.
            '_' if before.is_ascii_alphanumeric() && after.is_ascii_alphanumeric() => escaped.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => escaped.extend(['\\', character]),
            '#' if escaped.is_empty() => escaped.push_str("\\#"),
            character => escaped.push(character),
        }
        before = character;
    }
    escaped
}

/// Paragraphs from a user: blank lines still part them, and all else prints as it is.
pub fn escape_paragraphs(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let paragraphs: Vec<String> =
        text.split("\n\n").map(escape).filter(|paragraph| !paragraph.is_empty()).collect();
    // A number with a dot, a dash or a plus at the start of a line would begin a list.
    let harmless = paragraphs.iter().map(|paragraph| {
        let digits = paragraph.chars().take_while(char::is_ascii_digit).count();
        match paragraph[digits..].chars().next() {
            Some('.' | ')') if digits > 0 => {
                format!("{}\\{}", &paragraph[..digits], &paragraph[digits..])
            }
            Some('-' | '+' | '=') if digits == 0 => format!("\\{paragraph}"),
            _ => paragraph.clone(),
        }
    });
    harmless.collect::<Vec<_>>().join("\n\n")
}

/// `text` as inline code, with as many backticks as it needs; fit for table cells.
pub fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().is_empty() {
        return "` `".to_owned();
    }
    let ticks = "`".repeat(longest_run_of_backticks(&text) + 1);
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{ticks}{pad}{}{pad}{ticks}", text.replace('|', "\\|"))
}

/// `text` as inline code in double quotes, with its control characters and quotes escaped: a line break is `"\n"`.
pub fn quoted(text: &str) -> String {
    code(&format!("{text:?}"))
}

/// `text` as a block that prints character by character, fenced by more backticks than it holds.
pub fn fence(language: &str, text: &str) -> String {
    let ticks = "`".repeat((longest_run_of_backticks(text) + 1).max(3));
    let text: String = text.chars().filter(|&c| c == '\n' || c == '\t' || !c.is_control()).collect();
    format!("{ticks}{language}\n{}\n{ticks}\n", text.trim_end_matches('\n'))
}

fn longest_run_of_backticks(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

/// `[text](target)`; `text` is Markdown already.
pub fn link(text: &str, target: &str) -> String {
    format!("[{text}]({target})")
}

/// The address of `target` as seen from a file in `folder`: relative where possible, percent-encoded. Both may be
/// relative to the working directory, and need not exist.
pub fn relative_url(folder: &Path, target: &Path) -> String {
    let (folder, target) = (absolute(folder), absolute(target));
    let from: Vec<Component> = folder.components().collect();
    let to: Vec<Component> = target.components().collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    // On another drive there is no relative way.
    let mut parts: Vec<String> =
        if shared == 0 { Vec::new() } else { vec!["..".to_owned(); from.len() - shared] };
    for component in &to[shared..] {
        parts.push(percent_encode(&component.as_os_str().to_string_lossy()));
    }
    parts.join("/")
}

/// Symbolic links resolved as far as the path exists: `..` in an address goes by names, so names must be real.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut rest = Vec::new();
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return rest.iter().rev().fold(real, |path, name| path.join(name));
        }
        rest.extend(ancestor.file_name());
    }
    path
}

/// One path segment for an address in Markdown.
pub fn percent_encode(segment: &str) -> String {
    let mut encoded = String::new();
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_users_write_cannot_become_markup() {
        assert_eq!(escape("a|b `c` <script> *d*\n# e"), r"a\|b \`c\` &lt;script> \*d\* # e");
        assert_eq!(escape("0.09 < 0.1 & x86_64, _so_ &amp;"), r"0.09 < 0.1 & x86_64, \_so\_ &amp;amp;");
        assert_eq!(escape("> quote"), "&gt; quote");
        assert_eq!(escape_paragraphs("1. one\n\n- two\n\n\nthree"), "1\\. one\n\n\\- two\n\nthree");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code("a|b\nc"), r"`a\|b c`");
        assert_eq!(quoted("\n"), r#"`"\n"`"#);
        assert_eq!(quoted("a \"b\"\u{1b}"), r#"`"a \"b\"\u{1b}"`"#);
        assert_eq!(fence("text", "a\n```\nb\n"), "````text\na\n```\nb\n````\n");
    }

    #[test]
    fn tables_are_padded_and_aligned() {
        let mut table = Table::new(&[("Part", Align::Left), ("Count", Align::Right)]);
        assert_eq!(table.render(), "");
        table.row(["mlp", "1,234,567"]);
        table.row(["±"]);
        let expected = "\
| Part |     Count |
| ---- | --------: |
| mlp  | 1,234,567 |
| ±    |           |
";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn addresses_lead_from_the_file_to_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let url = relative_url(&at("reports"), &at("runs/a b/lr=0.1,seed=1/report.md"));
        assert_eq!(url, "../runs/a%20b/lr%3D0.1%2Cseed%3D1/report.md");
        assert_eq!(relative_url(&at("runs/x"), &at("runs/x/plots/loss.svg")), "plots/loss.svg");
    }

    #[cfg(unix)]
    #[test]
    fn addresses_go_by_real_folders_and_not_by_links_to_them() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("disk/big/runs")).unwrap();
        std::fs::create_dir_all(dir.path().join("project/reports")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("disk/big/runs"), dir.path().join("project/runs"))
            .unwrap();
        let project = dir.path().join("project");
        let url = relative_url(&project.join("reports"), &project.join("runs/a/report.md"));
        assert_eq!(url, "../../disk/big/runs/a/report.md");
    }

    proptest! {
        #[test]
        fn escaped_text_keeps_every_border_and_bracket_escaped(text in ".{0,60}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains('\n'));
            for (at, _) in escaped.match_indices('<') {
                prop_assert!(!escaped[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)));
            }
            let mut before = None;
            let mut backslashes = 0;
            for character in escaped.chars() {
                if ['|', '[', ']', '`', '*'].contains(&character) {
                    prop_assert!(before == Some('\\') && backslashes % 2 == 1, "{escaped:?}");
                }
                backslashes = if character == '\\' { backslashes + 1 } else { 0 };
                before = Some(character);
            }
        }

        #[test]
        fn a_fence_is_longer_than_any_run_of_backticks_within(text in "[`a\n]{0,40}") {
            let block = fence("", &text);
            let ticks = block.chars().take_while(|&c| c == '`').count();
            prop_assert!(ticks >= 3 && !text.contains(&"`".repeat(ticks)));
        }
    }
}
