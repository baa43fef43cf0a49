//! What is looked at before the first run starts: experiment files, corpora, devices. Nothing starts unless all are good.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::Selection;
use crate::config::experiment::{DataPlan, DataSource, DeviceChoice, RunPlan, TokenizerKind};
use crate::config::{self, LoadOptions};
use crate::data::tokenizer::{Tokenizer, fixed_vocab_size};
use crate::data::{self, DataError, Dataset, Found, LARGE_BYTES};
use crate::engine;
use crate::engine::cost::{Cost, cost};
use crate::error::{CorpusProblem, Error};
use crate::facts::DataInfo;
use crate::launcher::Launcher;
use crate::launcher::disk::{self, Wanted};
use crate::launcher::prepare::{self, Place};
use crate::pretrained::start;
use crate::pretrained::{Start, StartError};
use crate::sinks::progress::Screen;
use crate::store::Turn;
use crate::train::StopFlag;
use crate::units;

/// Bytes of text that become one of GPT-2's tokens, for texts too large to be tokenized beforehand: Tiny Shakespeare has
/// 3.3, plain English prose more, so that an estimate from it is not too small.
const BYTES_PER_GPT2_TOKEN: f64 = 3.3;

/// A run that can be started, and what is known of it before.
pub struct Planned {
    pub plan: RunPlan,
    /// Ids of its tokenizer; `None` for the characters of a corpus that was not read.
    pub vocab_size: Option<usize>,
    /// What the corpus is, where it was read.
    pub data: Option<DataInfo>,
    /// What a person should know of it.
    pub notices: Vec<String>,
    /// What it begins from; `None` for random weights.
    pub start: Option<Start>,
    /// Arithmetic and memory; `None` where nothing is computed or the vocabulary is not known.
    pub cost: Option<Cost>,
}

impl Planned {
    fn new(plan: RunPlan, start: Option<Start>, corpus: &Corpus) -> Self {
        let (vocab_size, tokens) = match corpus {
            Corpus::Read(dataset) => (Some(dataset.tokenizer.vocab_size()), dataset.tokens_in_memory()),
            Corpus::Unread { bytes } => {
                let tokenizer = plan.data.tokenizer;
                let bytes_per_token =
                    if tokenizer == TokenizerKind::Gpt2 { BYTES_PER_GPT2_TOKEN } else { 1.0 };
                let taken_over = start.as_ref().and_then(|start| start.tokenizer.as_ref());
                let vocab_size = taken_over.map(Tokenizer::vocab_size).or(fixed_vocab_size(tokenizer));
                // Those of a large corpus lie in a file.
                let in_file = plan.data.cache && *bytes > LARGE_BYTES;
                let tokens = if in_file { 0 } else { (*bytes as f64 / bytes_per_token) as u64 };
                (vocab_size, tokens)
            }
        };
        let known = plan.model.vocab_size.or(vocab_size);
        let cost = known.and_then(|vocab_size| cost(&plan, vocab_size, tokens));
        let (data, notices) = match corpus {
            Corpus::Read(dataset) => (Some(dataset.info()), dataset.notices.clone()),
            Corpus::Unread { .. } => (None, Vec::new()),
        };
        Self { plan, vocab_size, data, notices, start, cost }
    }
}

/// Expands and validates experiment files, and looks at their corpora, weights and devices. What will be skipped on this
/// machine needs none of these, and what will be trained elsewhere no device of this one.
pub fn load_plans(selection: &Selection, launcher: &Launcher, place: Place) -> Result<Vec<Planned>, Error> {
    let options = LoadOptions { set: selection.set.clone(), only: selection.only.clone() };
    let plans = config::load(&selection.expanded(), &options)?;
    let plans = find_starts(plans, launcher)?;
    let planned = check_corpora(plans, launcher)?;
    check_sizes(&planned, launcher)?;
    if place == Place::Here {
        check_devices(wanted(&planned, launcher).map(|run| &run.plan))?;
    }
    Ok(planned)
}

