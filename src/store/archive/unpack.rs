use std::cell::Cell;
use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};
use tempfile::TempDir;

use super::{ArchiveError, LONGEST_NAME};
use crate::files::{atomic, disk, is_file_name, is_folder_name, is_run_name, plain};
use crate::store::{RunDir, StoreError};
use crate::units;

/// How every file of zstd begins (RFC 8878, section 3.1.1).
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// A run has some tens of files, and with many checkpoints some thousands.
const MOST_FILES: usize = 100_000;
/// Folders within each other: a checkpoint's files have four above them.
const DEEPEST: usize = 12;
/// Room that is left on the disk.
const SPARE_BYTES: u64 = 16 << 20;
/// Characters of a name that are shown.
const SHOWN: usize = 100;

/// What an archive may ask for before it is taken for one that was made to do harm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Of all headers of a file: its name, and what other programs note of it. They are held in memory, and what they say of their own
    /// length says nothing. The longest name has some 3 KB, extended attributes have up to 64 KiB each.
    pub header_bytes: u64,
    /// Of all files together, in an archive of no length, and for each of its bytes. Text shrinks to a tenth or a thirtieth, weights
    /// hardly. What is unpacked is read into memory for a report.
    pub bytes: u64,
    pub bytes_per_byte: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { header_bytes: 256 << 10, bytes: 256 << 20, bytes_per_byte: 100 }
    }
}

/// Where a run from an archive lies now.
#[derive(Debug, PartialEq, Eq)]
pub struct Unpacked {
    pub dir: RunDir,
    /// Whether the same run lay there before; nothing was changed then.
    pub was_there: bool,
}

/// Whether the file at `path` begins as an archive does.
pub fn is_archive(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    plain::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == MAGIC
}

/// Unpacks the archive at `path` to `runs_dir/<experiment>/<run>`. Nothing outside of it is written, whatever the archive says.
///
/// # Errors
/// When it is damaged or holds something else than a run; when another run lies there; when there is no room. Nothing is left
/// behind then.
pub fn unpack(path: &Path, runs_dir: &Path) -> Result<Unpacked, ArchiveError> {
    unpack_within(path, runs_dir, Bounds::default())
}

/// [`unpack`], where other bounds are set.
pub(super) fn unpack_within(path: &Path, runs_dir: &Path, bounds: Bounds) -> Result<Unpacked, ArchiveError> {
    let unreadable = |source| ArchiveError::Read { path: path.to_owned(), source };
    let unwritable = |source| ArchiveError::Write { path: runs_dir.to_owned(), source };
    let file = plain::open(path).map_err(unreadable)?;
    fs::create_dir_all(runs_dir)
        .map_err(|source| StoreError::CreateRun { path: runs_dir.to_owned(), source })?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(atomic::TEMPORARY);
    let folder = builder.tempdir_in(runs_dir).map_err(unwritable)?;
    let packed_bytes = file.metadata().map_err(unreadable)?.len();
    let most_bytes = bounds.bytes.saturating_add(packed_bytes.saturating_mul(bounds.bytes_per_byte));
    let decoder = zstd::Decoder::new(BufReader::new(file)).map_err(unreadable)?;
    let mut unpacking = Unpacking { path, runs_dir, folder, place: None, bytes: 0, most_bytes };
    let left = Cell::new(None);
    let mut archive = Archive::new(Rationed { source: decoder, left: &left });
    let mut entries = archive.entries().map_err(|error| unpacking.bad(error))?;
    for number in 0.. {
        // Headers are read into memory here, one behind the other; content goes to the disk below.
        left.set(Some(bounds.header_bytes));
        let Some(entry) = entries.next() else { break };
        left.set(None);
        if number >= MOST_FILES {
            return Err(unpacking.bad(format!("it has more than {MOST_FILES} files")));
        }
        let entry = entry.map_err(|error| unpacking.bad(error))?;
        unpacking.entry(entry)?;
    }
    // The sum of all stands behind what tar reads.
    left.set(Some(bounds.header_bytes));
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| unpacking.bad(error))?;
    unpacking.finish()
}

struct Unpacking<'a> {
    path: &'a Path,
    runs_dir: &'a Path,
    /// What was unpacked lies here until it is whole.
    folder: TempDir,
    /// Experiment and run, the same for all files.
    place: Option<PathBuf>,
    /// Of the files so far.
    bytes: u64,
    most_bytes: u64,
}

