//! Names that people give to checkpoints: `checkpoints/tags/<name>` in the run's directory, a copy of its own.
//!
//! The copy's files are hard links where the file system has them, so that it costs nothing until the run drops the original, and
//! no rotation, overwriting or pruning of the others can touch it. A tag goes where its run goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::checksums::{self, Unsound};
use super::error::StoreError;
use super::run_dir::RunDir;
use super::{Turn, scan};
use crate::files::{FOLDER_LONGEST, FOLDER_SIGNS, atomic, is_folder_name, plain, why_no_folder_name};

/// Date and note of a tag, beside the checkpoint's files.
const FILE: &str = "tag.toml";
/// What a checkpoint calls its weights; everything else in it is the trainer's.
const WEIGHTS: &str = "model.safetensors";
/// Longest note that is kept, in bytes.
const LONGEST_NOTE: usize = 10_000;

/// A named checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    pub name: String,
    /// The run that it is of.
    pub dir: RunDir,
    pub step: u64,
    pub tagged_at: Timestamp,
    /// SHA-256 of the weights; empty where the checkpoint's own list of sums cannot be read.
    pub sha256: String,
    pub note: String,
}

impl Tag {
    /// The folder with the checkpoint's files.
    pub fn path(&self) -> PathBuf {
        self.dir.checkpoints().tag(&self.name)
    }
}

/// What stands in [`FILE`].
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    step: u64,
    tagged_at: Timestamp,
    #[serde(default)]
    note: String,
}

/// A checkpoint could not be given a name, or a name not be taken away.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{name:?} cannot be a tag's name: {reason}")]
    BadName { name: String, reason: String },
    #[error(
        "{name:?} cannot be a tag's name: there is {what} of that name, and a command could not tell which is meant; choose another"
    )]
    NameTaken { name: String, what: &'static str },
    #[error(
        "the tag {name} is there already: {there}; choose another name, move it with --force, or delete it with `runner tag --delete {name}`"
    )]
    Exists { name: String, there: String },
    #[error("there is no tag {name:?}{}", did_you_mean(nearest))]
    Unknown { name: String, nearest: Vec<String> },
    #[error("the checkpoint {} cannot be tagged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("the note has {bytes} bytes, and {LONGEST_NOTE} are kept; put it into the run's notes.md")]
    LongNote { bytes: usize },
}

fn did_you_mean(nearest: &[String]) -> String {
    match nearest {
        [] => "; `runner tag --list` lists those there are".to_owned(),
        nearest => format!("; did you mean {}?", nearest.join(" or ")),
    }
}

/// The run's tags, by name. One whose date and note cannot be read is there all the same.
pub fn of(dir: &RunDir) -> Vec<Tag> {
    let folder = dir.checkpoints().tags();
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut tags: Vec<Tag> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| read(dir, entry.file_name().to_str()?))
        .collect();
    tags.sort_by(|a, b| a.name.cmp(&b.name));
    tags
}

/// The tag of this name of a run.
fn read(dir: &RunDir, name: &str) -> Option<Tag> {
    // What is being written, and what no tag is called.
    if check_name(name).is_err() {
        return None;
    }
    let path = dir.checkpoints().tag(name);
    let said: Option<Said> =
        plain::read_to_string(&path.join(FILE)).ok().and_then(|text| toml::from_str(&text).ok());
    let said = match said {
        Some(said) => said,
        None => {
            // What the trainer wrote of the step is enough to use it.
            let state = plain::read(&path.join("loop.json")).ok()?;
            let state: serde_json::Value = serde_json::from_slice(&state).ok()?;
            let tagged_at = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
            let tagged_at =
                tagged_at.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
            Said { step: state.get("step")?.as_u64()?, tagged_at, note: String::new() }
        }
    };
    let sha256 = weights_sum(&path).unwrap_or_default();
    let Said { step, tagged_at, note } = said;
    Some(Tag { name: name.to_owned(), dir: dir.clone(), step, tagged_at, sha256, note })
}

