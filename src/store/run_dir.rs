use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::line_at;
use super::lock::{self, WriteLock, Writer};
use super::manifest::{FORMAT_VERSION, Manifest};
use crate::facts::{Status, StopReason};
use crate::files::atomic;

/// The file whose lock the writer holds.
pub(super) const LOCK: &str = "lock";

/// A run's directory: knows where each of its files lies. Holds nothing open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Makes `runs_dir/experiment/run/` with `manifest.toml` and `config.toml` in it. An existing directory is never
    /// touched: `run-2`, `run-3`, ... is made instead, and `manifest.run.name` set to it. Only the place of a run that
    /// was skipped is taken: nothing was trained there. Creating a directory is
    /// atomic, so two processes that start the same run get two directories.
    ///
    /// # Errors
    /// When the directory cannot be made or written to.
    pub fn create(
        runs_dir: &Path,
        experiment: &str,
        run: &str,
        manifest: &mut Manifest,
        config_toml: &str,
    ) -> Result<RunDir, StoreError> {
        let parent = runs_dir.join(experiment);
        fs::create_dir_all(&parent)
            .map_err(|source| StoreError::CreateRun { path: parent.clone(), source })?;
        let mut name = run.to_owned();
        let mut number = 2_u64;
        let dir = loop {
            let path = parent.join(&name);
            match fs::create_dir(&path) {
                Ok(()) => break RunDir(path),
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                    if was_skipped(&path) && fs::remove_dir_all(&path).is_ok() {
                        continue;
                    }
                    name = format!("{run}-{number}");
                    number += 1;
                }
                Err(source) => return Err(StoreError::CreateRun { path: parent, source }),
            }
        };
        manifest.run.name = name;
        dir.write_manifest(manifest)?;
        write(&dir.config(), config_toml.as_bytes())?;
        Ok(dir)
    }

    /// The run directory at `path`. Nothing is read or checked.
    pub fn open(path: impl Into<PathBuf>) -> RunDir {
        RunDir(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The run's name: the last part of the path.
    pub fn name(&self) -> String {
        self.0.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// What the run was and how it ended.
    pub fn manifest(&self) -> PathBuf {
        self.0.join("manifest.toml")
    }

    /// Every resolved key; can be given to `runner` again.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// One column per metric, one row per step.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.csv")
    }

    /// The events as they were, one JSON object per line.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.jsonl")
    }

    /// Prompts and continuations by step, for people.
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples.md")
    }

    pub fn checkpoints(&self) -> CheckpointsDir {
        CheckpointsDir(self.0.join("checkpoints"))
    }

    /// Made by the report, as is [`RunDir::report`]; can be deleted and remade.
    pub fn plots(&self) -> PathBuf {
        self.0.join("plots")
    }

    pub fn report(&self) -> PathBuf {
        self.0.join("report.md")
    }

    /// What the run's process printed besides its events: panics, messages of the system and of libraries.
    pub fn output(&self) -> PathBuf {
        self.0.join("output.log")
    }

    /// Takes the right to write here, for as long as the answer lives.
    ///
    /// # Errors
    /// When another process has it, and when the folder cannot be written to.
    pub fn lock(&self) -> Result<WriteLock, StoreError> {
        WriteLock::take(&self.0.join(LOCK), &Writer::here())
    }

    /// Who writes here at this moment.
    pub fn writer(&self) -> Option<Writer> {
        lock::writer(&self.0.join(LOCK))
    }

    /// Deletes what a process that was killed in the middle of a write left behind. Only who holds the lock may do that.
    pub fn remove_leftovers(&self) {
        for folder in [&self.0, &self.checkpoints().0] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(atomic::TEMPORARY) {
                    // It costs space and nothing else.
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }

    /// Replaces the manifest atomically.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = self.manifest();
        let text = toml::to_string_pretty(manifest)
            .map_err(|error| StoreError::EncodeManifest { path: path.clone(), reason: error.to_string() })?;
        write(&path, text.as_bytes())
    }

    /// [`RunDir::read_manifest`], where a run that is said to train although nobody does is called what it is: interrupted,
    /// its process killed.
    ///
    /// # Errors
    /// As [`RunDir::read_manifest`].
    pub fn read_manifest_now(&self) -> Result<Manifest, StoreError> {
        let manifest = self.read_manifest()?;
        if !matches!(manifest.status, Status::Running | Status::Queued) || self.writer().is_some() {
            return Ok(manifest);
        }
        // It may have come to its end between the two looks.
        let mut manifest = self.read_manifest()?;
        if manifest.status == Status::Running {
            manifest.status = Status::Interrupted;
            manifest.stop_reason = Some(StopReason::Killed);
            manifest.message = Some("its process ended without a word".to_owned());
        }
        Ok(manifest)
    }

    /// Reads the manifest of this format version or an older one.
    ///
    /// # Errors
    /// When it is not there, not readable, not a manifest, or of a newer format version.
    pub fn read_manifest(&self) -> Result<Manifest, StoreError> {
        let path = self.manifest();
        let bytes = match read_small(&path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::NoManifest { path });
            }
            Err(source) => return Err(StoreError::Read { path, source }),
        };
        let text = String::from_utf8_lossy(&bytes);
        let bad = |error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = line_at(text.as_bytes(), start);
            StoreError::BadManifest { path: path.clone(), line, reason: error.message().to_owned() }
        };
        // The version is looked at first: a newer manifest may lack keys that this program wants.
        let table: toml::Table = text.parse().map_err(bad)?;
        if let Some(found) = table.get("format_version").and_then(toml::Value::as_integer)
            && found > i64::from(FORMAT_VERSION)
        {
            return Err(StoreError::NewerFormat { path, found, supported: FORMAT_VERSION });
        }
        toml::from_str(&text).map_err(bad)
    }
}

/// The `checkpoints` folder of a run: knows what lies in it under which name. It need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointsDir(PathBuf);

impl CheckpointsDir {
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `step-000500`, a folder.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.0.join(format!("step-{step:06}"))
    }

    /// Steps of the checkpoints that are there, in rising order.
    pub fn steps(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let step = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let digits = name.to_str()?.strip_prefix("step-")?;
            let step = digits.parse().ok()?;
            (self.checkpoint(step).file_name() == Some(&name) && entry.path().is_dir()).then_some(step)
        };
        let mut steps: Vec<u64> = entries.filter_map(step).collect();
        steps.sort_unstable();
        steps
    }

    /// A file that names the checkpoint with the lowest loss.
    pub fn best(&self) -> PathBuf {
        self.0.join("best")
    }

    /// A file that names the checkpoint that was saved last.
    pub fn last(&self) -> PathBuf {
        self.0.join("last")
    }
}

/// Largest manifest that is read: a thousand attempts take some 300 KB.
const LARGEST_MANIFEST_BYTES: u64 = 16 << 20;

/// Reads a file that has an end, and that not too far away.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("this is not a file"));
    }
    if metadata.len() > LARGEST_MANIFEST_BYTES {
        return Err(io::Error::other(format!("{} bytes are too many for a manifest", metadata.len())));
    }
    fs::read(path)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    atomic::write(path, bytes).map_err(|source| StoreError::Write { path: path.to_owned(), source })
}

fn was_skipped(path: &Path) -> bool {
    RunDir::open(path).read_manifest().is_ok_and(|manifest| manifest.status == Status::Skipped)
}
