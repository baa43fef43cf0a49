//! `checksums.toml` of a checkpoint: what every other file in it was when it was written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const FILE: &str = "checksums.toml";
/// Version of a checkpoint's format. This one and older ones are read.
const FORMAT_VERSION: u32 = 1;
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
    fs::write(dir.join(FILE), &text)?;
    Ok(bytes + text.len() as u64)
}

/// Holds every file of `dir` against what it was.
///
/// # Errors
/// In words, what is not as it was.
pub fn verify(dir: &Path) -> Result<(), String> {
    read(dir)?.files.iter().try_for_each(|(name, expected)| compare(dir, name, expected))
}

/// As [`verify`], for the file `name` alone.
///
/// # Errors
/// In words, why it is not as it was, or why that is not known.
pub fn verify_one(dir: &Path, name: &str) -> Result<(), String> {
    let sums = read(dir)?;
    let expected = sums.files.get(name).ok_or_else(|| format!("{FILE} does not name {name}"))?;
    compare(dir, name, expected)
}

/// Name and SHA-256 of every file, as recorded; empty when that cannot be read.
pub fn recorded(dir: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(dir.join(FILE)).unwrap_or_default();
    let sums: Option<Checksums> = toml::from_str(&text).ok();
    sums.map(|sums| sums.files.into_iter().map(|(name, sum)| (name, sum.sha256)).collect())
        .unwrap_or_default()
}

fn read(dir: &Path) -> Result<Checksums, String> {
    let path = dir.join(FILE);
    let failed = |error: &dyn std::fmt::Display| format!("{FILE}: {error}");
    let size = fs::metadata(&path).map_err(|error| failed(&error))?.len();
    if size > LARGEST_BYTES {
        return Err(format!("{FILE} has {size} bytes, which no list of checksums needs"));
    }
    let text = fs::read_to_string(&path).map_err(|error| failed(&error))?;
    let sums: Checksums = toml::from_str(&text).map_err(|error| failed(&error.message()))?;
    if sums.format_version > FORMAT_VERSION {
        return Err(format!("it was written by a newer runner (format version {})", sums.format_version));
    }
    if sums.files.is_empty() {
        return Err(format!("{FILE} names no file"));
    }
    Ok(sums)
}

fn compare(dir: &Path, name: &str, expected: &Checksum) -> Result<(), String> {
    // Nothing outside of the folder is looked at, whatever the file says.
    if Path::new(name).file_name() != Some(name.as_ref()) {
        return Err(format!("{FILE} names {name:?}, which is no file of this folder"));
    }
    let path = dir.join(name);
    let found = fs::metadata(&path).map_err(|error| format!("{name}: {error}"))?.len();
    if found != expected.bytes {
        return Err(format!("{name} has {found} bytes, and had {} when it was written", expected.bytes));
    }
    if checksum(&path).map_err(|error| format!("{name}: {error}"))? != *expected {
        return Err(format!("{name} is not what was written: its SHA-256 differs"));
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

fn checksum(path: &Path) -> io::Result<Checksum> {
    let (mut file, mut hasher, mut bytes) = (File::open(path)?, Sha256::new(), 0);
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
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Checksum { bytes, sha256 })
}
