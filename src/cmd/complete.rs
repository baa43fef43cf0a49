//! What a shell may complete: experiment files, runs, keys and their values. The program itself is asked, with `COMPLETE` set to the
//! name of the shell.

use std::ffi::OsStr;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter};

use crate::config::schema::{self, KEYS, Kind};
use crate::store::scan;

/// Where runs lie unless an option says otherwise, which is not known while it is typed.
const RUNS_DIR: &str = "runs";

/// Answers a shell that asks, and does not come back then.
pub fn answer<C: CommandFactory>() {
    CompleteEnv::with_factory(|| with_candidates(C::command())).complete();
}

/// The command and those below it, each with what its arguments may be.
fn with_candidates(mut command: Command) -> Command {
    let below: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    for name in below {
        command = command.mut_subcommand(name, with_candidates);
    }
    let arguments: Vec<String> = command.get_arguments().map(|one| one.get_id().to_string()).collect();
    for id in arguments {
        command = command.mut_arg(&id, |argument| match id.as_str() {
            "files" => {
                let experiment = |path: &Path| path.extension().is_some_and(|ending| ending == "toml");
                argument.add(ArgValueCompleter::new(
                    PathCompleter::any().filter(move |path| path.is_dir() || experiment(path)),
                ))
            }
            "set" => argument.add(ArgValueCompleter::new(assignments)),
            "key" => argument.add(ArgValueCandidates::new(keys)),
            "runs" | "run" => argument.add(ArgValueCandidates::new(runs)),
            "only" => argument.add(ArgValueCandidates::new(experiments)),
            _ => argument,
        });
    }
    command
}

/// `key=`, and after the sign the words that the key takes.
fn assignments(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    match typed.split_once('=') {
        Some((name, value)) => {
            let words = schema::key(name).map_or(Vec::new(), words);
            let fitting = words.into_iter().filter(|word| word.starts_with(value));
            fitting.map(|word| CompletionCandidate::new(format!("{name}={word}"))).collect()
        }
        None => {
            let fitting = KEYS.iter().filter(|key| key.name.starts_with(typed.as_ref()));
            fitting.map(|key| described(format!("{}=", key.name), key)).collect()
        }
    }
}

fn words(key: &schema::Key) -> Vec<&'static str> {
    match key.kind {
        Kind::Choice(words) => words.iter().copied().filter(|word| !word.is_empty()).collect(),
        Kind::Switch => vec!["true", "false"],
        Kind::Device => vec!["auto", "cpu", "cuda"],
        _ => Vec::new(),
    }
}

fn keys() -> Vec<CompletionCandidate> {
    KEYS.iter().map(|key| described(key.name.to_owned(), key)).collect()
}

fn described(text: String, key: &schema::Key) -> CompletionCandidate {
    CompletionCandidate::new(text).help(Some(key.kind.describe().into()))
}

/// Runs as they are named on the command line, the latest first, and the experiments that they belong to.
fn runs() -> Vec<CompletionCandidate> {
    let mut names: Vec<String> = Vec::new();
    for (path, _) in scan::scan(Path::new(RUNS_DIR)) {
        let Some((experiment, run)) = path.parent().and_then(Path::file_name).zip(path.file_name()) else {
            continue;
        };
        let (experiment, run) = (experiment.to_string_lossy(), run.to_string_lossy());
        for name in [experiment.clone().into_owned(), format!("{experiment}/{run}")] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn experiments() -> Vec<CompletionCandidate> {
    runs().into_iter().filter(|run| !run.get_value().to_string_lossy().contains('/')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(candidates: Vec<CompletionCandidate>) -> Vec<String> {
        candidates.iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn keys_and_their_words_are_completed() {
        let of = |typed: &str| texts(assignments(OsStr::new(typed)));
        assert_eq!(of("optimizer.learn"), ["optimizer.learning_rate="]);
        assert_eq!(of("schedule.kind=l"), ["schedule.kind=linear"]);
        assert_eq!(of("model.bias="), ["model.bias=true", "model.bias=false"]);
        assert!(of("nothing=").is_empty() && of("nothing").is_empty());
        assert!(texts(keys()).contains(&"train.max_steps".to_owned()));
    }
}
