//! Holds the plan of the house: which part of the program may name which, and who uses which package.

use std::fs;
use std::path::{Path, PathBuf};

/// Parts that put the others together.
const FREE: &[&str] = &["build", "cmd", "lib", "main"];

/// The other parts of `src/`, and which parts each may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("belonging", &["config", "facts", "store"]),
    ("cli", &["cmd", "error"]),
    ("config", &["facts", "files", "units"]),
    ("data", &["config", "facts", "files", "units"]),
    ("doctor", &["data", "engine", "files", "launcher", "machine", "monitor", "terminal", "units"]),
    ("engine", &["config", "data", "facts", "files", "machine", "model", "ops", "optim", "threads", "units"]),
    (
        "error",
        &[
            "config",
            "data",
            "engine",
            "export",
            "files",
            "generate",
            "launcher",
            "pretrained",
            "report",
            "serve",
            "store",
            "terminal",
        ],
    ),
    ("event", &["facts", "metric"]),
    (
        "export",
        &["config", "data", "files", "infer", "markdown", "model", "pretrained", "report", "store", "units"],
    ),
    ("facts", &[]),
    ("files", &[]),
    (
        "generate",
        &[
            "config",
            "data",
            "engine",
            "event",
            "facts",
            "infer",
            "model",
            "pretrained",
            "store",
            "threads",
            "units",
        ],
    ),
    (
        "launcher",
        &[
            "config",
            "data",
            "engine",
            "event",
            "facts",
            "files",
            "machine",
            "metric",
            "pretrained",
            "shell",
            "sinks",
            "stats",
            "store",
            "train",
            "units",
        ],
    ),
    ("machine", &["facts"]),
    ("infer", &["files", "model", "ops", "threads", "units"]),
    ("markdown", &[]),
    ("metric", &[]),
    ("model", &["config", "facts", "files", "ops"]),
    ("monitor", &[]),
    ("ops", &[]),
    ("optim", &["config", "facts", "model", "ops"]),
    ("pretrained", &["belonging", "config", "data", "facts", "files", "model", "store", "units"]),
    ("report", &["event", "facts", "files", "markdown", "metric", "shell", "stats", "store", "units"]),
    ("serve", &["data", "generate", "infer", "model", "pretrained", "threads", "units"]),
    ("shell", &[]),
    ("sinks", &["event", "facts", "files", "markdown", "metric", "store", "terminal", "units"]),
    ("stats", &[]),
    ("store", &["event", "facts", "files", "machine", "metric", "stats", "units"]),
    (
        "train",
        &[
            "config",
            "data",
            "engine",
            "event",
            "facts",
            "files",
            "generate",
            "machine",
            "metric",
            "monitor",
            "optim",
            "pretrained",
            "sinks",
            "stats",
            "store",
            "threads",
            "units",
        ],
    ),
    ("terminal", &[]),
    ("threads", &[]),
    ("units", &["metric"]),
];

/// Packages that stay behind one door, and the only paths below `src/` that may name them.
const PACKAGES: &[(&str, &[&str])] = &[
    ("clap", &["cli", "cmd", "main"]),
    ("axum", &["serve"]),
    ("clap_complete", &["cmd/complete"]),
    ("crc32fast", &["data/cache"]),
    (
        "csv",
        &[
            "cmd/ls",
            "report/compare/answer_tests",
            "report/compare/spreadsheet",
            "report/fixture",
            "sinks",
            "store",
        ],
    ),
    ("cudarc", &["engine/device", "ops/cuda"]),
    ("dfdx", &["engine", "infer/tests", "model", "ops", "optim"]),
    ("flate2", &["data/form", "data/reader/tests"]),
    ("figment", &["config"]),
    ("gemm", &["ops/cpu/matmul"]),
    ("gemm_before_avx2", &["ops/cpu/matmul"]),
    ("glob", &["cmd/args", "store/pattern"]),
    ("include_dir", &["export/source"]),
    ("indicatif", &["sinks/progress"]),
    ("libloading", &["engine/device/loaded"]),
    ("nvml_wrapper", &["monitor"]),
    ("parquet", &["data/table"]),
    ("plotters", &["report/plot"]),
    ("pulp", &["infer/int8", "infer/panels", "ops/cpu/simd", "optim/cpu"]),
    ("rustc_hash", &["data/tokenizer"]),
    ("safetensors", &["engine", "model"]),
    ("statrs", &["stats"]),
    ("sysinfo", &["machine", "monitor"]),
    ("signal_hook", &["cmd/signals"]),
    ("tar", &["store/archive"]),
    ("tiktoken_rs", &["data/tokenizer"]),
    ("toml", &["cmd/listing", "cmd/reporter", "config", "export/source", "launcher", "report", "store"]),
    ("tower_http", &["serve"]),
    ("ureq", &["data"]),
    ("walkdir", &["data"]),
    ("zstd", &["build/pack", "data/form", "data/reader/tests", "ops/cuda/carried", "store/archive"]),
];

/// The rooms of `src/config`, in the order in which a value goes through them: a room knows those before it, and none after it.
const ROOMS: &[&str] = &["keys", "read", "plan", "frozen"];

/// What opens a file. [`runner::files`] does so without following links and without waiting for the other end of a pipe.
const OPENINGS: &[&str] = &[
    "File::create",
    "File::open",
    "File::options",
    "OpenOptions",
    "fs::copy",
    "fs::read(",
    "fs::read_to_string",
    "fs::write",
];

/// Who else opens files below `src/`: those of the system, which are always there and always answer, and those of the build.
const MAY_OPEN: &[&str] = &["build", "files", "launcher/death", "monitor"];

struct Source {
    /// Below `src/`, without the ending: `report/plot`.
    path: String,
    code: String,
}

