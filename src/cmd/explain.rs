//! `runner explain KEY`: meaning, type, range, default and other names of a key.

use crate::config;
use crate::error::{Error, Exit};
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A key such as `optimizer.learning_rate`, a section, or what another framework calls it. Default: all keys.
    key: Option<String>,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    match args.key {
        Some(key) => terminal::out(config::explain(&key)?.trim_end()),
        None => terminal::out(config::explain_all().trim_end()),
    }
    Ok(Exit::Success)
}
