//! The command line.

use clap::{CommandFactory, Parser, Subcommand};

use crate::cmd::{
    compare, doctor, eval, exec, explain, export, generate, ls, plan, prepare, report, reporter, resume,
    schema, serve, train, verify_resume,
};
use crate::error::{Error, Exit};

const AFTER_HELP: &str = "\
Exit codes:
  0    all is done: every run finished and each target was met (skipped runs do not count)
  1    internal error, or a file of the record could not be read or written
  2    configuration or usage error, or a problem that doctor found: nothing was started
  3    all runs finished, but a target was missed
  4    a run failed or diverged, or losses that should be the same are not
  75   not all is done, and nothing failed: stopped by a scheduler's signal, or another
       process has the run or all GPUs; what was done is saved, the same command resumes it
  130  stopped by Ctrl-C; what was done is saved, the same command resumes it

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

/// Trains GPT-2-style language models from TOML experiment files, and writes down what happened.
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
    /// Show what would be run: the same expansion and validation, nothing trained.
    Plan(plan::Args),
    /// Go on with runs that were interrupted or whose process was killed, each from its last checkpoint.
    Resume(resume::ResumeArgs),
    /// Try failed runs again, each from its last checkpoint.
    Retry(resume::RetryArgs),
    /// Make the directories of runs without training them, and print them, for `runner exec` elsewhere.
    Prepare(prepare::Args),
    /// Train one run from its directory; what a sweep or a cluster starts.
    Exec(exec::Args),
    /// Show that runs survive `kill -9`: train, kill, resume, and compare with a run that was left alone.
    VerifyResume(verify_resume::Args),
    /// Write the reports of runs again, from their files alone.
    Report(report::Args),
    /// What a sweep starts for its reports.
    #[command(hide = true)]
    WriteReport,
    /// Compare runs, from their files alone.
    Compare(compare::Args),
    /// List the runs: status, best loss, age.
    Ls(ls::Args),
    /// Continue a text with a trained model.
    Generate(generate::Args),
    /// Measure how well a trained model predicts a text: loss, perplexity, bits per byte, accuracy.
    Eval(eval::Args),
    /// Serve trained models as a web page and behind an interface like OpenAI's.
    Serve(serve::Args),
    /// Hand a trained model to other programs, or a run to another machine.
    Export(export::Args),
    /// Explain a key of the experiment files: meaning, type, range, default, other names.
    Explain(explain::Args),
    /// Look at this machine: what works, what does not, and what to do about it.
    Doctor(doctor::Args),
    /// Print the JSON Schema of the experiment files, for completion in editors.
    Schema(schema::Args),
}

impl Cli {
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
            Some(Command::Ls(args)) => ls::run(args),
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