#[test]
fn no_part_names_a_part_that_it_should_not_know() {
    let mut broken = Vec::new();
    for source in sources() {
        let part = part_of(&source.path);
        if FREE.contains(&part) {
            continue;
        }
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == part) else {
            broken.push(format!("src/{}.rs is a new part: say here what it may name", source.path));
            continue;
        };
        for named in named_parts(&source.code) {
            if is_part(&named) && named != part && !allowed.contains(&named.as_str()) {
                broken.push(format!("src/{}.rs names {named}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_room_of_the_configuration_knows_none_that_comes_after_it() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !is_test(&source.path)) {
        let Some(room) = ROOMS.iter().position(|room| in_room(&source.path, room)) else { continue };
        let code = without_tests(&source.code).replace("#[cfg(test)]\nuse super::", "");
        let mut named = names_after(&code, "crate::config::");
        // Only the head of a room names the other rooms so; its files take them from there.
        if source.path == format!("config/{}", ROOMS[room]) {
            named.extend(names_after(&code, "super::"));
        }
        for later in ROOMS[room + 1..].iter().filter(|later| named.iter().any(|name| name == *later)) {
            broken.push(format!("src/{}.rs names {later}", source.path));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    for room in ROOMS {
        assert!(sources().iter().any(|source| in_room(&source.path, room)), "no room {room}");
    }
}

fn in_room(path: &str, room: &str) -> bool {
    path.strip_prefix("config/").and_then(|path| path.split('/').next()) == Some(room)
}

#[test]
fn packages_stay_behind_their_doors() {
    let mut broken = Vec::new();
    for source in sources() {
        for (package, doors) in PACKAGES {
            let named = source.code.lines().any(|line| names_package(line, package));
            if named && !doors.iter().any(|door| source.path.starts_with(door)) {
                broken.push(format!("src/{}.rs names the package {package}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_are_opened_in_one_place() {
    let mut broken = Vec::new();
    for source in sources() {
        if is_test(&source.path) || MAY_OPEN.iter().any(|door| source.path.starts_with(door)) {
            continue;
        }
        for opening in OPENINGS.iter().filter(|opening| without_tests(&source.code).contains(*opening)) {
            broken.push(format!("src/{}.rs says {opening}: see src/files/plain.rs", source.path));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_rule_is_about_something_that_exists() {
    let sources = sources();
    for (part, allowed) in MAY_NAME {
        for name in std::iter::once(part).chain(allowed.iter()) {
            assert!(sources.iter().any(|source| part_of(&source.path) == *name), "no part {name}");
        }
    }
    for door in MAY_OPEN {
        let opens =
            |source: &Source| OPENINGS.iter().any(|opening| without_tests(&source.code).contains(opening));
        let opens = |source: &Source| source.path.starts_with(door) && opens(source);
        assert!(sources.iter().any(opens), "{door} opens nothing");
    }
    for (package, _) in PACKAGES {
        let named = |source: &Source| source.code.lines().any(|line| names_package(line, package));
        assert!(sources.iter().any(named), "nobody names {package}");
    }
}

#[test]
fn the_rules_see_a_forbidden_name() {
    assert_eq!(named_parts("use crate::engine::Engine;"), ["engine"]);
    assert_eq!(named_parts("use crate::{data, engine::{Engine, open}};"), ["data", "engine"]);
    assert!(names_package("use dfdx::prelude::*;", "dfdx"));
    assert!(names_package("let x = dfdx::tensor::Cpu::default();", "dfdx"));
    assert!(!names_package("use crate::sinks::csv::CsvSink;", "csv"));
    assert_eq!(
        without_tests("a\n#[cfg(test)]\nmod b;\nc\n#[cfg(all(test, unix))]\nmod tests {\nd"),
        "a\n#[cfg(test)]\nmod b;\nc\n"
    );
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "src/ was not found");
    files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap().with_extension("");
            let path = path.to_string_lossy().replace('\\', "/");
            let code = fs::read_to_string(file).unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            Source {
                path: path.trim_end_matches("/mod").to_owned(),
                code: code.collect::<Vec<_>>().join("\n"),
            }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// Whether all of a file is compiled for tests alone.
fn is_test(path: &str) -> bool {
    path.ends_with("tests") || path.contains("/tests/") || path.ends_with("fixture")
}

/// A file's code before its module of tests.
fn without_tests(code: &str) -> &str {
    let is_tests = |at: usize| {
        let next = code[at..].lines().nth(1).unwrap_or_default();
        next.starts_with("mod ") && next.ends_with('{')
    };
    let starts = ["#[cfg(test)]", "#[cfg(all(test"].iter().flat_map(|start| code.match_indices(start));
    let start = starts.map(|(at, _)| at).filter(|&at| is_tests(at)).min();
    &code[..start.unwrap_or(code.len())]
}

fn part_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

fn is_part(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    root.join(name).is_dir() || root.join(name).with_extension("rs").is_file()
}

/// The parts that code names.
fn named_parts(code: &str) -> Vec<String> {
    names_after(code, "crate::")
}

/// The first words after each `prefix`, those of a braced group included.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, prefix) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.extend(first_word(rest)),
            Some(group) => names.extend(top_level_entries(group).filter_map(first_word)),
        }
    }
    names
}

/// The entries of a braced group whose opening brace is already gone.
fn top_level_entries(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 1;
    let inside = group
        .find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        })
        .map_or(group, |end| &group[..end]);
    let mut depth = 0;
    inside.split(move |c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// Whether a line names `package::` as a package and not as the end of a longer path.
fn names_package(line: &str, package: &str) -> bool {
    let path = format!("{package}::");
    line.match_indices(&path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}
