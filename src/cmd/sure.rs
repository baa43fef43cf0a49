//! Whether a person really wants it: asked on a terminal, said by `--yes` elsewhere.

use std::io::{self, IsTerminal, Write};

use crate::error::Error;
use crate::terminal;

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Sure {
    /// Do it without asking.
    #[arg(short, long, conflicts_with = "dry_run")]
    yes: bool,
    /// Only say what would be done.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Sure {
    /// Asks the question, unless the command line has answered it.
    ///
    /// # Errors
    /// Where nobody can be asked.
    pub fn may(self, question: &str) -> Result<bool, Error> {
        if self.dry_run {
            terminal::out("nothing was changed (--dry-run)");
            return Ok(false);
        }
        if self.yes {
            return Ok(true);
        }
        if !io::stdin().is_terminal() {
            return Err(Error::Usage(
                "nothing was changed: standard input is no terminal, so nobody can be asked; --yes does it, --dry-run only tells"
                    .to_owned(),
            ));
        }
        let mut out = io::stdout().lock();
        let _ = write!(out, "{question} [y/N] ").and_then(|()| out.flush());
        let mut answer = String::new();
        let heard = io::stdin().read_line(&mut answer).is_ok();
        let yes = heard && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
        if !yes {
            terminal::out("nothing was changed");
        }
        Ok(yes)
    }

    /// Of what takes nothing away nobody needs to be asked.
    pub fn may_undo(self) -> bool {
        if self.dry_run {
            terminal::out("nothing was changed (--dry-run)");
        }
        !self.dry_run
    }
}
