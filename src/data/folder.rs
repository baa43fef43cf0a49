//! A user's own text: all text files below a folder.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::DataError;
use super::form::{LINES, PACKED, TABLE};
use crate::files::plain;

/// Files of a folder that count as text, by the ends of their names (in any case). A single file may be called anything.
const EXTENSIONS: [&str; 8] = ["txt", "text", "md", "markdown", "rst", "org", "adoc", "tex"];

/// One text file of a folder.
pub(super) struct TextFile {
    pub path: PathBuf,
    pub bytes: u64,
}

/// Files of a folder that are not read.
#[derive(Default)]
pub(super) struct PassedOver {
    /// How many names that are not those of text have this ending, or none.
    endings: BTreeMap<String, usize>,
    pub empty: Vec<PathBuf>,
}

impl PassedOver {
    /// In words, how many there are, and why; `None` without any.
    pub fn notice(&self, folder: &Path) -> Option<String> {
        /// Endings that are named.
        const NAMED: usize = 8;
        let mut endings: Vec<(&String, usize)> =
            self.endings.iter().map(|(end, count)| (end, *count)).collect();
        endings.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let others: usize = endings.iter().map(|(_, count)| count).sum();
        let named: Vec<String> =
            endings.iter().take(NAMED).map(|(ending, count)| format!("{ending}: {count}")).collect();
        let more = if endings.len() > NAMED { ", ..." } else { "" };
        let why = [
            (
                others,
                format!("{others} whose names do not end as those of texts do ({}{more})", named.join(", ")),
            ),
            (self.empty.len(), format!("{} empty", self.empty.len())),
        ];
        let why: Vec<String> = why.into_iter().filter(|(count, _)| *count > 0).map(|(_, why)| why).collect();
        (!why.is_empty()).then(|| {
            format!("files of the folder {} that are not read: {}", folder.display(), why.join("; "))
        })
    }
}

/// The text files below `folder`, by name within each folder, without hidden and empty ones, and those that are passed over. Links are
/// followed, once around where they go in circles.
///
/// # Errors
/// A folder in which nothing is text, not even an empty file.
pub(super) fn files(folder: &Path) -> Result<(Vec<TextFile>, PassedOver), DataError> {
    let mut files = Vec::new();
    let mut passed_over = PassedOver::default();
    let visible = WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.path()));
    for entry in visible {
        let entry = match entry {
            Ok(entry) => entry,
            // What is seen through the link is read anyway; a dangling hidden link is an editor's lock, not text.
            Err(error) if error.loop_ancestor().is_some() || error.path().is_some_and(is_hidden) => continue,
            Err(error) => return Err(unreadable(folder, error)),
        };
        if !entry.file_type().is_file() {
            continue;
        }
        if !is_text(entry.path()) {
            *passed_over.endings.entry(ending(entry.path())).or_default() += 1;
            continue;
        }
        let bytes = entry.metadata().map_err(|error| unreadable(folder, error))?.len();
        if bytes == 0 {
            passed_over.empty.push(entry.into_path());
            continue;
        }
        files.push(TextFile { path: entry.into_path(), bytes });
    }
    if files.is_empty() && passed_over.empty.is_empty() {
        let other_files = passed_over.endings.values().sum();
        let endings = EXTENSIONS.map(|extension| format!(".{extension}")).join(", ");
        let extensions = format!("{endings}, {} (with or without .gz or .zst), {TABLE}", LINES.join(", "));
        return Err(DataError::NoText { path: folder.to_owned(), other_files, extensions });
    }
    Ok((files, passed_over))
}

/// `.png`, in small letters.
fn ending(path: &Path) -> String {
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy().to_ascii_lowercase()));
    ending.unwrap_or_else(|| "no ending".to_owned())
}