/// In words, which run each experiment begins from, where it was chosen among several.
pub fn chosen_starts(planned: &[Planned]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for run in planned {
        let chosen = run.start.as_ref().and_then(|start| Some((start, start.chosen.as_ref()?)));
        let Some((start, chosen)) = chosen else { continue };
        let step = start.info.step.map_or_else(String::new, |step| format!(", step {step}"));
        let line = format!("{} begins from {chosen}{step}", run.plan.experiment.name);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
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

/// In words, that these runs, those of them which compute, may need more room on the disk than is free below `runs_dir`. Each comes
/// with its directory, made or not.
pub fn short_of_disk<'a>(
    runs: impl Iterator<Item = (&'a Planned, PathBuf)>,
    runs_dir: &Path,
) -> Option<String> {
    let wanted =
        runs.filter_map(|(run, dir)| Some(Wanted { plan: &run.plan, cost: run.cost.as_ref()?, dir }));
    disk::shortage(&wanted.collect::<Vec<_>>(), runs_dir)
}

/// In words, each key that someone set and that has no effect, and what of the machine is less than was set. Each is told once.
pub fn unread_keys(planned: &[Planned]) -> Vec<String> {
    let mut remarks = Vec::new();
    for plan in planned.iter().map(|run| &run.plan) {
        for remark in prepare::idle(plan, Place::Here) {
            if !remarks.contains(&remark) {
                remarks.push(remark);
            }
        }
    }
    remarks
}

/// The right to make directories for these runs: one turn for each experiment, in one order, so that two commands cannot wait for
/// each other.
pub fn take_turns(planned: &[Planned], runs_dir: &Path) -> Vec<Turn> {
    let names: BTreeSet<&str> = planned.iter().map(|run| run.plan.experiment.name.as_str()).collect();
    names.into_iter().filter_map(|name| Turn::take(&runs_dir.join(name))).collect()
}

/// Downloads the corpora that are not on this machine, and makes the tokens of large ones, once and before the first run, so that a
/// person hears at once when that cannot be done, and runs that train at the same time do not each do it. What is known of them then is
/// added to the runs.
///
/// # Errors
/// What is wrong with a corpus. When `stop` asks for it, making tokens ends early: whoever calls looks at it first.
pub fn fetch_corpora(
    planned: &mut [Planned],
    launcher: &Launcher,
    screen: &Screen,
    stop: &StopFlag,
) -> Result<(), Error> {
    let mut last: Option<(DataPlan, Option<Tokenizer>, Dataset)> = None;
    // What was read when it was planned was checked then.
    let unread = |run: &&mut Planned| run.data.is_none() && launcher.unmet(&run.plan).is_none();
    for Planned { plan, start, data, .. } in planned.iter_mut().filter(unread) {
        let refused = |source| Error::Corpora(vec![problem(plan, source)]);
        let tokenizer = start.as_ref().and_then(|start| start.tokenizer.as_ref());
        // The points of one sweep mostly share their corpus.
        let same = |(data, taken_over, _): &_| *data == plan.data && Option::as_ref(taken_over) == tokenizer;
        if !last.as_ref().is_some_and(same) {
            let fetched = fetch(&plan.data, tokenizer, screen, stop).map_err(refused)?;
            last = fetched.map(|dataset| (plan.data.clone(), tokenizer.cloned(), dataset));
        }
        if let Some((.., dataset)) = &last {
            dataset.check(plan).map_err(refused)?;
            *data = Some(dataset.info());
        }
    }
    Ok(())
}

/// A corpus that was downloaded, or whose tokens were made and kept; `None` of one that each run reads for itself.
fn fetch(
    plan: &DataPlan,
    tokenizer: Option<&Tokenizer>,
    screen: &Screen,
    stop: &StopFlag,
) -> Result<Option<Dataset>, DataError> {
    match data::preflight(plan)? {
        Found::File { bytes } | Found::Folder { bytes, .. } if bytes > LARGE_BYTES => {
            let made = plan.cache.then(|| make_tokens(plan, tokenizer, bytes, screen, stop));
            return made.transpose();
        }
        Found::Missing { url, bytes, .. } => {
            screen.note(&format!("downloading {url} ({})", units::bytes(bytes as f64)));
        }
        _ => {}
    }
    data::load_with(plan, tokenizer).map(Some)
}

/// Makes and keeps the tokens of a large corpus, if they are not there.
fn make_tokens(
    plan: &DataPlan,
    tokenizer: Option<&Tokenizer>,
    bytes: u64,
    screen: &Screen,
    stop: &StopFlag,
) -> Result<Dataset, DataError> {
    // For its characters a text is read once more.
    let passes = if plan.tokenizer == TokenizerKind::Char { 2 } else { 1 };
    let began = Instant::now();
    let reading = screen.reading(&format!("tokens of {}", plan.source()), bytes * passes);
    let progress = |bytes| {
        reading.add(bytes);
        !stop.is_requested()
    };
    let dataset = data::load_telling(plan, tokenizer, &progress)?;
    reading.finish();
    for (path, bytes) in &dataset.kept {
        screen.note(&format!(
            "{} tokens of {}, made in {}, are kept in {} ({}); it can be deleted, and `data.cache = false` keeps none",
            units::count(dataset.tokens()),
            plan.source(),
            units::duration(began.elapsed().as_secs_f64()),
            path.display(),
            units::bytes(*bytes as f64)
        ));
    }
    dataset.notices.iter().for_each(|notice| screen.note(&format!("note: {notice}")));
    Ok(dataset)
}

/// Those that would be started here.
pub fn wanted<'a>(planned: &'a [Planned], launcher: &Launcher) -> impl Iterator<Item = &'a Planned> {
    planned.iter().filter(|run| launcher.unmet(&run.plan).is_none())
}

