//! `runner compare RUN RUN...`: a comparison from the runs' files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::Folders;
use super::listing::{Read, fields};
use super::together::{self, Together};
use crate::belonging::{self, Belonging};
use crate::error::{Error, Exit};
use crate::files::{is_folder_name, sha256};
use crate::report;
use crate::report::compare::{Agreement, LeftOut, Older, checked_name};
use crate::shell::quote;
use crate::store::{RunDir, RunRecord, read, scan};
use crate::terminal;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Experiments (all their current runs), runs as `experiment/run`, patterns of these (in quotes: `*`, `?`, `[...]`, `{a,b}`), tags,
    /// directories, or experiment files.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// Name of the comparison, of letters, digits, `.`, `_` and `-`. Default: made from its experiments, or from the runs that were
    /// chosen.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print a JSON object instead of sentences: name, page and csv (paths), answer (the sentences), best (setting, result, outcome,
    /// runs; best first), runs (the fields of `runner ls --json`, and sentence), left_out (run, reason), older (number of runs of another
    /// configuration), agreements (sentence, holds).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

const AFTER_HELP: &str = "\
An experiment means its current runs: those that its file planned when it was trained last. Runs of another configuration
are listed at the end of the page, with what differs. What you write into reports/NAME.notes.md stands in the page.

Examples:
  runner compare lr-sweep
  runner compare lr-sweep width-sweep
  runner compare 'lr-sweep/learning_rate=0.001*' --name best-rate
  runner compare quickstart/seed=1337 quickstart/seed=1337-2";

/// Longest name that is made of the arguments.
const LONGEST_NAME: usize = 80;

/// The runs of one experiment that were asked for.
#[derive(Default)]
struct Asked {
    /// All that belong together.
    whole: Option<Belonging>,
    /// Runs that were named one by one, or by a pattern.
    named: Vec<PathBuf>,
    fitting: Vec<PathBuf>,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    // Before anything is read: reading many runs takes its time.
    let name = args.name.as_deref().map(checked_name).transpose()?;
    let chosen = chosen(&args)?;
    let mut records: Vec<RunRecord> = Vec::new();
    let Chosen { paths, mut together, part } = chosen;
    let mut unreadable = false;
    for path in paths {
        match read(&path) {
            Ok(record) => records.push(record),
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                unreadable = true;
                together
                    .left_out
                    .push(LeftOut { run: scan::id_of(&RunDir::open(&path)), reason: error.to_string() });
            }
        }
    }
    if records.len() < 2 {
        let found = records.len();
        return Err(Error::Usage(format!(
            "a comparison needs at least two readable runs, found {found}; `runner ls` lists the runs there are"
        )));
    }
    let again = match &part {
        Some(_) => {
            let runs: String = args.runs.iter().map(|run| format!(" {}", quote(run))).collect();
            let name = name.as_ref().map_or_else(String::new, |name| format!(" --name {name}"));
            format!("runner compare{runs}{name}")
        }
        None => together.again(name.as_deref()),
    };
    let name = name.or(part).unwrap_or_else(|| together.name());
    let (left_out, older, reports_dir) = (&together.left_out, &together.older, &args.folders.reports_dir);
    let path = report::compare::write_beside(&name, &records, left_out, older, &again, reports_dir)?;
    report::index::update(reports_dir)?;
    let agreements = report::compare::agreements(&records);
    let exit = if agreements.iter().any(|agreement| !agreement.holds()) {
        Exit::RunFailed
    } else if unreadable {
        Exit::Internal
    } else {
        Exit::Success
    };
    if args.json {
        terminal::out(format_args!(
            "{:#}",
            object(&name, &path, &records, left_out, older.len(), &agreements)
        ));
        return Ok(exit);
    }
    terminal::out(report::compare::answer(&records, left_out));
    if !older.is_empty() {
        let them = if older.len() == 1 { "One run" } else { &format!("{} runs", older.len()) };
        let verb = if older.len() == 1 { "is" } else { "are" };
        terminal::out(format_args!(
            "{them} of another configuration {verb} listed apart, with what differs."
        ));
    }
    terminal::out(format_args!("{}", path.display()));
    Ok(exit)
}

fn object(
    name: &str,
    page: &Path,
    records: &[RunRecord],
    left_out: &[LeftOut],
    older: usize,
    agreements: &[Agreement],
) -> Value {
    let best = report::compare::best(records, usize::MAX).into_iter().map(|place| {
        json!({
            "setting": place.setting,
            "result": place.result,
            "outcome": place.outcome,
            "runs": place.runs,
        })
    });
    let run = |record: &RunRecord| {
        let mut known = fields::object(&Read::of_record(record));
        known.insert("path".to_owned(), json!(record.dir.path()));
        known.insert("sentence".to_owned(), json!(report::ending::sentence(record)));
        Value::Object(known)
    };
    json!({
        "name": name,
        "page": page,
        "csv": page.with_extension("csv"),
        "answer": report::compare::answer(records, left_out),
        "best": best.collect::<Vec<_>>(),
        "runs": records.iter().map(run).collect::<Vec<_>>(),
        "left_out": left_out,
        "older": older,
        "agreements": agreements
            .iter()
            .map(|one| json!({ "sentence": one.sentence(), "holds": one.holds() }))
            .collect::<Vec<_>>(),
    })
}

