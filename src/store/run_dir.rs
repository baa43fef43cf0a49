use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::line_at;
use super::lock::{self, WriteLock, Writer};
use super::manifest::{FORMAT_VERSION, Manifest};
use crate::facts::{Status, StopReason};
use crate::files::{atomic, plain, sha256};

/// The file whose lock the writer holds.
pub(super) const LOCK: &str = "lock";

/// A run's directory: knows where each of its files lies. Holds nothing open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunDir(PathBuf);

/// Which directory on which disk a [`RunDir`] is, where the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(Option<(u64, u64)>);

impl RunDir {
    /// What it is at this moment, for [`RunDir::check_same`] later on.
    ///
    /// # Errors
    /// When it is not there.
    pub fn identity(&self) -> Result<Identity, StoreError> {
        let meta =
            fs::metadata(&self.0).map_err(|source| StoreError::Read { path: self.0.clone(), source })?;
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            Some((meta.dev(), meta.ino()))
        };
        #[cfg(not(unix))]
        let identity = meta.is_dir().then_some((0, 0));
        Ok(Identity(identity))
    }

    /// Looks whether it still is what it was. A system that cannot say so at the moment does not make it another one.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when nothing is there, or something else.
    pub fn check_same(&self, before: Identity) -> Result<(), StoreError> {
        let gone = match self.identity() {
            Ok(now) => now != before,
            Err(StoreError::Read { source, .. }) => source.kind() == io::ErrorKind::NotFound,
            Err(_) => false,
        };
        if gone { Err(StoreError::Gone { dir: self.0.clone() }) } else { Ok(()) }
    }

    /// Makes `runs_dir/experiment/run/` with `manifest.toml` and `config.toml` in it. An existing directory is never
    /// touched: `run-2`, `run-3`, ... is made instead, and `manifest.run.name` set to it. Only the place of a run that
    /// was skipped is taken: nothing was trained there. `fill` adds further files. The directory is there with all
    /// that is in it or not at all, and two processes that start the same run get two directories.
    ///
    /// # Errors
    /// When the directory cannot be made or written to.
    pub fn create(
        runs_dir: &Path,
        experiment: &str,
        run: &str,
        manifest: &mut Manifest,
        config_toml: &str,
        fill: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<RunDir, StoreError> {
        let parent = runs_dir.join(experiment);
        fs::create_dir_all(&parent)
            .map_err(|source| StoreError::CreateRun { path: parent.clone(), source })?;
        let made = |source| StoreError::CreateRun { path: parent.clone(), source };
        // Built aside, so that nothing half-made is ever taken for a run.
        let aside = tempfile::Builder::new().prefix(atomic::TEMPORARY).tempdir_in(&parent).map_err(made)?;
        let whole = RunDir(aside.path().join("run"));
        fs::create_dir(whole.path()).map_err(made)?;
        write(&whole.config(), config_toml.as_bytes())?;
        manifest.config_sha256 = Some(sha256(config_toml.as_bytes()));
        fill(whole.path())?;
        let mut name = run.to_owned();
        let mut number = 2_u64;
        loop {
            let path = parent.join(&name);
            if path.symlink_metadata().is_ok() && !(was_skipped(&path) && fs::remove_dir_all(&path).is_ok()) {
                name = format!("{run}-{number}");
                number += 1;
                continue;
            }
            manifest.run.name.clone_from(&name);
            whole.write_manifest(manifest)?;
            match fs::rename(whole.path(), &path) {
                Ok(()) => return Ok(RunDir(path)),
                // Another process was faster; its directory is not empty.
                Err(_) if path.symlink_metadata().is_ok() => {}
                Err(source) => return Err(made(source)),
            }
        }
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

    /// What people write of the run. The program reads it and never writes there.
    pub fn notes(&self) -> PathBuf {
        self.0.join("notes.md")
    }

    /// What the run's process printed besides its events: panics, messages of the system and of libraries.
    pub fn output(&self) -> PathBuf {
        self.0.join("output.log")
    }

    /// Looks whether what a run writes line by line, or below a folder, can be written where the run is, before hours are spent on it.
    ///
    /// # Errors
    /// When something else than a file or a folder of its own stands there: a link, a pipe.
    pub fn check_places(&self) -> Result<(), StoreError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Write { path, source }
        };
        for path in [self.metrics(), self.log(), self.samples()] {
            plain::check(&path).map_err(failed(&path))?;
        }
        let checkpoints = self.checkpoints();
        plain::check_folder(checkpoints.path()).map_err(failed(checkpoints.path()))
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
            // What lies behind a link is somebody else's.
            if folder != &self.0 && plain::check_folder(folder).is_err() {
                continue;
            }
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(atomic::TEMPORARY) {
                    // It costs space and nothing else.
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }

    /// Replaces the configuration, so that a process that is killed meanwhile leaves one that is gone on with.
    ///
    /// # Errors
    /// When it or the manifest cannot be written.
    pub fn replace_config(&self, config_toml: &str, manifest: &mut Manifest) -> Result<(), StoreError> {
        // Neither sum would fit both files.
        let after = Manifest { config_sha256: Some(sha256(config_toml.as_bytes())), ..manifest.clone() };
        manifest.config_sha256 = None;
        self.write_manifest(manifest)?;
        write(&self.config(), config_toml.as_bytes())?;
        *manifest = after;
        self.write_manifest(manifest)
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
            manifest.message = Some("its process ended without a message".to_owned());
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
        let newer = |found: i64| {
            (found > i64::from(FORMAT_VERSION)).then(|| StoreError::NewerFormat {
                path: path.clone(),
                found,
                supported: FORMAT_VERSION,
            })
        };
        match toml::from_str::<Manifest>(&text) {
            Ok(manifest) => match newer(i64::from(manifest.format_version)) {
                Some(error) => Err(error),
                None => Ok(manifest),
            },
            Err(error) => {
                // A newer manifest may lack keys that this program wants.
                let table: toml::Table = text.parse().map_err(bad)?;
                let found = table.get("format_version").and_then(toml::Value::as_integer);
                Err(found.and_then(newer).unwrap_or_else(|| bad(error)))
            }
        }
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

    /// Steps of the checkpoints that are there, in rising order. Without the folder there are none.
    ///
    /// # Errors
    /// When it cannot be read which there are: that is not to have none.
    pub fn steps(&self) -> Result<Vec<u64>, StoreError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Read { path, source }
        };
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(unreadable(&self.0))?,
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry.map_err(unreadable(&self.0))?.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix("step-")?.parse().ok());
            let Some(step) = step.filter(|&step| self.checkpoint(step).file_name() == Some(&name)) else {
                continue;
            };
            let path = self.checkpoint(step);
            match fs::metadata(&path) {
                Ok(found) if found.is_dir() => steps.push(step),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError::Read { path, source }),
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Checkpoints that people gave a name: nothing but [`tags`](super::tags) writes or deletes here.
    pub fn tags(&self) -> PathBuf {
        self.0.join("tags")
    }

    /// The folder of the checkpoint of this name.
    pub fn tag(&self, name: &str) -> PathBuf {
        self.tags().join(name)
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
    let mut bytes = Vec::new();
    plain::open(path)?.take(LARGEST_MANIFEST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_MANIFEST_BYTES {
        return Err(io::Error::other(format!(
            "more than {} MiB are too many for a manifest",
            LARGEST_MANIFEST_BYTES >> 20
        )));
    }
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    atomic::write(path, bytes).map_err(|source| StoreError::Write { path: path.to_owned(), source })
}

/// Whether nothing was done in the directory, by the program or by a person.
fn was_skipped(path: &Path) -> bool {
    let dir = RunDir::open(path);
    let was_written_to = dir.notes().symlink_metadata().is_ok();
    !was_written_to && dir.read_manifest().is_ok_and(|manifest| manifest.status == Status::Skipped)
}
