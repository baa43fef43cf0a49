//! What stands in a comparison beside its numbers: what people wrote, and runs that do not belong to it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::facts::KeyChange;
use crate::markdown::{Align, Table, code, escape, link, relative_url};
use crate::report::ending;
use crate::store::{RunDir, scan};
use crate::units;

/// A run of the experiment that was configured otherwise than those that are compared: mostly before the file was changed, but as
/// well after it, with `--set`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Older {
    pub dir: PathBuf,
    /// From this run to those that are compared; never empty.
    pub changes: Vec<KeyChange>,
}

/// With more rows the table goes into a fold.
const ROWS_SHOWN: usize = 12;
/// Changed keys of a run that are listed.
const KEYS_SHOWN: usize = 6;

/// `page` with the notes between the answer and the first heading, and the runs that do not belong at its end.
pub fn add(page: &str, notes: &str, older: &[Older], reports_dir: &Path) -> String {
    let (head, rest) = page.split_at(page.find("\n## ").map_or(page.len(), |at| at + 1));
    let parts = [head, notes, rest, &section(older, reports_dir)];
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}

/// One row per run of another configuration, with what differs.
fn section(older: &[Older], reports_dir: &Path) -> String {
    if older.is_empty() {
        return String::new();
    }
    let columns = ["Run", "Outcome", "Best loss", "Differs in"];
    let mut table = Table::new(&columns.map(|name| (name, Align::Left)));
    for run in older {
        let dir = RunDir::open(&run.dir);
        let name = link(&code(&scan::id_of(&dir)), &relative_url(reports_dir, &dir.report()));
        let (outcome, loss) = match dir.read_manifest_now() {
            Ok(manifest) => {
                let results = manifest.results.as_ref();
                let val = results.and_then(|results| results.best_val_loss).map(|loss| (loss, "validation"));
                let train = results.and_then(|results| results.best_train_loss).map(|loss| (loss, "train"));
                let loss = val.or(train).map(|(loss, kind)| format!("{} ({kind})", units::loss(loss)));
                (ending::outcome(&manifest), loss)
            }
            Err(_) => ("unreadable".to_owned(), None),
        };
        let loss = loss.unwrap_or_else(|| units::MISSING.to_owned());
        table.row([name, escape(&outcome), loss, differences(&run.changes)]);
    }
    let what = if older.len() == 1 { "This run was" } else { "These runs were" };
    let text = format!(
        "{what} configured otherwise than those above and {} there.\n\n",
        if older.len() == 1 { "does not count" } else { "do not count" }
    );
    let table = table.render();
    let table = if older.len() > ROWS_SHOWN {
        format!("<details>\n<summary>{} runs</summary>\n\n{table}\n</details>\n", older.len())
    } else {
        table
    };
    format!("## Runs of another configuration\n\n{text}{table}")
}

/// `train.max_steps`: 100, above 200; ...
fn differences(changes: &[KeyChange]) -> String {
    let shown = changes.iter().take(KEYS_SHOWN).map(|change| {
        let short = |text: &str| {
            let cut: String = text.chars().take(40).collect();
            code(&if cut.len() < text.len() { format!("{cut}...") } else { cut })
        };
        format!("{}: {}, above {}", code(&change.key), short(&change.before), short(&change.now))
    });
    let mut parts: Vec<String> = shown.collect();
    if changes.len() > KEYS_SHOWN {
        parts.push(format!("and {} more", units::counted((changes.len() - KEYS_SHOWN) as u64, "key")));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn notes_stand_below_the_answer_and_runs_of_another_configuration_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let record = fixture::run(folder.path(), "rates", "seed=1", 100, 1.5);
        fixture::save(&record);
        let changes = fixture::changes(&[("train.max_steps", "100", "200")]);
        let older = [Older { dir: record.dir.path().to_owned(), changes }];
        let page = "# rates\n\nOf 2 settings, `a` won.\n\n## Settings\n\n| a |\n";
        let text = add(page, "## Notes\n\nmine\n", &older, &folder.path().join("reports"));
        assert!(
            text.starts_with("# rates\n\nOf 2 settings, `a` won.\n\n## Notes\n\nmine\n\n## Settings\n"),
            "{text}"
        );
        let end = "| [`rates/seed=1`](../rates/seed%3D1/report.md) | finished | 1.6";
        assert!(text.contains(end) && text.contains("`train.max_steps`: `100`, above `200` |\n"), "{text}");
        assert_eq!(add(page, "", &[], folder.path()), page);
        assert_eq!(add("# a\n\nb\n", "## N\n", &[], folder.path()), "# a\n\nb\n\n## N\n");
    }
}
