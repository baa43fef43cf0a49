//! Whole files written so that a reader, or a crash, sees the old content or the new one and never half of it.

use std::io::{self, Write};
use std::path::Path;

use super::plain;

/// What files are called while they are written.
pub const TEMPORARY: &str = ".tmp-";

/// Writes `bytes` to `path` by way of a temporary file in the same folder that is synced and then renamed.
///
/// # Errors
/// Whatever the file system says; the old file, if any, is then still whole.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    persist(temporary(folder_of(path), bytes)?, path)
}

/// Puts a temporary file in its place, so that it survives a power cut.
pub fn persist(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    sync_dir(folder_of(path))
}

/// As [`write`](fn@write), for files that can be made again: nothing waits for the disk, so a power cut may lose them. A
/// file that holds these bytes already is left alone, with its time of change.
pub fn write_remade(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if plain::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    temporary(folder_of(path), bytes)?.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

fn temporary(folder: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut file = new_temporary(folder)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// An empty file in `folder` that is deleted unless it is put in its place.
pub fn new_temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // Temporary files are private by default; records are meant to be shared, as far as the umask allows.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Makes a rename or a new file in `dir` survive a power cut. Does nothing where folders cannot be synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::File::open(dir)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

/// The folder that a path lies in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.toml");
        write(&path, b"a long first version").unwrap();
        write(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn written_files_are_as_readable_as_any_other_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        write(&ours, b"x").unwrap();
        fs::write(&plain, b"x").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), b"kept").unwrap();
        assert!(write(&taken, b"x").is_err());
        assert_eq!(fs::read(taken.join("inside")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
