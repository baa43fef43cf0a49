//! `checksums.toml` of a checkpoint: what every other file in it was when it was written.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::{hex, plain};
use crate::units;

const FILE: &str = "checksums.toml";
/// Version of a checkpoint's format. This one and older ones are read.
pub const FORMAT_VERSION: u32 = 1;
/// A file of checksums is small; what is larger is something else.
const LARGEST_BYTES: u64 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Checksums {
    format_version: u32,
    files: BTreeMap<String, Checksum>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Checksum {
    bytes: u64,
    sha256: String,
}

/// Writes the file for all that lies in `dir` now, and returns the bytes of all of it.
pub fn write(dir: &Path) -> io::Result<u64> {
    let mut files = BTreeMap::new();
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let sum = checksum(&entry.path())?;
        bytes += sum.bytes;
        files.insert(entry.file_name().to_string_lossy().into_owned(), sum);
    }
    let text = toml::to_string_pretty(&Checksums { format_version: FORMAT_VERSION, files })
        .map_err(io::Error::other)?;
    plain::write_new(&dir.join(FILE), &text)?;
    Ok(bytes + text.len() as u64)
}

/// Why a folder is not known to be as it was written.
#[derive(Debug)]
pub enum Unsound {
    /// In words, what is missing or is not what was written.
    Damaged(String),
    /// Nothing can be said of it: permission, file handles, the disk or the network were wanting. Another time it may be sound.
    Unreadable { path: PathBuf, source: io::Error },
    /// A newer version of this program wrote it, with this version of the format.
    Newer(u32),
}

impl From<String> for Unsound {
    fn from(reason: String) -> Self {
        Unsound::Damaged(reason)
    }
}

/// Whether an error of reading a file says something of the file itself: that it is not there, or holds what it should not. All
/// others are about the way to it.
pub fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// What an error of reading `path` says.
pub fn unsound(path: &Path) -> impl FnOnce(io::Error) -> Unsound {
    move |source| {
        if is_damage(&source) {
            Unsound::Damaged(format!("{}: {source}", path.file_name().unwrap_or_default().display()))
        } else {
            Unsound::Unreadable { path: path.to_owned(), source }
        }
    }
}

/// Holds every file of `dir` against what it was.
///
/// # Errors
/// What is not as it was, or cannot be read.
pub fn verify(dir: &Path) -> Result<(), Unsound> {
    read(dir)?.files.iter().try_for_each(|(name, expected)| compare(dir, name, expected))
}

/// As [`verify`], for the file `name` alone.
///
/// # Errors
/// Why it is not as it was, or why that is not known.
pub fn verify_one(dir: &Path, name: &str) -> Result<(), Unsound> {
    let sums = read(dir)?;
    let expected = sums.files.get(name).ok_or_else(|| format!("{FILE} does not name {name}"))?;
    compare(dir, name, expected)
}

/// Name and SHA-256 of every file, as recorded; empty when that cannot be read.
pub fn recorded(dir: &Path) -> Vec<(String, String)> {
    let text = plain::read_to_string(&dir.join(FILE)).unwrap_or_default();
    let sums: Option<Checksums> = toml::from_str(&text).ok();
    sums.map(|sums| sums.files.into_iter().map(|(name, sum)| (name, sum.sha256)).collect())
        .unwrap_or_default()
}

fn read(dir: &Path) -> Result<Checksums, Unsound> {
    let path = dir.join(FILE);
    let size = fs::metadata(&path).map_err(unsound(&path))?.len();
    if size > LARGEST_BYTES {
        return Err(format!("{FILE} has {size} bytes, which no list of checksums needs").into());
    }
    let text = plain::read_to_string(&path).map_err(unsound(&path))?;
    let sums: Checksums = toml::from_str(&text).map_err(|error| format!("{FILE}: {}", error.message()))?;
    if sums.format_version > FORMAT_VERSION {
        return Err(Unsound::Newer(sums.format_version));
    }
    if sums.files.is_empty() {
        return Err(format!("{FILE} names no file").into());
    }
    Ok(sums)
}

fn compare(dir: &Path, name: &str, expected: &Checksum) -> Result<(), Unsound> {
    // Nothing outside of the folder is looked at, whatever the file says.
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Err(format!("{FILE} names {name:?}, which is no file of this folder").into());
    }
    let path = dir.join(name);
    let found = fs::metadata(&path).map_err(unsound(&path))?.len();
    if found != expected.bytes {
        let reason = format!(
            "{name} has {}, and had {} when it was written",
            units::counted(found, "byte"),
            expected.bytes
        );
        return Err(reason.into());
    }
    if checksum(&path).map_err(unsound(&path))? != *expected {
        return Err(format!("{name} is not what was written: its SHA-256 differs").into());
    }
    Ok(())
}

/// SHA-256 of a file, hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    checksum(path).map(|sum| sum.sha256)
}

/// SHA-256 of the first `bytes` of a file, or of all that there is, hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_of_first(path: &Path, bytes: u64) -> io::Result<String> {
    checksum_of(plain::open(path)?.take(bytes)).map(|sum| sum.sha256)
}

fn checksum(path: &Path) -> io::Result<Checksum> {
    checksum_of(plain::open(path)?)
}

fn checksum_of(mut file: impl Read) -> io::Result<Checksum> {
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => {
                hasher.update(&piece[..read]);
                bytes += read as u64;
            }
        }
    }
    Ok(Checksum { bytes, sha256: hex(&hasher.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_file_or_another_content_is_damage() {
        let path = Path::new("checkpoint/model.safetensors");
        let judged = |source: io::Error| unsound(path)(source);
        assert!(matches!(judged(io::ErrorKind::NotFound.into()), Unsound::Damaged(_)));
        // No permission, input or output error, too many open files, stale network file, out of memory.
        #[cfg(unix)]
        for number in [13, 5, 24, 116, 12] {
            let found = judged(io::Error::from_raw_os_error(number));
            assert!(matches!(&found, Unsound::Unreadable { path: named, .. } if named == path), "{found:?}");
        }
    }
}
