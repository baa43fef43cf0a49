//! Words that other programs have for what this one does, where a person types them here.

use std::ffi::OsStr;
use std::path::Path;

use crate::config;
use crate::shell::quote;

/// A word, the command of ours (empty: none), and what to say besides.
const VERBS: &[(&str, &str, &str)] = &[
    ("train run start fit launch go pretrain finetune execute experiment", "FILE", ""),
    ("list runs show ps history experiments", "ls", ""),
    ("status info state top watch monitor jobs queue progress", "ls", ""),
    ("remove delete del clean trash", "rm", ""),
    ("gc cleanup vacuum", "prune", ""),
    ("evaluate validate-model test score perplexity val measure benchmark bench", "eval", ""),
    ("check validate lint dry-run dryrun dry_run preview estimate", "plan", ""),
    ("sample chat predict complete infer inference continue-text gen", "generate", ""),
    ("api server host up web deploy ui", "serve", ""),
    ("convert save push upload publish share", "export", ""),
    ("continue restart recover restore again", "resume", ""),
    ("rerun redo", "retry", ""),
    ("reports plot plots graph graphs summary summarize dashboard html", "report", ""),
    ("diff cmp versus vs", "compare", ""),
    ("config keys docs man params options describe what", "explain", ""),
    ("setup env gpu gpus devices diagnose system check-env", "doctor", ""),
    (
        "submit sbatch slurm array",
        "prepare",
        "it prints the folder of each run, for one `runner exec FOLDER` each",
    ),
    (
        "sweep multirun grid search tune hparams",
        "FILE",
        "several values make several runs: `--set KEY=A,B`, or [sweep.grid] in the file",
    ),
    (
        "stop kill cancel abort pause",
        "",
        "Ctrl-C in its terminal, or `kill PID`, stops a run and keeps its progress; `runner ls` shows what runs",
    ),
    (
        "log logs tail",
        "",
        "a run's folder has `log.jsonl`, `metrics.csv` and `output.log`; `runner ls` shows the newest losses",
    ),
    (
        "init new create template scaffold",
        "",
        "an experiment is a file: copy experiments/quickstart.toml; `runner explain` lists the keys",
    ),
    ("version", "", "`runner --version` prints it"),
    (
        "completions completion autocomplete",
        "",
        "in bash: source <(COMPLETE=bash runner); zsh: source <(COMPLETE=zsh runner); fish: COMPLETE=fish runner | source",
    ),
];

/// What to say to `runner WORD REST...` where `WORD` is no command and no file. `commands` are those that there are.
pub fn hint(word: &OsStr, rest: &[&OsStr], commands: &[&str]) -> Option<String> {
    let word = word.to_str()?;
    if Path::new(word).exists() {
        return None;
    }
    assignment(word).or_else(|| verb(word, rest, commands))
}

/// `a.b=1`, also as Hydra's `+a.b=1`, or `--a.b=1` as it is typed for nanoGPT.
pub fn assignment(word: &str) -> Option<String> {
    let bare = word.trim_start_matches(['+', '-', '~']);
    let (name, value) = bare.split_once('=')?;
    let is_name = |sign: char| sign.is_alphanumeric() || "._-".contains(sign);
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let (key, help) = config::meant_key(name);
    let Some(name) = key else {
        let why = help.strip_prefix("there is no such key: ").unwrap_or(&help);
        return Some(format!("`{word}` would set a key, but there is none called `{name}`: {why}"));
    };
    let help = if help.is_empty() { String::new() } else { format!(" ({help})") };
    Some(format!("`{word}` sets a key: say --set {}{help}", quote(&format!("{name}={value}"))))
}

fn verb(word: &str, rest: &[&OsStr], commands: &[&str]) -> Option<String> {
    let lower = word.to_lowercase();
    let has = |(words, command, _): &&(&str, &str, &str)| {
        words.split(' ').any(|one| one == lower)
            && (matches!(*command, "" | "FILE") || commands.contains(command))
    };
    let found = VERBS.iter().find(has);
    let Some((_, command, note)) = found else {
        let near = commands.iter().find(|command| strsim::damerau_levenshtein(command, &lower) == 1)?;
        return Some(format!("there is no command `{word}`: did you mean `{}`?", line(near, rest)));
    };
    let note = if note.is_empty() { String::new() } else { format!("; {note}") };
    Some(match *command {
        "" => format!("there is no command `{word}`{note}").replacen("; ", ": ", 1),
        "FILE" if rest.is_empty() => {
            format!(
                "there is no command `{word}`: did you mean `runner FILE`, for example `runner experiments/quickstart.toml`?{note}"
            )
        }
        "FILE" => format!("there is no command `{word}`: did you mean `{}`?{note}", line("", rest)),
        command => format!("there is no command `{word}`: did you mean `{}`?{note}", line(command, rest)),
    })
}

/// The command as it can be typed.
fn line(command: &str, rest: &[&OsStr]) -> String {
    let words = rest.iter().map(|word| quote(&word.to_string_lossy()));
    let all: Vec<String> = ["runner", command]
        .iter()
        .filter(|word| !word.is_empty())
        .map(|word| (*word).to_owned())
        .chain(words)
        .collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> String {
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        hint(words[0], &words[1..], &["ls", "plan", "eval", "generate", "resume"]).unwrap_or_default()
    }

    #[test]
    fn words_of_other_programs_lead_to_the_command() {
        assert_eq!(said(&["train", "x.toml"]), "there is no command `train`: did you mean `runner x.toml`?");
        assert_eq!(
            said(&["run", "x.toml", "--jobs", "2"]),
            "there is no command `run`: did you mean `runner x.toml --jobs 2`?"
        );
        assert!(said(&["list"]).ends_with("did you mean `runner ls`?"));
        assert!(said(&["status", "demo"]).ends_with("did you mean `runner ls demo`?"));
        assert!(said(&["resum"]).ends_with("did you mean `runner resume`?"));
        assert!(said(&["stop"]).contains("Ctrl-C"));
        assert!(said(&["multirun", "x.toml"]).contains("`--set KEY=A,B`"));
        // A command that there is not is not pointed at.
        assert_eq!(said(&["delete", "demo"]), "");
        assert_eq!(said(&["my.toml"]), "");
    }

    #[test]
    fn a_key_and_a_value_as_a_word_are_what_set_takes() {
        assert_eq!(
            said(&["train.max_steps=5"]),
            "`train.max_steps=5` sets a key: say --set train.max_steps=5"
        );
        assert_eq!(said(&["max_steps=5"]), "`max_steps=5` sets a key: say --set train.max_steps=5");
        assert!(
            said(&["+trainer.max_iters=5"])
                .starts_with("`+trainer.max_iters=5` sets a key: say --set train.max_steps=5")
        );
        assert!(
            assignment("--batch_size=32").is_some_and(|text| text.ends_with("--set train.batch_size=32"))
        );
        // What its section says is not lost.
        let none = said(&["wandb.project=x"]);
        assert!(
            none.starts_with("`wandb.project=x` would set a key, but there is none called `wandb.project`")
        );
        assert!(none.contains("metrics.csv") && !none.contains("--set"), "{none}");
        assert_eq!(said(&["runs/a=1/b"]), "");
    }
}
