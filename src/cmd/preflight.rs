//! What is looked at before the first run starts: experiment files, corpora, devices. Nothing starts unless all are good.

use crate::cli::Selection;
use crate::config::experiment::{DataSource, RunPlan, TokenizerKind};
use crate::config::{self, LoadOptions};
use crate::data::tokenizer::fixed_vocab_size;
use crate::data::{self, DataError, Dataset, Found};
use crate::engine;
use crate::engine::cost::{Cost, cost};
use crate::error::{CorpusProblem, Error};
use crate::launcher::Launcher;
use crate::sinks::progress::Screen;
use crate::units;

/// Texts up to this size are tokenized beforehand, to see whether they are long enough and fit the model.
const READ_BEFOREHAND_BYTES: u64 = 64 << 20;

/// Bytes of text that become one of GPT-2's tokens, for texts too large to be tokenized beforehand: Tiny Shakespeare has
/// 3.3, plain English prose more, so that an estimate from it is not too small.
const BYTES_PER_GPT2_TOKEN: f64 = 3.3;

/// A run that can be started, and what is known of it before.
pub struct Planned {
    pub plan: RunPlan,
    /// Ids of its tokenizer; `None` for the characters of a corpus that was not read.
    pub vocab_size: Option<usize>,
    /// Of the corpus's text, where it was read.
    pub sha256: Option<String>,
    /// Arithmetic and memory; `None` where nothing is computed or the vocabulary is not known.
    pub cost: Option<Cost>,
}

impl Planned {
    fn new(plan: RunPlan, corpus: &Corpus) -> Self {
        let (vocab_size, tokens) = match corpus {
            Corpus::Read(dataset) => (Some(dataset.tokenizer.vocab_size()), dataset.tokens()),
            Corpus::Unread { bytes } => {
                let tokenizer = plan.data.tokenizer;
                let bytes_per_token =
                    if tokenizer == TokenizerKind::Gpt2 { BYTES_PER_GPT2_TOKEN } else { 1.0 };
                (fixed_vocab_size(tokenizer), (*bytes as f64 / bytes_per_token) as u64)
            }
        };
        let known = plan.model.vocab_size.or(vocab_size);
        let cost = known.and_then(|vocab_size| cost(&plan, vocab_size, tokens));
        let sha256 = match corpus {
            Corpus::Read(dataset) => Some(dataset.info().sha256),
            Corpus::Unread { .. } => None,
        };
        Self { plan, vocab_size, sha256, cost }
    }
}

/// Expands and validates experiment files, and looks at their corpora, weights and devices. What will be skipped on this
/// machine needs none of these.
pub fn load_plans(selection: &Selection, launcher: &Launcher) -> Result<Vec<Planned>, Error> {
    let options = LoadOptions { set: selection.set.clone(), only: selection.only.clone() };
    let plans = config::load(&selection.files, &options)?;
    let planned = check_corpora(plans, launcher)?;
    check_weights(wanted(&planned, launcher))?;
    check_devices(wanted(&planned, launcher))?;
    Ok(planned)
}

/// In words, that runs which would be started here may need more memory than is free.
pub fn short_of_memory(planned: &[Planned], launcher: &Launcher) -> Option<String> {
    let runs: Vec<_> = planned
        .iter()
        .filter(|run| launcher.unmet(&run.plan).is_none())
        .filter_map(|run| Some((&run.plan, run.cost.as_ref()?)))
        .collect();
    launcher.short_of_memory(&runs)
}

/// Downloads the corpora that are not on this machine, once and before the first run, so that a person hears at once when
/// that cannot be done.
pub fn fetch_corpora(planned: &[Planned], launcher: &Launcher, screen: &Screen) -> Result<(), Error> {
    for plan in wanted(planned, launcher) {
        let refused = |source| Error::Corpora(vec![problem(plan, source)]);
        let found = data::preflight(&plan.data).map_err(refused)?;
        if let Found::Missing { url, bytes, .. } = found {
            screen.note(&format!("downloading {url} ({})", units::bytes(bytes as f64)));
            let dataset = data::load(&plan.data).map_err(refused)?;
            dataset.check(plan).map_err(refused)?;
        }
    }
    Ok(())
}

