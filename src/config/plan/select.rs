//! `--only NAME`: some of the runs.

use super::error::{ConfigError, Place};
use super::experiment::RunPlan;

/// Names shown when a pattern matches nothing.
const SHOWN: usize = 12;

/// Keeps the runs that one of the patterns names: an experiment, a run, or `experiment/run`, where `*` stands for any
/// characters. Without patterns all are kept. A pattern that names nothing is a problem.
pub(in crate::config) fn select(
    plans: Vec<RunPlan>,
    patterns: &[String],
) -> Result<Vec<RunPlan>, Vec<ConfigError>> {
    if patterns.is_empty() {
        return Ok(plans);
    }
    let idle = patterns.iter().filter(|pattern| !plans.iter().any(|plan| names(pattern, plan)));
    let problems: Vec<ConfigError> = idle.map(|pattern| matches_nothing(pattern, &plans)).collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(plans.into_iter().filter(|plan| patterns.iter().any(|pattern| names(pattern, plan))).collect())
}

fn names(pattern: &str, plan: &RunPlan) -> bool {
    let experiment = &plan.experiment.name;
    let full = format!("{experiment}/{}", plan.name);
    [experiment, &plan.name, &full].into_iter().any(|name| glob(pattern, name))
}

fn matches_nothing(pattern: &str, plans: &[RunPlan]) -> ConfigError {
    let mut experiments: Vec<&str> = plans.iter().map(|plan| plan.experiment.name.as_str()).collect();
    experiments.dedup();
    let runs = plans.iter().map(|plan| plan.name.as_str()).take(SHOWN).collect::<Vec<_>>().join("\n");
    let more = plans.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("\n... and {more} more") } else { String::new() };
    let within = format!("*{}*", pattern.trim_matches('*'));
    let part = plans.iter().any(|plan| names(&within, plan));
    ConfigError::new(
        Place::Argument(format!("--only {pattern}")),
        format!("no experiment or run is called `{pattern}`"),
    )
    .note(format!("experiments: {}", experiments.join(", ")))
    .note(format!("runs: {runs}{more}"))
    .help(match part {
        true => format!("to take all whose name has it: --only '{within}'"),
        false => "`*` stands for any characters: --only '*seed=1337'".to_owned(),
    })
}

/// Whether `name` fits `pattern`, where `*` stands for any characters, none included.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(found) = rest.find(part) else { return false };
        rest = &rest[found + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in
            [("a", "a"), ("*", ""), ("a*", "abc"), ("*c", "abc"), ("a*b*c", "a-b-b-c"), ("*b*", "abc")]
        {
            assert!(glob(pattern, name), "{pattern} fits {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("a*a", "a"), ("*d", "abc"), ("b*", "abc"), ("", "a"), ("a*c*c", "abc")]
        {
            assert!(!glob(pattern, name), "{pattern} does not fit {name}");
        }
    }
}
