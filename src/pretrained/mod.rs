//! Finding a trained model on disk: by a run's name or directory, a checkpoint, or a Hugging Face GPT-2 folder.

mod checkpoint;
mod error;
mod hugging_face;
mod sampling;
pub mod start;
#[cfg(test)]
mod tests;
mod tokenizer;

use std::path::{Path, PathBuf};

use crate::data::tokenizer::Tokenizer;
use crate::files::home;
use crate::model::foreign::Foreign;
use crate::model::shards::INDEX_FILE;
use crate::model::{ModelConfig, WEIGHTS_FILE};
use crate::store::RunDir;

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
}

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
        format!("step {}{role}", self.step)
    }
}

/// The model that `argument` means: the path of a run's directory, of one of its checkpoints (or of the file `best` or `last`, which
/// names one), of a Hugging Face folder or of a `model.safetensors` in one of these; or `<experiment>/<run>`, or an `<experiment>` that has a single run, in `runs_dir`.
/// Of a run, `which` checkpoint. A checkpoint's weights are held against their checksum.
///
/// # Errors
/// When it means nothing, or more than one run; when there is no checkpoint, or a damaged one; when the model or its tokenizer
/// is not one that this program knows.
pub fn find(runs_dir: &Path, argument: &str, which: Which) -> Result<Pretrained, PretrainedError> {
    let path = home::expand(Path::new(argument))
        .map_err(|error| PretrainedError::File { path: argument.into(), reason: error.to_string() })?;
    if path.exists() {
        return open(&path, which);
    }
    if path != Path::new(argument) {
        return Err(PretrainedError::NotAModel { path: path.into_owned() });
    }
    let runs = crate::store::scan::resolve(runs_dir, argument)?;
    match runs.as_slice() {
        [run] => checkpoint::of_run(&RunDir::open(run), which),
        _ => Err(PretrainedError::SeveralRuns { argument: argument.to_owned(), runs: names(&runs) }),
    }
}

/// As [`find`], for a path alone.
///
/// # Errors
/// As [`find`].
pub fn open(path: &Path, which: Which) -> Result<Pretrained, PretrainedError> {
    let folder = match path.file_name() {
        Some(name) if (name == WEIGHTS_FILE || name == INDEX_FILE) && path.is_file() => {
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
        }
        _ => path,
    };
    if !folder.is_dir() {
        if let Some(checkpoint) = checkpoint::named_by(path)? {
            return open(&checkpoint, which);
        }
        return Err(match Foreign::of_file(path) {
            Ok(Some(foreign)) => PretrainedError::File { path: path.to_owned(), reason: foreign.to_string() },
            _ => PretrainedError::NotAModel { path: path.to_owned() },
        });
    }
    if let Some((dir, step)) = checkpoint::place_of(folder) {
        return checkpoint::at(&dir, step);
    }
    if folder.join(CONFIG_FILE).is_file() {
        return hugging_face::open(folder);
    }
    if is_run(folder) {
        return checkpoint::of_run(&RunDir::open(folder), which);
    }
    let mut runs = crate::store::scan::scan(folder);
    match (runs.len(), runs.pop()) {
        (1, Some((run, _))) => checkpoint::of_run(&RunDir::open(run), which),
        (0, _) | (_, None) => Err(hugging_face::instead(folder)
            .unwrap_or_else(|| PretrainedError::NotAModel { path: path.to_owned() })),
        (_, Some(last)) => {
            let runs: Vec<PathBuf> = runs.into_iter().chain([last]).map(|(path, _)| path).collect();
            Err(PretrainedError::SeveralRuns { argument: path.display().to_string(), runs: names(&runs) })
        }
    }
}

fn is_run(folder: &Path) -> bool {
    let dir = RunDir::open(folder);
    dir.manifest().is_file() || dir.config().is_file()
}

/// `experiment/run` of the first few.
fn names(runs: &[PathBuf]) -> Vec<String> {
    runs.iter().map(|run| checkpoint::name_of(&RunDir::open(run))).collect()
}
