//! Whether the runs of an experiment have the same losses, for experiments that say they should
//! (`experiment.same_losses_within`): on another device, say, or with another number of threads.

use crate::facts::Status;
use crate::markdown::{Align, Table, code};
use crate::report::ending::Ending;
use crate::store::RunRecord;
use crate::units;

/// What became of one experiment's promise.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    pub experiment: String,
    /// The largest relative difference that is allowed.
    pub tolerance: f64,
    /// The run that the others are held against: the first on a processor, or else the first.
    pub reference: String,
    pub others: Vec<Other>,
}

/// One run beside the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    pub run: String,
    /// Where it trained.
    pub device: String,
    /// Steps that both have a train loss for.
    pub steps: usize,
    /// The step with the largest relative difference, and this; `None` without a common step.
    pub worst: Option<(u64, f64)>,
    /// Why the losses cannot be compared, if they cannot.
    pub trouble: Option<String>,
}

impl Other {
    fn agrees(&self, tolerance: f64) -> bool {
        self.trouble.is_none() && self.worst.is_some_and(|(_, difference)| difference <= tolerance)
    }
}

impl Agreement {
    /// Whether there was something to compare and all of it agrees.
    pub fn holds(&self) -> bool {
        !self.others.is_empty() && self.others.iter().all(|other| other.agrees(self.tolerance))
    }

    /// The verdict in one sentence.
    pub fn sentence(&self) -> String {
        let allowed = units::share(self.tolerance);
        if self.others.is_empty() {
            return format!("{}: there is nothing to compare {} with", self.experiment, self.reference);
        }
        let failed: Vec<String> = self
            .others
            .iter()
            .filter(|other| !other.agrees(self.tolerance))
            .map(|other| format!("{} {}", other.run, self.difference(other)))
            .collect();
        if failed.is_empty() {
            let worst = self
                .others
                .iter()
                .filter_map(|other| other.worst)
                .fold(0.0, |worst: f64, (_, x)| worst.max(x));
            let steps = self.others.iter().map(|other| other.steps).min().unwrap_or(0);
            let how = if worst == 0.0 { "exactly".to_owned() } else { format!("to {}", units::share(worst)) };
            return format!(
                "{}: the losses agree over {}, {how} (allowed: {allowed})",
                self.experiment,
                units::steps(steps as u64)
            );
        }
        format!(
            "{}: THE LOSSES DISAGREE with {}: {} (allowed: {allowed})",
            self.experiment,
            self.reference,
            failed.join("; ")
        )
    }

    fn difference(&self, other: &Other) -> String {
        match (&other.trouble, other.worst) {
            (Some(trouble), _) => trouble.clone(),
            (None, Some((step, difference))) => {
                format!("is off by {} at step {}", units::share(difference), units::count(step))
            }
            (None, None) => "has no step in common with it".to_owned(),
        }
    }
}

/// One verdict for each experiment among the records that asks for it. Runs that were skipped have no part in it.
pub fn agreements(records: &[RunRecord]) -> Vec<Agreement> {
    let mut trained: Vec<&RunRecord> =
        records.iter().filter(|record| record.manifest.status != Status::Skipped).collect();
    // The first is the one that was begun first, whoever gives the records.
    trained.sort_by_key(|record| record.manifest.started_at);
    let mut found: Vec<Agreement> = Vec::new();
    for record in &trained {
        let run = &record.manifest.run;
        if let Some(tolerance) = run.same_losses_within
            && found.iter().all(|agreement| agreement.experiment != run.experiment)
        {
            let same = |other: &&RunRecord| other.manifest.run.experiment == run.experiment;
            let runs: Vec<&RunRecord> = trained.iter().copied().filter(same).collect();
            found.push(agreement(&run.experiment, tolerance, &runs));
        }
    }
    found
}

fn agreement(experiment: &str, tolerance: f64, runs: &[&RunRecord]) -> Agreement {
    let on_processor = |run: &&&RunRecord| device(run).starts_with("cpu");
    let reference = runs.iter().find(on_processor).or(runs.first()).expect("somebody asked for the verdict");
    let others = runs.iter().filter(|run| !std::ptr::eq(**run, *reference)).map(|run| other(run, reference));
    Agreement {
        experiment: experiment.to_owned(),
        tolerance,
        reference: reference.id(),
        others: others.collect(),
    }
}

fn device(record: &RunRecord) -> &str {
    record.manifest.device.as_ref().map_or("", |device| &device.device)
}

fn other(run: &RunRecord, reference: &RunRecord) -> Other {
    let losses = |record: &RunRecord| -> Vec<(u64, f64)> {
        record.rows.iter().filter_map(|row| Some((row.step, row.train_loss?))).collect()
    };
    let (found, expected) = (losses(run), losses(reference));
    let mut worst: Option<(u64, f64)> = None;
    let mut steps = 0;
    for (step, loss) in &found {
        let Ok(at) = expected.binary_search_by_key(step, |(step, _)| *step) else { continue };
        steps += 1;
        let difference = (loss - expected[at].1).abs() / expected[at].1.abs();
        // What is no number is as far apart as can be.
        let difference = if difference.is_nan() { f64::INFINITY } else { difference };
        if worst.is_none_or(|(_, worst)| difference > worst) {
            worst = Some((*step, difference));
        }
    }
    let unplanned = [run, reference].into_iter().find(|record| !Ending::of(&record.manifest).is_planned());
    let trouble = match unplanned {
        Some(record) => Some(format!("cannot be compared: {} did not come to its end", record.id())),
        None if found.len() != expected.len() => {
            Some(format!("has {} instead of {}", units::steps(found.len() as u64), expected.len()))
        }
        None => None,
    };
    Other { run: run.id(), device: device(run).to_owned(), steps, worst, trouble }
}

