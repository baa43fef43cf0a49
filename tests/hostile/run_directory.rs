//! The files of a run directory, as `runner report`, `compare` and `ls` read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use runner::metric::METRICS;
use runner::report::{self, compare};
use runner::store::{self, RunRecord, scan};

use crate::allocation::counted;
use crate::cases::cases;
use crate::edit::{Edit, edits};
use crate::listing::listing;

const FILES: [&str; 4] = ["manifest.toml", "config.toml", "metrics.csv", "log.jsonl"];

/// The run that is damaged, and one beside it that is whole.
const DAMAGED: &str = "work/runs/base/seed=1";
const WHOLE: &str = "work/runs/base/seed=2";

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
fn sound() -> &'static BTreeMap<PathBuf, Vec<u8>> {
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
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
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

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &Path, content: &[u8]) {
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
    fn use_runs(&self) {
        let (runs, reports) = (self.path("work/runs"), self.path("work/reports"));
        let before = self.kept();
        let begin = Instant::now();
        let paths = [DAMAGED, WHOLE].map(|run| self.path(run));
        let (records, allocated) = counted(|| paths.iter().map(store::read).collect::<Vec<_>>());
        let size: u64 = walkdir::WalkDir::new(&runs)
            .into_iter()
            .map(|entry| entry.unwrap().metadata().unwrap())
            .filter(|meta| meta.is_file())
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

/// What may stand in one of the files.
fn values() -> Vec<String> {
    let plain = [
        " 0",
        " 1",
        " -1",
        " -0.0",
        " 1e308",
        " -1e308",
        " 5e-324",
        " 1.7976931348623157e308",
        " nan",
        " inf",
        " -inf",
        " 9223372036854775807",
        " -9223372036854775808",
        " 18446744073709551615",
        " 1e400",
        " true",
        " \"\"",
        " []",
        " {}",
        " [[0, 1e308], [9223372036854775807, 5e-324]]",
        " [[5, nan], [1, -1.0]]",
        " 2026-01-01T00:00:00Z",
        " \"2026-01-01T00:00:00Z\"",
        " \"9999-12-31T23:59:59Z\"",
        " \"-009999-01-02T01:59:59Z\"",
        " \"+275760-09-13T00:00:00Z\"",
        " \"../../x\"",
        " \"..\"",
        " \".\"",
        " \"/\"",
        " \"/tmp/hostile\"",
        " \"a/b\"",
        " 'a\\b'",
        " \"README\"",
        " \"kept\"",
        " \"KEPT\"",
        " \"CON\"",
        " \"NUL.md\"",
        " \"a\\u0000b\"",
        " \"a\\nb\"",
        " \"\\u001b[2J\"",
        " \"-rf\"",
        " \"~\"",
        " \"$(reboot)\"",
        " \"'; reboot; '\"",
        " \"`reboot`\"",
        " \"<script>alert(1)</script>\"",
        " \"a|b|c\"",
        " \"](javascript:alert(1))\"",
        " \"```\\n<script>\"",
        " \"\\u202etxt\"",
        " \"\u{1f600}\"",
        " \"running\"",
        " \"finished\"",
        " \"diverged\"",
        " \"failed\"",
        " \"skipped\"",
        " \"interrupted\"",
        " \"target_reached\"",
        " \"out_of_memory\"",
        " \"val_loss\"",
        " \"nothing\"",
        "[run]",
        "[[run]]",
        "[results]",
        "[target]\nmetric = \"<script>\"\nthreshold = 1e-320\nreached_at_step = 9223372036854775807\n",
        "point = { \"../x\" = \"<script>\", \"a.b\" = [1, [2]] }",
        "format_version = 2",
        "same_losses_within = 1e-300",
        "{\"event\":\"sampled\",\"step\":18446744073709551615,\"samples\":[{\"prompt\":\"```\",\"text\":\"<script>\"}]}",
        "{\"event\":\"warning\",\"step\":0,\"message\":\"<script>| ` \\u0000\"}",
        "{\"event\":\"step\",",
        "{\"event\":\"x\"}",
        "{\"event\":\"sampled\",\"step\":1,\"samples\":[]}",
        "\"",
        "step,step,step",
        "step",
        "train_loss",
    ];
    let mut values = plain.map(str::to_owned).to_vec();
    values.push(format!(" \"{}\"", "long-".repeat(2_000)));
    values.push(format!(" \"{}\"", "ä".repeat(126)));
    values.push(format!(" {}", "[".repeat(2_000)));
    values.push(vec!["18446744073709551615"; METRICS.len()].join(","));
    values
}

/// A number of `metrics.csv`.
const NUMBERS: [&str; 20] = [
    "",
    "0",
    "-0",
    "1",
    "-1",
    "0.5",
    "1e308",
    "-1e308",
    "5e-324",
    "-5e-324",
    "1.7976931348623157e308",
    "nan",
    "inf",
    "-inf",
    "18446744073709551615",
    "9007199254740993",
    "1e15",
    "1e-15",
    "x",
    "\"a\nb\"",
];

/// Puts numbers into fields, each given by its row, its column and its place among [`NUMBERS`].
fn set_fields(csv: &[u8], fields: &[(u32, u32, u32)]) -> Vec<u8> {
    let text = String::from_utf8_lossy(csv);
    let mut rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    for &(row, column, number) in fields {
        let row = 1 + row as usize % (rows.len() - 1);
        let column = column as usize % rows[row].len();
        rows[row][column] = NUMBERS[number as usize % NUMBERS.len()];
    }
    let rows: Vec<String> = rows.iter().map(|row| row.join(",") + "\n").collect();
    rows.concat().into_bytes()
}

fn damaged(name: &str) -> (PathBuf, &'static [u8]) {
    let path = Path::new(DAMAGED).join(name);
    let content = &sound()[&path];
    (path, content)
}

#[test]
fn the_runs_that_are_damaged_below_are_whole() {
    let folder = Folder::new();
    folder.use_runs();
    let record = store::read(folder.path(DAMAGED)).unwrap();
    assert!(
        record.damage.is_empty() && record.rows.len() > 5 && !record.samples.is_empty(),
        "{:?}",
        record.damage
    );
    assert!(record.manifest.time.is_some() && record.manifest.reference.is_some());
    assert!(folder.path("work/reports/base.md").is_file());
    assert!(folder.path(DAMAGED).join("plots/loss.svg").is_file());
}

#[test]
fn mutated_run_directories_are_reported_as_far_as_they_can_be_read() {
    let values = values();
    proptest!(cases(24), |(file in 0..FILES.len(), edits in edits(5))| {
        let folder = Folder::new();
        let (path, content) = damaged(FILES[file]);
        let mut content = content.to_vec();
        edits.iter().for_each(|edit: &Edit| edit.apply(&mut content, &values));
        folder.write(&path, &content);
        folder.use_runs();
    });
}

#[test]
fn any_numbers_can_be_reported_and_plotted() {
    proptest!(cases(16), |(fields in prop::collection::vec(any::<(u32, u32, u32)>(), 1..60))| {
        let folder = Folder::new();
        let (path, content) = damaged("metrics.csv");
        folder.write(&path, &set_fields(content, &fields));
        folder.use_runs();
    });
}

#[test]
fn a_column_of_extremes_can_be_plotted() {
    for number in ["0", "1e308", "-1e308", "5e-324", "inf", "18446744073709551615"] {
        for other in ["1", "5e-324"] {
            let folder = Folder::new();
            let metrics: Vec<&str> = METRICS.iter().map(|metric| metric.key).collect();
            let row = |step: &str, number: &str| {
                format!("{step}{}\n", format!(",{number}").repeat(metrics.len() - 1))
            };
            let rows = [row("1", number), row("2", other), row("18446744073709551615", number)];
            let (path, _) = damaged("metrics.csv");
            folder.write(&path, format!("{}\n{}", metrics.join(","), rows.concat()).as_bytes());
            folder.use_runs();
        }
    }
}

#[test]
fn a_name_in_a_manifest_leads_nowhere() {
    let names = [
        "..",
        "../../../x",
        "/etc/x",
        "a/b",
        "a\\\\b",
        "C:\\\\x",
        "README",
        "kept",
        "Kept",
        "",
        "CON",
        "-rf",
        "~",
        "a\\u0000b",
        "a\\nb",
        "<script>",
        "](x)",
        "$(reboot)",
    ];
    let long = "x".repeat(10_000);
    for name in names.iter().copied().chain([long.as_str()]) {
        let folder = Folder::new();
        for run in [DAMAGED, WHOLE] {
            let path = Path::new(run).join("manifest.toml");
            let text = String::from_utf8_lossy(&sound()[&path]).into_owned();
            let changed = text
                .replace("experiment = \"base\"", &format!("experiment = \"{name}\""))
                .replace("\nname = \"seed=1\"", &format!("\nname = \"{name}\""))
                .replace("commit = \"0123456789abcdef\"", &format!("commit = \"{name}\""))
                .replace("\"a reference\"", &format!("\"{name}\""));
            assert_ne!(changed, text);
            folder.write(&path, changed.as_bytes());
        }
        folder.use_runs();
    }
}

#[test]
fn a_line_of_ten_megabytes_is_read_in_bounded_time_and_memory() {
    for name in FILES {
        for piece in ["x", "1,", "[", "1\n"] {
            let folder = Folder::new();
            let (path, content) = damaged(name);
            let content = [content, piece.repeat((10 << 20) / piece.len()).as_bytes()].concat();
            folder.write(&path, &content);
            let begin = Instant::now();
            folder.use_runs();
            println!("{name} with many {piece:?}: {:?}", begin.elapsed());
        }
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_neither_read_without_end_nor_written_through() {
    use std::os::unix::fs::symlink;
    for name in ["config.toml", "metrics.csv", "log.jsonl"] {
        let folder = Folder::new();
        let path = folder.path(DAMAGED).join(name);
        fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        folder.use_runs();
        let record = store::read(folder.path(DAMAGED)).unwrap();
        assert!(record.damage.iter().any(|note| note.starts_with(name)), "{:?}", record.damage);
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        folder.use_runs();
    }
    // Where a report goes, a link to somebody's file or folder may lie.
    let folder = Folder::new();
    fs::create_dir(folder.path("theirs")).unwrap();
    fs::write(folder.path("theirs/loss.svg"), "kept").unwrap();
    symlink(folder.path("theirs"), folder.path(DAMAGED).join("plots")).unwrap();
    symlink(folder.path("kept.md"), folder.path(DAMAGED).join("report.md")).unwrap();
    symlink(folder.path("kept.md"), folder.path("work/reports/base.md")).unwrap();
    symlink(folder.path("theirs"), folder.path("work/reports/base")).unwrap();
    folder.use_runs();
}
