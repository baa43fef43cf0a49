//! `runner schema`: the JSON Schema of the experiment files.

use crate::config;
use crate::error::{Error, Exit};
use crate::terminal;

const AFTER_HELP: &str = "\
For completion and checks in an editor with taplo (https://taplo.tamasfe.dev): write the schema to a file, and name it in the \
first line of an experiment.

Example:
  runner schema > .runner.schema.json
  #:schema ../.runner.schema.json";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {}

pub fn run(_args: Args) -> Result<Exit, Error> {
    terminal::out(format_args!("{:#}", config::json_schema()));
    Ok(Exit::Success)
}
