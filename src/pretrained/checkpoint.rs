//! Checkpoints of runs.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Origin, Pretrained, PretrainedError, Sampling, tokenizer};
use crate::config::{self, experiment::DeviceChoice};
use crate::facts::Status;
use crate::files::plain;
use crate::model::{ModelConfig, WEIGHTS_FILE};
use crate::store::checksums::{self, Unsound};
use crate::store::{RunDir, StoreError, tags, tags::Tag};

/// Which of a run's checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The one with the lowest loss, validation loss where the run measured it; the last one where none is called best.
    #[default]
    Best,
    Last,
    Step(u64),
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "best" => Ok(Self::Best),
            "last" => Ok(Self::Last),
            _ => {
                let step = text.strip_prefix("step-").unwrap_or(text).parse();
                step.map(Self::Step).map_err(|_| "this is `best`, `last` or a step".to_owned())
            }
        }
    }
}

/// Run and step of the checkpoint that lies at `folder`: `<run>/checkpoints/step-000500`.
pub fn place_of(folder: &Path) -> Option<(RunDir, u64)> {
    // `.` and links have no telling name of their own.
    let folder = folder.canonicalize().ok()?;
    let step = folder.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()?;
    let dir = RunDir::open(folder.parent()?.parent()?);
    (dir.config().is_file() && dir.checkpoints().checkpoint(step) == folder).then_some((dir, step))
}

/// The tag that lies at `folder`: `<run>/checkpoints/tags/v1`.
pub fn tag_at(folder: &Path) -> Option<Tag> {
    let folder = folder.canonicalize().ok()?;
    let dir = RunDir::open(folder.parent()?.parent()?.parent()?);
    let is_tag = dir.config().is_file() && folder.parent() == Some(dir.checkpoints().tags().as_path());
    is_tag.then(|| tags::of(&dir))?.into_iter().find(|tag| tag.path() == folder)
}

/// The checkpoint that the file at `path`, a run's `best` or `last`, names; `None` if it is no such file.
///
/// # Errors
/// When what it names is not there.
pub fn named_by(path: &Path) -> Result<Option<PathBuf>, PretrainedError> {
    let is_pointer = path.file_name().is_some_and(|name| name == "best" || name == "last");
    let Some(step) = Some(path).filter(|_| is_pointer).and_then(pointed) else { return Ok(None) };
    // Where it lies, whatever links lead to it.
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder =
        place.parent().and_then(Path::parent).map(|run| RunDir::open(run).checkpoints().checkpoint(step));
    match folder {
        Some(folder) if folder.is_dir() => Ok(Some(folder)),
        _ => Err(PretrainedError::Damaged {
            path: path.to_owned(),
            reason: format!("the checkpoint of step {step}, which it names, is not there"),
            advice: "name another checkpoint's folder".to_owned(),
        }),
    }
}

/// `experiment/run`.
pub fn name_of(dir: &RunDir) -> String {
    match dir.read_manifest() {
        Ok(manifest) => format!("{}/{}", manifest.run.experiment, manifest.run.name),
        Err(_) => dir.path().display().to_string(),
    }
}

/// The model of a run.
pub fn of_run(dir: &RunDir, which: Which) -> Result<Pretrained, PretrainedError> {
    let checkpoints = dir.checkpoints();
    let there = checkpoints.steps()?;
    let Some(&newest) = there.last() else { return Err(no_checkpoint(dir)) };
    let step = match which {
        Which::Best => best(dir)?.unwrap_or(newest),
        Which::Last => newest,
        Which::Step(step) if there.contains(&step) => step,
        Which::Step(step) => return Err(PretrainedError::NoSuchStep { run: name_of(dir), step, there }),
    };
    at(dir, step)
}

/// The model of the checkpoint of `step`.
pub fn at(dir: &RunDir, step: u64) -> Result<Pretrained, PretrainedError> {
    in_folder(dir, step, dir.checkpoints().checkpoint(step), None)
}

/// The model of a checkpoint with a name.
pub fn tagged(tag: &Tag) -> Result<Pretrained, PretrainedError> {
    in_folder(&tag.dir, tag.step, tag.path(), Some(tag.name.clone()))
}

