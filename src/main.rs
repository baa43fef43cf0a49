//! Parses the command line, runs one command, prints one error, and exits with a documented code.

use std::process::ExitCode;

use clap::Parser;
use runner::cli::Cli;
use runner::error::Exit;

fn main() -> ExitCode {
    let exit = match Cli::parse().run() {
        Ok(exit) => exit,
        Err(error) => {
            error.print();
            error.exit()
        }
    };
    ExitCode::from(Exit::code(exit))
}
