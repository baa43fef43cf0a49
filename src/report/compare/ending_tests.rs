//! What a comparison says of runs that failed, that wait, or that were changed under way.

use crate::facts::{Status, StopReason};
use crate::report::fixture;

use super::tests::{page, sweep};

#[test]
fn failures_are_told_by_their_class_and_runs_that_wait_are_left_out() {
    let mut records = sweep();
    fixture::fail(&mut records[1], Status::Failed, StopReason::OutOfMemory, "no room");
    fixture::fail(&mut records[3], Status::Failed, StopReason::OutOfMemory, "no room");
    records[4].manifest.status = Status::Queued;
    (records[4].manifest.results, records[4].manifest.stop_reason) = (None, None);
    records[4].rows.clear();
    let text = page(&records, &[]);
    let counts =
        "4 runs do not count (1 waiting, 1 diverged, 2 failed: out_of_memory); see the end of the page.";
    assert!(text.contains(counts), "{text}");
    assert!(text.contains("| 1 finished, 1 failed: out_of_memory |"), "{text}");
    assert!(text.contains("1337 | waiting "), "{text}");
    let reason = "seed=1337: Waiting to be started. Compare again when it has ended.";
    assert!(text.contains(reason), "{text}");
    assert!(text.contains("seed=1338: Failed after 300 steps (out of memory): no room."), "{text}");
}

#[test]
fn a_run_whose_batch_was_halved_stays_in_its_setting_and_is_named() {
    let mut records = sweep();
    records.truncate(4);
    for record in &mut records {
        fixture::set(record, "train.batch_size", 16);
    }
    let expected = page(&records, &[]);
    fixture::set(&mut records[3], "train.batch_size", 8);
    fixture::set(&mut records[3], "train.gradient_accumulation_steps", 2);
    assert!(page(&records, &[]).contains("train.batch_size"), "they would be two settings");
    records[3].manifest.adapted =
        fixture::changes(&[("train.batch_size", "16", "8"), ("train.gradient_accumulation_steps", "1", "2")]);
    fixture::attempts(&mut records[3], &[(0, StopReason::OutOfMemory), (0, StopReason::MaxSteps)]);
    let text = page(&records, &[]);
    let note = "\nThe configuration was changed during `rates/learning_rate=0.0003,seed=1338`. Memory ran out, so \
                `train.batch_size` went from `16` to `8` and `train.gradient_accumulation_steps` from `1` to `2`: a step \
                keeps its 2,048 tokens. The settings are shown as configured; times, throughput and memory \
                include the change.\n";
    assert!(text.contains(note), "{text}");
    assert!(text.contains("| finished, 2 attempts |"), "{text}");
    assert!(
        text.contains("\nThe time of a run with several attempts is that of the steps that were kept.\n"),
        "{text}"
    );
    let table =
        |text: &str| text.split("## Settings").nth(1).unwrap().split("Means").next().unwrap().to_owned();
    assert_eq!(table(&text), table(&expected));
}
