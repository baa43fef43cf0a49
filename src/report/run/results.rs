//! The numbers that the run came down to.

use crate::markdown::{Align, Table};
use crate::metric::{FIGURES, Statistic, Unit};
use crate::units::{self, MISSING, optional};

use super::Page;

pub fn key_numbers(page: &Page) -> String {
    if page.summary.steps.is_none_or(|steps| steps == 0) && page.record.rows.is_empty() {
        return "## Key numbers\n\nNo step was trained, so there is nothing to measure.\n".to_owned();
    }
    format!("## Key numbers\n\n{}{}", table(page), memorised(page))
}

fn table(page: &Page) -> String {
    let summary = &page.summary;
    let count = |value: Option<u64>| value.map_or_else(|| MISSING.to_owned(), units::count);
    let reduction =
        summary.initial_train_loss.zip(summary.final_train_loss).map(|(from, to)| 1.0 - to / from);
    let mut table = Table::new(&[("Number", Align::Left), ("Value", Align::Right)]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    // Without text to validate on there is nothing to miss.
    let validates = page.record.manifest.data.as_ref().is_none_or(|data| data.val_tokens > 0)
        || summary.final_val_loss.is_some();
    for figure in FIGURES {
        let value = (figure.get)(&summary.figures);
        let is_missed = figure.column.unit == Unit::Nats && (validates || !figure.column.is_of_validation());
        if value.is_none() && !is_missed {
            continue;
        }
        let shown = optional(figure.column.unit, value);
        let step = summary.step_of(figure).filter(|_| figure.statistic == Statistic::Best && value.is_some());
        let at = step.map_or_else(String::new, |step| format!(" at step {}", units::count(step)));
        row(figure.label, shown + &at);
        match figure.key {
            "final_train_loss" => {
                row("Reduction", reduction.map_or_else(|| MISSING.to_owned(), units::percent));
            }
            "best_val_loss" => {
                row("Validation perplexity, best", optional(Unit::Ratio, value.map(f64::exp)));
            }
            _ => {}
        }
    }
    row(
        "Steps",
        format!("{} of at most {}", count(summary.steps), units::count(page.record.manifest.run.max_steps)),
    );
    row("Tokens", count(summary.tokens));
    row("Epochs", optional(Unit::Epochs, summary.epochs));
    let several = page.record.manifest.attempts.len() > 1;
    let time = if several { "Time, of the steps that were kept" } else { "Time" };
    row(time, optional(Unit::Secs, summary.elapsed_secs));
    row("Time per step, median", optional(Unit::Secs, summary.step_secs));
    row("Throughput", optional(Unit::TokensPerSec, summary.tokens_per_sec));
    if let Some(flops) = summary.model_flops_per_sec {
        row("Model FLOPs per second", units::flops(flops) + "/s");
        let device = page.record.manifest.device.as_ref();
        // More than all of it says that the probes caught the machine at something else.
        let alone = device.and_then(|device| device.product_flops_per_sec()).filter(|&alone| flops <= alone);
        if let Some(alone) = alone {
            let share = units::percent(flops / alone);
            row(
                "Share of this machine's matrix-product speed",
                format!("{share} of {}/s", units::flops(alone)),
            );
        }
    }
    row("Peak memory", optional(Unit::Bytes, summary.peak_memory_bytes));
    let cost = page.record.manifest.cost.as_ref();
    if let Some(estimate) = cost.and_then(|cost| cost.memory_bytes) {
        row("Peak memory, estimated", units::bytes(estimate as f64));
    }
    if summary.peak_gpu_memory_bytes.is_some() {
        row("Peak GPU memory, of all processes", optional(Unit::Bytes, summary.peak_gpu_memory_bytes));
    }
    if let Some(estimate) = cost.and_then(|cost| cost.gpu_memory_bytes) {
        row("Peak GPU memory, estimated, without CUDA's own", units::bytes(estimate as f64));
    }
    table.render()
}

/// Whether the last batch was a lucky one or the corpus is known as a whole. The train loss of a step is that of one
/// batch; only the loss over the corpus tells the two apart.
fn memorised(page: &Page) -> String {
    let Some(corpus) = page.summary.corpus_loss else { return String::new() };
    let Some(batch) = page.summary.final_train_loss else { return String::new() };
    let whole = units::loss(corpus);
    let threshold = page.record.manifest.target.as_ref().map(|target| target.threshold);
    let reached = page.summary.target.is_some_and(|_| {
        page.record.manifest.target.as_ref().is_some_and(|target| !target.is_of_validation())
    });
    let text = match threshold.filter(|_| reached) {
        Some(threshold) if corpus < threshold => format!(
            "The target was not met by one lucky batch: over the whole training corpus the loss is {}, below {} too. \
             The model has learned the corpus to that degree.",
            units::loss_below(corpus, threshold),
            units::number(threshold)
        ),
        Some(threshold) => format!(
            "The target was met by the loss of a step, which is that of one batch. Over the whole training corpus the \
             loss is {whole}, {} of the target {}: the corpus as a whole is not learned to that degree yet.",
            units::ratio(corpus / threshold),
            units::number(threshold)
        ),
        None => format!(
            "The loss of a step is that of one batch. Over the whole training corpus the loss is {whole}, {} of the \
             last batch's {}.",
            units::ratio(corpus / batch),
            units::loss(batch)
        ),
    };
    format!("\n{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::summary::Summary;
    use std::path::Path;

    #[test]
    fn the_share_of_the_product_speed_stands_only_where_the_probes_agree_and_it_is_one() {
        let mut record = fixture::run(Path::new("runs"), "rates", "seed=1", 40, 1.0);
        let mut row = |probes: &[f64]| {
            record.manifest.device.as_mut().unwrap().product_probes = probes.to_vec();
            let page = Page { summary: Summary::of(&record), record: &record, figures: Vec::new() };
            let text = key_numbers(&page);
            let row = text.lines().find(|line| line.contains("product speed"));
            row.map(|row| row.split('|').nth(2).unwrap().trim().to_owned())
        };
        // The run made 6.4 TFLOP/s of its model's.
        assert_eq!(row(&[1e13, 1.28e13]).as_deref(), Some("49.89 % of 12.8 TFLOP/s"));
        assert_eq!(row(&[1e12, 1.28e13]), None, "the machine was busy");
        assert_eq!(row(&[5e12, 6e12]), None, "more than all of it");
        assert_eq!(row(&[1.28e13]), None, "one probe proves nothing");
        assert_eq!(row(&[]), None);
    }

    #[test]
    fn validation_has_no_rows_where_no_text_is_kept_for_it() {
        let mut record = fixture::run(Path::new("runs"), "rates", "seed=1", 40, 1.0);
        let has_rows = |record: &_| {
            let page = Page { summary: Summary::of(record), record, figures: Vec::new() };
            key_numbers(&page).contains("Validation loss")
        };
        assert!(has_rows(&record), "it was measured");
        record.rows.iter_mut().for_each(|row| (row.val_loss, row.val_perplexity) = (None, None));
        let results = record.manifest.results.as_mut().unwrap();
        (results.final_val_loss, results.best_val_loss) = (None, None);
        record.manifest.data.as_mut().unwrap().val_tokens = 0;
        assert!(!has_rows(&record));
        record.manifest.data.as_mut().unwrap().val_tokens = 100;
        assert!(has_rows(&record), "it should have been measured");
    }
}
