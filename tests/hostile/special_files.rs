//! Links, pipes and sockets where files are expected: nothing waits for them, and nothing is written through them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::listing::listing;

/// Two steps of a real model, with a checkpoint and a sample.
const EXPERIMENT: &str = r#"
[model]
n_layer = 1
n_head = 1
n_embd = 8
block_size = 8
[data]
path = "text.txt"
tokenizer = "byte"
[train]
batch_size = 1
max_steps = 2
eval_interval = 0
[checkpoint]
interval = 1
[sample]
interval = 2
max_new_tokens = 2
[hardware]
device = "cpu"
monitor_interval_secs = 0
"#;

const RUN: &str = "runs/base/seed=1337";
/// A call takes a second or two, and one that waits for a pipe for ever.
const LONGEST: Duration = Duration::from_secs(60);

struct Folder(tempfile::TempDir);

struct Call {
    code: Option<i32>,
    said: String,
}

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("base.toml", EXPERIMENT);
        folder.write("text.txt", &"A short text. ".repeat(20));
        folder
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    /// Puts a pipe there, in the place of whatever it was.
    fn pipe(&self, path: &str) {
        let path = self.clear(path);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }

    /// Puts a link to `target` there, in the place of whatever it was.
    fn link(&self, target: &str, path: &str) {
        symlink(self.at(target), self.clear(path)).unwrap();
    }

    fn clear(&self, path: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
        path
    }

    /// Calls the program, which must come to an end by itself.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Call {
        self.run_with(arguments, None)
    }

    #[track_caller]
    fn run_with(&self, arguments: &[&str], input: Option<&str>) -> Call {
        let output = fs::File::create(self.at("said")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(arguments).current_dir(self.0.path());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().unwrap();
        if let Some(input) = input {
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        }
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > LONGEST {
                // What it started ends with it.
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{arguments:?} waits for something");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let said = String::from_utf8_lossy(&fs::read(self.at("said")).unwrap()).into_owned();
        assert!(
            matches!(status.code(), Some(0..=4)) && !said.contains("panicked"),
            "{arguments:?}: {status}\n{said}"
        );
        Call { code: status.code(), said }
    }
}

impl Call {
    #[track_caller]
    fn is_refused(&self, parts: &[&str]) {
        assert_ne!(self.code, Some(0), "{}", self.said);
        for part in parts {
            assert!(self.said.contains(part), "{part:?} is not in:\n{}", self.said);
        }
    }

    #[track_caller]
    fn succeeds(&self) {
        assert_eq!(self.code, Some(0), "{}", self.said);
    }
}

#[test]
fn a_link_in_a_run_directory_is_named_and_what_it_points_to_is_left_as_it_is() {
    for name in ["lock", "log.jsonl", "samples.md", "metrics.csv", "output.log", "checkpoints"] {
        let folder = Folder::new();
        folder.write("theirs/file", "kept");
        folder.write("theirs/folder/.partial-abc/kept", "kept");
        folder.write("theirs/folder/.tmp-abc", "kept");
        let targets = if name == "checkpoints" {
            ["theirs/folder", "theirs/none"]
        } else {
            ["theirs/file", "theirs/none"]
        };
        folder.run(&["prepare", "base.toml"]).succeeds();
        let before = listing(&folder.at("theirs"), |_| true);
        for target in targets {
            folder.link(target, &format!("{RUN}/{name}"));
            for command in [&["base.toml"][..], &["exec", RUN]] {
                // Only who starts the run's process writes what that prints.
                if name == "output.log" && command[0] == "exec" {
                    continue;
                }
                folder
                    .run(command)
                    .is_refused(&[&format!("{RUN}/{name}: it is a symbolic link"), "own in its place"]);
                assert_eq!(
                    listing(&folder.at("theirs"), |_| true),
                    before,
                    "{name} to {target}, {command:?}"
                );
            }
        }
    }
}

#[test]
fn nothing_waits_for_a_pipe_in_a_run_directory() {
    let folder = Folder::new();
    folder.run(&["base.toml"]).succeeds();
    let whole = files(&folder.at("runs"));
    for name in [
        "manifest.toml",
        "config.toml",
        "lock",
        "metrics.csv",
        "log.jsonl",
        "samples.md",
        "output.log",
        "runner-tokenizer.json",
        "report.md",
        "checkpoints",
        "checkpoints/best",
        "checkpoints/last",
        "checkpoints/step-000002/checksums.toml",
        "checkpoints/step-000002/loop.json",
        "checkpoints/step-000002/model.safetensors",
    ] {
        fs::remove_dir_all(folder.at("runs")).unwrap();
        for (path, content) in &whole {
            folder.write(&format!("runs/{path}"), "");
            fs::write(folder.at("runs").join(path), content).unwrap();
        }
        folder.pipe(&format!("{RUN}/{name}"));
        for command in [&["ls"][..], &["report", "base"], &["generate", "base", "a", "--max-new-tokens", "1"]]
        {
            folder.run(command);
        }
        let archive = ["export", "base", "--format", "archive", "--out", "a.tar.zst", "--with-checkpoints"];
        folder.run(&archive);
        // A run that goes on reads and writes all of them.
        let manifest = folder.at(RUN).join("manifest.toml");
        if name != "manifest.toml" {
            let text = fs::read_to_string(&manifest).unwrap();
            let interrupted = text.replace("status = \"finished\"", "status = \"interrupted\"");
            assert_ne!(interrupted, text);
            fs::write(&manifest, interrupted).unwrap();
        }
        // Only who starts the run's process writes what that prints.
        if name != "output.log" {
            folder.run(&["exec", RUN]);
        }
        if ["manifest.toml", "config.toml", "lock", "metrics.csv", "log.jsonl", "samples.md"].contains(&name)
        {
            folder.run(&["exec", RUN]).is_refused(&[name, "is a pipe"]);
        }
        let call = folder.run(&["base.toml"]);
        if ["lock", "metrics.csv", "log.jsonl", "samples.md", "output.log"].contains(&name) {
            call.is_refused(&[&format!("{RUN}/{name}"), "is a pipe"]);
        }
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let path = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            (path, fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn pipes_and_sockets_are_refused_wherever_an_experiment_names_a_file() {
    let folder = Folder::new();
    folder.pipe("pipe.toml");
    let _socket = UnixListener::bind(folder.at("socket.toml")).unwrap();
    for (kind, name) in [("a pipe", "pipe.toml"), ("a socket", "socket.toml")] {
        folder.write("child.toml", &format!("extends = \"{name}\"\n{EXPERIMENT}"));
        for command in [&["plan", name][..], &[name], &["plan", "child.toml"]] {
            folder
                .run(command)
                .is_refused(&[&format!("{name}` is {kind}, not an experiment file"), "<(...)"]);
        }
        folder.write("text.toml", &EXPERIMENT.replace("text.txt", name));
        folder.run(&["text.toml"]).is_refused(&[name]);
        folder
            .write("start.toml", &EXPERIMENT.replace("[train]", &format!("[train]\ninit_from = \"{name}\"")));
        folder.run(&["start.toml"]).is_refused(&[name]);
        for command in [&["report", name][..], &["generate", name, "a"], &["exec", name]] {
            folder.run(command).is_refused(&[name]);
        }
    }
    // What only a person on the command line can mean.
    folder.write("child.toml", "extends = \"/dev/stdin\"\n");
    folder.run_with(&["plan", "child.toml"], Some(EXPERIMENT)).is_refused(&["/dev/stdin` is a pipe"]);
}

#[test]
fn an_experiment_can_come_from_standard_input_and_from_a_pipe_that_was_handed_over() {
    let folder = Folder::new();
    for path in ["/dev/stdin", "/dev/fd/0"] {
        let call = folder.run_with(&["plan", path, "--set", "data.path=text.txt"], Some(EXPERIMENT));
        call.succeeds();
        let broken = folder.run_with(&["plan", path], Some("[model]\nn_layer = = 3\n"));
        broken.is_refused(&[&format!("{path}:2")]);
    }
}

#[test]
fn links_that_people_make_to_other_disks_are_followed() {
    let folder = Folder::new();
    for (target, link) in [("disk/runs", "runs"), ("disk/reports", "reports")] {
        fs::create_dir_all(folder.at(target)).unwrap();
        folder.link(target, link);
    }
    fs::rename(folder.at("text.txt"), folder.at("disk/text.txt")).unwrap();
    folder.link("disk/text.txt", "text.txt");
    folder.write("disk/base.toml", EXPERIMENT);
    folder.link("disk/base.toml", "base.toml");
    folder.run(&["base.toml"]).succeeds();
    assert!(folder.at("disk").join(RUN).join("checkpoints/step-000002").is_dir());

    // An experiment's folder, and weights that another run begins from.
    folder.link(&format!("disk/{RUN}/checkpoints/step-000002/model.safetensors"), "weights.safetensors");
    let next = EXPERIMENT.replace("[train]", "[train]\ninit_from = \"weights.safetensors\"");
    folder.write("next.toml", &next);
    fs::create_dir_all(folder.at("disk/next")).unwrap();
    folder.link("disk/next", "disk/runs/next");
    folder.run(&["next.toml"]).succeeds();
    assert!(folder.at("disk/next/seed=1337/checkpoints/step-000002").is_dir());
    // Its run's folder, too, when it is named.
    folder.link("disk/next/seed=1337", "mine");
    folder.run(&["exec", "mine"]).succeeds();
}
