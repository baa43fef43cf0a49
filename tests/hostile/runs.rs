//! Two whole runs in a folder, and what the program does with runs: reading, reporting, comparing, listing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use runner::report::{self, compare};
use runner::store::{self, RunRecord, scan};

use crate::allocation::counted;
use crate::listing::listing;

pub const FILES: [&str; 4] = ["manifest.toml", "config.toml", "metrics.csv", "log.jsonl"];

/// The run that is damaged, and one beside it that is whole.
pub const DAMAGED: &str = "work/runs/base/seed=1";
pub const WHOLE: &str = "work/runs/base/seed=2";

/// Nothing may take longer, on a slow machine and without optimisation.
const LONGEST: Duration = Duration::from_secs(60);

const EXPERIMENT: &str = r#"
[experiment]
name = "base"
description = "a description"
hypothesis = "a hypothesis"
tags = ["a"]
seed = 1
repeats = 2
same_losses_within = 0.5
[model]
n_layer = 1
n_head = 1
n_embd = 8
block_size = 8
[data]
corpus = "salt-crown"
tokenizer = "byte"
val_fraction = 0.1
[train]
batch_size = 1
max_steps = 12
eval_interval = 4
eval_batches = 1
[target]
threshold = 0.5
[checkpoint]
interval = 0
[sample]
interval = 6
max_new_tokens = 4
[hardware]
device = "scripted"
monitor_interval_secs = 0
[scripted]
initial_loss = 5.0
floor_loss = 0.1
decay_steps = 4.0
[reference]
name = "a reference"
source = "a source"
hardware = "a machine"
final_loss = 1.0
steps = 10
secs = 5.0
curve = [[0, 5.0], [5, 2.0]]
"#;

/// What a scripted run has no reason to write.
const MORE_OF_A_MANIFEST: &str = r#"
[git]
commit = "0123456789abcdef"
dirty = true
[time]
steps_secs = 10.0
evaluations_secs = 1.0
samples_secs = 1.0
checkpoints_secs = 1.0
rest_secs = 1.0
[[time.step_parts]]
part = "attention"
secs = 4.0
[cost]
model_flops_per_step = 1e9
memory_bytes = 1000000
"#;

/// The files of two whole runs by their paths from the folder that a test works in, made once by the program.
pub fn sound() -> &'static BTreeMap<PathBuf, Vec<u8>> {
    static SOUND: OnceLock<BTreeMap<PathBuf, Vec<u8>>> = OnceLock::new();
    SOUND.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        fs::create_dir_all(&work).unwrap();
        fs::write(work.join("base.toml"), EXPERIMENT).unwrap();
        let made =
            Command::new(env!("CARGO_BIN_EXE_runner")).arg("base.toml").current_dir(&work).output().unwrap();
        assert!(
            work.join("runs/base/seed=2/metrics.csv").is_file(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut files = BTreeMap::new();
        for run in [DAMAGED, WHOLE] {
            for name in FILES {
                let path = Path::new(run).join(name);
                let mut content = fs::read(folder.path().join(&path)).unwrap();
                if name == "manifest.toml" {
                    content.extend(MORE_OF_A_MANIFEST.as_bytes());
                }
                files.insert(path, content);
            }
        }
        files
    })
}

