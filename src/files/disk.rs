//! The disk below a folder: how much is free, and whether an error says that nothing is.

use std::io;
use std::path::Path;

use super::{atomic, plain};

/// Bytes that this user can still write below `path`, which need not exist yet; `None` where the system does not tell.
#[cfg(unix)]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let disk = nix::sys::statvfs::statvfs(existing(path)?).ok()?;
    // Of other widths on other systems.
    #[allow(clippy::useless_conversion, reason = "the type differs between systems")]
    Some(u64::from(disk.blocks_available()) * u64::from(disk.fragment_size()))
}

/// Bytes that this user can still write below `path`; this system does not tell.
#[cfg(not(unix))]
pub fn free_bytes(_path: &Path) -> Option<u64> {
    None
}

/// Bytes of the files below `path`, as far as they can be seen; links are not followed.
pub fn bytes_below(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) if meta.is_file() => meta.len(),
        _ => 0,
    };
    entries.map(bytes).sum()
}

/// Less than this is as good as nothing: a manifest and its temporary copy may not fit.
const NEARLY_NOTHING_BYTES: u64 = 256 << 10;

/// Whether hardly anything can still be written below `path`.
pub fn is_nearly_full(path: &Path) -> bool {
    free_bytes(path).is_some_and(|free| free < NEARLY_NOTHING_BYTES)
}

/// The path, or the nearest above it that exists.
pub fn existing(path: &Path) -> Option<&Path> {
    // The last one above a relative path is empty.
    path.ancestors()
        .map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path })
        .find(|path| path.exists())
}

/// What keeps `path` from becoming a folder, if it is something that lies there: in words, for people.
pub fn in_the_way(path: &Path) -> Option<String> {
    let meets = |path: &Path| match (std::fs::symlink_metadata(path), std::fs::metadata(path)) {
        (Ok(link), Err(error)) if link.is_symlink() && error.kind() != io::ErrorKind::NotFound => {
            Some(format!("{} is a symbolic link that leads nowhere ({error}): delete it", path.display()))
        }
        (Ok(link), Err(_)) if link.is_symlink() => {
            let target =
                std::fs::read_link(path).map_or_else(|_| "nowhere".to_owned(), |to| to.display().to_string());
            Some(format!(
                "{} is a symbolic link to {target}, which is not there: make that folder",
                path.display()
            ))
        }
        (_, Ok(meta)) if !meta.is_dir() => {
            Some(format!("{} is a file where a folder should be: move it away", path.display()))
        }
        _ => None,
    };
    let parts: Vec<&Path> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
    parts.into_iter().rev().find_map(meets)
}

/// Why the file at `path` could not be written or read, with what to do: what lies in the place of a folder above it, or the error with
/// the usual advice.
pub fn no_file(path: &Path, error: &io::Error, usual: &str) -> String {
    let obstacle = || in_the_way(atomic::folder_of(path));
    match plain::not_plain(error) {
        None => obstacle().unwrap_or_else(|| format!("{error}{}", plain::advice(error, usual))),
        Some(brings_its_own) => brings_its_own.to_string(),
    }
}

/// Why the folder at `path` could not be made or written to, with what to do: in words, for people.
pub fn no_folder(path: &Path, error: &io::Error) -> String {
    in_the_way(path).unwrap_or_else(|| match is_full(error) {
        true => format!("{error}; free some space"),
        false => format!("{error}; make the folder writable"),
    })
}

/// Whether the disk is full, or what the user may use of it, or a file is as large as the process may make one (`ulimit -f`).
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
        return true;
    }
    // Libraries wrap the system's error in one of their own.
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>());
    inner.is_some_and(is_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn what_lies_in_a_folders_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        std::os::unix::fs::symlink("/nowhere/at/all", &link).unwrap();
        std::fs::write(&file, "").unwrap();
        let said = |path: &Path| in_the_way(path).unwrap_or_default();
        assert!(
            said(&link.join("runs"))
                .contains("link is a symbolic link to /nowhere/at/all, which is not there")
        );
        assert!(said(&file.join("runs")).contains("file is a file where a folder should be"));
        assert_eq!(in_the_way(&folder.path().join("new/runs")), None);
        // Whoever is about to write or to read below hears the same, and the usual advice only where nothing lies there.
        let error = || io::Error::from(io::ErrorKind::PermissionDenied);
        let below = file.join("runs/a.md");
        assert_eq!(no_file(&below, &error(), "; free space"), said(&file));
        assert_eq!(no_folder(&below, &error()), said(&file));
        assert!(
            no_file(&folder.path().join("a.md"), &error(), "; free space").ends_with("denied; free space")
        );
        assert!(no_folder(folder.path(), &error()).ends_with("; make the folder writable"));
        assert_eq!(in_the_way(Path::new("new")), None);
    }

    #[test]
    fn a_full_disk_is_known_also_when_it_is_wrapped() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(is_full(&full()));
        assert!(is_full(&io::Error::other(full())));
        assert!(is_full(&io::ErrorKind::FileTooLarge.into()));
        assert!(!is_full(&io::Error::from(io::ErrorKind::NotFound)));
        assert!(!is_full(&io::Error::other("disk full")));
    }

    #[test]
    fn files_in_all_folders_below_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/c"), [0; 1000]).unwrap();
        std::fs::write(dir.path().join("d"), [0; 10]).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/round")).unwrap();
        assert_eq!(bytes_below(dir.path()), 1010);
        assert_eq!(bytes_below(&dir.path().join("nowhere")), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_not_there_yet_has_the_space_of_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(&dir.path().join("a/b")).is_some_and(|free| free > 0));
        assert!(free_bytes(Path::new("a-folder-to-be-made")).is_some());
    }
}