fn wanted<'a>(planned: &'a [Planned], launcher: &Launcher) -> impl Iterator<Item = &'a RunPlan> {
    planned.iter().map(|run| &run.plan).filter(|plan| launcher.unmet(plan).is_none())
}

/// What is wrong, with the place of the key that decides it.
fn problem(plan: &RunPlan, source: DataError) -> CorpusProblem {
    let key = match (&source, &plan.data.source) {
        (DataError::VocabularyTooSmall { .. }, _) => "model.vocab_size",
        (_, DataSource::Path(_)) => "data.path",
        (_, DataSource::Corpus(_)) => "data.corpus",
    };
    let origin = match plan.resolved.iter().find(|resolved| resolved.key == key) {
        Some(resolved) => format!("`{key}` is {} ({})", resolved.value, resolved.source),
        None => format!("this is about `{key}`"),
    };
    CorpusProblem { experiment: plan.experiment.name.clone(), source: Box::new(source), origin }
}

/// A corpus as far as it was looked at.
enum Corpus {
    Read(Box<Dataset>),
    /// Too large to be read beforehand, or not on this machine.
    Unread {
        bytes: u64,
    },
}

impl Corpus {
    fn open(plan: &RunPlan) -> Result<Self, DataError> {
        let bytes = match data::preflight(&plan.data)? {
            Found::Embedded | Found::Cached { .. } => 0,
            Found::File { bytes } | Found::Folder { bytes, .. } => bytes,
            Found::Missing { bytes, .. } => return Ok(Self::Unread { bytes }),
        };
        if bytes > READ_BEFOREHAND_BYTES {
            return Ok(Self::Unread { bytes });
        }
        Ok(Self::Read(Box::new(data::load(&plan.data)?)))
    }
}

fn check_corpora(plans: Vec<RunPlan>, launcher: &Launcher) -> Result<Vec<Planned>, Error> {
    let mut planned: Vec<Planned> = Vec::with_capacity(plans.len());
    let mut corpus = Corpus::Unread { bytes: 0 };
    let mut problems: Vec<CorpusProblem> = Vec::new();
    let mut refuse = |plan: &RunPlan, source: DataError| {
        let problem = problem(plan, source);
        // The points of one sweep mostly share their problem.
        if problems.iter().all(|known| known.to_string() != problem.to_string()) {
            problems.push(problem);
        }
    };
    for plan in plans {
        let skipped = launcher.unmet(&plan).is_some();
        // The points of one sweep mostly share their corpus.
        if planned.last().is_none_or(|last| last.plan.data != plan.data) {
            corpus = match Corpus::open(&plan) {
                Ok(opened) => opened,
                Err(source) => {
                    if !skipped {
                        refuse(&plan, source);
                    }
                    Corpus::Unread { bytes: 0 }
                }
            };
        }
        if let Corpus::Read(dataset) = &corpus
            && !skipped
            && let Err(source) = dataset.check(&plan)
        {
            refuse(&plan, source);
        }
        planned.push(Planned::new(plan, &corpus));
    }
    if problems.is_empty() { Ok(planned) } else { Err(Error::Corpora(problems)) }
}

fn check_weights<'a>(plans: impl Iterator<Item = &'a RunPlan>) -> Result<(), Error> {
    for plan in plans {
        let Some(path) = &plan.train.init_from else { continue };
        let reason = match std::fs::File::open(path).and_then(|file| file.metadata()) {
            Ok(file) if file.is_file() => continue,
            Ok(_) => "this is not a file".to_owned(),
            Err(error) => error.to_string(),
        };
        let experiment = plan.experiment.name.clone();
        return Err(Error::InitFrom { experiment, path: path.clone(), reason });
    }
    Ok(())
}

fn check_devices<'a>(plans: impl Iterator<Item = &'a RunPlan>) -> Result<(), Error> {
    for plan in plans {
        engine::check_device(plan)
            .map_err(|source| Error::Device { experiment: plan.experiment.name.clone(), source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::schema::{self, Kind};
    use crate::data::corpus::KNOWN;

    #[test]
    fn the_configuration_accepts_the_corpora_that_data_knows() {
        let Some(Kind::Choice(words)) = schema::key("data.corpus").map(|key| &key.kind) else {
            panic!("data.corpus is a choice");
        };
        let named: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
        let known: Vec<&str> = KNOWN.iter().map(|corpus| corpus.name).collect();
        assert_eq!(named, known);
    }
}
