//! Ctrl-C and its relatives.

use crate::error::{Error, Exit};
use crate::launcher::child::kill_all;
use crate::sinks::progress::Screen;
use crate::train::StopFlag;

/// The first Ctrl-C, termination or hang-up signal asks the run to save and stop, the second ends the process at once.
/// A hang-up that was ignored when the program started (`nohup`) stays ignored.
pub fn catch(screen: &Screen) -> Result<StopFlag, Error> {
    let stop = StopFlag::default();
    let (flag, screen) = (stop.clone(), screen.clone());
    let hangup = hangup::ignore();
    ctrlc::set_handler(move || {
        if flag.is_requested() {
            kill_all();
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
        flag.request();
        screen.say("stopping after this step; Ctrl-C again stops now and loses what is not saved");
    })?;
    if hangup == hangup::Before::Ignored {
        hangup::ignore();
    }
    Ok(stop)
}

#[cfg(unix)]
mod hangup {
    use nix::sys::signal::{SigHandler, Signal, signal};

    #[derive(PartialEq, Eq)]
    pub enum Before {
        Ignored,
        Heard,
    }

    /// Ignores SIGHUP and says whether it was ignored before.
    pub fn ignore() -> Before {
        // SAFETY: no handler function is installed: ignoring a signal runs no code.
        match unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) } {
            Ok(SigHandler::SigIgn) => Before::Ignored,
            _ => Before::Heard,
        }
    }
}

#[cfg(not(unix))]
mod hangup {
    #[derive(PartialEq, Eq)]
    pub enum Before {
        #[allow(dead_code, reason = "there is no such signal here")]
        Ignored,
        Heard,
    }

    pub fn ignore() -> Before {
        Before::Heard
    }
}
