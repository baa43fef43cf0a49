//! `runner tag RUN[@STEP] NAME`: a name for a checkpoint, which every command takes.

use std::path::PathBuf;

use serde_json::json;

use super::columns;
use super::prune::beginnings;
use crate::error::{Error, Exit};
use crate::pretrained::{self, Wanted, Which};
use crate::store::scan::id_of;
use crate::store::tags::{self, Tag};
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The run, by name or path: its best checkpoint, or the one of RUN@STEP, RUN@last. Of an experiment with several runs, the best.
    #[arg(value_name = "RUN[@STEP]", requires = "name", conflicts_with_all = ["list", "delete"])]
    run: Option<String>,
    /// The name: letters, digits, `.`, `_` and `-`, and no run's or experiment's.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// What to remember of it.
    #[arg(long, value_name = "TEXT", requires = "run", default_value = "", hide_default_value = true)]
    note: String,
    /// Of several runs that RUN means, take the best.
    #[arg(long, requires = "run")]
    best: bool,
    /// Take the name from the checkpoint that has it; with --delete, also one that an unfinished run begins from.
    #[arg(long)]
    force: bool,
    /// List the tags. Also what the command does without arguments.
    #[arg(long, conflicts_with = "delete")]
    list: bool,
    /// List them as one line of JSON each.
    #[arg(long, conflicts_with_all = ["run", "delete"])]
    json: bool,
    /// Delete a tag, and the copy of the checkpoint that it keeps. The run's own checkpoints stay. Repeatable.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    delete: Vec<String>,
    /// Folder of the run directories.
    #[arg(long, value_name = "DIR", default_value = "runs", value_parser = super::args::path())]
    runs_dir: PathBuf,
}

const AFTER_HELP: &str = "\
A tagged checkpoint is kept, whatever becomes of the run's others: it lies in checkpoints/tags/NAME of its run, by hard
links where the file system has them. generate, eval, serve, export, compare and train.init_from take the name.

Examples:
  runner tag quickstart v1 --note 'first that rhymes'
  runner tag lr-sweep/learning_rate=0.003,seed=1337@500 paper
  runner tag lr-sweep --best paper --force
  runner generate paper \"King Aldren:\"
  runner tag --list
  runner tag --delete paper";

/// Digits of a hash that are shown: enough to tell checkpoints apart.
const HASH_SHOWN: usize = 12;

pub fn run(args: Args) -> Result<Exit, Error> {
    match (&args.run, &args.name) {
        (Some(run), Some(name)) => add(&args, run, name),
        _ if !args.delete.is_empty() => delete(&args),
        _ => list(&args),
    }
}

fn add(args: &Args, run: &str, name: &str) -> Result<Exit, Error> {
    let wanted = Wanted { which: Which::Best, best_run: args.best };
    let found = pretrained::find(&args.runs_dir, run, wanted)?;
    for note in &found.notes {
        terminal::err(format_args!("note: {}: {note}", found.name));
    }
    let Some(origin) = found.origin else {
        return Err(Error::Usage(format!("{run} is no checkpoint of a run, and only these can be tagged")));
    };
    // A name is looked up among these runs.
    let real = |path: &std::path::Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (dir, runs_dir) = (real(origin.dir.path()), real(&args.runs_dir));
    if !dir.starts_with(&runs_dir) {
        return Err(Error::Usage(format!(
            "{} does not lie in {}, where commands would look for the name; give its folder of runs as --runs-dir",
            origin.dir.path().display(),
            args.runs_dir.display()
        )));
    }
    let tag = tags::add(&args.runs_dir, &origin.dir, origin.step, name, args.note.trim(), args.force)?;
    terminal::out(format_args!("{name}: {}, {}; SHA-256 {}", found.name, origin.describe(), hash(&tag)));
    Ok(Exit::Success)
}

fn delete(args: &Args) -> Result<Exit, Error> {
    // All are there, or none is deleted.
    let tags = args.delete.iter().map(|name| tags::existing(&args.runs_dir, name));
    let tags = tags.collect::<Result<Vec<Tag>, _>>()?;
    let needed = beginnings(&args.runs_dir);
    let is_needed = |tag: &&Tag| tag.path().canonicalize().is_ok_and(|path| needed.contains(&path));
    if let Some(tag) = tags.iter().find(is_needed).filter(|_| !args.force) {
        return Err(Error::Usage(format!(
            "a run that is not at its end begins from the weights of {}; let it finish, or delete the tag with --force",
            tag.name
        )));
    }
    for tag in tags {
        tags::delete(&tag)?;
        terminal::out(format_args!("{} was {}, step {}", tag.name, id_of(&tag.dir), tag.step));
    }
    Ok(Exit::Success)
}

fn list(args: &Args) -> Result<Exit, Error> {
    let tags = tags::all(&args.runs_dir);
    if args.json {
        for tag in &tags {
            terminal::out(json!({
                "tag": tag.name,
                "run": id_of(&tag.dir),
                "step": tag.step,
                "tagged_at": tag.tagged_at.to_string(),
                "sha256": tag.sha256,
                "note": tag.note,
                "path": tag.path().display().to_string(),
            }));
        }
        return Ok(Exit::Success);
    }
    if tags.is_empty() {
        terminal::out(format_args!(
            "no tags in {}; `runner tag RUN NAME` gives a checkpoint a name",
            args.runs_dir.display()
        ));
        return Ok(Exit::Success);
    }
    let mut rows = vec![["TAG", "RUN", "STEP", "DATE", "SHA-256", "NOTE"].map(str::to_owned)];
    rows.extend(tags.iter().map(|tag| {
        let date = tag.tagged_at.strftime("%Y-%m-%d").to_string();
        // A note may have lines, and what a terminal would obey.
        let note: String = tag.note.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        [tag.name.clone(), id_of(&tag.dir), tag.step.to_string(), date, hash(tag), note]
    }));
    terminal::out(columns(&rows));
    Ok(Exit::Success)
}

fn hash(tag: &Tag) -> String {
    tag.sha256.chars().take(HASH_SHOWN).collect()
}
