//! What was asked: the descriptions and hypotheses of the experiments.

use std::collections::BTreeMap;

use crate::markdown::{code, escape, escape_paragraphs};
use crate::store::manifest::RunInfo;

use super::groups::Comparison;
use super::style::listed;

/// Experiments whose question is repeated. Of more the reports of the runs tell.
const MOST: usize = 4;

/// In Markdown; empty where nobody wrote anything. The newest run of each experiment speaks for it.
pub fn section(comparison: &Comparison) -> String {
    let mut newest: BTreeMap<&str, (jiff::Timestamp, &RunInfo)> = BTreeMap::new();
    for run in comparison.groups.iter().flat_map(|group| &group.runs) {
        let manifest = &run.record.manifest;
        let entry = newest.entry(&manifest.run.experiment).or_insert((manifest.started_at, &manifest.run));
        // Of equal times the first run in order, whatever the order that they were given in.
        if manifest.started_at > entry.0 {
            *entry = (manifest.started_at, &manifest.run);
        }
    }
    let asked: Vec<&RunInfo> = newest
        .into_values()
        .map(|(_, run)| run)
        .filter(|run| !run.description.trim().is_empty() || !run.hypothesis.trim().is_empty())
        .collect();
    let several = comparison.several_experiments();
    // Experiments that ask the same are told once.
    let mut questions: Vec<(&RunInfo, Vec<String>)> = Vec::new();
    for run in asked {
        let same = |other: &&mut (&RunInfo, Vec<String>)| {
            other.0.description == run.description && other.0.hypothesis == run.hypothesis
        };
        match questions.iter_mut().find(same) {
            Some((_, names)) => names.push(code(&run.experiment)),
            None => questions.push((run, vec![code(&run.experiment)])),
        }
    }
    let shown = questions.iter().take(MOST).map(|(run, names)| question(run, &listed(names), several));
    let mut text = shown.collect::<Vec<_>>().join("\n");
    if questions.len() > MOST {
        text.push_str(&format!(
            "\nThe questions of {} more experiments stand in their runs' reports.\n",
            questions.len() - MOST
        ));
    }
    text
}

fn question(run: &RunInfo, names: &str, several: bool) -> String {
    let description = escape(&run.description);
    let mut text = match (several, description.is_empty()) {
        (true, true) => format!("{names}\n"),
        (true, false) => format!("{names}: {description}\n"),
        (false, true) => String::new(),
        (false, false) => format!("{description}\n"),
    };
    let hypothesis = escape_paragraphs(&run.hypothesis);
    if !hypothesis.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        let quoted = hypothesis.lines().map(|line| format!("> {line}").trim_end().to_owned() + "\n");
        text.push_str(&format!("> **Hypothesis.** {}", quoted.collect::<String>().trim_start_matches("> ")));
    }
    text
}
