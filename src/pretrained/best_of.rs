//! The best of several runs, by the number that decides between their models.

use std::path::{Path, PathBuf};

use super::{PretrainedError, names};
use crate::belonging;
use crate::facts::Status;
use crate::store::RunDir;
use crate::store::manifest::{Manifest, Results};
use crate::units;

/// A number by which models are told apart; lower is better.
struct Criterion {
    words: &'static str,
    get: fn(&Results) -> Option<f64>,
    /// It says how well the model does on text that it was not trained on.
    by_validation: bool,
}

/// What decides, first to last. The best checkpoint of a run is chosen by the first that it has, too.
const CRITERIA: [Criterion; 3] = [
    Criterion { words: "lowest validation loss", get: |results| results.best_val_loss, by_validation: true },
    Criterion {
        words: "lowest loss over the training corpus",
        get: |results| results.corpus_loss,
        by_validation: false,
    },
    Criterion {
        words: "lowest smoothed train loss",
        get: |results| results.final_train_loss_ema,
        by_validation: false,
    },
];

struct Candidate {
    dir: RunDir,
    manifest: Manifest,
    results: Results,
}

/// The best of these runs, and in words why that. Runs that failed, diverged or were stopped do not count, nor do those of another
/// configuration where there are current ones. `asked`: a person wants the best by whatever number they all have.
///
/// # Errors
/// [`PretrainedError::SeveralRuns`], where none of them has finished, or it is not clear which number decides.
pub fn choose(argument: &str, runs: &[PathBuf], asked: bool) -> Result<(RunDir, String), PretrainedError> {
    let refuse = |why: &str, advice: &'static str| {
        let (runs, argument) = (names(runs), argument.to_owned());
        Err(PretrainedError::SeveralRuns { argument, runs, why: why.to_owned(), advice })
    };
    let candidates = candidates(runs);
    if candidates.is_empty() {
        return refuse(", of which none has finished with a checkpoint", "");
    }
    if !same_text(&candidates) {
        return refuse(", which were trained on different texts, so that their losses do not compare", "");
    }
    let criterion = match criterion(&candidates, asked) {
        Ok(criterion) => criterion,
        Err(why) => return refuse(&why, if asked { "" } else { ", or ask for the best with --best" }),
    };
    let mut ranked: Vec<(f64, &Candidate)> =
        candidates.iter().filter_map(|one| Some((value(criterion, one)?, one))).collect();
    // Runs come in order, and of equals the first is taken.
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some((best, chosen)) = ranked.first() else {
        return refuse(", which have no loss in common", "");
    };
    let among = match (candidates.len(), runs.len()) {
        (1, all) => {
            format!("the only one of {all} runs of {argument} that counts (finished, with a checkpoint)")
        }
        (some, all) if some == all => format!("the best of the {all} runs of {argument}"),
        (some, all) => {
            format!(
                "the best of {some} runs of {argument} ({} more did not finish or are configured otherwise)",
                all - some
            )
        }
    };
    Ok((chosen.dir.clone(), format!("{among}: {}, {}", criterion.words, units::loss(*best))))
}

/// Runs that can be chosen.
fn candidates(runs: &[PathBuf]) -> Vec<Candidate> {
    let candidate = |path: &PathBuf| {
        let dir = RunDir::open(path);
        let manifest = dir.read_manifest_now().ok().filter(|manifest| manifest.status == Status::Finished)?;
        let results = manifest.results.clone()?;
        let has_checkpoint = dir.checkpoints().steps().is_ok_and(|steps| !steps.is_empty());
        has_checkpoint.then_some(Candidate { dir, manifest, results })
    };
    let mut candidates: Vec<Candidate> = runs.iter().filter_map(candidate).collect();
    let mut folders: Vec<&Path> = runs.iter().filter_map(|path| path.parent()).collect();
    folders.dedup();
    let current: Vec<PathBuf> =
        folders.iter().flat_map(|folder| belonging::of(folder, None).current).collect();
    let is_current = |one: &Candidate| current.iter().any(|path| path == one.dir.path());
    if candidates.iter().any(is_current) {
        candidates.retain(is_current);
    }
    candidates
}

/// Whether their losses are of the same tokens.
fn same_text(candidates: &[Candidate]) -> bool {
    let text = |one: &Candidate| {
        let data = one.manifest.data.as_ref()?;
        Some((data.sha256.clone(), data.tokenizer.clone(), data.vocab_size, data.val_tokens))
    };
    candidates.windows(2).all(|pair| text(&pair[0]) == text(&pair[1]))
}

fn value(criterion: &Criterion, one: &Candidate) -> Option<f64> {
    (criterion.get)(&one.results).filter(|value| value.is_finite())
}

/// The number that decides, or why none does.
fn criterion(candidates: &[Candidate], asked: bool) -> Result<&'static Criterion, String> {
    let metric = |one: &Candidate| one.manifest.target.as_ref().map(|target| target.metric.clone());
    let shared = candidates.windows(2).all(|pair| metric(&pair[0]) == metric(&pair[1]));
    if !shared && !asked {
        return Err(", which aim at different targets".to_owned());
    }
    // Who aims at the train loss does not ask how well the model does elsewhere.
    let target = candidates.first().and_then(|one| one.manifest.target.as_ref());
    let aims_at_train_loss = shared && target.is_some_and(|target| !target.is_of_validation());
    for criterion in CRITERIA.iter().filter(|criterion| !(criterion.by_validation && aims_at_train_loss)) {
        let measured = candidates.iter().filter(|one| value(criterion, one).is_some()).count();
        if measured == candidates.len() {
            return Ok(criterion);
        }
        if criterion.by_validation && measured > 0 && !asked {
            return Err(format!(", of which only {measured} measured a validation loss"));
        }
    }
    Err(", which have no loss in common".to_owned())
}