/// What is compared.
struct Chosen {
    paths: Vec<PathBuf>,
    together: Together,
    /// What the comparison is called where it is not of all that belong to its experiments: it must not take the place of that.
    part: Option<String>,
}

fn chosen(args: &Args) -> Result<Chosen, Error> {
    let runs_dir = &args.folders.runs_dir;
    // In the order in which they were named.
    let mut order: Vec<PathBuf> = Vec::new();
    let mut asked: BTreeMap<PathBuf, Asked> = BTreeMap::new();
    for argument in &args.runs {
        let file = Path::new(argument);
        if file.extension().is_some_and(|ending| ending == "toml") && file.is_file() {
            for (folder, belonging) in together::of_file(file, runs_dir)? {
                order.push(folder.clone());
                asked.entry(folder).or_default().whole = Some(belonging);
            }
            continue;
        }
        let is_pattern = scan::is_pattern(argument) && !file.exists();
        for path in super::resolve(&args.folders, std::slice::from_ref(argument))? {
            let folder = together::folder_of(&path);
            order.push(folder.clone());
            let entry = asked.entry(folder.clone()).or_default();
            let is_run = [file.to_owned(), runs_dir.join(argument)].contains(&path);
            if is_pattern {
                entry.fitting.push(path);
            } else if is_run || !(folder.ends_with(argument) || file.is_dir()) {
                entry.named.push(path);
            } else if entry.whole.is_none() {
                entry.whole = Some(belonging::of(&folder, None));
            }
        }
    }
    let mut chosen = Chosen { paths: Vec::new(), together: Together::default(), part: None };
    let mut is_whole = true;
    for folder in order {
        let Some(Asked { whole, named, fitting }) = asked.remove(&folder) else { continue };
        let experiment = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let belonging = whole.clone().unwrap_or_else(|| belonging::of(&folder, None));
        let all = belonging.current.clone();
        let wanted: Vec<PathBuf> = match whole {
            Some(_) => all.iter().chain(&named).cloned().collect(),
            None => {
                // A pattern does not mean what is out of date, unless that is all that it fits.
                let (new, old): (Vec<PathBuf>, Vec<PathBuf>) =
                    fitting.into_iter().partition(|path| all.contains(path));
                let fitting = if new.is_empty() { old } else { new };
                named.into_iter().chain(fitting).collect()
            }
        };
        is_whole &= all.iter().all(|path| wanted.contains(path));
        let older = belonging.older.into_iter().filter(|(path, _)| !wanted.contains(path));
        let listed =
            if is_whole { older.map(|(dir, changes)| Older { dir, changes }).collect() } else { Vec::new() };
        let belonging = Belonging { missing: belonging.missing, ..Belonging::default() };
        chosen.together.add(&experiment, belonging, |_| together::Known::No);
        chosen.together.older.extend(listed);
        for path in wanted {
            if !chosen.paths.contains(&path) {
                chosen.paths.push(path);
            }
        }
    }
    if !is_whole {
        chosen.together.left_out.clear();
        chosen.together.older.clear();
        chosen.part = Some(name_of_part(args, &chosen));
    }
    Ok(chosen)
}

/// After what was asked for, as far as that fits into a name, or after the experiments and a hash of the runs.
fn name_of_part(args: &Args, chosen: &Chosen) -> String {
    let word = |argument: &String| {
        let path = Path::new(argument);
        let mut parts: Vec<_> = path.components().rev().take(2).collect();
        parts.reverse();
        let text = parts.iter().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("-");
        let safe = text.split(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c)));
        safe.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    };
    let words: Vec<String> = args.runs.iter().map(word).collect();
    let name = words.join("-vs-");
    let is_experiment = args.folders.runs_dir.join(&name).is_dir() || chosen.together.name() == name;
    if name.len() <= LONGEST_NAME && is_folder_name(&name) && checked_name(&name).is_ok() && !is_experiment {
        return name;
    }
    let mut ids: Vec<String> = chosen.paths.iter().map(|path| scan::id_of(&RunDir::open(path))).collect();
    ids.sort();
    let hash = &sha256(ids.join("\n").as_bytes())[..8];
    let experiments: String = chosen.together.name().chars().take(LONGEST_NAME).collect();
    format!("{experiments}-{}-runs-{hash}", chosen.paths.len())
}
