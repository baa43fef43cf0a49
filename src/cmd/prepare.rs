//! `runner prepare FILE...`: makes the directories of runs and trains nothing, for `runner exec` on other machines.

use super::args::{Folders, Selection};
use super::preflight::{chosen_starts, load_plans, take_turns};
use super::{sweep, together};
use crate::error::{Error, Exit};
use crate::launcher::Launcher;
use crate::launcher::again::{self, Again, Decision};
use crate::launcher::prepare::Place;
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    folders: Folders,
    /// Prepare every run again from scratch, even finished ones.
    #[arg(long, conflicts_with = "retry")]
    again: bool,
    /// Also print runs that failed in an earlier attempt.
    #[arg(long)]
    retry: bool,
}

/// Prints the directory of every run that is to be trained, one a line; what is left out is said on standard error.
pub fn run(args: Args) -> Result<Exit, Error> {
    let launcher = Launcher::new().among(&args.folders.runs_dir);
    let again = Again { fresh: args.again, retry: args.retry };
    let mut exit = Exit::Success;
    let planned = load_plans(&args.selection, &launcher, Place::Elsewhere)?;
    chosen_starts(&planned).iter().for_each(|line| terminal::err(format_args!("note: {line}")));
    let _turns = take_turns(&planned, &args.folders.runs_dir);
    let runs_dir = &args.folders.runs_dir;
    let mut dirs: Vec<Option<String>> = Vec::with_capacity(planned.len());
    for run in &planned {
        let (dir, left_out) = match again::decide(&run.plan, runs_dir, run.data.as_ref(), again) {
            Decision::New(changed) => {
                let place = Place::Elsewhere;
                (launcher.prepare(&run.plan, run.start.as_ref(), runs_dir, changed, None, place)?.0, None)
            }
            Decision::GoOn(dir, _) => (dir, None),
            Decision::Keep(dir, manifest) => {
                let how = crate::report::ending::outcome(&manifest);
                (dir, Some(format!("{how} in an earlier call")))
            }
            Decision::Unusable(dir, reason) => {
                dirs.push(Some(dir.name()));
                sweep::broken(sweep::name_of(&dir), reason);
                exit = Exit::Internal;
                continue;
            }
            Decision::Busy(dir, writer) => (dir, Some(format!("is being trained by {writer}"))),
        };
        dirs.push(Some(dir.name()));
        match left_out {
            Some(why) => terminal::err(format_args!("{}: left out: {why}", sweep::name_of(&dir))),
            None => terminal::out(dir.path().display()),
        }
    }
    together::record(&args.selection, &planned, &dirs, runs_dir);
    Ok(exit)
}
