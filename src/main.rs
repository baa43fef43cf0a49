//! Parses the command line, runs one command, prints one error, and exits with a documented code.

use std::process::ExitCode;

use runner::cli::Cli;
use runner::error::Exit;

fn main() -> ExitCode {
    let exit = match Cli::read().and_then(Cli::run) {
        Ok(exit) => exit,
        Err(error) => {
            error.print();
            error.exit()
        }
    };
    ExitCode::from(Exit::code(exit))
}