fn in_folder(
    dir: &RunDir,
    step: u64,
    path: PathBuf,
    tag: Option<String>,
) -> Result<Pretrained, PretrainedError> {
    let checkpoints = dir.checkpoints();
    let run = name_of(dir);
    let sum = dir.read_manifest().ok().and_then(|manifest| manifest.config_sha256);
    let plan = config::read_frozen(&dir.config(), sum.as_deref())
        .map_err(|source| PretrainedError::Config { run: run.clone(), source })?;
    if *plan.hardware.device == DeviceChoice::Scripted {
        return Err(PretrainedError::Scripted { run });
    }
    match checksums::verify_one(&path, WEIGHTS_FILE) {
        Ok(()) => {}
        Err(Unsound::Unreadable { path, source }) => return Err(StoreError::Read { path, source }.into()),
        Err(Unsound::Newer(found)) => {
            let supported = checksums::FORMAT_VERSION;
            return Err(StoreError::NewerFormat { path, found: found.into(), supported }.into());
        }
        Err(Unsound::Damaged(reason)) => {
            let others: Vec<String> =
                checkpoints.steps()?.iter().filter(|&&other| other != step).map(u64::to_string).collect();
            let advice = match others.as_slice() {
                [] => "train the run again".to_owned(),
                others => format!("the run has others, of step {}", others.join(" and ")),
            };
            return Err(PretrainedError::Damaged { path, reason, advice });
        }
    }
    let tokenizer = tokenizer::of_run(dir, &run, &plan)?;
    let model = ModelConfig::new(&plan.model, tokenizer.vocab_size());
    let is = |pointer: PathBuf| pointed(&pointer) == Some(step);
    let (is_best, is_last) = (is(checkpoints.best()), is(checkpoints.last()));
    let origin = Some(Origin { dir: dir.clone(), step, is_best, is_last, tag });
    let sampling = Sampling::of_plan(&plan.sample);
    let weights = path.join(WEIGHTS_FILE);
    Ok(Pretrained { name: run, weights, model, tokenizer, sampling, notes: Vec::new(), origin })
}

/// The checkpoint that the run calls its best; `None` where it names none, as without evaluations.
fn best(dir: &RunDir) -> Result<Option<u64>, PretrainedError> {
    let path = dir.checkpoints().best();
    let damaged = |reason: String| PretrainedError::Damaged {
        path: path.clone(),
        reason,
        advice: "choose another with --checkpoint: last, or a step".to_owned(),
    };
    match plain::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) if checksums::is_damage(&error) => Err(damaged(error.to_string())),
        Err(source) => Err(StoreError::Read { path, source }.into()),
        Ok(_) => match pointed(&path) {
            None => Err(damaged("it names no checkpoint".to_owned())),
            Some(step) if dir.checkpoints().checkpoint(step).is_dir() => Ok(Some(step)),
            Some(step) => {
                Err(damaged(format!("the checkpoint of step {step}, which it names, is not there")))
            }
        },
    }
}

/// The step in a file like `best`, which names a checkpoint.
fn pointed(pointer: &Path) -> Option<u64> {
    plain::read_to_string(pointer).ok()?.trim_end().strip_prefix("step-")?.parse().ok()
}

fn no_checkpoint(dir: &RunDir) -> PretrainedError {
    let status = dir.read_manifest_now().ok().map(|manifest| manifest.status);
    let run = name_of(dir);
    let (why, advice) = match status {
        Some(Status::Running | Status::Queued) => {
            (" yet", "one is written every `checkpoint.interval` steps: wait for the first".to_owned())
        }
        Some(Status::Failed | Status::Interrupted) => {
            (": none is left, or it ended before the first one", format!("resume it: runner resume {run}"))
        }
        Some(Status::Diverged) => (
            ": it diverged before the first one",
            "train it again with a lower optimizer.learning_rate or a longer schedule.warmup_steps"
                .to_owned(),
        ),
        Some(Status::Skipped) => (": it was skipped here", "train it where it fits".to_owned()),
        Some(Status::Finished) | None => ("", "train it again with checkpoint.interval above 0".to_owned()),
    };
    PretrainedError::NoCheckpoint { run, why: why.to_owned(), advice }
}
