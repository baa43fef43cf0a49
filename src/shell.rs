//! Command lines as people paste them.

/// A word as a POSIX shell reads it: plain words as they are, others in single quotes.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_spaces_or_quotes_survive_the_shell() {
        assert_eq!(quote("experiments/a.toml"), "experiments/a.toml");
        assert_eq!(quote("data.path=my file"), "'data.path=my file'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("a[0]"), "'a[0]'");
    }
}
