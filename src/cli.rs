//! The command line.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};

use crate::cmd::{
    compare, complete, doctor, eval, exec, explain, export, generate, ls, plan, prepare, prune, report,
    reporter, resume, rm, schema, serve, tag, train, verbs, verify_resume,
};
use crate::error::{Error, Exit};

const AFTER_HELP: &str = "\
Exit codes:
  0    everything is done: every run finished and met its target (skipped runs do not count)
  1    internal error, or a file of a run could not be read or written
  2    configuration or usage error, or a problem that doctor found: nothing was started
  3    all runs finished, but a target was missed
  4    a run failed or diverged, or losses that should agree do not
  75   unfinished, nothing failed: stopped by a scheduler's signal, or another process has
       the run or all GPUs; progress is saved, the same command resumes it
  130  stopped by Ctrl-C; progress is saved, the same command resumes it

Examples:
  runner experiments/quickstart.toml
  runner experiments/*.toml --set train.max_steps=200
  runner experiments/*.toml --jobs auto
  runner resume
  runner plan experiments/*.toml
  runner explain learning_rate
  runner generate quickstart \"King Aldren:\"
  runner eval quickstart --file text.txt
  runner export quickstart --format hf --out quickstart-hf";

/// Trains GPT-2-style language models from TOML experiment files, with checkpoints, reports and comparisons.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    train: train::Args,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Dry run: expand and validate, estimate compute and memory, train nothing.
    Plan(plan::Args),
    /// Resume runs that were interrupted, killed or never started, each from its last checkpoint.
    Resume(resume::ResumeArgs),
    /// Retry failed runs, each from its last checkpoint.
    Retry(resume::RetryArgs),
    /// Create run directories without training, and print them: one `runner exec` each, on a cluster for example.
    Prepare(prepare::Args),
    /// Train one run from its directory. Resumes from its last checkpoint, does nothing if it is finished.
    Exec(exec::Args),
    /// Show that runs survive `kill -9`: train, kill, resume, and compare with an undisturbed run.
    VerifyResume(verify_resume::Args),
    /// Rewrite the reports of runs, from their files alone.
    Report(report::Args),
    /// What a sweep starts for its reports.
    #[command(hide = true)]
    WriteReport,
    /// Compare runs, from their files alone.
    Compare(compare::Args),
    /// Give a checkpoint a name that every command takes, and list or delete these names.
    Tag(tag::Args),
    /// List the runs: status, losses, speed, age; filtered, sorted, or for other programs.
    Ls(ls::Args),
    /// Move runs to the trash, bring them back, or empty it.
    Rm(rm::Args),
    /// Delete checkpoints but the best or the last of each run.
    Prune(prune::Args),
    /// Continue a text with a trained model.
    Generate(generate::Args),
    /// Measure how well a trained model predicts a text: loss, perplexity, bits per byte, accuracy.
    Eval(eval::Args),
    /// Serve trained models: a web page and an OpenAI-style API.
    Serve(serve::Args),
    /// Export a trained model for other programs, or a whole run for another machine.
    Export(export::Args),
    /// Explain a key of experiment files: meaning, type, range, default, names in other frameworks.
    Explain(explain::Args),
    /// Check this machine: what works, what does not, and how to fix it.
    Doctor(doctor::Args),
    /// Print the JSON Schema of the experiment files, for completion in editors.
    Schema(schema::Args),
}

impl Cli {
    /// Reads the command line. A shell that asks for completions is answered first.
    pub fn read() -> Result<Self, Error> {
        complete::answer::<Self>();
        let words: Vec<OsString> = std::env::args_os().collect();
        Self::try_parse_from(&words).or_else(|error| match other_programs_words(&error, &words) {
            Some(hint) => Err(Error::Usage(hint)),
            None => error.exit(),
        })
    }

    /// Runs the command that was asked for.
    pub fn run(self) -> Result<Exit, Error> {
        match self.command {
            None => {
                self.train
                    .refuse_misplaced_command(Self::command().get_subcommands().map(|one| one.get_name()))?;
                train::run(self.train)
            }
            Some(Command::Plan(args)) => plan::run(args),
            Some(Command::Resume(args)) => resume::resume(args),
            Some(Command::Retry(args)) => resume::retry(args),
            Some(Command::Prepare(args)) => prepare::run(args),
            Some(Command::Exec(args)) => exec::run(args),
            Some(Command::VerifyResume(args)) => verify_resume::run(args),
            Some(Command::Report(args)) => report::run(args),
            Some(Command::WriteReport) => reporter::run(),
            Some(Command::Compare(args)) => compare::run(args),
            Some(Command::Tag(args)) => tag::run(args),
            Some(Command::Ls(args)) => ls::run(args),
            Some(Command::Rm(args)) => rm::run(args),
            Some(Command::Prune(args)) => prune::run(args),
            Some(Command::Generate(args)) => generate::run(args),
            Some(Command::Eval(args)) => eval::run(args),
            Some(Command::Serve(args)) => serve::run(args),
            Some(Command::Export(args)) => export::run(args),
            Some(Command::Explain(args)) => explain::run(args),
            Some(Command::Doctor(args)) => doctor::run(args),
            Some(Command::Schema(args)) => schema::run(args),
        }
    }
}

/// What was meant by a command line that is none of ours but reads like another program's.
fn other_programs_words(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(unknown)) => unknown.as_str(),
        _ => return None,
    };
    // `--train.max_steps=5`, as nanoGPT has it: the error names it without its value.
    let whole = words
        .iter()
        .filter_map(|word| word.to_str())
        .find(|word| word.strip_prefix(unknown).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')));
    if let Some(hint) = whole.filter(|_| unknown.starts_with("--")).and_then(verbs::assignment) {
        return Some(hint);
    }
    let (word, rest) = words.get(1..)?.split_first()?;
    let rest: Vec<&OsStr> = rest.iter().map(OsString::as_os_str).collect();
    let command = Cli::command();
    let commands: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let is_word =
        !commands.iter().any(|command| *word == **command) && !word.to_string_lossy().starts_with('-');
    is_word.then(|| verbs::hint(word, &rest, &commands)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_every_exit_code() {
        let help = Cli::command().render_help().to_string();
        let all = [
            Exit::Success,
            Exit::Internal,
            Exit::Usage,
            Exit::TargetMissed,
            Exit::RunFailed,
            Exit::Unfinished,
            Exit::Interrupted,
        ];
        for exit in all {
            assert!(help.contains(&format!("\n  {:<4} ", exit.code())), "{exit:?}");
        }
    }
}