/// What is wrong, with the place of the key that decides it.
fn problem(plan: &RunPlan, source: DataError) -> CorpusProblem {
    let key = match (&source, &plan.data.source()) {
        (DataError::VocabularyTooSmall { .. }, _) => "model.vocab_size",
        (_, DataSource::Path(_) | DataSource::Paths(_)) => "data.path",
        (_, DataSource::Corpus(_)) => "data.corpus",
    };
    let origin = origin(plan, key);
    CorpusProblem { experiment: plan.experiment.name.clone(), source: Box::new(source), origin }
}

/// Where the value of a key comes from.
fn origin(plan: &RunPlan, key: &str) -> String {
    match plan.resolved_key(key) {
        Some(resolved) => format!("`{key}` is {} ({})", resolved.value, resolved.source),
        None => format!("this is about `{key}`"),
    }
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
    fn open(plan: &RunPlan, tokenizer: Option<&Tokenizer>) -> Result<Self, DataError> {
        let bytes = match data::preflight(&plan.data)? {
            Found::Embedded | Found::Cached { .. } => 0,
            Found::File { bytes } | Found::Folder { bytes, .. } => bytes,
            Found::Missing { bytes, .. } => return Ok(Self::Unread { bytes }),
        };
        if bytes > LARGE_BYTES {
            let kept = data::load_kept(&plan.data, tokenizer)?;
            return Ok(kept.map_or(Self::Unread { bytes }, |dataset| Self::Read(Box::new(dataset))));
        }
        Ok(Self::Read(Box::new(data::load_with(&plan.data, tokenizer)?)))
    }
}

/// Looks at what the runs begin from. A run of which this machine lacks something may begin from what is not here either.
fn find_starts(plans: Vec<RunPlan>, launcher: &Launcher) -> Result<Vec<(RunPlan, Option<Start>)>, Error> {
    let mut found: Vec<(RunPlan, Option<Start>)> = Vec::with_capacity(plans.len());
    for plan in plans {
        // The points of one sweep mostly share what they begin from, and to read it takes time.
        let same = |earlier: &RunPlan| {
            earlier.train.init_from == plan.train.init_from
                && earlier.data.tokenizer == plan.data.tokenizer
                && earlier.model.block_size == plan.model.block_size
        };
        let known = found.iter().find(|(earlier, start)| start.is_some() && same(earlier));
        let start = match known.map(|(_, start)| start.clone()) {
            Some(start) => start,
            None => match start_of(&plan, launcher.runs_dir()) {
                Ok(start) => start,
                Err(_) if launcher.unmet(&plan).is_some() => None,
                Err(source) => return Err(init_from_error(&plan, source)),
            },
        };
        found.push((plan, start));
    }
    Ok(found)
}

/// A scripted run has no weights, so it begins from nothing; what it names must be there all the same.
fn start_of(plan: &RunPlan, runs_dir: &Path) -> Result<Option<Start>, StartError> {
    match &plan.train.init_from {
        Some(path) if *plan.hardware.device == DeviceChoice::Scripted => {
            start::look(path, runs_dir).map(|()| None)
        }
        _ => Start::find(plan, runs_dir),
    }
}

fn init_from_error(plan: &RunPlan, source: StartError) -> Error {
    let experiment = plan.experiment.name.clone();
    let path = plan.train.init_from.clone().unwrap_or_default();
    let path = config::name_of_run(&path.to_string_lossy()).map_or_else(|| path.clone(), PathBuf::from);
    let origin = origin(plan, "train.init_from");
    Error::InitFrom { experiment, path, source: Box::new(source), origin }
}

fn check_sizes(planned: &[Planned], launcher: &Launcher) -> Result<(), Error> {
    for Planned { plan, start, vocab_size, .. } in wanted(planned, launcher) {
        if let Some(start) = start {
            start.check_sizes(plan, *vocab_size).map_err(|source| init_from_error(plan, source))?;
        }
    }
    Ok(())
}

fn check_corpora(plans: Vec<(RunPlan, Option<Start>)>, launcher: &Launcher) -> Result<Vec<Planned>, Error> {
    let mut planned: Vec<Planned> = Vec::with_capacity(plans.len());
    let mut corpus = Corpus::Unread { bytes: 0 };
    let tokenizer = |start: &Option<Start>| start.as_ref().and_then(|start| start.tokenizer.clone());
    let mut problems: Vec<CorpusProblem> = Vec::new();
    let mut refuse = |plan: &RunPlan, source: DataError| {
        let problem = problem(plan, source);
        // The points of one sweep mostly share their problem.
        if problems.iter().all(|known| known.to_string() != problem.to_string()) {
            problems.push(problem);
        }
    };
    for (plan, start) in plans {
        let skipped = launcher.unmet(&plan).is_some();
        // The points of one sweep mostly share their corpus.
        let taken_over = tokenizer(&start);
        let same = |last: &Planned| last.plan.data == plan.data && tokenizer(&last.start) == taken_over;
        if !planned.last().is_some_and(same) {
            corpus = match Corpus::open(&plan, taken_over.as_ref()) {
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
        planned.push(Planned::new(plan, start, &corpus));
    }
    if problems.is_empty() { Ok(planned) } else { Err(Error::Corpora(problems)) }
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
