//! Names of runs with `*`, `?`, `[...]` and `{a,b}`, as a shell would read them. One that stands in quotes comes here as it is.

use glob::Pattern;

/// How many names the braces of one argument may stand for.
const MOST_SETS: usize = 256;

/// Whether an argument is a pattern, and not a name.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// An argument that stands for several names.
#[derive(Debug)]
pub struct Names(Vec<Pattern>);

impl Names {
    /// `None` where it is no pattern, as with a bracket that is never closed.
    pub fn of(text: &str) -> Option<Names> {
        let patterns = sets(text)?.iter().map(|text| Pattern::new(text).ok()).collect::<Option<Vec<_>>>()?;
        Some(Names(patterns))
    }

    /// Whether a name fits; `*` stands for any characters, as in `--only`.
    pub fn fit(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }
}

/// The texts that the braces of `text` stand for: `a{b,c}` is `ab` and `ac`. A brace without its other half is a character.
fn sets(text: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut open = vec![text.to_owned()];
    while let Some(text) = open.pop() {
        if done.len() + open.len() > MOST_SETS {
            return None;
        }
        // The innermost pair, so that pairs within each other are taken apart one after the other.
        let pair = text.find('}').and_then(|end| Some((text[..end].rfind('{')?, end)));
        match pair {
            Some((start, end)) => {
                let inside = text[start + 1..end].split(',');
                let new = inside.map(|one| format!("{}{one}{}", &text[..start], &text[end + 1..]));
                open.extend(new.collect::<Vec<_>>().into_iter().rev());
            }
            None => done.push(text),
        }
    }
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        Names::of(pattern).is_some_and(|names| names.fit(name))
    }

    #[test]
    fn patterns_are_read_as_a_shell_reads_them() {
        for (pattern, name) in [
            ("lr/learning_rate=0.001*", "lr/learning_rate=0.001,seed=1"),
            ("*seed=1", "lr/learning_rate=0.001,seed=1"),
            ("lr/seed=?", "lr/seed=1"),
            ("lr/seed=[12]", "lr/seed=2"),
            ("{lr,width}/seed=1", "width/seed=1"),
            ("lr/{learning_rate=0.001,learning_rate=0.003}*", "lr/learning_rate=0.003,seed=1"),
            ("a{b,c{d,e}}", "ace"),
        ] {
            assert!(fits(pattern, name), "{pattern} fits {name}");
        }
        for (pattern, name) in [("lr/seed=?", "lr/seed=12"), ("{lr,width}", "l"), ("[", "["), ("a{b", "ab")] {
            assert!(!fits(pattern, name), "{pattern} does not fit {name}");
        }
    }

    #[test]
    fn braces_do_not_multiply_without_end() {
        assert!(Names::of(&"{a,b}".repeat(40)).is_none());
    }
}