/// All tags of the runs below `runs_dir`, by name.
pub fn all(runs_dir: &Path) -> Vec<Tag> {
    let mut tags: Vec<Tag> =
        scan::paths(runs_dir).into_iter().flat_map(|path| of(&RunDir::open(path))).collect();
    tags.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.dir.cmp(&b.dir)));
    tags
}

/// The tag of this name below `runs_dir`. Where runs were brought together that both have it, the one that was given last.
pub fn find(runs_dir: &Path, name: &str) -> Option<Tag> {
    check_name(name).ok()?;
    let runs = scan::paths(runs_dir).into_iter().map(RunDir::open);
    runs.filter(|dir| dir.checkpoints().tag(name).is_dir())
        .filter_map(|dir| read(&dir, name))
        .max_by(|a, b| a.tagged_at.cmp(&b.tagged_at).then_with(|| b.dir.cmp(&a.dir)))
}

/// What is wrong with a tag's name.
fn check_name(name: &str) -> Result<(), TagError> {
    let bad = |reason: String| Err(TagError::BadName { name: name.to_owned(), reason });
    if !is_folder_name(name) {
        return bad(why_no_folder_name(name, FOLDER_SIGNS, FOLDER_LONGEST));
    }
    let is_step = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if ["best", "last", "tags"].contains(&name) || is_step(name.strip_prefix("step-").unwrap_or(name)) {
        return bad("it means a checkpoint already, as in RUN@best or RUN@500; choose another".to_owned());
    }
    Ok(())
}

/// Gives the checkpoint of `step` of a run a name, which it keeps whatever becomes of the run's others. `replace` takes the name
/// from the checkpoint that had it. Of two processes that ask for one name at once, one gets it.
///
/// # Errors
/// When the name is none, or a run's or an experiment's, or taken; when the checkpoint is not what was written; when something
/// cannot be written. Nothing is changed then.
pub fn add(
    runs_dir: &Path,
    dir: &RunDir,
    step: u64,
    name: &str,
    note: &str,
    replace: bool,
) -> Result<Tag, TagError> {
    check_name(name)?;
    if note.len() > LONGEST_NOTE {
        return Err(TagError::LongNote { bytes: note.len() });
    }
    let turn = Turn::take(runs_dir);
    if let Some(what) = taken_by(runs_dir, name) {
        return Err(TagError::NameTaken { name: name.to_owned(), what });
    }
    let there = find(runs_dir, name);
    if let Some(there) = there.as_ref().filter(|_| !replace) {
        let there = format!(
            "{}, step {}, of {}",
            scan::id_of(&there.dir),
            there.step,
            there.tagged_at.strftime("%Y-%m-%d")
        );
        return Err(TagError::Exists { name: name.to_owned(), there });
    }
    let tags = dir.checkpoints().tags();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Write { path, source }
    };
    for folder in [dir.checkpoints().path(), &tags] {
        plain::check_folder(folder).map_err(failed(folder))?;
    }
    fs::create_dir_all(&tags).map_err(failed(&tags))?;
    if turn.is_some() {
        remove_leftovers(&tags);
    }
    // One that the run has dropped may have another name.
    let kept = || of(dir).into_iter().find(|tag| tag.step == step).map(|tag| tag.path());
    let source = Some(dir.checkpoints().checkpoint(step)).filter(|path| path.is_dir());
    let source = source.or_else(kept).unwrap_or_else(|| dir.checkpoints().checkpoint(step));
    let aside =
        tempfile::Builder::new().prefix(atomic::TEMPORARY).tempdir_in(&tags).map_err(failed(&tags))?;
    let copy = aside.path().join("tag");
    link_all(&source, &copy).map_err(failed(&copy))?;
    // Whoever relies on a name for years should not find out then.
    checksums::verify(&copy).map_err(|problem| match problem {
        Unsound::Damaged(reason) => TagError::Damaged { path: source.clone(), reason },
        Unsound::Unreadable { path, source } => StoreError::Read { path, source }.into(),
        Unsound::Newer(found) => {
            let supported = checksums::FORMAT_VERSION;
            StoreError::NewerFormat { path: source.clone(), found: found.into(), supported }.into()
        }
    })?;
    let said = Said { step, tagged_at: Timestamp::now(), note: note.to_owned() };
    let path = dir.checkpoints().tag(name);
    let text = toml::to_string_pretty(&said).map_err(|error| failed(&path)(io::Error::other(error)))?;
    plain::write_new(&copy.join(FILE), text).map_err(failed(&path))?;
    let publish = || {
        atomic::sync_dir(&copy)?;
        put_in_place(&copy, &path, &aside.path().join("before"))?;
        atomic::sync_dir(&tags)
    };
    publish().map_err(failed(&path))?;
    if let Some(before) = there.filter(|before| before.dir != *dir) {
        delete(&before)?;
    }
    let sha256 = weights_sum(&path).unwrap_or_default();
    let Said { tagged_at, note, .. } = said;
    Ok(Tag { name: name.to_owned(), dir: dir.clone(), step, tagged_at, sha256, note })
}

