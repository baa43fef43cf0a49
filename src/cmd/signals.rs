//! Signals that ask the program to end: Ctrl-C from a person, all others from a scheduler or the system.

use std::time::{Duration, Instant};

use crate::error::{Error, Exit};
use crate::launcher::child::kill_all;
use crate::sinks::progress::Screen;
use crate::train::StopFlag;

/// A signal, by who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Ctrl-C.
    ByPerson,
    /// A scheduler's or the system's, by its name. Schedulers send some of them twice within milliseconds, and some as a warning
    /// of what comes a while later.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal"))]
    BySystem(&'static str),
}

/// A Ctrl-C so soon after the first request belongs to it: whoever passes signals on may send what the terminal has sent.
const SOON: Duration = Duration::from_millis(200);

/// The first signal asks the run to save and stop. Of all that follow only a Ctrl-C that comes a moment later ends the process at
/// once. A hang-up that was ignored when the program started (`nohup`) stays ignored.
pub fn catch(screen: &Screen) -> Result<StopFlag, Error> {
    let stop = StopFlag::default();
    let (flag, screen) = (stop.clone(), screen.clone());
    let first = move |asked| {
        match asked {
            Asked::ByPerson => flag.request_by_person(),
            Asked::BySystem(_) => flag.request(),
        }
        screen.say(&match asked {
            Asked::ByPerson => {
                "stopping after this step; Ctrl-C again stops now and loses what is not saved".to_owned()
            }
            Asked::BySystem(signal) => format!("{signal}: stopping after this step"),
        });
    };
    listen(first, || {
        kill_all();
        #[expect(clippy::exit, reason = "a second Ctrl-C does not wait for the step")]
        std::process::exit(i32::from(Exit::Interrupted.code()));
    })?;
    Ok(stop)
}

/// The code of a command that was stopped.
pub fn exit_of_stopped(stop: &StopFlag) -> Exit {
    if stop.is_requested_by_person() { Exit::Interrupted } else { Exit::Unfinished }
}

/// Calls `first` at the first signal, and `again` at a Ctrl-C that comes a moment later than that.
pub fn listen(
    first: impl Fn(Asked) + Send + 'static,
    again: impl Fn() + Send + 'static,
) -> Result<(), Error> {
    let mut stopping: Option<Instant> = None;
    each(move |asked| match stopping {
        None => {
            stopping = Some(Instant::now());
            first(asked);
        }
        Some(since) if asked == Asked::ByPerson && since.elapsed() >= SOON => again(),
        Some(_) => {}
    })
}

/// Calls `act` at each signal, on a thread of its own. A file that grows beyond the process's limit is an error of whoever writes
/// it, and no longer a signal.
#[cfg(unix)]
pub fn each(mut act: impl FnMut(Asked) + Send + 'static) -> Result<(), Error> {
    use nix::sys::signal::Signal;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    use signal_hook::iterator::Signals;

    const NAMES: [(i32, &str); 5] = [
        (SIGTERM, "SIGTERM"),
        (SIGHUP, "SIGHUP"),
        (SIGUSR1, "SIGUSR1"),
        (SIGUSR2, "SIGUSR2"),
        (Signal::SIGXCPU as i32, "SIGXCPU"),
    ];

    ignored::ignore(Signal::SIGXFSZ);
    let nohup = ignored::ignore(Signal::SIGHUP) == ignored::Before::Ignored;
    let heard = NAMES.iter().map(|(signal, _)| *signal).filter(|signal| !(nohup && *signal == SIGHUP));
    let mut signals = Signals::new(heard.chain([SIGINT])).map_err(Error::Signal)?;
    let listener = move || {
        for signal in signals.forever() {
            let name = NAMES.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name);
            act(name.map_or(Asked::ByPerson, Asked::BySystem));
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listener).map_err(Error::Signal)?;
    Ok(())
}

/// Calls `act` at each Ctrl-C, on a thread of its own.
#[cfg(not(unix))]
pub fn each(mut act: impl FnMut(Asked) + Send + 'static) -> Result<(), Error> {
    ctrlc::set_handler(move || act(Asked::ByPerson))
        .map_err(|error| Error::Signal(std::io::Error::other(error)))
}

#[cfg(unix)]
mod ignored {
    use nix::sys::signal::{SigHandler, Signal, signal};

    #[derive(PartialEq, Eq)]
    pub enum Before {
        Ignored,
        Heard,
    }

    /// Ignores a signal and says whether it was ignored before.
    pub fn ignore(ignored: Signal) -> Before {
        // SAFETY: no handler function is installed: ignoring a signal runs no code.
        match unsafe { signal(ignored, SigHandler::SigIgn) } {
            Ok(SigHandler::SigIgn) => Before::Ignored,
            _ => Before::Heard,
        }
    }
}