/// The length of a file that can be opened and has something in it.
pub(super) fn probe_file(path: &Path) -> Result<u64, DataError> {
    let probe = || -> std::io::Result<u64> {
        let mut file = plain::open(path)?;
        // Some places can be opened and not read: the first byte tells.
        if file.read(&mut [0])? == 0 { Ok(0) } else { Ok(file.metadata()?.len()) }
    };
    match probe() {
        Ok(0) => Err(DataError::Empty { path: path.to_owned() }),
        Ok(bytes) => Ok(bytes),
        Err(source) => Err(DataError::Read { path: path.to_owned(), source }),
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_text(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let packed = PACKED.iter().find_map(|ending| name.strip_suffix(ending));
    let name = packed.unwrap_or(&name);
    let extension = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or_default();
    EXTENSIONS.contains(&extension)
        || LINES.iter().any(|ending| name.ends_with(ending))
        || name.ends_with(TABLE)
}

fn unreadable(folder: &Path, error: walkdir::Error) -> DataError {
    let path = error.path().unwrap_or(folder).to_owned();
    let source =
        error.into_io_error().unwrap_or_else(|| std::io::Error::other("the folder cannot be walked"));
    DataError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("inside the folder")).expect("writable");
            fs::write(path, content).expect("writable");
        }
        folder
    }

    fn read(folder: &Path) -> Result<String, DataError> {
        crate::data::corpus::tests::text_of(folder)
    }

    #[test]
    fn text_files_are_joined_in_the_order_of_their_names() {
        let folder = folder_with(&[
            ("b.txt", b"second"),
            ("a.md", b"first"),
            ("c/d.TXT", b"third"),
            ("e.txt", b"fourth"),
            ("empty.txt", b""),
            ("image.png", b"\xff\xfe"),
            (".hidden.txt", b"no"),
            (".git/notes.txt", b"no"),
        ]);
        assert_eq!(read(folder.path()).expect("text"), "first\nsecond\nthird\nfourth");
    }

    #[test]
    fn line_endings_stay_as_they_are_and_byte_order_marks_go() {
        let folder =
            folder_with(&[("a.txt", b"\xef\xbb\xbfone\r\ntwo\r\n"), ("b.txt", b"\xef\xbb\xbfthree")]);
        assert_eq!(read(folder.path()).expect("text"), "one\r\ntwo\r\n\nthree");
    }

    #[test]
    fn a_folder_that_is_hidden_itself_can_be_given() {
        let folder = folder_with(&[(".corpus/a.txt", b"text")]);
        assert_eq!(read(&folder.path().join(".corpus")).expect("text"), "text");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named_with_file_and_offset() {
        let folder = folder_with(&[("a.txt", b"good"), ("b.txt", b"caf\xe9 latin-1")]);
        let error = read(folder.path()).expect_err("Latin-1");
        assert!(
            matches!(&error, DataError::NotUtf8 { path, offset: 3 } if path.ends_with("b.txt")),
            "{error}"
        );
    }

    #[test]
    fn a_folder_without_text_says_what_counts_as_text() {
        let folder = folder_with(&[("a.png", b"x"), ("b.csv", b"y")]);
        let message = read(folder.path()).expect_err("no text").to_string();
        assert!(message.contains("none of its 2 files ends in .txt, .text, .md"), "{message}");
    }

    #[test]
    fn a_folder_of_empty_files_is_empty() {
        let folder = folder_with(&[("a.txt", b""), ("b.png", b"x")]);
        assert!(matches!(read(folder.path()), Err(DataError::Empty { path }) if path.ends_with("a.txt")));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles() {
        let folder = folder_with(&[("a/one.txt", b"one")]);
        std::os::unix::fs::symlink("..", folder.path().join("a/up")).expect("links can be made");
        std::os::unix::fs::symlink("nowhere", folder.path().join(".#lock.txt")).expect("links can be made");
        let elsewhere = folder_with(&[("two.txt", b"two")]);
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("b")).expect("links can be made");
        assert_eq!(read(folder.path()).expect("text"), "one\ntwo");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_an_error_that_names_it() {
        let folder = folder_with(&[("a.txt", b"one")]);
        std::os::unix::fs::symlink("nowhere", folder.path().join("b.txt")).expect("links can be made");
        assert!(matches!(read(folder.path()), Err(DataError::Read { path, .. }) if path.ends_with("b.txt")));
    }
}
