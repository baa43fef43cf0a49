//! What a person sees of several runs: the lines while they train, and at the end the best settings, the answer, and what went wrong.

use super::{Done, Origin, reporter::Compared};
use crate::cmd::listing::table;
use crate::report::compare::{LeftOut, Older};
use crate::report::ending::Ending;
use crate::sinks::progress::Screen;
use crate::sinks::progress::board::{Board, Fate, Task};
use crate::store::RunDir;
use crate::store::manifest::Manifest;

/// Up to so many runs each has its line at the end, and from then on only those that somebody must read of.
const EACH: usize = 4;
/// Of those no more than so many.
const MOST: usize = 20;

/// The lines for these runs, each with its place; `None` for a single one, which has the screen for itself.
pub fn board(screen: &Screen, runs: &[(usize, RunDir)], count: usize, jobs: usize) -> Option<Board> {
    if runs.len() < 2 {
        return None;
    }
    // A run says itself what is wrong with its manifest.
    let manifests: Vec<Option<Manifest>> = runs.iter().map(|(_, dir)| dir.read_manifest().ok()).collect();
    let several = manifests.windows(2).any(|pair| experiment(&pair[0]) != experiment(&pair[1]));
    let seconds: Option<Vec<f64>> =
        manifests.iter().map(|manifest| Some(manifest.as_ref()?.estimate.as_ref()?.secs)).collect();
    let expected_secs = seconds.as_ref().map(|secs| secs.iter().sum::<f64>() / jobs.max(1) as f64);
    let tasks = runs.iter().zip(&manifests).enumerate().map(|(place, ((index, dir), manifest))| Task {
        index: *index,
        name: if several { super::name_of(dir) } else { dir.name() },
        work: match (&seconds, manifest) {
            (Some(seconds), _) => seconds[place],
            (None, Some(manifest)) => manifest.run.max_steps as f64 * manifest.run.tokens_per_step as f64,
            (None, None) => 0.0,
        },
    });
    Some(Board::open(screen, tasks.collect(), count, expected_secs))
}

fn experiment(manifest: &Option<Manifest>) -> Option<&str> {
    manifest.as_ref().map(|manifest| manifest.run.experiment.as_str())
}

/// What the line for all runs counts this end as.
pub fn fate(manifest: &Manifest) -> Fate {
    match Ending::of(manifest) {
        Ending::Failed | Ending::Diverged => Fate::Failed,
        Ending::Interrupted | Ending::Queued | Ending::Running => Fate::Stopped,
        Ending::TargetReached | Ending::TargetMissed | Ending::Finished | Ending::Skipped => Fate::Done,
    }
}

/// The lines of the runs, each with its outcome and the path of its report.
pub fn runs(done: &[Done], left_out: &[LeftOut]) -> Vec<String> {
    let few = done.len() + left_out.len() <= EACH;
    let told: Vec<&Done> = done.iter().filter(|run| few || must_be_read(run)).collect();
    let mut lines = Vec::new();
    for run in told.iter().take(MOST) {
        lines.push(run.sentence());
        if run.has_lost() {
            lines.extend(run.manifest.lost.iter().map(|lost| format!("  lost: {lost}")));
        }
        match &run.reported.report {
            Ok(path) => lines.push(format!("  {}", path.display())),
            Err(_) => lines.push("  no report (see the error above)".to_owned()),
        }
    }
    if told.len() > MOST {
        lines.push(format!("... and {} more like these; `runner ls` lists all runs", told.len() - MOST));
    }
    for run in left_out {
        let alike = left_out.iter().filter(|other| other.reason == run.reason).count();
        let line = if alike > EACH {
            format!("{alike} runs: {}", run.reason)
        } else {
            format!("{}: {}", run.run, run.reason)
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn must_be_read(run: &Done) -> bool {
    let ending = Ending::of(&run.manifest);
    let kept = run.origin == Origin::Earlier && ending != Ending::Failed;
    run.has_lost() || run.reported.report.is_err() || !(ending.is_planned() || kept)
}

/// How many of many runs did not end as they were meant to; of few each says so itself.
pub fn missed(done: &[Done]) -> Vec<String> {
    const KINDS: [(Ending, &str); 4] = [
        (Ending::TargetMissed, "missed the target"),
        (Ending::Failed, "failed"),
        (Ending::Diverged, "diverged"),
        (Ending::Interrupted, "interrupted"),
    ];
    let many = done.len() > EACH;
    let kinds = KINDS.iter().map(|(ending, words)| {
        (done.iter().filter(|run| Ending::of(&run.manifest) == *ending).count(), words)
    });
    kinds.filter(|(count, _)| many && *count > 0).map(|(count, words)| format!("{count} {words}")).collect()
}

/// The best settings, and which one won.
pub fn answer(compared: &Compared) -> Vec<String> {
    let mut lines = Vec::new();
    if compared.best.len() > 1 {
        let heading = ["BEST SETTINGS", compared.outcome.as_str(), " RUNS"];
        let rows: Vec<Vec<String>> = compared
            .best
            .iter()
            .map(|place| vec![place.setting.clone(), place.result.clone(), place.runs.to_string()])
            .collect();
        lines.push(table(&heading, &rows));
    }
    // The rest of it stands on the page.
    if let Some(answer) = &compared.answer {
        lines.extend(answer.lines().next().map(str::to_owned));
        lines.extend(answer.lines().find_map(sure));
    }
    lines
}

/// That runs of this call are not among those that are compared, as `--set` makes it.
pub fn apart(done: &[Done], older: &[Older]) -> Option<String> {
    let count = done.iter().filter(|run| older.iter().any(|other| other.dir == run.dir)).count();
    let what = match count {
        0 => return None,
        1 => "one of these runs is configured otherwise than its experiment and does not count".to_owned(),
        n => format!("{n} of these runs are configured otherwise than their experiment and do not count"),
    };
    Some(format!("{what} there; the end of the page says what differs"))
}

/// What a comparison says of how sure it is, without its numbers: a person who reads no further must not take chance for a winner.
fn sure(line: &str) -> Option<String> {
    let said = line.strip_prefix("Is that sure? ")?;
    let end = [" (", ". "].iter().filter_map(|mark| said.find(mark)).min().unwrap_or(said.len());
    let said = said[..end].trim_end_matches('.').replace("these two", "the best two");
    Some(format!("Is that sure? {said}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_sure_a_winner_is_is_said_in_one_sentence_without_numbers() {
        let line = "Is that sure? No, two seeds cannot tell these two apart: the difference may be chance (Welch's t-test: \
                    t = 1.2, 2 degrees of freedom, p = 0.3). Nothing that was varied (learning_rate) made a difference.";
        let expected =
            "Is that sure? No, two seeds cannot tell the best two apart: the difference may be chance.";
        assert_eq!(sure(line).as_deref(), Some(expected));
        let line = "Is that sure? Nobody knows: set experiment.repeats for more seeds.";
        assert_eq!(sure(line).as_deref(), Some(line));
        assert_eq!(sure("To try next: more seeds."), None);
    }
}