/// The numbers behind the verdicts, as a section's text; empty without any. The page's first paragraph says the verdicts.
pub fn section(agreements: &[Agreement]) -> String {
    let mut text = String::new();
    for agreement in agreements {
        let mut table = Table::new(&[
            ("Run", Align::Left),
            ("Device", Align::Left),
            ("Steps", Align::Right),
            ("Largest difference", Align::Right),
            ("At step", Align::Right),
        ]);
        for other in &agreement.others {
            let (step, difference) = other.worst.unzip();
            table.row([
                code(&other.run),
                other.device.clone(),
                units::count(other.steps as u64),
                difference.map_or_else(|| units::MISSING.to_owned(), units::share),
                step.map_or_else(|| units::MISSING.to_owned(), units::count),
            ]);
        }
        if !agreement.others.is_empty() {
            text.push_str(&format!(
                "Train losses beside those of {}:\n\n{}\n",
                code(&agreement.reference),
                table.render()
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::DeviceInfo;
    use crate::metric::MetricsRow;
    use crate::report::fixture;

    fn record(name: &str, device: &str, losses: &[f64]) -> RunRecord {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut record = fixture::run(folder.path(), "smoke", name, 3, 1.0);
        record.manifest.run.same_losses_within = Some(1e-3);
        record.manifest.device = Some(DeviceInfo {
            device: device.to_owned(),
            name: "test".to_owned(),
            dtype: "f32".to_owned(),
            kernel: None,
            product_probes: Vec::new(),
            threads: 1,
        });
        record.rows = (1..)
            .zip(losses)
            .map(|(step, &loss)| MetricsRow { step, train_loss: Some(loss), ..MetricsRow::default() })
            .collect();
        record
    }

    fn verdict(records: &[RunRecord]) -> (bool, String) {
        let all = agreements(records);
        assert_eq!(all.len(), 1);
        (all[0].holds(), all[0].sentence())
    }

    #[test]
    fn losses_within_the_tolerance_agree() {
        let records = [record("gpu", "cuda:0", &[4.0, 3.0003]), record("cpu", "cpu", &[4.0, 3.0])];
        let (holds, text) = verdict(&records);
        assert!(holds && text.starts_with("smoke: the losses agree over 2 steps, to 1.0e-4"), "{text}");
    }

    #[test]
    fn equal_losses_agree_exactly() {
        let (holds, text) = verdict(&[record("cpu", "cpu", &[4.0]), record("gpu", "cuda:0", &[4.0])]);
        assert!(holds && text.starts_with("smoke: the losses agree over 1 step, exactly"), "{text}");
    }

    #[test]
    fn one_loss_beyond_the_tolerance_is_named_with_its_step() {
        let records = [
            record("cpu", "cpu", &[4.0, 3.0, 2.0]),
            record("good", "cuda:0", &[4.0, 3.0, 2.0]),
            record("bad", "cuda:1", &[4.0, 3.3, 2.01]),
        ];
        let (holds, text) = verdict(&records);
        assert!(
            !holds && text.contains("DISAGREE") && text.contains("bad is off by 1.0e-1 at step 2"),
            "{text}"
        );
        assert!(!text.contains("good is"), "{text}");
        let section = section(&agreements(&records));
        assert!(section.contains("1.0e-1") && !section.contains("DISAGREE"), "{section}");
    }

    #[test]
    fn a_run_that_failed_stopped_early_or_has_no_number_does_not_agree() {
        let cpu = || record("cpu", "cpu", &[4.0, 3.0]);
        let mut failed = record("gpu", "cuda:0", &[4.0, 3.0]);
        failed.manifest.status = Status::Failed;
        assert!(verdict(&[cpu(), failed]).1.contains("did not come to its end"));
        assert!(verdict(&[cpu(), record("gpu", "cuda:0", &[4.0])]).1.contains("has 1 step instead of 2"));
        let (holds, text) = verdict(&[cpu(), record("gpu", "cuda:0", &[4.0, f64::NAN])]);
        assert!(!holds && text.contains("at step 2"), "{text}");
    }

    #[test]
    fn one_run_alone_proves_nothing_and_who_does_not_ask_hears_nothing() {
        let (holds, text) = verdict(&[record("cpu", "cpu", &[4.0])]);
        assert!(!holds && text.contains("nothing to compare"), "{text}");
        let mut silent = record("cpu", "cpu", &[4.0]);
        silent.manifest.run.same_losses_within = None;
        assert!(agreements(&[silent]).is_empty() && section(&[]).is_empty());
    }
}
