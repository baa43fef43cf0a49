//! `runner schema`: the JSON Schema of the experiment files.

use crate::config;
use crate::error::{Error, Exit};
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<Exit, Error> {
    terminal::out(format_args!("{:#}", config::json_schema()));
    Ok(Exit::Success)
}
