//! One prompt after the other.

use std::io::{self, BufRead, Write};

use super::interrupt::Interrupt;
use super::{Sampling, describe, write, writer};
use crate::error::{Error, Exit};
use crate::generate::{Model, Settings};
use crate::terminal;

/// Continues lines until the input ends.
pub fn converse(
    model: &Model,
    settings: &Settings,
    sampling: &Sampling,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    terminal::err(describe(model));
    terminal::err(
        "Type the beginning of a text; \\n in it is a line break. Ctrl-C ends a text, Ctrl-D the program.",
    );
    let mut settings = settings.clone();
    loop {
        {
            let mut out = io::stderr().lock();
            let _ = write!(out, "> ");
            let _ = out.flush();
        }
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) => {
                terminal::err("");
                return Ok(Exit::Success);
            }
            Ok(_) => {}
            Err(error) => {
                terminal::err(format_args!("error: this line cannot be read: {error}"));
                if error.kind() != io::ErrorKind::InvalidData {
                    return Ok(Exit::Usage);
                }
                continue;
            }
        }
        let prompt = line.trim_end_matches(['\r', '\n']).replace("\\n", "\n");
        let format = writer::Format::Text;
        match write(model, &prompt, &settings, sampling.num_samples.get(), format, interrupt) {
            Ok(_) => terminal::out(""),
            // What is wrong with one prompt may be right with the next.
            Err(error) => error.print(),
        }
        // The same prompt twice should not give the same text twice, unless that was asked for.
        if sampling.seed.is_none() {
            settings.seed = settings.seed.wrapping_add(sampling.num_samples.get() as u64);
        }
    }
}
