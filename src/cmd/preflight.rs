//! What is looked at before the first run starts: experiment files, corpora, devices. Nothing starts unless all are good.

use crate::cli::Selection;
use crate::config::experiment::{DeviceChoice, RunPlan};
use crate::config::{self, LoadOptions};
use crate::data::{self, Dataset, Found};
use crate::engine::device;
use crate::error::Error;
use crate::launcher::local::Launcher;

/// Texts up to this size are tokenized beforehand, to see whether they are long enough and fit the model.
const READ_BEFOREHAND_BYTES: u64 = 64 << 20;

/// Expands and validates experiment files, and looks at their corpora and devices.
pub fn load_plans(selection: &Selection, launcher: &Launcher) -> Result<Vec<RunPlan>, Error> {
    let options = LoadOptions { set: selection.set.clone(), only: selection.only.clone() };
    let plans = config::load(&selection.files, &options)?;
    check_corpora(&plans)?;
    // What will be skipped for want of a device needs none.
    check_devices(plans.iter().filter(|plan| launcher.unmet(plan).is_none()))?;
    Ok(plans)
}

fn check_corpora(plans: &[RunPlan]) -> Result<(), Error> {
    let mut read: Option<(&RunPlan, Dataset)> = None;
    for plan in plans {
        let refused =
            |source| Error::Corpus { experiment: plan.experiment.name.clone(), source: Box::new(source) };
        // The points of one sweep mostly share their corpus.
        if read.as_ref().is_none_or(|(other, _)| other.data != plan.data) {
            let bytes = match data::preflight(&plan.data).map_err(refused)? {
                Found::Embedded | Found::Cached { .. } => 0,
                Found::File { bytes } | Found::Folder { bytes, .. } => bytes,
                Found::Missing { .. } => continue,
            };
            if bytes > READ_BEFOREHAND_BYTES {
                continue;
            }
            read = Some((plan, data::load(&plan.data).map_err(refused)?));
        }
        if let Some((_, dataset)) = &read {
            dataset.check(plan).map_err(refused)?;
        }
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
