//! The times that a process trained the run, and how each ended.

use crate::facts::Status;
use crate::markdown::{Align, Table, code, escape};
use crate::report::ending::first_line;
use crate::store::manifest::{Attempt, Manifest};
use crate::units::{self, MISSING};

use super::Page;

/// `, in 3 attempts`, where there was more than one.
pub fn count(manifest: &Manifest) -> String {
    match manifest.attempts.len() {
        0 | 1 => String::new(),
        several => format!(", in {} attempts", units::count(several as u64)),
    }
}

/// A row for each attempt, where there was more than one.
pub fn section(page: &Page) -> String {
    let manifest = &page.record.manifest;
    let [_, .., last] = manifest.attempts.as_slice() else { return String::new() };
    let mut table = Table::new(&[
        ("Attempt", Align::Right),
        ("From step", Align::Right),
        ("Started", Align::Left),
        ("Ended", Align::Left),
        ("How it ended", Align::Left),
    ]);
    for attempt in &manifest.attempts {
        table.row([
            units::count(attempt.number),
            units::count(attempt.from_step),
            time(attempt.started_at),
            attempt.ended_at.map_or_else(|| MISSING.to_owned(), time),
            end(attempt, manifest, attempt == last),
        ]);
    }
    format!(
        "## Attempts\n\n{}\nSteps after the last checkpoint of an attempt were repeated by the next one. Curves and times in \
         this report are those of the steps that were kept.\n{}",
        table.render(),
        other_kernels(manifest)
    )
}

/// Which attempts multiplied by something else than the run's own kernel.
fn other_kernels(manifest: &Manifest) -> String {
    let Some(own) = manifest.device.as_ref().and_then(|device| device.kernel.as_ref()) else {
        return String::new();
    };
    let others = manifest.attempts.iter().filter_map(|attempt| {
        let kernel = attempt.kernel.as_ref().filter(|kernel| *kernel != own)?;
        Some(format!("attempt {} by {}", units::count(attempt.number), escape(kernel)))
    });
    let others: Vec<String> = others.collect();
    if others.is_empty() {
        return String::new();
    }
    format!(
        "\nNot all attempts used {}, the run's own kernel for matrix products: {}. Another kernel sums in another order, so later \
         steps differ slightly from those of an uninterrupted run.\n",
        escape(own),
        others.join(", ")
    )
}

fn time(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Class and message. A process that ended without a word has said nothing in its attempt; the manifest as it is read now may
/// know more of the last one.
fn end(attempt: &Attempt, manifest: &Manifest, is_last: bool) -> String {
    let (reason, message) = match (attempt.stop_reason, manifest.status) {
        (None, Status::Running) if is_last => return "in progress".to_owned(),
        (None, _) if is_last => (manifest.stop_reason, manifest.message.as_deref()),
        (reason, _) => (reason, attempt.message.as_deref()),
    };
    let reason = reason.map_or_else(|| "not known".to_owned(), |reason| code(reason.key()));
    match message.map(shortened).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {}", escape(&message)),
        None => reason,
    }
}

/// The first line, up to a length that a table has room for.
fn shortened(message: &str) -> String {
    const LONGEST: usize = 120;
    let line = first_line(message);
    if line.chars().count() <= LONGEST && message.trim().lines().count() <= 1 {
        return line.to_owned();
    }
    let start: String = line.chars().take(LONGEST).collect();
    format!("{} ...", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::StopReason;
    use crate::report::fixture;
    use crate::report::summary::Summary;
    use crate::store::RunRecord;
    use std::path::Path;

    fn run(attempts: &[(u64, StopReason)]) -> RunRecord {
        let mut record = fixture::run(Path::new("runs"), "rates", "seed=1", 40, 1.0);
        fixture::attempts(&mut record, attempts);
        record
    }

    fn text(record: &RunRecord) -> String {
        section(&Page { record, summary: Summary::of(record), figures: Vec::new() })
    }

    #[test]
    fn each_attempt_has_a_row() {
        let attempts = [(0, StopReason::Killed), (20, StopReason::OutOfMemory), (30, StopReason::MaxSteps)];
        let mut record = run(&attempts);
        // The machine went down.
        (record.manifest.attempts[0].ended_at, record.manifest.attempts[0].message) = (None, None);
        record.manifest.attempts[1].message = Some("no | room\nat all".to_owned());
        insta::assert_snapshot!(text(&record));
        assert_eq!(count(&record.manifest), ", in 3 attempts");
    }

    #[test]
    fn attempts_that_multiplied_by_something_else_are_named() {
        let mut record =
            run(&[(0, StopReason::Killed), (20, StopReason::Killed), (30, StopReason::MaxSteps)]);
        let kernels = |record: &mut RunRecord, kernels: [&str; 3]| {
            record.manifest.device.as_mut().unwrap().kernel = Some("AMX".to_owned());
            for (attempt, kernel) in record.manifest.attempts.iter_mut().zip(kernels) {
                attempt.kernel = Some(kernel.to_owned());
            }
        };
        kernels(&mut record, ["AMX", "f32 kernels", "AMX"]);
        let found = text(&record);
        assert!(
            found.contains("used AMX, the run's own kernel for matrix products: attempt 2 by f32 kernels."),
            "{found}"
        );
        kernels(&mut record, ["AMX", "AMX", "AMX"]);
        assert!(!text(&record).contains("kernel"));
    }

    #[test]
    fn one_attempt_is_not_worth_a_table() {
        for attempts in [&[][..], &[(0, StopReason::MaxSteps)]] {
            let record = run(attempts);
            assert_eq!((text(&record).as_str(), count(&record.manifest).as_str()), ("", ""));
        }
    }

    #[test]
    fn the_last_attempt_is_under_way_or_ended_as_the_run_did() {
        let mut record = run(&[(0, StopReason::Interrupted), (20, StopReason::MaxSteps)]);
        let last = record.manifest.attempts.last_mut().unwrap();
        (last.ended_at, last.stop_reason, last.message) = (None, None, None);
        let row = |record: &RunRecord| {
            let text = text(record);
            text.lines().find(|line| line.starts_with("|       2 |")).unwrap().to_owned()
        };
        record.manifest.status = Status::Running;
        assert!(row(&record).contains("| -                       | in progress "), "{}", row(&record));
        fixture::fail(
            &mut record,
            Status::Interrupted,
            StopReason::Killed,
            "its process ended without a word",
        );
        assert!(row(&record).contains("| `killed`: its process ended without a word"), "{}", row(&record));
    }

    #[test]
    fn long_messages_are_cut_and_short_ones_are_not() {
        assert_eq!(shortened("killed by é"), "killed by é");
        assert_eq!(shortened("two\nlines"), "two ...");
        let long = shortened(&"é".repeat(300));
        assert_eq!(long, format!("{} ...", "é".repeat(120)));
    }
}
