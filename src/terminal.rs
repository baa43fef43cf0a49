//! Standard output and standard error for a program that must not die with its terminal.
//!
//! A closed pipe (`runner ls | head`), a full disk behind a redirection or a terminal that is gone are no reason to lose a
//! run: what cannot be printed is dropped.

use std::fmt::Display;
use std::io::Write;

/// Prints a line to standard output.
pub fn out(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line to standard error.
pub fn err(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