/// Moves a folder to where another may be, which goes to `before`: a name is of the old checkpoint or of the new one. After an error
/// it is of the old one still, which `before` would take along when it is deleted.
fn put_in_place(new: &Path, path: &Path, before: &Path) -> io::Result<()> {
    let had = path.exists();
    if had {
        fs::rename(path, before)?;
    }
    let moved = fs::rename(new, path);
    if moved.is_err() && had {
        fs::rename(before, path)?;
    }
    moved
}

/// Takes a name away, and the copy that it kept. The run's own checkpoints stay.
///
/// # Errors
/// When it cannot be deleted.
pub fn delete(tag: &Tag) -> Result<(), StoreError> {
    let (path, tags) = (tag.path(), tag.dir.checkpoints().tags());
    let failed = |source| StoreError::Write { path: path.clone(), source };
    let aside = tempfile::Builder::new().prefix(atomic::TEMPORARY).tempdir_in(&tags).map_err(failed)?;
    fs::rename(&path, aside.path().join("deleted")).map_err(failed)?;
    drop(aside);
    // The last one leaves no empty folder behind; one that is not empty stays.
    let _ = fs::remove_dir(&tags);
    Ok(())
}

/// The tag of this name.
///
/// # Errors
/// When there is none; the error offers the nearest names.
pub fn existing(runs_dir: &Path, name: &str) -> Result<Tag, TagError> {
    find(runs_dir, name).ok_or_else(|| {
        let names: Vec<String> = all(runs_dir).into_iter().map(|tag| tag.name).collect();
        let near = |other: &String| strsim::normalized_damerau_levenshtein(name, other) >= 0.5;
        TagError::Unknown { name: name.to_owned(), nearest: names.into_iter().filter(near).take(3).collect() }
    })
}

/// What else a command would take the name for.
fn taken_by(runs_dir: &Path, name: &str) -> Option<&'static str> {
    let runs = scan::paths(runs_dir);
    let same = |part: Option<&std::ffi::OsStr>| {
        part.is_some_and(|part| part.to_string_lossy().eq_ignore_ascii_case(name))
    };
    let below =
        |path: &Path| path.parent().is_some_and(|parent| parent != runs_dir && same(parent.file_name()));
    if runs.iter().any(|path| below(path)) {
        Some("an experiment")
    } else if runs.iter().any(|path| same(path.file_name())) {
        Some("a run")
    } else {
        None
    }
}

fn weights_sum(checkpoint: &Path) -> Option<String> {
    checksums::recorded(checkpoint).into_iter().find(|(name, _)| name == WEIGHTS).map(|(_, sum)| sum)
}

/// Makes `to` a folder with the files of `from`, linked, or copied where the file system has no links.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, source) = (entry.file_name(), entry.path());
        // A tag's own file is no part of the checkpoint.
        if name == FILE {
            continue;
        }
        plain::check(&source)?;
        let target = to.join(&name);
        if fs::hard_link(&source, &target).is_err() {
            let mut file = plain::create_new(&target)?;
            io::copy(&mut plain::open_own(&source)?, &mut file)?;
            file.sync_all()?;
        }
    }
    Ok(())
}

/// What a process that was killed left behind; only one at a time writes here.
fn remove_leftovers(tags: &Path) {
    for entry in fs::read_dir(tags).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(atomic::TEMPORARY) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
#[path = "tags_tests.rs"]
mod tests;
