//! Names that people, files and command lines give to experiments, runs and comparisons.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use runner::config::{self, LoadOptions};
use runner::files::{is_folder_name, is_run_name};
use runner::report::compare::{checked_name, name_for};
use runner::store::scan;

use crate::cases::cases;
use crate::listing::listing;

const EXPERIMENT: &str = r#"
[model]
n_layer = 1
n_head = 1
n_embd = 8
block_size = 8
[data]
corpus = "salt-crown"
tokenizer = "byte"
[train]
batch_size = 1
max_steps = 3
[checkpoint]
interval = 1
[sample]
interval = 0
[hardware]
device = "scripted"
monitor_interval_secs = 0
"#;

/// A folder to work in within another one, so that what leaves the first is seen in the second.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        fs::create_dir(folder.work()).unwrap();
        fs::write(folder.0.path().join("kept.md"), "kept").unwrap();
        fs::write(folder.work().join("base.toml"), EXPERIMENT).unwrap();
        folder
    }

    fn work(&self) -> PathBuf {
        self.0.path().join("work")
    }

    /// Everything but the two folders that are there to be written to.
    fn kept(&self) -> BTreeMap<PathBuf, String> {
        listing(self.0.path(), |path| !path.starts_with("work/runs") && !path.starts_with("work/reports"))
    }

    /// Calls the program. It must end by itself, and not because something in it broke.
    fn run(&self, arguments: &[&str]) -> i32 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        let output = command.args(arguments).current_dir(self.work()).stdin(Stdio::null()).output().unwrap();
        let code = output.status.code();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(code, Some(0..=4)), "{arguments:.80?}: {code:?}\n{said:.2000}");
        assert!(!said.contains("panicked"), "{arguments:.80?}: {said:.2000}");
        // A name that is told of does not clear the screen.
        assert!(!said.contains('\u{1b}'), "{said:.2000}");
        code.unwrap()
    }

    /// Each run lies in a folder of its experiment, and that in the folder of runs, under names that are safe.
    fn assert_runs_are_in_place(&self) {
        let runs = self.work().join("runs");
        for (path, _) in scan::scan(&runs) {
            let inner: Vec<String> = path
                .strip_prefix(&runs)
                .unwrap()
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            let [experiment, run] = inner.as_slice() else { panic!("{inner:?}") };
            assert!(is_folder_name(experiment) && is_run_name(run, 124), "{inner:?}");
        }
    }
}

fn hostile() -> Vec<String> {
    let names = [
        "",
        ".",
        "..",
        "...",
        "../x",
        "../../x",
        "a/../../../x",
        "/tmp/hostile-x",
        "a/b",
        "a\\b",
        "..\\x",
        "C:\\x",
        "C:x",
        "a\nb",
        "a\r",
        "a\tb",
        " ",
        "a ",
        " a",
        "-",
        "-x",
        "--help",
        "-rf",
        "~",
        "~root",
        "$HOME",
        "$(touch x)",
        "`touch x`",
        "a;b",
        "a|b",
        "*",
        "?",
        "[a]",
        "{a,b}",
        "\"",
        "'",
        "a.",
        ".a",
        "CON",
        "con",
        "NUL",
        "nul.txt",
        "COM1",
        "lpt9.md",
        "aux",
        "prn",
        "README",
        "readme",
        "kept",
        "\u{202e}x",
        "\u{1f600}",
        "ä",
        "\u{feff}",
        "\u{1b}[2J",
        "runs",
        "reports",
        "base.toml",
        "%00",
        "%2e%2e",
        "a\u{300}",
    ];
    let mut names = names.map(str::to_owned).to_vec();
    names.extend([
        "x".repeat(101),
        "x".repeat(300),
        // Not the root itself: what means runs would be searched for below it, through all of the machine.
        "../".repeat(200) + "x",
        "long".repeat(25_000),
        "*".repeat(2_000),
    ]);
    names
}

/// A name that is accepted is one step down, whatever the system.
fn assert_is_one_step_down(name: &str) {
    let parts: Vec<Component> = Path::new(name).components().collect();
    assert!(matches!(parts.as_slice(), [Component::Normal(_)]), "{name:?}");
    assert!(
        !name.contains(['/', '\\', ':', '\0']) && !name.starts_with('-') && !name.ends_with(['.', ' ']),
        "{name:?}"
    );
    let stem = name.split('.').next().unwrap().to_ascii_uppercase();
    assert!(!["CON", "PRN", "AUX", "NUL", "COM1", "LPT9"].contains(&stem.as_str()), "{name:?}");
}

#[test]
fn names_that_are_accepted_stay_where_they_belong() {
    let folder = Folder::new();
    let file = folder.work().join("base.toml");
    let check = |name: &str| {
        for accepted in [is_folder_name(name), is_run_name(name, 120), checked_name(name).is_ok()] {
            if accepted {
                assert_is_one_step_down(name);
            }
        }
        for key in ["experiment.name", "experiment.run"] {
            let set = vec![format!("{key}={}", config::value_text(&name.into()))];
            let loaded = config::load(std::slice::from_ref(&file), &LoadOptions { set, only: Vec::new() });
            for plan in loaded.iter().flatten() {
                assert_is_one_step_down(&plan.experiment.name);
                assert_is_one_step_down(&plan.name);
            }
        }
        let only = LoadOptions { only: vec![name.to_owned()], set: Vec::new() };
        let _ = config::load(std::slice::from_ref(&file), &only).map_err(|errors| errors.to_string());
        let _ = scan::resolve(&folder.work().join("runs"), name).map_err(|error| error.to_string());
        assert!(name_for(&[name, "b"]).len() <= name.len().max(80 * 4) + 20);
    };
    hostile().iter().for_each(|name| check(name));
    let part =
        prop_oneof!["[a-zA-Z0-9._=,+-]{0,12}", "[/\\\\:.~*\u{0}\n-]{1,4}", ".{0,20}", Just("CON".to_owned())];
    proptest!(cases(256), |(parts in prop::collection::vec(part, 0..4))| {
        check(&parts.concat());
    });
}

#[test]
fn no_name_on_a_command_line_leads_out_of_the_folders() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["base.toml"]), 0);
    let before = folder.kept();
    for name in hostile() {
        for key in ["experiment.name", "experiment.run"] {
            let set = format!("--set={key}={}", config::value_text(&name.as_str().into()));
            // What is refused is refused by the plan; what is not is trained.
            if folder.run(&["plan", "base.toml", &set]) == 0 {
                folder.run(&["base.toml", &set]);
            }
        }
        folder.run(&["plan", "base.toml", &format!("--only={name}")]);
        folder.run(&["compare", "base", "base", &format!("--name={name}")]);
        assert_eq!(folder.kept(), before, "{name:?}");
        folder.assert_runs_are_in_place();
    }
}

#[test]
fn no_argument_that_means_runs_leads_out_of_the_folders() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["base.toml"]), 0);
    let before = folder.kept();
    for name in hostile() {
        // An existing folder may be named, and then is looked at.
        folder.run(&["report", "--", &name]);
        folder.run(&["compare", "--", &name, "base"]);
        assert_eq!(folder.kept(), before, "{name:?}");
    }
}
