//! `runner FILE...`: trains every run that is not done yet, reports each, compares them, and says how it went.

use std::ffi::OsStr;
use std::path::Path;

use super::args::{Folders, Selection};
use super::preflight::{
    Planned, chosen_starts, fetch_corpora, load_plans, short_of_disk, short_of_memory, take_turns,
    unread_keys,
};
use super::signals;
use super::sweep::{self, Item, Origin, WorkArgs};
use super::together;
use super::verbs;
use crate::error::{Error, Exit};
use crate::facts::Status;
use crate::launcher::Launcher;
use crate::launcher::again::{self, Again, Decision};
use crate::launcher::estimate::Past;
use crate::launcher::patience::Patience;
use crate::launcher::prepare::Place;
use crate::sinks::progress::Screen;
use crate::store::{StoreError, scan::scan};
use crate::train::StopFlag;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    work: WorkArgs,
    /// Train every run again from scratch, even finished ones.
    #[arg(long, conflicts_with = "retry")]
    again: bool,
    /// Retry runs that failed in an earlier call.
    #[arg(long)]
    retry: bool,
}

impl Args {
    /// `runner --runs-dir d ls` and `runner train x.toml` read like commands, and `a.b=1` like a key and its value: they would be taken
    /// for files.
    pub fn refuse_misplaced_command<'a>(&self, commands: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let commands: Vec<&str> = commands.collect();
        let files: Vec<&OsStr> = self.selection.files.iter().map(|file| file.as_os_str()).collect();
        for (index, file) in files.iter().enumerate().filter(|(_, file)| !Path::new(file).exists()) {
            if let Some(command) = commands.iter().find(|command| *file == **command) {
                return Err(Error::Usage(format!(
                    "options go after the command: `runner {command} ...`, not `runner ... {command}`"
                )));
            }
            let hint = match index {
                0 => verbs::hint(file, &files[1..], &commands),
                _ => file.to_str().and_then(verbs::assignment),
            };
            if let Some(hint) = hint {
                return Err(Error::Usage(hint));
            }
        }
        Ok(())
    }
}

pub fn run(args: Args) -> Result<Exit, Error> {
    args.work.check()?;
    let launcher = Launcher::new().among(&args.folders.runs_dir);
    let screen = Screen::open(args.work.quiet);
    let mut planned = load_plans(&args.selection, &launcher, Place::Here)?;
    // From here on a signal is heard: what comes next can take minutes.
    let stop = signals::catch(&screen)?;
    let fetched = fetch_corpora(&mut planned, &launcher, &screen, &stop);
    if stop.is_requested() {
        screen.note("stopped before the first run: nothing was started, and the same command begins again");
        return Ok(signals::exit_of_stopped(&stop));
    }
    fetched?;
    chosen_starts(&planned).iter().for_each(|line| screen.note(&format!("note: {line}")));
    for warning in unread_keys(&planned).into_iter().chain(short_of_memory(&planned, &launcher)) {
        screen.note(&format!("warning: {warning}"));
    }
    if planned.len() > 1 {
        args.folders.make_reports_dir()?;
    }
    let again = Again { fresh: args.again, retry: args.retry };
    let mut items = Vec::with_capacity(planned.len());
    let mut patience = Patience::default();
    // Held until all directories are made: who starts the same at this moment finds them then.
    let turns = take_turns(&planned, &args.folders.runs_dir);
    let earlier: Vec<_> = scan(&args.folders.runs_dir).into_iter().filter_map(|(_, run)| run.ok()).collect();
    let past = launcher.past(earlier.iter());
    let means = Means { launcher: &launcher, past: &past, folders: &args.folders };
    for run in &planned {
        items.push(match item(run, &means, again, &mut patience, &screen, &stop) {
            Ok(item) => item,
            // The folder of all runs is unusable: nothing is started.
            Err(error @ StoreError::CreateRun { .. }) if items.is_empty() => return Err(error.into()),
            Err(error) => sweep::broken(format!("{}/{}", run.plan.experiment.name, run.plan.name), error),
        });
    }
    let together = together::of_files(&args.selection, &planned, &items, &args.folders);
    drop(turns);
    // One run may be compared with others of its experiment.
    if planned.len() == 1 && !together.others.is_empty() {
        args.folders.make_reports_dir()?;
    }
    let to_train = planned.iter().zip(&items).filter_map(|(run, item)| match item {
        Item::Train(dir) => Some((run, dir.path().to_owned())),
        _ => None,
    });
    if let Some(warning) = short_of_disk(to_train, &args.folders.runs_dir) {
        screen.note(&format!("warning: {warning}"));
    }
    let costs: Vec<_> = planned
        .iter()
        .zip(&items)
        .filter(|(_, item)| matches!(item, Item::Train(_)))
        .filter_map(|(run, _)| run.cost.as_ref())
        .collect();
    sweep::train(items, &costs, together, &args.work, &args.folders, &screen, stop)
}

/// What every plan of a call is begun with.
struct Means<'a> {
    launcher: &'a Launcher,
    past: &'a Past,
    folders: &'a Folders,
}

/// What is done about a plan. Directories are made before anything is trained, so that `runner resume` knows of all runs.
fn item(
    run: &Planned,
    means: &Means,
    again: Again,
    patience: &mut Patience,
    screen: &Screen,
    stop: &StopFlag,
) -> Result<Item, StoreError> {
    let (plan, Means { launcher, past, folders }) = (&run.plan, means);
    let decide = || again::decide(plan, &folders.runs_dir, run.data.as_ref(), again);
    let mut decision = decide();
    // Who holds it may have brought it to its end, or may be saving.
    if let Decision::Busy(dir, _) = &decision
        && patience.await_holder(dir, stop, &|line| screen.note(line)).is_none()
    {
        decision = decide();
    }
    match decision {
        Decision::New(changed_since) => {
            let (dir, manifest) = launcher.prepare(
                plan,
                run.start.as_ref(),
                &folders.runs_dir,
                changed_since,
                past.estimate(plan, run.cost.as_ref()),
                Place::Here,
            )?;
            Ok(match manifest.status {
                Status::Skipped => Item::Done(dir, Box::new(manifest), Origin::Now),
                _ => Item::Train(dir),
            })
        }
        Decision::Keep(dir, manifest) => Ok(Item::Done(dir, manifest, Origin::Earlier)),
        Decision::GoOn(dir, _) => match launcher.unmet_to_go_on(plan, &dir) {
            Some(reason) => Ok(sweep::left_out(&dir, format!("not resumed here: {reason}"))),
            None => Ok(Item::Train(dir)),
        },
        Decision::Unusable(dir, reason) => Ok(sweep::broken(sweep::name_of(&dir), reason)),
        Decision::Busy(dir, writer) => Ok(sweep::left_out(&dir, format!("is being trained by {writer}"))),
    }
}
