//! Experiment files.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use runner::config::experiment::RunPlan;
use runner::config::schema::KEYS;
use runner::config::{self, ConfigErrors, LoadOptions, MAX_RUNS, Place};
use runner::files::{is_folder_name, is_run_name};

use crate::allocation::counted;
use crate::cases::cases;
use crate::edit::{Edit, edits};

/// No file may take longer, on a slow machine and without optimisation.
const LONGEST: Duration = Duration::from_secs(20);
/// 10,000 plans with all their keys take most of it.
const MOST_BYTES: i64 = 1 << 30;

/// Files beside the one that is read, for it to extend.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        for link in 0..120 {
            folder.write(&format!("chain-{link}.toml"), format!("extends = \"chain-{}.toml\"\n", link + 1));
            // Followed to the end, this is more files than there are atoms.
            let next = format!("fan-{}.toml", link + 1);
            folder.write(&format!("fan-{link}.toml"), format!("extends = [\"{next}\", \"{next}\"]\n"));
        }
        folder.write("circle.toml", "extends = \"a.toml\"\n");
        folder.write("deep.toml", "[model]\nn_layer = 3\n");
        folder
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// Reads a file within the limits of time and memory.
fn load(path: &Path) -> Result<Vec<RunPlan>, ConfigErrors> {
    let begin = Instant::now();
    let (result, allocated) = counted(|| {
        let result = config::load(&[path.to_path_buf()], &LoadOptions::default());
        let shown = result.as_ref().map_err(ToString::to_string);
        assert!(shown.err().is_none_or(|text| text.ends_with("nothing was started")));
        result
    });
    assert!(begin.elapsed() < LONGEST, "it took {:?}", begin.elapsed());
    assert!(allocated.peak < MOST_BYTES, "it took {} bytes", allocated.peak);
    result
}

