//! Why a run did not come to its planned end, and what to do about it.

use crate::facts::StopReason;
use crate::markdown::{code, fence};
use crate::report::ending::{self, Ending};
use crate::shell::quote;

use super::Page;

/// Class, last words and advice; nothing for a run that came to its end, or may yet.
pub fn section(page: &Page) -> String {
    let manifest = &page.record.manifest;
    let ending = Ending::of(manifest);
    let title = match ending {
        Ending::Failed | Ending::Diverged => "What went wrong",
        Ending::Interrupted => "Why it stopped",
        _ => return String::new(),
    };
    let mut parts = vec![format!("## {title}\n")];
    if let Some(class) = manifest.stop_reason {
        parts.push(format!("**Class:** {}{}\n", code(class.key()), which_attempt(page)));
    }
    // The sentence at the top has its first line.
    if let Some(message) = ending::message(manifest).filter(|message| message.lines().count() > 1) {
        parts.push(format!("**Message:**\n\n{}", fence("text", message)));
    }
    if !manifest.last_output.is_empty() {
        let lines = fence("text", &manifest.last_output.join("\n"));
        parts
            .push(format!("The last lines that its process printed to [output.log](output.log):\n\n{lines}"));
    }
    if let Some(advice) = manifest.stop_reason.and_then(StopReason::advice) {
        parts.push(format!("**What to try next:** {advice}.\n"));
    }
    if let Some(command) = command(page, ending) {
        parts.push(format!("To resume this run alone:\n\n{}", fence("sh", &command)));
    }
    parts.join("\n")
}

/// `, in attempt 3 of 3`, where there was more than one.
fn which_attempt(page: &Page) -> String {
    match page.record.manifest.attempts.as_slice() {
        [_, .., last] => format!(", in attempt {0} of {0}", last.number),
        _ => String::new(),
    }
}

/// What goes on with the run; `None` where the same configuration would come to the same end.
fn command(page: &Page, ending: Ending) -> Option<String> {
    let verb = match (ending, page.record.manifest.stop_reason) {
        (Ending::Interrupted, _) => "resume",
        (Ending::Failed, reason) if reason != Some(StopReason::Config) => "retry",
        _ => return None,
    };
    Some(format!("runner {verb} {}", quote(&page.record.dir.path().display().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Status;
    use crate::report::fixture;
    use crate::report::summary::Summary;
    use crate::store::RunRecord;
    use std::path::Path;

    fn failed(class: StopReason, message: &str) -> RunRecord {
        let mut record = fixture::run(Path::new("my runs"), "rates", "seed=1", 40, 1.0);
        fixture::fail(&mut record, Status::Failed, class, message);
        record
    }

    fn text(record: &RunRecord) -> String {
        section(&Page { record, summary: Summary::of(record), figures: Vec::new() })
    }

    #[test]
    fn a_failure_has_its_class_its_last_words_and_what_to_try() {
        let mut record = failed(StopReason::OutOfMemory, "its process could not get memory");
        record.manifest.last_output =
            ["thread 'train-0' ```", "memory allocation of 4096 bytes failed"].map(str::to_owned).to_vec();
        fixture::attempts(&mut record, &[(0, StopReason::Killed), (20, StopReason::OutOfMemory)]);
        insta::assert_snapshot!(text(&record));
    }

    #[test]
    fn every_failure_says_its_class_and_what_to_try() {
        for class in StopReason::FAILURES {
            let text = text(&failed(class, "for a reason"));
            assert!(text.contains(&format!("**Class:** `{}`\n", class.key())), "{text}");
            assert!(text.contains(class.advice().unwrap()), "{text}");
            assert!(!text.contains("for a reason"), "the sentence at the top says it: {text}");
        }
    }

    #[test]
    fn only_what_may_end_otherwise_is_gone_on_with() {
        let command = |status, class| {
            let mut record = failed(class, "-");
            record.manifest.status = status;
            let text = text(&record);
            let start = text.find("```sh\n")? + 6;
            text[start..].lines().next().map(str::to_owned)
        };
        let retry = command(Status::Failed, StopReason::DiskFull);
        assert_eq!(retry.as_deref(), Some("runner retry 'my runs/rates/seed=1'"));
        for class in [StopReason::Interrupted, StopReason::Killed] {
            let resume = command(Status::Interrupted, class);
            assert_eq!(resume.as_deref(), Some("runner resume 'my runs/rates/seed=1'"));
        }
        assert_eq!(command(Status::Failed, StopReason::Config), None);
        assert_eq!(command(Status::Diverged, StopReason::Diverged), None);
    }

    #[test]
    fn runs_that_ended_as_planned_or_may_yet_have_no_such_section() {
        for status in [Status::Finished, Status::Running, Status::Queued, Status::Skipped] {
            let mut record = failed(StopReason::MaxSteps, "all steps are done");
            record.manifest.status = status;
            assert_eq!(text(&record), "");
        }
    }

    #[test]
    fn several_problems_are_shown_as_they_were_told() {
        let message = "error: `train.batch_size` is -1\n  --> config.toml:3:1\n\nerror: unknown key `a`";
        let record = failed(StopReason::Config, message);
        assert!(text(&record).contains(&format!("```text\n{message}\n```")));
        let sentence = ending::sentence(&record);
        assert_eq!(sentence, "Failed after 40 steps (config): `train.batch_size` is -1.");
    }
}
