//! `runner schema`: the JSON Schema of the experiment files.

use crate::config;
use crate::error::{Error, Exit};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<Exit, Error> {
    println!("{:#}", config::json_schema());
    Ok(Exit::Success)
}
