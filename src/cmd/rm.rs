//! `runner rm RUN...`: moves runs to the trash, brings them back, or empties it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::args::Folders;
use super::listing::{Filter, Listed, gather};
use super::prune::beginnings;
use super::sure::Sure;
use crate::error::{Error, Exit};
use crate::files::disk;
use crate::store::trash::{self, Thrown};
use crate::store::{RunDir, tags};
use crate::terminal;
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs or experiments, by name or path. With a filter and without names: all runs that fit it.
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Bring runs back from the trash to where they were; all of them when none is named.
    #[arg(long, conflicts_with_all = ["empty_trash", "status", "tags", "conditions"])]
    restore: bool,
    /// Delete everything in the trash for good.
    #[arg(long, conflicts_with_all = ["runs", "status", "tags", "conditions"])]
    empty_trash: bool,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    folders: Folders,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    if args.empty_trash {
        empty(&args)
    } else if args.restore {
        restore(&args)
    } else if args.runs.is_empty() && args.filter.is_empty() {
        Err(Error::Usage(
            "name the runs to remove, or say which by --status, --tag or --where; `runner ls` lists them"
                .to_owned(),
        ))
    } else {
        throw_away(&args)
    }
}

/// How many runs are named one by one.
const NAMED: usize = 20;

fn throw_away(args: &Args) -> Result<Exit, Error> {
    let runs = gather(&args.folders, &args.runs, &args.filter, &[])?;
    let (held, free): (Vec<&Listed>, Vec<&Listed>) =
        runs.iter().partition(|run| RunDir::open(&run.path).writer().is_some());
    let mut exit = Exit::Success;
    for run in held {
        terminal::err(format_args!("error: {} is being trained and stays; stop it first", run.name));
        exit = Exit::Unfinished;
    }
    if free.is_empty() {
        terminal::out("nothing to remove");
        return Ok(exit);
    }
    let needed = beginnings(&args.folders.runs_dir);
    let begins_here = |path: &Path| {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        needed.iter().any(|checkpoint| checkpoint.starts_with(&path))
    };
    let mut all = 0;
    for (index, run) in free.iter().enumerate() {
        let bytes = disk::bytes_below(&run.path);
        all += bytes;
        if index < NAMED {
            let needed =
                if begins_here(&run.path) { "  (an unfinished run begins from its weights)" } else { "" };
            let remark = remark(&run.path);
            terminal::out(format_args!("{}  {}{remark}{needed}", run.name, units::bytes(bytes as f64)));
        }
    }
    if free.len() > NAMED {
        terminal::out(format_args!("... and {} more", free.len() - NAMED));
    }
    let count = units::counted(free.len() as u64, "run");
    let bytes = units::bytes(all as f64);
    terminal::out(format_args!(
        "{count}, {bytes}, to the trash in {}; the room is free once `runner rm --empty-trash` has emptied it",
        args.folders.runs_dir.join(trash::FOLDER).display()
    ));
    if !args.sure.may(&format!("Move {count} to the trash?"))? {
        return Ok(exit);
    }
    let when = Timestamp::now();
    let mut places = Vec::new();
    for run in &free {
        match trash::throw_away(&args.folders.runs_dir, &RunDir::open(&run.path), when) {
            Ok(place) => places.push(place),
            Err(error) => {
                terminal::err(format_args!("error: {}: {error}", run.name));
                exit = Exit::Internal;
            }
        }
    }
    terminal::out(format_args!(
        "moved {}; `runner rm --restore` brings back what is in the trash",
        units::counted(places.len() as u64, "run")
    ));
    let found: BTreeSet<PathBuf> =
        trash::list(&args.folders.runs_dir).into_iter().map(|one| one.path).collect();
    let outside = places.iter().filter(|place| !found.contains(*place));
    let outside: BTreeSet<&Path> = outside.filter_map(|place| trash::base(place)).collect();
    for folder in outside {
        terminal::out(format_args!(
            "some lay outside of {} and are in {}: bring those back with `runner rm --restore --runs-dir {}`",
            args.folders.runs_dir.display(),
            folder.join(trash::FOLDER).display(),
            crate::shell::quote(&folder.display().to_string())
        ));
    }
    Ok(exit)
}

