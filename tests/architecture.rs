//! Holds the plan of the house: which part of the program may name which, and who uses which package.

use std::fs;
use std::path::{Path, PathBuf};

/// Parts that put the others together.
const FREE: &[&str] = &["build", "cli", "cmd", "error", "launcher", "lib", "main"];

/// The other parts of `src/`, and which parts each may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("config", &["facts", "files", "units"]),
    ("data", &["config", "facts", "files"]),
    ("doctor", &["data", "engine", "files", "launcher", "monitor", "terminal", "units"]),
    ("engine", &["config", "data", "facts", "files", "model", "ops", "optim", "threads", "units"]),
    ("event", &["facts", "metric"]),
    (
        "export",
        &["config", "data", "files", "infer", "markdown", "model", "pretrained", "report", "store", "units"],
    ),
    ("facts", &[]),
    ("files", &[]),
    (
        "generate",
        &["config", "data", "engine", "event", "facts", "infer", "model", "pretrained", "store", "threads"],
    ),
    ("infer", &["model", "ops", "threads", "units"]),
    ("markdown", &[]),
    ("metric", &[]),
    ("model", &["config", "facts", "ops"]),
    ("monitor", &[]),
    ("ops", &[]),
    ("optim", &["config", "facts", "model", "ops"]),
    ("pretrained", &["config", "data", "facts", "model", "store"]),
    ("report", &["event", "facts", "files", "markdown", "metric", "shell", "stats", "store", "units"]),
    ("serve", &["data", "generate", "infer", "model", "pretrained", "threads"]),
    ("shell", &[]),
    ("sinks", &["event", "facts", "files", "markdown", "metric", "store", "terminal", "units"]),
    ("stats", &[]),
    ("store", &["event", "facts", "files", "metric"]),
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
    ("csv", &["report/fixture", "sinks", "store"]),
    ("cudarc", &["engine/device", "ops/cuda"]),
    ("dfdx", &["engine", "infer/tests", "model", "ops", "optim"]),
    ("figment", &["config"]),
    ("gemm", &["ops/cpu/matmul"]),
    ("gemm_before_avx2", &["ops/cpu/matmul"]),
    ("include_dir", &["export/source"]),
    ("indicatif", &["sinks/progress"]),
    ("nvml_wrapper", &["monitor"]),
    ("plotters", &["report/plot"]),
    ("pulp", &["infer/int8", "infer/panels", "ops/cpu/simd", "optim/cpu"]),
    ("safetensors", &["engine", "model"]),
    ("signal_hook", &["cmd/signals"]),
    ("tar", &["store/archive"]),
    ("tiktoken_rs", &["data/tokenizer"]),
    ("toml", &["config", "export/source", "launcher", "report", "store"]),
    ("ureq", &["data"]),
    ("walkdir", &["data", "store/scan"]),
    ("zstd", &["store/archive"]),
];

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
fn every_rule_is_about_something_that_exists() {
    let sources = sources();
    for (part, allowed) in MAY_NAME {
        for name in std::iter::once(part).chain(allowed.iter()) {
            assert!(sources.iter().any(|source| part_of(&source.path) == *name), "no part {name}");
        }
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

fn part_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

fn is_part(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    root.join(name).is_dir() || root.join(name).with_extension("rs").is_file()
}

/// The first words after each `crate::`, those of a braced group included.
fn named_parts(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
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
