use std::path::PathBuf;

use crate::config::ConfigErrors;
use crate::data::DataError;
use crate::store::StoreError;

/// A trained model could not be found, or is none that this program knows.
#[derive(Debug, thiserror::Error)]
pub enum PretrainedError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{argument} has {} runs{why}: name one of {}{advice}", runs.len(), first(runs))]
    SeveralRuns { argument: String, runs: Vec<String>, why: String, advice: &'static str },
    #[error(
        "{name} is a tag and an experiment by now; say {tagged} for the checkpoint, and {} for the experiment",
        path.display()
    )]
    TagOrExperiment { name: String, tagged: String, path: PathBuf },
    #[error(
        "{run}@{which}: `{which}` is no checkpoint of it; say a step, best, last{}",
        if there.is_empty() { " or the name of a tag (it has none)".to_owned() } else { format!(" or a tag: {}", first(there)) }
    )]
    NoSuchTag { run: String, which: String, there: Vec<String> },
    #[error(
        "{} holds no model: neither a run nor a checkpoint nor a Hugging Face folder (config.json and model.safetensors)",
        path.display()
    )]
    NotAModel { path: PathBuf },
    #[error("run {run} has no checkpoint{why}; {advice}")]
    NoCheckpoint { run: String, why: String, advice: String },
    #[error("run {run} is scripted: it has a loss curve and no model")]
    Scripted { run: String },
    #[error("run {run} has no checkpoint of step {step}; it has {}", steps(there))]
    NoSuchStep { run: String, step: u64, there: Vec<u64> },
    #[error("checkpoint {} cannot be used: {reason}; {advice}", path.display())]
    Damaged { path: PathBuf, reason: String, advice: String },
    #[error("the configuration of run {run} cannot be read:\n{source}")]
    Config { run: String, source: ConfigErrors },
    #[error("run {run} was trained with the characters of its corpus, and these are not known: {source}")]
    Corpus { run: String, source: Box<DataError> },
    #[error(
        "run {run} was trained with the characters of its corpus, which has another text now; put the text back that the run \
         was trained on"
    )]
    CorpusChanged { run: String },
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
}

fn first(runs: &[String]) -> String {
    let shown = runs.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    if runs.len() > 5 { format!("{shown}, ...") } else { shown }
}

fn steps(steps: &[u64]) -> String {
    if steps.is_empty() {
        return "none".to_owned();
    }
    steps.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
