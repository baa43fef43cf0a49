//! Whether runs find room on the disk, as far as estimates go.

use std::path::{Path, PathBuf};

use crate::config::experiment::RunPlan;
use crate::engine::cost::Cost;
use crate::files::disk;
use crate::train::checkpoint::SPARE_BYTES;
use crate::units;

/// A step's row in `metrics.csv` and its line in `log.jsonl`.
const STEP_BYTES: u64 = 700;
/// Report, plots, configuration and manifest.
const RECORD_BYTES: u64 = 512 << 10;
/// A token that is sampled, in `samples.md` and in `log.jsonl`.
const TOKEN_BYTES: u64 = 16;

/// A run that is to be trained.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    pub plan: &'a RunPlan,
    pub cost: &'a Cost,
    /// Where it will lie, or lies already.
    pub dir: PathBuf,
}

/// What a run has on the disk when it has most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    checkpoint_bytes: u64,
    checkpoints: u64,
    record_bytes: u64,
}

impl Need {
    fn of(plan: &RunPlan, cost: &Cost) -> Self {
        let max_steps = plan.train.max_steps;
        let times = |interval: u64| if interval == 0 { 0 } else { max_steps.div_ceil(interval) };
        // The latest, the best, and the one that is written before another is deleted.
        let kept = (plan.checkpoint.keep_last as u64).saturating_add(2);
        let texts = times(plan.sample.interval).saturating_mul(plan.sample.prompts.len() as u64);
        let sampled = texts.saturating_mul(plan.sample.max_new_tokens as u64).saturating_mul(TOKEN_BYTES);
        Self {
            checkpoint_bytes: cost.checkpoint_bytes(&plan.optimizer.kind),
            checkpoints: times(plan.checkpoint.interval).min(kept),
            record_bytes: max_steps
                .saturating_mul(STEP_BYTES)
                .saturating_add(RECORD_BYTES)
                .saturating_add(sampled),
        }
    }

    fn bytes(self) -> u64 {
        self.checkpoint_bytes.saturating_mul(self.checkpoints).saturating_add(self.record_bytes)
    }
}