/// A folder with the two runs, and files around them that nobody may touch.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        for kept in
            ["kept.md", "work/kept.md", "work/runs/kept.md", "work/runs/base/kept.md", "work/reports/kept.md"]
        {
            folder.write(Path::new(kept), b"# Kept\n");
        }
        for (path, content) in sound() {
            folder.write(path, content);
        }
        folder
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn write(&self, path: &Path, content: &[u8]) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// All that neither a report nor a comparison may change.
    fn kept(&self) -> BTreeMap<PathBuf, String> {
        listing(self.0.path(), |path| {
            let of_a_run = [DAMAGED, WHOLE].iter().any(|run| {
                path.strip_prefix(run).is_ok_and(|inner| inner.starts_with("plots") || inner == "report.md")
            });
            let is_a_persons = path.ends_with("kept.md");
            is_a_persons || !of_a_run && !path.starts_with("work/reports")
        })
    }

    /// Reads, reports, compares and lists the runs, and looks at what was written.
    pub fn use_runs(&self) {
        let (runs, reports) = (self.path("work/runs"), self.path("work/reports"));
        let before = self.kept();
        let begin = Instant::now();
        let paths = [DAMAGED, WHOLE].map(|run| self.path(run));
        let (records, allocated) = counted(|| paths.iter().map(store::read).collect::<Vec<_>>());
        let size: u64 = walkdir::WalkDir::new(&runs)
            .into_iter()
            .map(|entry| entry.unwrap().metadata().unwrap())
            .filter(std::fs::Metadata::is_file)
            .map(|meta| meta.len())
            .sum();
        assert!(allocated.peak < 200 * size as i64 + (16 << 20), "{} bytes for {size}", allocated.peak);

        let mut readable: Vec<RunRecord> = Vec::new();
        let mut left_out = Vec::new();
        for (path, record) in paths.iter().zip(records) {
            match record {
                Ok(record) => {
                    // That a file cannot be written is an outcome too.
                    let _ = report::run::write(&record).map_err(|error| error.to_string());
                    readable.push(record);
                }
                Err(error) => {
                    let reason = error.to_string();
                    assert!(reason.contains(&path.display().to_string()), "{reason}");
                    left_out.push(compare::LeftOut { run: path.display().to_string(), reason });
                }
            }
        }
        let experiments: Vec<&str> =
            readable.iter().map(|record| record.manifest.run.experiment.as_str()).collect();
        let _ = compare::write(&compare::name_for(&experiments), &readable, &left_out, &reports)
            .map_err(|error| error.to_string());
        report::index::update(&reports).unwrap();
        assert_eq!(scan::scan(&runs).len(), 2);
        for argument in readable.iter().map(RunRecord::id) {
            let _ = scan::resolve(&runs, &argument).map_err(|error| error.to_string());
        }
        let listed = self.run(&["ls"]);
        assert!(matches!(listed, Some(0 | 1)), "ls: {listed:?}");

        assert!(begin.elapsed() < LONGEST, "it took {:?}", begin.elapsed());
        assert_eq!(self.kept(), before);
        self.assert_harmless();
    }

    /// The exit code of the program.
    fn run(&self, arguments: &[&str]) -> Option<i32> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(arguments).current_dir(self.path("work")).output().unwrap().status.code()
    }

    /// Nothing that was written runs anything where it is shown.
    fn assert_harmless(&self) {
        for entry in walkdir::WalkDir::new(self.0.path()) {
            let entry = entry.unwrap();
            let ending = entry.path().extension().and_then(|ending| ending.to_str());
            if !entry.file_type().is_file() || !matches!(ending, Some("md" | "svg")) {
                continue;
            }
            let text = fs::read_to_string(entry.path()).unwrap();
            let shown = if ending == Some("md") { without_code(&text) } else { text };
            assert!(!shown.contains("<script"), "{}:\n{shown}", entry.path().display());
        }
    }
}

/// A Markdown text without its fenced blocks and its inline code.
fn without_code(text: &str) -> String {
    let mut plain = String::new();
    let mut fence: Option<String> = None;
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|&c| c == '`').collect();
        match &fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                let mut rest = line;
                while let Some(start) = rest.find('`') {
                    let ticks = rest[start..].chars().take_while(|&c| c == '`').count();
                    let inner = &rest[start + ticks..];
                    let Some(end) = inner.find(&"`".repeat(ticks)) else { break };
                    // A backtick that is escaped opens nothing.
                    let escaped = rest[..start].ends_with('\\');
                    plain.push_str(&rest[..start]);
                    rest = if escaped { inner } else { &inner[end + ticks..] };
                }
                plain.push_str(rest);
                plain.push('\n');
            }
        }
    }
    plain
}
