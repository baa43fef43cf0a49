//! Finding a trained model on disk: by a run's name or directory, a checkpoint, or a Hugging Face GPT-2 folder.

mod best_of;
mod checkpoint;
mod error;
mod hugging_face;
mod sampling;
pub mod start;
#[cfg(test)]
mod tests;
mod tokenizer;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::data::tokenizer::Tokenizer;
use crate::files::home;
use crate::model::foreign::Foreign;
use crate::model::shards::INDEX_FILE;
use crate::model::{ModelConfig, WEIGHTS_FILE};
use crate::store::{RunDir, scan, tags};

pub use checkpoint::Which;
pub use error::PretrainedError;
pub use hugging_face::{CONFIG_FILE, config_json};
pub use sampling::{GENERATION_FILE, OWN_KEY, Sampling};
pub use start::{Start, StartError};

/// A trained model that was found. Its weights were not read yet.
#[derive(Clone, Debug)]
pub struct Pretrained {
    /// What people call it: `quickstart/seed=1337`, or the folder's name.
    pub name: String,
    /// The weights, or the index of the files that they lie in: Hugging Face's names for GPT-2.
    pub weights: PathBuf,
    pub model: ModelConfig,
    pub tokenizer: Tokenizer,
    pub sampling: Sampling,
    /// What a person should know of how it was read.
    pub notes: Vec<String>,
    /// `None` for a folder that no run of this program made.
    pub origin: Option<Origin>,
}

/// The run that trained a model, and the checkpoint that was chosen.
#[derive(Clone, Debug)]
pub struct Origin {
    pub dir: RunDir,
    pub step: u64,
    /// Whether the run calls this checkpoint its best, and its last.
    pub is_best: bool,
    pub is_last: bool,
    /// The name that a person gave it, if it was found by that.
    pub tag: Option<String>,
}

/// Which model is meant where a name alone leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of a run.
    pub which: Which,
    /// Of several runs the best is asked for. Otherwise it is meant where nothing else can be.
    pub best_run: bool,
}

impl From<Which> for Wanted {
    fn from(which: Which) -> Self {
        Self { which, best_run: false }
    }
}

/// What asks for the best of several runs behind their name, as the option of that name does: `lr-sweep --best`.
const BEST: &str = " --best";

impl Pretrained {
    /// In words, which settings came with the model and are not used here.
    pub fn unused(&self) -> Option<String> {
        let unused = &self.sampling.unused;
        (!unused.is_empty()).then(|| {
            format!(
                "{} sets {} in its {GENERATION_FILE}, which runner does not have: left out",
                self.name,
                unused.join(", ")
            )
        })
    }
}

impl Origin {
    /// `step 2000, the best`.
    pub fn describe(&self) -> String {
        let role = match (self.is_best, self.is_last) {
            (true, true) => ", the best and last",
            (true, false) => ", the best",
            (false, true) => ", the last",
            (false, false) => "",
        };
        let tag = self.tag.as_ref().map_or_else(String::new, |tag| format!(", tagged {tag}"));
        format!("step {}{role}{tag}", self.step)
    }
}

/// The model that `argument` means: the path of a run's directory, of one of its checkpoints (or of the file `best` or `last`, which
/// names one), of a Hugging Face folder or of a `model.safetensors` in one of these; or in `runs_dir` a tag, `<experiment>/<run>`, or
/// an `<experiment>` or a pattern. `RUN@500`, `RUN@last` and `RUN@tag` name the checkpoint too.
///
/// Of several runs the best is meant, if it is clear by which number, or if it is asked for: by `wanted`, as `NAME@best`, or as
/// `NAME --best`. Which it was stands in the model's notes. Of a run, the checkpoint of `wanted`. A checkpoint's weights are held
/// against their checksum.
///
/// # Errors
/// When it means nothing, or several runs of which none is the best; when there is no checkpoint, or a damaged one; when the model or its
/// tokenizer is not one that this program knows.
pub fn find(
    runs_dir: &Path,
    argument: &str,
    wanted: impl Into<Wanted>,
) -> Result<Pretrained, PretrainedError> {
    let mut wanted = wanted.into();
    wanted.best_run |= argument.ends_with(BEST);
    let argument = without_best(argument);
    let path = home::expand(Path::new(argument))
        .map_err(|error| PretrainedError::File { path: argument.into(), reason: error.to_string() })?;
    if path.exists() {
        return open(&path, wanted);
    }
    if let Some(tag) = tags::find(runs_dir, argument) {
        if !scan::paths(&runs_dir.join(argument)).is_empty() {
            return Err(PretrainedError::TagOrExperiment {
                name: argument.to_owned(),
                tagged: format!("{}@{}", scan::id_of(&tag.dir), tag.name),
                path: runs_dir.join(argument),
            });
        }
        return checkpoint::tagged(&tag);
    }
    if let Some((name, which)) = scan::split_checkpoint(argument) {
        let base = home::expand(Path::new(name)).map_or_else(|_| PathBuf::from(name), Cow::into_owned);
        let runs = match scan::paths(&base) {
            none if none.is_empty() => scan::resolve(runs_dir, name)?,
            runs => runs,
        };
        return checkpoint_of(name, &runs, which, wanted);
    }
    if path != Path::new(argument) {
        return Err(PretrainedError::NotAModel { path: path.into_owned() });
    }
    one_of(argument, &scan::resolve(runs_dir, argument)?, wanted)
}