/// Every problem stands at a line that is there, and the line says what the message shows of it.
fn assert_located(errors: &ConfigErrors) {
    assert!(!errors.problems.is_empty());
    for problem in &errors.problems {
        let Place::Line(line) = &problem.place else { panic!("without a line: {problem:?}") };
        let bytes = fs::read(&line.file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let written = text.split('\n').nth(line.line - 1).unwrap_or_else(|| panic!("{problem}"));
        assert!(written.starts_with(&line.text), "{problem:?}\n{written:?}");
        let shown = format!("{}:{}:{}", line.file.display(), line.line, line.column);
        assert!(problem.to_string().contains(&shown), "{problem}");
    }
}

/// Plans that can be trained: few enough, with names that are safe as folders, and the same again from their frozen form.
fn assert_sound(plans: &[RunPlan], folder: &Folder) {
    assert!((1..=MAX_RUNS as usize).contains(&plans.len()), "{} runs", plans.len());
    for plan in plans {
        assert!(is_folder_name(&plan.experiment.name), "{:?}", plan.experiment.name);
        assert!(is_run_name(&plan.name, 120), "{:?}", plan.name);
    }
    let plan = &plans[0];
    let frozen = folder.write("frozen.toml", config::render_frozen(plan));
    let again = config::read_frozen(&frozen, None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((&again.name, &again.model, &again.train), (&plan.name, &plan.model, &plan.train));
}

/// Whether the file is accepted.
fn check(folder: &Folder, text: &[u8]) -> bool {
    let loaded = load(&folder.write("a.toml", text));
    match &loaded {
        Ok(plans) => assert_sound(plans, folder),
        Err(errors) => assert_located(errors),
    }
    loaded.is_ok()
}

/// The checked-in experiments, the manual with every key, and a sweep of both kinds.
fn seeds() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    assert!(paths.len() > 3);
    let mut texts: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    texts.push(config::DEFAULTS.to_owned());
    texts.push(
        "extends = [\"deep.toml\"]\n[experiment]\nrepeats = 2\n[sweep.grid]\nmodel.n_layer = [1, 2]\n\
         optimizer.learning_rate = [1e-3, 1e-4]\n[[sweep.zip]]\ntrain.batch_size = [1, 2]\ntrain.max_steps = [5, 6]\n"
            .to_owned(),
    );
    texts
}

/// What may stand after a `=`, or on a line of its own.
fn values() -> Vec<String> {
    let plain = [
        "1",
        "0",
        "-1",
        "-0",
        "-0.0",
        "0.5",
        "1e-320",
        "1e308",
        "-1e308",
        "1e400",
        "nan",
        "-nan",
        "inf",
        "-inf",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551616",
        "1000000000",
        "100000",
        "4294967296",
        "0xffffffffffffffff",
        "0b1",
        "1_0",
        "1__0",
        "01",
        "+1",
        "true",
        "false",
        "True",
        "null",
        "\"\"",
        "''",
        "\"a\"",
        "\"\\u0000\"",
        "\"\\uD800\"",
        "\"a\nb\"",
        "\"../../x\"",
        "\"/\"",
        "\"CON\"",
        "\"\u{202e}\"",
        "\"ä\u{1f600}\"",
        "[]",
        "[[]]",
        "[1, \"a\", [2]]",
        "{}",
        "{ a = 1 }",
        "{ a.b.c = { d = [1] } }",
        "1979-05-27T07:32:00Z",
        "07:32:00",
        "\"\"\"",
        "'''",
        "[1, 2",
        "\"auto\"",
        "\"cuda:1\"",
        "\"scripted\"",
        "\"1h 30m\"",
        "\"999999999999999h\"",
        "[\"cuda\", \"min_memory_gb=1e300\"]",
        "[[0, 1.0], [5, 0.5]]",
        "\"gpt2-xl\"",
        "\"warmup-stable-decay\"",
        "[1, 2, 3, 4, 5, 6, 7, 8, 9]",
        "[experiment]",
        "[model]",
        "[train]",
        "[sweep]",
        "[sweep.grid]",
        "[[sweep.zip]]",
        "[[model]]",
        "[lr]",
        "sweep = 1",
        "model = 1",
        "a = 1",
        "lr = 1e-3",
        "\"\" = 1",
        "\"a b\".c = 1",
        "a.b.c.d.e = 1",
        "= 1",
        "key",
        "extends = \"a.toml\"",
        "extends = \"circle.toml\"",
        "extends = \"chain-0.toml\"",
        "extends = \"fan-0.toml\"",
        "extends = \"deep.toml\"",
        "extends = [\"deep.toml\", \"deep.toml\"]",
        "extends = \"/dev/zero\"",
        "extends = \"/\"",
        "extends = \".\"",
        "extends = \"..\"",
        "extends = \"deep.toml/x\"",
        "extends = \"a\\u0000b\"",
        "extends = \"missing-*.toml\"",
        "extends = []",
        "extends = [1]",
        "experiment.repeats = 1000",
        "experiment.seed = 9007199254740992",
        "experiment.run = \"x\"",
        "experiment.name = \"x\"",
        "train.max_steps = 1000000000",
        "train.batch_size = 1000000",
        "model.n_embd = 100000",
    ];
    let mut values: Vec<String> = plain.map(str::to_owned).to_vec();
    let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    values.push("[".repeat(3_000));
    values.push(format!("{}1{}", "[".repeat(3_000), "]".repeat(3_000)));
    values.push(format!("{}1{}", "{a=".repeat(3_000), "}".repeat(3_000)));
    values.push(format!("\"{}\"", "long ".repeat(10_000)));
    values.push(format!("{} = 1", "k".repeat(10_000)));
    values.push(format!("{} = 1", vec!["k"; 2_000].join(".")));
    values.push(format!("9{}", "0".repeat(5_000)));
    values.push(format!("[{}]", many(20_000)));
    values.push(format!("extends = \"{}\"", "x".repeat(5_000)));
    values.push(format!("extends = [{}]", vec!["\"deep.toml\""; 500].join(", ")));
    // 100 x 90, within what is allowed, and with one more axis far beyond it.
    let axes = [
        ("experiment.seed", 100),
        ("train.max_steps", 90),
        ("model.n_layer", 100),
        ("train.batch_size", 100),
    ];
    let grid = axes.map(|(key, count)| format!("{key} = [{}]\n", many(count + 1)));
    values.push(format!("[sweep.grid]\n{}", grid.concat()));
    let all: String = KEYS.iter().map(|key| format!("{} = [{}]\n", key.name, many(100))).collect();
    values.push(format!("[sweep.grid]\n{all}"));
    values.extend(KEYS.iter().map(|key| format!("{} = ", key.name)));
    values.extend(KEYS.iter().map(|key| format!("[sweep.grid]\n{} = [1, 2, 0.5, \"a\", true]", key.name)));
    values
}

/// A file made of keys and values that have nothing to do with each other.
fn generated(choices: &[(u32, u32)], values: &[String]) -> String {
    let line = |&(key, value): &(u32, u32)| {
        let (key, value) = (&KEYS[key as usize % KEYS.len()], &values[value as usize % values.len()]);
        format!("[{}]\n{} = {value}\n", key.section, key.leaf)
    };
    choices.iter().map(line).collect()
}

#[test]
fn mutated_experiment_files_are_accepted_or_refused_with_a_place() {
    let (folder, seeds, values) = (Folder::new(), seeds(), values());
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let any_file = (0..seeds.len(), edits(6));
    proptest!(cases(256), |((seed, edits) in any_file)| {
        let mut text = seeds[seed].clone().into_bytes();
        edits.iter().for_each(|edit: &Edit| edit.apply(&mut text, &values));
        let count = if check(&folder, &text) { &accepted } else { &refused };
        count.set(count.get() + 1);
    });
    println!("{} files accepted, {} refused", accepted.get(), refused.get());
    assert!(accepted.get() > 0 && refused.get() > 0);
}

#[test]
fn files_of_any_keys_with_any_values_are_accepted_or_refused_with_a_place() {
    let (folder, values) = (Folder::new(), values());
    proptest!(cases(64), |(choices in prop::collection::vec(any::<(u32, u32)>(), 0..12))| {
        check(&folder, generated(&choices, &values).as_bytes());
    });
}

/// Files that are small for a disk and large for a program that looks at each part for as long as at the whole.
fn overgrown() -> Vec<(&'static str, String)> {
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let list = |count: usize| vec!["1"; count].join(",");
    vec![
        ("wrong keys", lines(60_000, &|n| format!("k{n} = 1\n"))),
        ("wrong keys in a section", format!("[model]\n{}", lines(60_000, &|n| format!("k{n} = 1\n")))),
        ("wrong keys on one line", format!("model = {{{}}}", lines(60_000, &|n| format!("k{n}=1, ")))),
        ("wrong sections", lines(60_000, &|n| format!("[s{n}]\n"))),
        ("no values", lines(100_000, &|n| format!("k{n} =\n"))),
        ("one key over and over", lines(100_000, &|_| "seed = 1\n".to_owned())),
        ("only signs on one line", "= ".repeat(400_000)),
        ("only open brackets", "[".repeat(900_000)),
        ("a long key", format!("[model]\n{} = 1", "k".repeat(900_000))),
        ("a long section", format!("[{}]\na = 1", "k".repeat(900_000))),
        ("a deep key", format!("[sweep.grid]\n{} = 1", vec!["k"; 400_000].join("."))),
        ("a long word", format!("[optimizer]\nkind = \"{}\"", "k".repeat(900_000))),
        ("a long number", format!("[optimizer]\nlearning_rate = {}", "9".repeat(900_000))),
        ("a long list", format!("[sweep.grid]\nmodel.n_layer = [{}]", list(400_000))),
        (
            "a long list of wrong values",
            format!("[sweep.grid]\nmodel.n_layer = [{}]", vec!["\"\""; 9_000].join(",")),
        ),
        ("many blocks", lines(30_000, &|_| "[[sweep.zip]]\nmodel.n_layer=[1]\n".to_owned())),
        ("many parents", format!("extends = [{}]", vec!["\"deep.toml\""; 60_000].join(","))),
        (
            "a long description for many runs",
            format!(
                "[experiment]\nrepeats = 1000\ndescription = \"{}\"\n[sweep.grid]\nmodel.n_layer=[1,2,3,4,5,6,7,8,9]",
                "long".repeat(200_000)
            ),
        ),
        ("an endless parent", "extends = \"/dev/zero\"".to_owned()),
    ]
}

#[test]
fn overgrown_files_are_refused_in_bounded_time_and_memory() {
    let folder = Folder::new();
    for (name, text) in overgrown() {
        assert!(text.len() < 1 << 20, "{name} is {} bytes long", text.len());
        let begin = Instant::now();
        let errors = load(&folder.write("a.toml", text)).expect_err(name);
        assert_located(&errors);
        println!("{name}: {:?}, {} problems", begin.elapsed(), errors.problems.len());
    }
}

#[test]
fn as_many_runs_as_are_allowed_can_be_planned() {
    let folder = Folder::new();
    let text = "[experiment]\nrepeats = 1000\n[sweep.grid]\nmodel.n_layer = [1,2,3,4,5,6,7,8,9,10]\n";
    let plans = load(&folder.write("a.toml", text)).unwrap();
    assert_eq!(plans.len() as u64, MAX_RUNS);
    assert_sound(&plans, &folder);
}

#[test]
fn files_that_are_no_experiments_at_all_are_refused() {
    let folder = Folder::new();
    let large = folder.write("large.toml", "#\n".repeat(1 << 20));
    let empty = folder.write("a.toml", "");
    assert!(load(&empty).is_ok());
    for path in [&large, Path::new("/dev/zero"), folder.0.path(), Path::new("a\0b.toml"), Path::new("")] {
        let errors = config::load(&[path.to_path_buf()], &LoadOptions::default()).expect_err("refused");
        let [problem] = errors.problems.as_slice() else { panic!("{errors}") };
        assert_eq!(problem.place, Place::File(path.to_path_buf()), "{errors}");
    }
}
