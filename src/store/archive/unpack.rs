use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};
use tempfile::TempDir;

use super::{ArchiveError, LONGEST_NAME};
use crate::files::{atomic, disk};
use crate::files::{is_file_name, is_folder_name, is_run_name};
use crate::store::RunDir;

/// How every file of zstd begins (RFC 8878, section 3.1.1).
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// A run has some tens of files, and with many checkpoints some thousands.
const MOST_FILES: usize = 100_000;
/// Folders within each other: a checkpoint's files have four above them.
const DEEPEST: usize = 12;
/// Room that is left on the disk.
const SPARE_BYTES: u64 = 16 << 20;

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
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == MAGIC
}

/// Unpacks the archive at `path` to `runs_dir/<experiment>/<run>`. Nothing outside of it is written, whatever the archive says.
///
/// # Errors
/// When it is damaged or holds something else than a run; when another run lies there; when there is no room. Nothing is left
/// behind then.
pub fn unpack(path: &Path, runs_dir: &Path) -> Result<Unpacked, ArchiveError> {
    let unreadable = |source| ArchiveError::Read { path: path.to_owned(), source };
    let unwritable = |source| ArchiveError::Write { path: runs_dir.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    fs::create_dir_all(runs_dir).map_err(unwritable)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(atomic::TEMPORARY);
    let folder = builder.tempdir_in(runs_dir).map_err(unwritable)?;
    let decoder = zstd::Decoder::new(BufReader::new(file)).map_err(unreadable)?;
    let mut unpacking = Unpacking { path, runs_dir, folder, place: None };
    let mut archive = Archive::new(decoder);
    let entries = archive.entries().map_err(|error| unpacking.bad(error))?;
    for (number, entry) in entries.enumerate() {
        if number >= MOST_FILES {
            return Err(unpacking.bad(format!("it has more than {MOST_FILES} files")));
        }
        let entry = entry.map_err(|error| unpacking.bad(error))?;
        unpacking.entry(entry)?;
    }
    unpacking.finish()
}

struct Unpacking<'a> {
    path: &'a Path,
    runs_dir: &'a Path,
    /// What was unpacked lies here until it is whole.
    folder: TempDir,
    /// Experiment and run, the same for all files.
    place: Option<PathBuf>,
}

impl Unpacking<'_> {
    fn entry(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        let name = entry.path().map_err(|error| self.bad(error))?.into_owned();
        let not_safe = |reason| ArchiveError::Unsafe {
            path: self.path.to_owned(),
            entry: name.display().to_string(),
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
        let mut file = File::create_new(&target).map_err(unwritable)?;
        let expected = entry.size();
        let mut content = Noted { source: &mut entry, failure: None };
        let copied = io::copy(&mut content, &mut file);
        if let Some(error) = content.failure {
            return Err(self.bad(error));
        }
        match copied.map_err(unwritable)? {
            copied if copied == expected => Ok(()),
            copied => Err(self.bad(format!("{} has {copied} bytes of {expected}", name.display()))),
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
            return match (fs::read(dir.manifest()), fs::read(new.manifest())) {
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