/// The one run that `argument` means, of several the best, as for [`find`]; and in words why that, where it was chosen.
///
/// # Errors
/// As [`find`].
pub fn find_run(
    runs_dir: &Path,
    argument: &str,
    best_run: bool,
) -> Result<(RunDir, Option<String>), PretrainedError> {
    let best_run = best_run || argument.ends_with(BEST);
    let name = without_best(argument);
    match scan::resolve(runs_dir, name)?.as_slice() {
        [run] => Ok((RunDir::open(run), None)),
        several => best_of::choose(name, several, best_run).map(|(dir, why)| (dir, Some(why))),
    }
}

/// The name alone.
fn without_best(argument: &str) -> &str {
    argument.strip_suffix(BEST).map_or(argument, str::trim_end)
}

/// The checkpoint that stands behind the `@`.
fn checkpoint_of(
    name: &str,
    runs: &[PathBuf],
    which: &str,
    mut wanted: Wanted,
) -> Result<Pretrained, PretrainedError> {
    if let Ok(step) = which.parse() {
        wanted.which = step;
        wanted.best_run |= step == Which::Best;
        return one_of(name, runs, wanted);
    }
    let all = runs.iter().flat_map(|run| tags::of(&RunDir::open(run)));
    let (of_name, others): (Vec<tags::Tag>, Vec<tags::Tag>) = all.partition(|tag| tag.name == which);
    match of_name.as_slice() {
        [tag, ..] => checkpoint::tagged(tag),
        [] => Err(PretrainedError::NoSuchTag {
            run: name.to_owned(),
            which: which.to_owned(),
            there: others.into_iter().map(|tag| tag.name).collect(),
        }),
    }
}

fn one_of(argument: &str, runs: &[PathBuf], wanted: Wanted) -> Result<Pretrained, PretrainedError> {
    match runs {
        [run] => checkpoint::of_run(&RunDir::open(run), wanted.which),
        several => {
            let (dir, why) = best_of::choose(argument, several, wanted.best_run)?;
            let mut found = checkpoint::of_run(&dir, wanted.which)?;
            found.notes.push(why);
            Ok(found)
        }
    }
}

/// As [`find`], for a path alone.
///
/// # Errors
/// As [`find`].
pub fn open(path: &Path, wanted: impl Into<Wanted>) -> Result<Pretrained, PretrainedError> {
    let wanted = wanted.into();
    let folder = match path.file_name() {
        Some(name) if (name == WEIGHTS_FILE || name == INDEX_FILE) && path.is_file() => {
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
        }
        _ => path,
    };
    if !folder.is_dir() {
        if let Some(checkpoint) = checkpoint::named_by(path)? {
            return open(&checkpoint, wanted);
        }
        return Err(match Foreign::of_file(path) {
            Ok(Some(foreign)) => PretrainedError::File { path: path.to_owned(), reason: foreign.to_string() },
            _ => PretrainedError::NotAModel { path: path.to_owned() },
        });
    }
    if let Some((dir, step)) = checkpoint::place_of(folder) {
        return checkpoint::at(&dir, step);
    }
    if let Some(tag) = checkpoint::tag_at(folder) {
        return checkpoint::tagged(&tag);
    }
    if folder.join(CONFIG_FILE).is_file() {
        return hugging_face::open(folder);
    }
    if is_run(folder) {
        return checkpoint::of_run(&RunDir::open(folder), wanted.which);
    }
    match scan::paths(folder).as_slice() {
        [] => Err(hugging_face::instead(folder)
            .unwrap_or_else(|| PretrainedError::NotAModel { path: path.to_owned() })),
        runs => one_of(&path.display().to_string(), runs, wanted),
    }
}

fn is_run(folder: &Path) -> bool {
    let dir = RunDir::open(folder);
    dir.manifest().is_file() || dir.config().is_file()
}

/// `experiment/run` of each.
fn names(runs: &[PathBuf]) -> Vec<String> {
    runs.iter().map(|run| checkpoint::name_of(&RunDir::open(run))).collect()
}