/// In words, that the runs may write more below `runs_dir` than is free there, and what to lower; `None` when there is room.
/// A warning and no refusal: others may free space while the runs train, and a target may be reached early.
pub fn shortage(runs: &[Wanted<'_>], runs_dir: &Path) -> Option<String> {
    shortage_of(runs, runs_dir, disk::free_bytes(runs_dir)?, disk::bytes_below)
}

fn shortage_of(
    runs: &[Wanted<'_>],
    runs_dir: &Path,
    free: u64,
    there: impl Fn(&Path) -> u64,
) -> Option<String> {
    let needs: Vec<(&Wanted<'_>, Need)> =
        runs.iter().map(|run| (run, Need::of(run.plan, run.cost))).collect();
    // What an earlier attempt wrote is there, and is gone on with.
    let missing = |(run, need): &(&Wanted<'_>, Need)| need.bytes().saturating_sub(there(&run.dir));
    let all = needs.iter().map(missing).fold(0, u64::saturating_add);
    if all.saturating_add(SPARE_BYTES) <= free {
        return None;
    }
    // `max_by_key` keeps the last of equals; reversed, that is the first.
    let (run, need) = needs.iter().rev().max_by_key(|(_, need)| need.bytes())?;
    let name = format!("{}/{}", run.plan.experiment.name, run.plan.name);
    let who = match runs.len() {
        1 => format!("{name} writes"),
        many => format!("{} runs write", units::count(many as u64)),
    };
    let largest = match (need.checkpoints, runs.len()) {
        (0, _) => String::new(),
        (count, one_or_more) => format!(
            " ({} of {}{})",
            if count == 1 { "a checkpoint".to_owned() } else { units::counted(count, "checkpoint") },
            units::bytes(need.checkpoint_bytes as f64),
            if one_or_more == 1 { String::new() } else { format!(" in {name}") },
        ),
    };
    let fewer = match (need.checkpoints, run.plan.checkpoint.keep_last) {
        (0, _) => "",
        (_, 0..=2) => ", or write no checkpoints (checkpoint.interval = 0)",
        _ => ", or keep fewer checkpoints (checkpoint.keep_last)",
    };
    Some(format!(
        "{who} about {}{largest}, and {} is free in {}; free space, choose another --runs-dir{fewer}",
        units::bytes(all as f64),
        units::bytes(free as f64),
        runs_dir.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::engine::cost::cost;

    /// A run of GPT-2's size: a checkpoint of 124,439,808 parameters and two moments each, in f32, is 1.4 GiB.
    fn run(set: &[&str]) -> (RunPlan, Cost) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.toml");
        let text = "[model]\npreset = \"gpt2\"\n[train]\nmax_steps = 1000\n[checkpoint]\ninterval = 100\n[hardware]\ndevice = \"cpu\"\n";
        std::fs::write(&path, text).unwrap();
        let options = config::LoadOptions {
            set: set.iter().map(|set| (*set).to_owned()).collect(),
            ..config::LoadOptions::default()
        };
        let plan = config::load(&[path], &options).unwrap().remove(0);
        let cost = cost(&plan, 50_257, 338_025).unwrap();
        (plan, cost)
    }

    fn warning(sets: &[&[&str]], free_gib: f64, there_gib: f64) -> Option<String> {
        let bytes = |gib: f64| (gib * 1024f64.powi(3)) as u64;
        let runs: Vec<_> = sets.iter().map(|set| run(set)).collect();
        let wanted: Vec<_> =
            runs.iter().map(|(plan, cost)| Wanted { plan, cost, dir: PathBuf::from("there") }).collect();
        shortage_of(&wanted, Path::new("runs"), bytes(free_gib), |_| bytes(there_gib))
    }

    #[test]
    fn runs_that_find_room_are_no_trouble() {
        assert_eq!(warning(&[&[]], 6.0, 0.0), None);
        assert_eq!(warning(&[&[], &[]], 12.0, 0.0), None);
        assert_eq!(warning(&[], 0.1, 0.0), None);
    }

    #[test]
    fn a_run_without_room_hears_what_it_writes_and_what_to_do() {
        let text = warning(&[&[]], 5.0, 0.0).unwrap_or_default();
        assert_eq!(
            text,
            "big/seed=1337 writes about 5.6 GiB (4 checkpoints of 1.4 GiB), and 5.0 GiB is free in runs; free space, choose \
             another --runs-dir, or write no checkpoints (checkpoint.interval = 0)"
        );
        let text = warning(&[&["checkpoint.keep_last=5"]], 5.0, 0.0).unwrap_or_default();
        assert!(text.contains("(7 checkpoints") && text.contains("checkpoint.keep_last"), "{text}");
    }

    #[test]
    fn all_runs_are_counted_together() {
        let text = warning(&[&[], &["checkpoint.keep_last=3"]], 12.0, 0.0).unwrap_or_default();
        assert!(text.starts_with("2 runs write about 12.5 GiB (5 checkpoints of 1.4 GiB in big/"), "{text}");
    }

    #[test]
    fn what_is_there_already_needs_no_room() {
        assert!(warning(&[&[]], 2.0, 1.0).is_some());
        assert_eq!(warning(&[&[]], 2.0, 4.0), None);
        assert_eq!(warning(&[&[]], 0.1, 7.0), None);
    }

    #[test]
    fn only_as_many_checkpoints_are_counted_as_are_written() {
        for (set, checkpoints) in
            [("checkpoint.interval=0", 0), ("checkpoint.interval=1000", 1), ("checkpoint.interval=600", 2)]
        {
            let (plan, cost) = run(&[set]);
            assert_eq!(Need::of(&plan, &cost).checkpoints, checkpoints, "{set}");
        }
        let text = warning(&[&["checkpoint.interval=0"]], 0.0005, 0.0).unwrap_or_default();
        assert!(text.starts_with("big/seed=1337 writes about 1.") && !text.contains("checkpoint"), "{text}");
    }
}
