//! The files of a run directory, as `runner report`, `compare` and `ls` read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use proptest::prelude::*;
use runner::metric::METRICS;
use runner::store;

use crate::cases::cases;
use crate::edit::{Edit, edits};
use crate::runs::{DAMAGED, FILES, Folder, WHOLE, sound};

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
