//! Whether runs fit into this machine's memory, as far as estimates go.

use crate::config::experiment::RunPlan;
use crate::engine::cost::Cost;
use crate::units;

/// In words, that runs may need more memory than is free, and what to lower; `None` when all of them fit. A warning and no
/// refusal: the estimate may be wrong, and swap or another program's end may help.
pub fn shortage(runs: &[(&RunPlan, &Cost)], free_bytes: u64) -> Option<String> {
    let free = free_bytes as f64;
    let needs = |cost: &Cost| cost.memory.as_ref().map_or(0.0, |memory| memory.bytes());
    let short: Vec<_> = runs.iter().filter(|(_, cost)| needs(cost) > free).collect();
    let (plan, cost) = short.iter().max_by(|(_, a), (_, b)| needs(a).total_cmp(&needs(b)))?;
    let memory = cost.memory.as_ref()?;
    let others = match short.len() - 1 {
        0 => String::new(),
        1 => " (and one more run does not fit)".to_owned(),
        more => format!(" (and {} more runs do not fit)", units::count(more as u64)),
    };
    Some(format!(
        "{}/{} needs about {} of memory, and {} is free here{others}; {}",
        plan.experiment.name,
        plan.name,
        units::bytes(memory.bytes()),
        units::bytes(free),
        advice(plan, cost, memory.bytes_at_any_batch(), free)
    ))
}

fn advice(plan: &RunPlan, cost: &Cost, at_any_batch: f64, free: f64) -> String {
    if at_any_batch > free {
        return format!(
            "{} of it is for the model whatever the batch: only a smaller model (model.n_layer, model.n_embd) fits",
            units::bytes(at_any_batch)
        );
    }
    let mut ways = Vec::new();
    if plan.train.batch_size > 1 {
        ways.push("lower train.batch_size and raise train.gradient_accumulation_steps in turn");
    }
    if cost.flops.recomputed == 0.0 {
        ways.push("set train.activation_checkpointing = true");
    }
    if ways.is_empty() {
        ways.push("lower train.sequence_length");
    }
    ways.join(", or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::engine::memory::{MemoryEstimate, MemoryPart};
    use crate::model::flops::StepFlops;

    const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

    fn plan(name: &str, batch_size: usize) -> RunPlan {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, format!("[train]\nbatch_size = {batch_size}\n")).expect("writable");
        config::load(&[path], &config::LoadOptions::default()).expect("a good experiment").remove(0)
    }

    fn cost(fixed_gib: f64, batch_gib: f64, recomputed: f64) -> Cost {
        let part = |name, gib: f64, grows_with_batch| MemoryPart { name, bytes: gib * GIB, grows_with_batch };
        let parts = vec![part("parameters", fixed_gib, false), part("activations", batch_gib, true)];
        Cost { flops: StepFlops { model: 1.0, recomputed }, memory: Some(MemoryEstimate { parts }) }
    }

    fn warning(batch_size: usize, cost: &Cost) -> Option<String> {
        shortage(&[(&plan("big", batch_size), cost)], 4 << 30)
    }

    #[test]
    fn a_run_that_fits_or_has_no_estimate_is_no_trouble() {
        assert_eq!(warning(8, &cost(2.0, 1.9, 0.0)), None);
        assert_eq!(warning(8, &Cost { memory: None, ..cost(9.0, 9.0, 0.0) }), None);
    }

    #[test]
    fn a_run_that_does_not_fit_names_what_to_lower() {
        let text = warning(8, &cost(2.0, 3.0, 0.0)).expect("5 GiB do not fit into 4");
        assert_eq!(
            text,
            "big/seed=1337 needs about 5.0 GiB of memory, and 4.0 GiB is free here; lower train.batch_size and raise \
             train.gradient_accumulation_steps in turn, or set train.activation_checkpointing = true"
        );
    }

    #[test]
    fn what_is_done_already_is_not_advised() {
        let text =
            |batch_size, recomputed| warning(batch_size, &cost(2.0, 3.0, recomputed)).unwrap_or_default();
        assert!(
            !text(1, 0.0).contains("batch_size") && text(1, 0.0).ends_with("activation_checkpointing = true")
        );
        assert!(!text(8, 1.0).contains("checkpointing") && text(8, 1.0).contains("train.batch_size"));
        assert!(text(1, 1.0).ends_with("lower train.sequence_length"));
    }

    #[test]
    fn a_model_too_large_at_any_batch_is_told_so() {
        let text = warning(8, &cost(4.5, 3.0, 0.0)).unwrap_or_default();
        assert!(text.contains("4.5 GiB of it is for the model whatever the batch"), "{text}");
    }

    #[test]
    fn of_a_sweep_the_largest_run_is_named_and_the_others_counted() {
        let plans = ["a", "b", "c", "d"].map(|name| plan(name, 8));
        let costs = [cost(1.0, 4.0, 0.0), cost(1.0, 6.0, 0.0), cost(1.0, 1.0, 0.0), cost(1.0, 5.0, 0.0)];
        let runs: Vec<_> = plans.iter().zip(&costs).collect();
        let text = shortage(&runs, 4 << 30).unwrap_or_default();
        assert!(text.starts_with("b/seed=1337 needs about 7.0 GiB"), "{text}");
        assert!(text.contains("(and 2 more runs do not fit)"), "{text}");
    }
}