impl Unpacking<'_> {
    fn entry(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        let name = entry.path().map_err(|error| self.bad(error))?.into_owned();
        let not_safe = |reason| ArchiveError::Unsafe {
            path: self.path.to_owned(),
            entry: shortened(&name.display().to_string()),
            reason,
        };
        let kind = entry.header().entry_type();
        if !matches!(kind, EntryType::Regular | EntryType::Directory) {
            return Err(not_safe("which is neither a file nor a folder"));
        }
        let place = checked(&name).map_err(not_safe)?;
        if kind == EntryType::Directory {
            return Ok(());
        }
        let Some(place) = place else { return Err(not_safe("which belongs to no run")) };
        if self.place.get_or_insert_with(|| place.clone()) != &place {
            return Err(not_safe("which belongs to another run than the files before it"));
        }
        self.bytes = self.bytes.saturating_add(entry.size());
        if self.bytes > self.most_bytes {
            return Err(self.bad(format!(
                "its files take more than {} MiB, which no run's do that is packed so small",
                self.most_bytes >> 20
            )));
        }
        // What came before is on the disk already.
        if disk::free_bytes(self.runs_dir).is_some_and(|free| free < entry.size().saturating_add(SPARE_BYTES))
        {
            return Err(ArchiveError::NoRoom {
                path: self.path.to_owned(),
                runs_dir: self.runs_dir.to_owned(),
            });
        }
        let target = self.folder.path().join(&name);
        let unwritable = |source| ArchiveError::Write { path: target.clone(), source };
        fs::create_dir_all(atomic::folder_of(&target)).map_err(unwritable)?;
        let mut file = plain::create_new(&target).map_err(unwritable)?;
        let expected = entry.size();
        let mut content = Noted { source: &mut entry, failure: None };
        let copied = io::copy(&mut content, &mut file);
        if let Some(error) = content.failure {
            return Err(self.bad(error));
        }
        match copied.map_err(unwritable)? {
            copied if copied == expected => Ok(()),
            copied => {
                let name = shortened(&name.display().to_string());
                Err(self.bad(format!("{name} has {copied} of {}", units::counted(expected, "byte"))))
            }
        }
    }

    fn finish(self) -> Result<Unpacked, ArchiveError> {
        let Some(place) = &self.place else { return Err(self.bad("it is empty")) };
        let new = RunDir::open(self.folder.path().join(place));
        if !new.manifest().is_file() {
            return Err(self.bad("it has no manifest.toml"));
        }
        let dir = RunDir::open(self.runs_dir.join(place));
        if dir.path().exists() {
            return match (plain::read(&dir.manifest()), plain::read(&new.manifest())) {
                (Ok(there), Ok(new)) if there == new => Ok(Unpacked { dir, was_there: true }),
                _ => Err(ArchiveError::OtherRun { path: self.path.to_owned(), there: dir.path().to_owned() }),
            };
        }
        let failed = |source| ArchiveError::Write { path: dir.path().to_owned(), source };
        fs::create_dir_all(atomic::folder_of(dir.path())).map_err(failed)?;
        fs::rename(new.path(), dir.path()).map_err(failed)?;
        Ok(Unpacked { dir, was_there: false })
    }

    fn bad(&self, reason: impl ToString) -> ArchiveError {
        ArchiveError::Bad { path: self.path.to_owned(), reason: reason.to_string() }
    }
}

/// Experiment and run of a file's name in an archive; `None` for what lies above a run's files.
fn checked(name: &Path) -> Result<Option<PathBuf>, &'static str> {
    let mut parts = Vec::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().ok_or("whose name is not UTF-8")?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err("which would lie outside of the run");
            }
        }
    }
    if parts.len() > DEEPEST {
        return Err("which lies too deep");
    }
    let is_safe = |(at, part): (usize, &&str)| match at {
        0 => is_folder_name(part),
        1 => is_run_name(part, LONGEST_NAME),
        _ => is_file_name(part),
    };
    if !parts.iter().enumerate().all(is_safe) {
        return Err("whose name no run's file has");
    }
    Ok((parts.len() > 2).then(|| parts[..2].iter().collect()))
}

/// The beginning of a name, which may have any length.
pub(super) fn shortened(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}...", &name[..cut]),
        None => name.to_owned(),
    }
}

/// Gives so many bytes and no more, where there is a ration.
struct Rationed<'a, R> {
    source: R,
    left: &'a Cell<Option<u64>>,
}

impl<R: Read> Read for Rationed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left.get() else { return self.source.read(buffer) };
        if left == 0 {
            return Err(io::Error::other(
                "a name, or what is noted of a file beside it, is too long for any run's",
            ));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.source.read(&mut buffer[..most])?;
        self.left.set(Some(left - read as u64));
        Ok(read)
    }
}

/// Keeps apart what cannot be read from what cannot be written.
struct Noted<'a, R> {
    source: &'a mut R,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Noted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer).map_err(|error| {
            let told = io::Error::new(error.kind(), error.to_string());
            self.failure = Some(error);
            told
        })
    }
}
