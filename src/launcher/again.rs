//! The same command once more: what a plan needs when there are runs of its name already.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::retry;
use crate::config::{self, differences, experiment::RunPlan};
use crate::facts::{DataInfo, KeyChange, Status, StopReason};
use crate::pretrained::start::pinned_change;
use crate::store::manifest::{ChangedSince, Manifest};
use crate::store::{RunDir, StoreError, Writer};

/// What becomes of a plan.
#[derive(Debug)]
pub enum Decision {
    /// It is trained in a new directory.
    New(Option<ChangedSince>),
    /// It is done already, or failed and is not to be tried again.
    Keep(RunDir, Box<Manifest>),
    /// It was interrupted, or is to be tried again: its directory is gone on with.
    GoOn(RunDir, Box<Manifest>),
    /// Another process trains it at this moment.
    Busy(RunDir, Writer),
    /// There is a run of its name that cannot be read, or whose configuration is damaged: for this reason.
    Unusable(RunDir, String),
}

/// What the command line says about runs that are there already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Again {
    /// Everything is trained anew.
    pub fresh: bool,
    /// Failed runs are tried again.
    pub retry: bool,
}

/// Decides by the newest run of the plan's name that was configured the same; `data` is the corpus as it is now, where it was read.
pub fn decide(plan: &RunPlan, runs_dir: &Path, data: Option<&DataInfo>, again: Again) -> Decision {
    if again.fresh {
        return Decision::New(None);
    }
    let mut newest_change = None;
    for path in earlier(&runs_dir.join(&plan.experiment.name), &plan.name) {
        let dir = RunDir::open(&path);
        let manifest = match dir.read_manifest_now() {
            Ok(manifest) => manifest,
            // Half-made, by a version that did not build aside.
            Err(StoreError::NoManifest { .. }) if was_never_made(&dir) => continue,
            Err(error) => return Decision::Unusable(dir, unusable(&error)),
        };
        // Nothing was trained there.
        if manifest.status == Status::Skipped {
            continue;
        }
        let before = match config::read_frozen(&dir.config(), manifest.config_sha256.as_deref()) {
            Ok(before) => before,
            Err(_) if was_never_made(&dir) => continue,
            // Whether it is the run that is asked for is not known, and training it anew would be a wrong guess in silence.
            Err(errors) => return Decision::Unusable(dir, unusable(&errors.problems_alone())),
        };
        let mut adapted = manifest.adapted.clone();
        adapted.extend(manifest.init_from.as_ref().and_then(|info| pinned_change(info, plan)));
        let mut keys = differences(&before, &adapted, plan);
        keys.extend(changed_text(&manifest, &before, data, plan));
        if !keys.is_empty() {
            newest_change.get_or_insert(ChangedSince { run: dir.name(), keys });
            continue;
        }
        if let Some(writer) = dir.writer() {
            return Decision::Busy(dir, writer);
        }
        return if is_unfinished(&manifest, Some(&before)) || again.retry && may_be_retried(&manifest) {
            Decision::GoOn(dir, Box::new(manifest))
        } else {
            Decision::Keep(dir, Box::new(manifest))
        };
    }
    Decision::New(newest_change)
}

fn unusable(reason: &dyn Display) -> String {
    format!("can be neither kept nor resumed: {reason}")
}

/// Whether its process ended while it made the directory.
fn was_never_made(dir: &RunDir) -> bool {
    [dir.config(), dir.metrics()].iter().all(|file| file.try_exists().is_ok_and(|there| !there))
        && dir.checkpoints().steps().is_ok_and(|steps| steps.is_empty())
}

/// Whether the run was stopped before its end, by a person or with its machine, or while it waited for another attempt that its
/// plan asks for, so that going on needs no decision.
pub fn is_unfinished(manifest: &Manifest, plan: Option<&RunPlan>) -> bool {
    matches!(manifest.status, Status::Queued | Status::Interrupted)
        || manifest.waits_for_retry()
        || plan.is_some_and(|plan| retry::is_owed(manifest, plan))
}

/// Whether it failed in a way that may be otherwise another time. A run that diverged or cannot be configured would do the same
/// again.
pub fn may_be_retried(manifest: &Manifest) -> bool {
    manifest.status == Status::Failed && manifest.stop_reason != Some(StopReason::Config)
}

/// Another text, or the same one with other tokens: a run of before marks were tokens is such a one where the text has marks.
fn changed_text(
    manifest: &Manifest,
    frozen: &RunPlan,
    now: Option<&DataInfo>,
    plan: &RunPlan,
) -> Option<KeyChange> {
    let (before, now) = (manifest.data.as_ref()?, now?);
    let change = |key: &str, before: String, now: String| KeyChange { key: key.to_owned(), before, now };
    // In a text of before documents were counted there was a line break between each two.
    let same_but_for_separators =
        before.documents == 0 && before.bytes + 1 == now.bytes + now.documents && now.documents > 1;
    if before.sha256 != now.sha256 && same_but_for_separators {
        let key = "data.separator";
        let of = |plan: &RunPlan| {
            let resolved = plan.resolved_key(key);
            resolved.map_or_else(|| "-".to_owned(), |resolved| config::value_text(&resolved.value))
        };
        return Some(change(key, of(frozen), of(plan)));
    }
    if before.sha256 != now.sha256 {
        return Some(change("data sha256", before.sha256.clone(), now.sha256.clone()));
    }
    let (before, now) = (before.end_of_text_tokens, now.end_of_text_tokens);
    (before != now).then(|| change("<|endoftext|> tokens", before.to_string(), now.to_string()))
}

/// Directories of runs of this name, `name`, `name-2`, `name-3`, ..., newest first.
fn earlier(experiment: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(experiment).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let file_name = entry.file_name();
            let number = match file_name.to_str()?.strip_prefix(name)? {
                "" => 1,
                rest => rest.strip_prefix('-')?.parse().ok().filter(|number| *number > 1)?,
            };
            Some((number, entry.path()))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_runs_come_newest_first_and_others_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["seed=1", "seed=1-2", "seed=1-10", "seed=10", "seed=1-x", "seed=1-1", "seed=2"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let names: Vec<_> = earlier(folder.path(), "seed=1")
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["seed=1-10", "seed=1-2", "seed=1"]);
    }
}