/// What a person should know of a run before it goes.
fn remark(path: &Path) -> String {
    if path.is_symlink() {
        return "  (only the link goes: the run lies elsewhere)".to_owned();
    }
    let tags: Vec<String> = tags::of(&RunDir::open(path)).into_iter().map(|tag| tag.name).collect();
    if tags.is_empty() {
        String::new()
    } else {
        format!("  (with the tagged checkpoints {})", tags.join(", "))
    }
}

fn restore(args: &Args) -> Result<Exit, Error> {
    let thrown = trash::list(&args.folders.runs_dir);
    let fits = |name: &str, one: &Thrown| {
        let (name, known) = (Path::new(name), Path::new(&one.name));
        known == name || known.parent() == Some(name) || one.from == name
    };
    for name in &args.runs {
        if !thrown.iter().any(|one| fits(name, one)) {
            return Err(Error::Usage(not_there(name, &thrown)));
        }
    }
    let mut wanted: Vec<&Thrown> = Vec::new();
    for one in &thrown {
        // The latest of a name comes first.
        let is_latest = wanted.iter().all(|other| other.name != one.name);
        if is_latest && (args.runs.is_empty() || args.runs.iter().any(|name| fits(name, one))) {
            wanted.push(one);
        }
    }
    if wanted.is_empty() {
        terminal::out("the trash is empty");
        return Ok(Exit::Success);
    }
    for one in &wanted {
        terminal::out(format_args!("{}  (thrown away {})", one.name, in_words(&one.when)));
    }
    if !args.sure.may_undo() {
        return Ok(Exit::Success);
    }
    let mut exit = Exit::Success;
    for one in wanted {
        if let Err(error) = trash::restore(one) {
            terminal::err(format_args!("error: {error}"));
            exit = Exit::Internal;
        }
    }
    Ok(exit)
}

/// `20261129T155012Z` as `2026-11-29 15:50 UTC`; what else a folder is called as it is.
fn in_words(when: &str) -> String {
    match jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", when.get(..16).unwrap_or(when)) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => when.to_owned(),
    }
}

fn not_there(name: &str, thrown: &[Thrown]) -> String {
    let names: Vec<&str> = thrown.iter().map(|one| one.name.as_str()).take(8).collect();
    match names.as_slice() {
        [] => format!("{name} is not in the trash, which is empty"),
        names => format!("{name} is not in the trash; there are {}", names.join(", ")),
    }
}

fn empty(args: &Args) -> Result<Exit, Error> {
    let thrown = trash::list(&args.folders.runs_dir);
    let folder = args.folders.runs_dir.join(trash::FOLDER);
    let bytes: u64 = thrown.iter().map(|one| disk::bytes_below(&one.path)).sum();
    if thrown.is_empty() && !folder.exists() {
        terminal::out("the trash is empty");
        return Ok(Exit::Success);
    }
    let count = units::counted(thrown.len() as u64, "run");
    terminal::out(format_args!(
        "{count} in the trash, {}, to be deleted for good",
        units::bytes(bytes as f64)
    ));
    for one in thrown.iter().take(NAMED) {
        terminal::out(format_args!("  {}{}", one.name, remark(&one.path)));
    }
    if thrown.len() > NAMED {
        terminal::out(format_args!("  ... and {} more", thrown.len() - NAMED));
    }
    if !args.sure.may(&format!("Delete {count} for good?"))? {
        return Ok(Exit::Success);
    }
    trash::empty(&args.folders.runs_dir, &thrown)?;
    terminal::out(format_args!("freed {}", units::bytes(bytes as f64)));
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_trash_are_told_as_people_write_them() {
        assert_eq!(in_words("20261129T155012Z"), "2026-11-29 15:50 UTC");
        assert_eq!(in_words("20261129T155012Z-2"), "2026-11-29 15:50 UTC");
        assert_eq!(in_words("by hand"), "by hand");
    }
}
