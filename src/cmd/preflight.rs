//! What is looked at before the first run starts: experiment files, corpora, devices. Nothing starts unless all are good.

use crate::cli::Selection;
use crate::config::experiment::{DeviceChoice, RunPlan};
use crate::config::{self, LoadOptions};
use crate::data::{self, DataError, Dataset, Found};
use crate::engine::device;
use crate::error::Error;
use crate::launcher::local::Launcher;
use crate::sinks::progress::Screen;
use crate::units;

/// Texts up to this size are tokenized beforehand, to see whether they are long enough and fit the model.
const READ_BEFOREHAND_BYTES: u64 = 64 << 20;

/// Expands and validates experiment files, and looks at their corpora, weights and devices. What will be skipped on this
/// machine needs none of these.
pub fn load_plans(selection: &Selection, launcher: &Launcher) -> Result<Vec<RunPlan>, Error> {
    let options = LoadOptions { set: selection.set.clone(), only: selection.only.clone() };
    let plans = config::load(&selection.files, &options)?;
    check_corpora(wanted(&plans, launcher))?;
    check_weights(wanted(&plans, launcher))?;
    check_devices(wanted(&plans, launcher))?;
    Ok(plans)
}

/// Downloads the corpora that are not on this machine, once and before the first run, so that a person hears at once when
/// that cannot be done.
pub fn fetch_corpora(plans: &[RunPlan], launcher: &Launcher, screen: &Screen) -> Result<(), Error> {
    for plan in wanted(plans, launcher) {
        let found = data::preflight(&plan.data).map_err(|source| refused(plan, source))?;
        if let Found::Missing { url, bytes, .. } = found {
            screen.note(&format!("downloading {url} ({})", units::bytes(bytes as f64)));
            let dataset = data::load(&plan.data).map_err(|source| refused(plan, source))?;
            dataset.check(plan).map_err(|source| refused(plan, source))?;
        }
    }
    Ok(())
}

fn wanted<'a>(plans: &'a [RunPlan], launcher: &Launcher) -> impl Iterator<Item = &'a RunPlan> {
    plans.iter().filter(|plan| launcher.unmet(plan).is_none())
}

fn refused(plan: &RunPlan, source: DataError) -> Error {
    Error::Corpus { experiment: plan.experiment.name.clone(), source: Box::new(source) }
}

fn check_corpora<'a>(plans: impl Iterator<Item = &'a RunPlan>) -> Result<(), Error> {
    let mut read: Option<(&RunPlan, Dataset)> = None;
    for plan in plans {
        // The points of one sweep mostly share their corpus.
        if read.as_ref().is_none_or(|(other, _)| other.data != plan.data) {
            let bytes = match data::preflight(&plan.data).map_err(|source| refused(plan, source))? {
                Found::Embedded | Found::Cached { .. } => 0,
                Found::File { bytes } | Found::Folder { bytes, .. } => bytes,
                Found::Missing { .. } => continue,
            };
            if bytes > READ_BEFOREHAND_BYTES {
                continue;
            }
            read = Some((plan, data::load(&plan.data).map_err(|source| refused(plan, source))?));
        }
        if let Some((_, dataset)) = &read {
            dataset.check(plan).map_err(|source| refused(plan, source))?;
        }
    }
    Ok(())
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
        if let DeviceChoice::Cuda(ordinal) = plan.hardware.device {
            device::check_cuda(ordinal)
                .map_err(|source| Error::Device { experiment: plan.experiment.name.clone(), source })?;
        }
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
