//! `~` and `$HOME` at the head of a path that no shell has seen: in experiment files, and behind `--option=`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A path begins with something that only a shell could know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    #[error("`{0}` is not expanded here: of what a shell knows only ~/ and $HOME are; write the path out")]
    NotExpanded(String),
    #[error("it begins in your home folder, and HOME is not set; write the path out")]
    NoHome,
}

/// The path with the home folder in the place of a leading `~`, `$HOME` or `${HOME}`. A path that is there as it is written is left as
/// it is.
///
/// # Errors
/// When it begins with another variable or another person's home folder, or HOME is not set.
pub fn expand(path: &Path) -> Result<Cow<'_, Path>, HomeError> {
    expand_with(path, std::env::home_dir().filter(|home| !home.as_os_str().is_empty()))
}

fn expand_with(path: &Path, home: Option<PathBuf>) -> Result<Cow<'_, Path>, HomeError> {
    let mut parts = path.components();
    let head = parts.next().map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    let is_variable = head
        .strip_prefix('$')
        .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '{'));
    // `~` also ends names of backups, and begins those of editors' files: `~$report.txt`.
    let is_person = head.strip_prefix('~').is_some_and(|name| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+'))
    });
    if !(is_variable || is_person) || path.symlink_metadata().is_ok() {
        return Ok(Cow::Borrowed(path));
    }
    if !["~", "$HOME", "${HOME}"].contains(&head.as_str()) {
        return Err(HomeError::NotExpanded(head));
    }
    let rest = parts.as_path();
    let home = home.ok_or(HomeError::NoHome)?;
    Ok(Cow::Owned(if rest.as_os_str().is_empty() { home } else { home.join(rest) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(path: &str) -> Result<String, HomeError> {
        let home = Some(PathBuf::from("/home/ada"));
        expand_with(Path::new(path), home).map(|path| path.display().to_string())
    }

    #[test]
    fn the_home_folder_stands_at_the_head_of_a_path() {
        for path in ["~/runs/a.txt", "$HOME/runs/a.txt", "${HOME}/runs/a.txt"] {
            assert_eq!(expanded(path).unwrap(), "/home/ada/runs/a.txt");
        }
        assert_eq!(expanded("~").unwrap(), "/home/ada");
        for path in ["a/~/b", "/~/b", "a$HOME", "a~", "", "$", "$1.txt", "~$a.docx", "./~/a"] {
            assert_eq!(expanded(path).unwrap(), path);
        }
    }

    #[test]
    fn what_only_a_shell_knows_is_refused() {
        for (path, head) in [
            ("$SCRATCH/a.txt", "$SCRATCH"),
            ("${DATA}/a", "${DATA}"),
            ("~ada/a", "~ada"),
            ("$HOMER/a", "$HOMER"),
        ] {
            assert_eq!(expanded(path), Err(HomeError::NotExpanded(head.to_owned())));
        }
        assert_eq!(expand_with(Path::new("~/a"), None), Err(HomeError::NoHome));
    }
}
