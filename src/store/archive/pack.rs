use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tar::{Builder, EntryType, Header};

use super::unpack::shortened;
use super::{ArchiveError, LONGEST_NAME};
use crate::files::{atomic, is_file_name, is_folder_name, is_run_name, plain};
use crate::store::RunDir;
use crate::store::checksums::{self, Unsound};
use crate::store::run_dir::{CheckpointsDir, LOCK};

/// zstd's own default: text shrinks to a fifth or so, weights by a tenth, and neither takes long.
const LEVEL: i32 = 3;

/// What went into an archive.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packed {
    pub files: u64,
    /// Before compression.
    pub bytes: u64,
    /// What was left out: checkpoints that were put aside as damaged, links, and names that are none on other systems.
    pub left_out: Vec<PathBuf>,
    /// Checkpoints that are not what was written, with the reason. They were left out too.
    pub damaged: Vec<(PathBuf, String)>,
}

/// Writes the run's files to `out`, those of its checkpoints only if `checkpoints` is said. A run that still trains gives what is
/// there at the moment.
///
/// # Errors
/// When the run has no readable manifest, when `out` is there and may not be overwritten, and when something cannot be read or
/// written. `out` is then as it was before.
pub fn pack(dir: &RunDir, out: &Path, checkpoints: bool, overwrite: bool) -> Result<Packed, ArchiveError> {
    let manifest = dir.read_manifest()?;
    if out.exists() && !overwrite || out.is_dir() {
        return Err(ArchiveError::OutExists { path: out.to_owned() });
    }
    let place = [manifest.run.experiment, manifest.run.name];
    let [experiment, run] = &place;
    // What could not be put in its place elsewhere is not worth packing.
    if !is_folder_name(experiment) || !is_run_name(run, LONGEST_NAME) {
        let [experiment, run] = [shortened(experiment), shortened(run)];
        let reason = format!("its manifest calls it {experiment:?} / {run:?}, which are no names of folders");
        return Err(ArchiveError::Bad { path: dir.path().to_owned(), reason });
    }
    let failed = |source| ArchiveError::Write { path: out.to_owned(), source };
    let folder = atomic::folder_of(out);
    fs::create_dir_all(folder).map_err(failed)?;
    let file = atomic::new_temporary(folder).map_err(failed)?;
    let mut encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL).map_err(failed)?;
    // A bit that changes on the way is noticed.
    encoder.include_checksum(true).map_err(failed)?;
    let sound =
        Sound { checkpoints: dir.checkpoints(), steps: dir.checkpoints().steps().unwrap_or_default() };
    let mut packing = Packing { tar: Builder::new(encoder), out, sound, packed: Packed::default() };
    packing.folder(dir.path(), &place.iter().collect::<PathBuf>(), &|path: &Path| {
        path != dir.path().join(LOCK) && (checkpoints || path != dir.checkpoints().path())
    })?;
    let Packing { tar, packed, .. } = packing;
    let finish = || {
        let file = tar.into_inner()?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        atomic::persist(file, out)
    };
    finish().map_err(failed)?;
    Ok(packed)
}

/// Which folders are checkpoints, of whose files it is known what they were.
struct Sound {
    checkpoints: CheckpointsDir,
    steps: Vec<u64>,
}

impl Sound {
    /// What is wrong with the checkpoint in `folder`, if it is one.
    fn problem(&self, folder: &Path) -> Option<String> {
        let is_step = self.steps.iter().any(|step| self.checkpoints.checkpoint(*step) == folder);
        let is_tag = folder.parent() == Some(&self.checkpoints.tags());
        if !is_step && !is_tag {
            return None;
        }
        match checksums::verify(folder) {
            Err(Unsound::Damaged(reason)) => Some(reason),
            Err(Unsound::Unreadable { path, source }) => {
                Some(format!("cannot read {}: {source}", path.display()))
            }
            // Who unpacks it may be as new.
            Ok(()) | Err(Unsound::Newer(_)) => None,
        }
    }
}

struct Packing<'a, W: Write> {
    tar: Builder<W>,
    out: &'a Path,
    sound: Sound,
    packed: Packed,
}

impl<W: Write> Packing<'_, W> {
    /// Packs what `wanted` says of all that lies in `from`, as `to`.
    fn folder(&mut self, from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<(), ArchiveError> {
        let failed = |source| ArchiveError::Read { path: from.to_owned(), source };
        let entries = fs::read_dir(from).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default();
            let text = name.to_string_lossy();
            if !wanted(&path) || text.starts_with(atomic::TEMPORARY) {
                continue;
            }
            let to = to.join(name);
            let meta = fs::symlink_metadata(&path)
                .map_err(|source| ArchiveError::Read { path: path.clone(), source })?;
            let is_plain = (meta.is_dir() || meta.is_file()) && name.to_str().is_some_and(is_file_name);
            if !is_plain || text.ends_with(".damaged") {
                self.packed.left_out.push(path);
            } else if let Some(reason) = self.sound.problem(&path) {
                self.packed.damaged.push((path, reason));
            } else if meta.is_dir() {
                self.folder(&path, &to, wanted)?;
            } else {
                self.file(&path, &to)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &Path) -> Result<(), ArchiveError> {
        let unreadable = |source| ArchiveError::Read { path: from.to_owned(), source };
        let file = plain::open_own(from).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(meta.len());
        header.set_mode(0o644);
        let changed = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        header.set_mtime(changed.map_or(0, |time| time.as_secs()));
        let mut content = Exactly { file, left: meta.len(), failure: None };
        match self.tar.append_data(&mut header, to, &mut content) {
            Ok(()) => {
                self.packed.files += 1;
                self.packed.bytes += meta.len();
                Ok(())
            }
            Err(source) => Err(match content.failure {
                Some(source) => unreadable(source),
                None => ArchiveError::Write { path: self.out.to_owned(), source },
            }),
        }
    }
}

/// As many bytes of a file as it had when it was opened: a run that trains appends to its files.
struct Exactly {
    file: File,
    left: u64,
    /// That reading failed, and not writing.
    failure: Option<io::Error>,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = match self.file.read(&mut buffer[..most]) {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it became shorter while it was read; try again",
            )),
            other => other,
        };
        match read {
            Ok(read) => {
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                self.failure = Some(error);
                Err(told)
            }
        }
    }
}
