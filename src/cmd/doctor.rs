//! `runner doctor`: looks at this machine; each problem comes with what to do about it.

use std::io::IsTerminal;

use super::args::Folders;
use crate::doctor::{self, Diagnosis, Places, Question};
use crate::error::{Error, Exit};
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    folders: Folders,
    /// Print everything as JSON, for programs.
    #[arg(long)]
    json: bool,
    /// Answer one question about the GPUs, as a child of another doctor: `look`, or a device's number.
    #[arg(long, value_name = "QUESTION", hide = true, value_parser = question)]
    answer: Option<Question>,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    if let Some(question) = args.answer {
        doctor::answer(question);
        return Ok(Exit::Success);
    }
    let Folders { runs_dir, reports_dir } = args.folders;
    let diagnosis = Diagnosis::new(&Places { runs_dir, reports_dir }, doctor::ask());
    if args.json {
        let text = serde_json::to_string_pretty(&diagnosis);
        terminal::out(text.map_err(|error| Error::Usage(error.to_string()))?);
    } else {
        // See no-color.org.
        let colours =
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        terminal::out(diagnosis.render(colours).trim_end());
    }
    Ok(if diagnosis.problems == 0 { Exit::Success } else { Exit::Usage })
}

fn question(word: &str) -> Result<Question, String> {
    match word {
        "look" => Ok(Question::Look),
        number => number.parse().map(Question::Compute).map_err(|_| "not a question".to_owned()),
    }
}
