//! Whether runs fit into memory, as far as estimates go.

use crate::config::experiment::RunPlan;
use crate::engine::cost::Cost;
use crate::engine::memory::Place;
use crate::units;

/// In words, that runs may need more memory than is free where they would be, and what to lower; `None` when all of them fit.
/// A warning and no refusal: the estimate may be wrong, and swap or another program's end may help. `free` tells the bytes of
/// a place, if they are known.
pub fn shortage(runs: &[(&RunPlan, &Cost)], free: impl Fn(Place) -> Option<u64>) -> Option<String> {
    let excess = |cost: &Cost| {
        let free = free(cost.memory.place)? as f64;
        Some(cost.memory.estimate().bytes() - free).filter(|excess| *excess > 0.0)
    };
    let short: Vec<_> = runs.iter().filter_map(|(plan, cost)| Some((excess(cost)?, plan, cost))).collect();
    // `max_by` keeps the last of equals; reversed, that is the first.
    let (_, plan, cost) = short.iter().rev().max_by(|(a, ..), (b, ..)| a.total_cmp(b))?;
    let others = match short.len() - 1 {
        0 => String::new(),
        1 => " (and one more run does not fit)".to_owned(),
        more => format!(" (and {} more runs do not fit)", units::count(more as u64)),
    };
    let free = free(cost.memory.place)? as f64;
    Some(format!(
        "{}/{} needs about {} of memory, and {} is free on {}{others}; {}",
        plan.experiment.name,
        plan.name,
        units::bytes(cost.memory.estimate().bytes()),
        units::bytes(free),
        cost.memory.place.name(),
        cost.memory.advice(plan.train.gradient_accumulation_steps, free)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::engine::cost::cost;

    /// A run of GPT-2's size with more settings, and its cost.
    fn run(name: &str, set: &[&str]) -> (RunPlan, Cost) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(format!("{name}.toml"));
        let text = "[model]\npreset = \"gpt2\"\n[train]\nbatch_size = 16\nsequence_length = 128\n[hardware]\ndevice = \"cpu\"\n";
        std::fs::write(&path, text).expect("writable");
        let options = config::LoadOptions {
            set: set.iter().map(|set| (*set).to_owned()).collect(),
            ..config::LoadOptions::default()
        };
        let plan = config::load(&[path], &options).expect("a good experiment").remove(0);
        let cost = cost(&plan, 50_257, 338_025).expect("the processor computes");
        (plan, cost)
    }

    fn warning(set: &[&str], free_gib: f64) -> Option<String> {
        let (plan, cost) = run("big", set);
        shortage(&[(&plan, &cost)], |_| Some((free_gib * 1024f64.powi(3)) as u64))
    }

    #[test]
    fn a_run_that_fits_or_whose_place_is_not_known_is_no_trouble() {
        assert_eq!(warning(&[], 4.0), None);
        let (plan, cost) = run("big", &[]);
        assert_eq!(shortage(&[(&plan, &cost)], |_| None), None);
    }

    #[test]
    fn a_run_that_does_not_fit_hears_what_to_lower_and_what_that_takes() {
        let text = warning(&[], 3.3).unwrap_or_default();
        assert!(
            text.starts_with(
                "big/seed=1337 needs about 3.5 GiB of memory, and 3.3 GiB is free on this machine; set "
            ),
            "{text}"
        );
        assert!(text.contains("train.activation_checkpointing = true (about "), "{text}");
        assert!(
            text.contains("or train.batch_size = 8 with train.gradient_accumulation_steps = 2 (about "),
            "{text}"
        );
        let accumulated = warning(&["train.gradient_accumulation_steps=3"], 3.3).unwrap_or_default();
        assert!(accumulated.contains("train.gradient_accumulation_steps = 6"), "{accumulated}");
    }

    #[test]
    fn what_is_done_already_is_not_advised() {
        let text = warning(&["train.batch_size=1", "train.sequence_length=1024"], 3.0).unwrap_or_default();
        assert!(
            !text.contains("train.batch_size") && text.contains("activation_checkpointing = true"),
            "{text}"
        );
        let on = &["train.activation_checkpointing=true", "train.batch_size=64"];
        let text = warning(on, 3.0).unwrap_or_default();
        assert!(
            !text.contains("activation_checkpointing") && text.contains("train.batch_size = 8 "),
            "{text}"
        );
    }

    #[test]
    fn a_model_too_large_at_any_batch_is_told_so() {
        let text = warning(&[], 2.0).unwrap_or_default();
        assert!(text.contains("whatever the batch: only a smaller model"), "{text}");
    }

    #[test]
    fn of_a_sweep_the_run_that_lacks_most_is_named_and_the_others_counted() {
        let runs = [
            run("a", &["train.batch_size=32"]),
            run("b", &["train.batch_size=64"]),
            run("c", &["train.batch_size=1"]),
            run("d", &["train.batch_size=48"]),
        ];
        let pairs: Vec<_> = runs.iter().map(|(plan, cost)| (plan, cost)).collect();
        let text = shortage(&pairs, |_| Some(3 << 30)).unwrap_or_default();
        assert!(text.starts_with("b/seed=1337 needs about"), "{text}");
        assert!(text.contains("(and 2 more runs do not fit)"), "{text}");
    }

    #[test]
    fn a_gpu_is_held_against_its_own_memory() {
        let (plan, cost) = run("big", &["hardware.device=cuda:1", "train.batch_size=64"]);
        let free = |place: Place| match place {
            Place::Host => None,
            Place::Gpu { ordinal, .. } => Some((ordinal as u64 + 3) << 30),
        };
        let text = shortage(&[(&plan, &cost)], free).unwrap_or_default();
        assert!(text.contains("4.0 GiB is free on cuda:1"), "{text}");
    }
}
